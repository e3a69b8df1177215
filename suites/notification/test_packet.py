"""What a packet socket is told: frames that come and go, and a device that goes down or away."""

from native import (
    ETH_P_ALL,
    MSG_ERRQUEUE,
    SO_TIMESTAMPING,
    SOF_TIMESTAMPING_OPT_TSONLY,
    SOF_TIMESTAMPING_SOFTWARE,
    SOF_TIMESTAMPING_TX_SOFTWARE,
    SOL_SOCKET,
    bind,
    if_index,
    recv,
    send,
    sendto,
    setsockopt,
    sockaddr_ll,
)
from suites.catalogue import clause
from suites.lab.calls import receive_now
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.families import EXPERIMENTAL_ETHERTYPES
from suites.lab.links import SHORT_LIVED, SwitchedLink

TYPE, OTHER_TYPE = EXPERIMENTAL_ETHERTYPES


def switched(case: Case) -> SwitchedLink:
    """The link that a case may switch off; it is on again afterwards."""
    link = case.lab.switched_link()
    case.afterwards(link.up)
    return link


def short_lived(case: Case) -> SwitchedLink:
    """A link that a case may delete; it is gone afterwards."""
    link = SwitchedLink(SHORT_LIVED)
    case.afterwards(link.close)
    return link


def bound(case: Case, link: SwitchedLink) -> Descriptor:
    """An armed subject that is bound to a link."""
    sock = case.socket()
    bind(sock, link.address(TYPE))
    case.arm(sock)
    return sock


@clause("packet.all.hears_both_directions")
def test_socket_for_all_protocols_hears_what_comes_and_what_goes(case: Case) -> None:
    """Not on loopback, where it would hear the fence."""
    link = switched(case)
    sock, far, other = case.socket(), case.socket("far"), case.socket("other")
    bind(sock, link.address(ETH_P_ALL))
    bind(far, link.far_address(ETH_P_ALL))
    case.arm(sock)
    case.arm(far)

    sendto(other, b"x", 0, link.address(TYPE))
    case.at("sent")
    sendto(sock, b"y", 0, link.address(TYPE))
    case.fence()

    case.at("sent_itself", first=receive_now(sock), second=receive_now(sock))


@clause("packet.empty.is_dropped")
def test_frame_that_is_all_header_is_dropped(case: Case) -> None:
    """packet_rcv takes a length of 0 for the verdict of a filter."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"")
    case.fence()

    case.at("sent", recv=receive_now(sock))


@clause("packet.timestamp.is_an_error_event")
def test_time_stamp_of_a_frame_is_an_error_event(case: Case) -> None:
    """The loopback device stamps what it takes."""
    sock, _ = case.pair()
    stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY
    setsockopt(sock, SOL_SOCKET, SO_TIMESTAMPING, stamps)
    case.arm(sock)

    sendto(sock, b"x", 0, sockaddr_ll(if_index("lo"), OTHER_TYPE))
    case.at("sent")

    case.at("read", read=attempt(recv, sock, 1, MSG_ERRQUEUE))


@clause("packet.down.is_an_error")
def test_device_that_goes_down_is_an_error(case: Case) -> None:
    """packet_notifier takes the socket off the device, and says so."""
    link = switched(case)
    sock = bound(case, link)

    link.down()
    case.at("down")

    case.at("sent", send=attempt(send, sock, b"x", 0))


@clause("packet.down.wakes")
def test_device_that_goes_down_wakes_a_blocked_receiver(case: Case) -> None:
    """The receiver takes the error, so SO_ERROR has none left."""
    link = switched(case)
    sock = bound(case, link)
    case.sleep("recv", sock, 1, name="receiver")

    link.down()

    case.at("down")


@clause("packet.up.is_silent")
def test_device_that_comes_back_is_no_event(case: Case) -> None:
    """What another socket sends on the device shows that the subject hears it again."""
    link = switched(case)
    sock, other = case.socket(), case.socket("other")
    bind(sock, link.address(ETH_P_ALL))
    case.arm(sock)

    link.down()
    case.at("down")
    link.up()
    case.at("up")
    sendto(other, b"x", 0, link.address(TYPE))

    case.at("heard")


@clause("packet.gone.after_down_is_silent")
def test_device_that_is_deleted_after_it_went_down_is_no_event(case: Case) -> None:
    """NETDEV_UNREGISTER finds the socket off the device already."""
    link = short_lived(case)
    sock = bound(case, link)

    link.down()
    case.at("down")
    link.delete()

    case.at("gone", send=attempt(send, sock, b"x", 0))


@clause("packet.gone.is_an_error")
def test_device_that_is_deleted_is_one_error(case: Case) -> None:
    """NETDEV_DOWN comes first, and takes the socket off the device."""
    link = short_lived(case)
    bound(case, link)

    link.delete()

    case.at("gone")


@clause("packet.unbound.isnt_told")
def test_unbound_socket_isnt_told_of_a_device(case: Case) -> None:
    """Bound to a type of frame, but to index 0."""
    link = switched(case)
    sock = case.socket()
    bind(sock, sockaddr_ll(0, OTHER_TYPE))
    case.arm(sock)

    link.down()

    case.at("down")


@clause("packet.bind.to_a_device_that_is_down")
def test_bind_to_a_device_that_is_down_is_an_error_event(case: Case) -> None:
    """packet_do_bind reports what packet_notifier would have."""
    link = switched(case)
    link.down()
    sock = case.socket()
    case.arm(sock)

    case.at("bound", bind=attempt(bind, sock, link.address(TYPE)))
