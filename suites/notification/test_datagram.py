"""What a datagram socket is told: each datagram, each ICMP error, each time stamp, and of a shutdown nothing."""

import struct

from native import (
    AF_INET,
    IP_RECVERR,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
    IPV6_RECVERR,
    MSG_ERRQUEUE,
    O_NONBLOCK,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_DOMAIN,
    SO_SELECT_ERR_QUEUE,
    SO_TIMESTAMPING,
    SOCK_DGRAM,
    SOCK_RAW,
    SOF_TIMESTAMPING_OPT_TSONLY,
    SOF_TIMESTAMPING_SOFTWARE,
    SOF_TIMESTAMPING_TX_SOFTWARE,
    SOL_SOCKET,
    CallError,
    bind,
    close,
    connect,
    errno_name,
    get_flags,
    getsockname,
    getsockopt,
    parse_extended_error,
    recv,
    recvmsg,
    send,
    sendto,
    set_flags,
    setsockopt,
    shutdown,
    so_error,
    sockaddr_unspec,
    socket,
)
from suites.catalogue import clause
from suites.lab.calls import receive, receive_now, shut_ourselves
from suites.lab.case import INPUT, Case, Descriptor, Plain, attempt
from suites.lab.families import Udp
from suites.lab.icmp import complain
from suites.lab.sock_diag import destroy

HOW = {"SHUT_RD": SHUT_RD, "SHUT_WR": SHUT_WR, "SHUT_RDWR": SHUT_RDWR}
DISCARD = 9
"""A UDP port that no case binds, and that isn't among those which the kernel gives (ip_local_port_range)."""
LONG, SHORT = 77, 76
"""UDP lengths in bytes at which the checksum is put off, and computed at once (include/linux/skbuff.h CHECKSUM_BREAK)."""


def ask_for_errors(sock: Descriptor) -> None:
    """Set IP_RECVERR or IPV6_RECVERR."""
    if getsockopt(sock, SOL_SOCKET, SO_DOMAIN) == AF_INET:
        setsockopt(sock, IPPROTO_IP, IP_RECVERR, 1)
    else:
        setsockopt(sock, IPPROTO_IPV6, IPV6_RECVERR, 1)


def told(sock: Descriptor) -> tuple[str, Plain]:
    """The errno of the next message on the error queue and what it is about, or what asking for it comes to."""
    try:
        message = recvmsg(sock, 16, MSG_ERRQUEUE)
    except CallError as error:
        return error.name, None
    ((_, _, extended),) = message.control
    return errno_name(parse_extended_error(extended).errno), "data:" + message.data.decode()


def refused_pair(case: Case) -> Descriptor:
    """An armed socket whose peer is closed, so that what it sends is refused."""
    sock, peer = case.pair()
    close(peer)
    case.arm(sock)
    return sock


def nobody(case: Case) -> bytes:
    """An address at which no socket is, and none comes to be: a number that was free might be given to the sender itself."""
    assert isinstance(case.family, Udp)
    return case.family.address(DISCARD)


@clause("datagram.arrival.signals")
def test_each_datagram_signals(case: Case) -> None:
    """Two are told, read one after the other, and then nothing is left."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"x")
    case.at("first")
    case.deliver(b"x")
    case.at("second")

    case.at("first_read", recv=receive_now(sock))
    case.at("second_read", recv=receive_now(sock))


@clause("datagram.empty.signals")
def test_empty_datagram_signals(case: Case) -> None:
    """A packet is an event, however little it carries."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"")
    case.at("arrived")

    case.at("read", first=receive_now(sock), second=receive_now(sock))


@clause("datagram.udplite.signals")
def test_each_udplite_datagram_signals(case: Case) -> None:
    """Its sockets are UDP's under another number."""
    assert isinstance(case.family, Udp)
    sock, peer = (
        case.own(socket(case.family.domain, SOCK_DGRAM, IPPROTO_UDPLITE), role) for role in ("socket", "peer")
    )
    bind(sock, case.family.address())
    connect(peer, getsockname(sock))
    case.arm(sock)

    send(peer, b"x", 0)
    case.at("first")
    send(peer, b"y", 0)

    case.at("second")


@clause("datagram.disconnected.is_no_hangup")
def test_end_of_an_association_is_no_hangup(case: Case) -> None:
    """A datagram socket needs none."""
    sock, _ = case.pair()
    case.arm(sock)

    done = attempt(connect, sock, sockaddr_unspec())

    case.at("disconnected", connect=done)


def send_spoilt(case: Case, sock: Descriptor, length: int) -> None:
    """Send a UDP datagram of this length, header included, whose checksum is wrong."""
    assert isinstance(case.family, Udp)
    raw = case.own(socket(case.family.domain, SOCK_RAW, IPPROTO_UDP), "raw")
    port = getsockname(sock)[2:4]
    spoilt = port + port + struct.pack("!HH", length, 0xBAD) + bytes(length - 8)
    sendto(raw, spoilt, 0, case.family.address())


def bound(case: Case) -> Descriptor:
    """An armed socket that is bound, and hears everybody."""
    sock = case.socket()
    assert isinstance(case.family, Udp)
    bind(sock, case.family.address())
    case.arm(sock)
    return sock


@clause("datagram.checksum.blocking_poll_drops")
def test_poll_drops_what_has_a_wrong_checksum(case: Case) -> None:
    """Or a blocking recv that trusts poll would sleep."""
    sock = bound(case)

    send_spoilt(case, sock, LONG)
    case.at("arrived")

    case.at("read", recv=receive_now(sock))


@clause("datagram.checksum.non_blocking_poll_trusts")
def test_poll_trusts_the_checksum_where_recv_cant_sleep(case: Case) -> None:
    """With O_NONBLOCK a wrong promise costs nothing but an EAGAIN."""
    sock = bound(case)
    set_flags(sock, get_flags(sock) | O_NONBLOCK)

    send_spoilt(case, sock, LONG)
    case.at("arrived")

    case.at("read", recv=receive_now(sock))


@clause("datagram.checksum.short_is_checked_first")
def test_short_datagram_with_a_wrong_checksum_is_never_told(case: Case) -> None:
    """One byte less than what is put off."""
    sock = bound(case)

    send_spoilt(case, sock, SHORT)

    case.at("arrived")


@clause("datagram.refused.fails_the_next_send")
def test_send_after_a_refused_datagram_takes_the_error(case: Case) -> None:
    """Of three sends the first and the third go out."""
    sock = refused_pair(case)

    send(sock, b"x", 0)
    case.at("refused")
    case.at("failed", send=attempt(send, sock, b"x", 0))

    case.at("again", send=attempt(send, sock, b"x", 0))


@clause("datagram.refused.comes_before_data")
def test_refused_datagram_is_told_before_data_is_read(case: Case) -> None:
    """Receiving looks at the error before the queue."""
    sock, peer = case.pair()
    case.arm(sock)
    case.deliver(b"abc")
    close(peer)

    send(sock, b"x", 0)
    set_flags(sock, get_flags(sock) | O_NONBLOCK)
    case.at("refused")

    first, second, third = (receive(case.variant, sock, 8) for _ in range(3))
    case.at("read", first=first, second=second, third=third)


@clause("datagram.refused.unconnected_is_silent")
def test_unconnected_socket_isnt_told_of_a_refused_datagram(case: Case) -> None:
    """The ICMP message arrives, and finds the socket in no connection."""
    address = nobody(case)
    sock = case.socket()
    case.arm(sock)

    case.at("refused", sendto=attempt(sendto, sock, b"x", 0, address))


@clause("datagram.refused.wakes_a_receiver")
def test_refused_datagram_wakes_a_blocked_receiver(case: Case) -> None:
    """One thread receives, another sends."""
    sock = refused_pair(case)
    case.sleep(case.variant, sock, 1, name="receiver")

    send(sock, b"x", 0)

    case.at("refused")


@clause("datagram.refused.wakes_a_poller")
def test_refused_datagram_wakes_a_blocked_poller(case: Case) -> None:
    """sock_def_error_report wakes with the key ERR, which every poller waits for."""
    sock = refused_pair(case)
    case.sleep(case.variant, sock, INPUT)

    send(sock, b"x", 0)

    case.at("refused")


@clause("datagram.recverr.signals_twice")
def test_refused_datagram_is_told_twice_to_who_asked_for_errors(case: Case) -> None:
    """Once by sock_queue_err_skb, once by the protocol's own error handler."""
    address = nobody(case)
    sock = case.socket()
    ask_for_errors(sock)
    case.arm(sock)
    if case.variant == "connected":
        connect(sock, address)

    sendto(sock, b"x", 0, address)
    case.at("refused")

    errno, payload = told(sock)
    case.at("read", told=errno, payload=payload)


@clause("datagram.recverr.reading_reports_the_next")
def test_reading_an_error_reports_the_next_one(case: Case) -> None:
    """SO_ERROR is read in between, or the second send would fail with it."""
    sock = refused_pair(case)
    ask_for_errors(sock)
    send(sock, b"x", 0)
    so_error(sock)

    send(sock, b"y", 0)
    case.at("refused_twice")
    case.at("first_read", told=told(sock)[0])

    case.at("second_read", told=told(sock)[0])


@clause("datagram.recverr.nothing_left")
def test_empty_error_queue_is_not_waited_for(case: Case) -> None:
    """The datagram that is there belongs to another queue."""
    sock, _ = case.pair()
    case.arm(sock)
    case.deliver(b"x")

    case.at("asked", told=told(sock)[0])


def hear_of(case: Case, what: str, with_errors: bool = False) -> None:
    """Have a connected armed subject told of a packet of its own that didn't arrive."""
    sock, peer = case.pair()
    if with_errors:
        ask_for_errors(sock)
    case.arm(sock)

    complain(case, what, sock, peer)

    case.at("told")


@clause("datagram.soft_error.is_ignored")
def test_host_unreachable_is_ignored(case: Case) -> None:
    """icmp_err_convert says that it isn't fatal."""
    hear_of(case, "host unreachable")


@clause("datagram.soft_error.is_told_on_request")
def test_host_unreachable_is_told_to_who_asked_for_errors(case: Case) -> None:
    """IP_RECVERR doesn't ask whether an error is fatal."""
    hear_of(case, "host unreachable", with_errors=True)


@clause("datagram.hard_error.is_told")
def test_port_unreachable_is_told(case: Case) -> None:
    """The quoted header finds the socket, whether or not it has sent anything."""
    hear_of(case, "port unreachable")


def send_for_a_stamp(case: Case) -> Descriptor:
    """Have an armed subject send, and ask for the time when the device takes the packet."""
    sock, _ = case.pair()
    stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY
    setsockopt(sock, SOL_SOCKET, SO_TIMESTAMPING, stamps)
    case.arm(sock)
    send(sock, b"x", 0)
    return sock


@clause("datagram.timestamp.is_an_error_event")
def test_time_stamp_is_an_error_event(case: Case) -> None:
    """The loopback device stamps what it takes."""
    sock = send_for_a_stamp(case)
    case.at("sent")

    case.at("read", read=attempt(recv, sock, 1, MSG_ERRQUEUE))


@clause("datagram.timestamp.is_exceptional_on_request")
def test_time_stamp_is_exceptional_on_request(case: Case) -> None:
    """datagram_poll asks for the option whenever it reports an error."""
    sock = send_for_a_stamp(case)
    setsockopt(sock, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1)

    case.at("sent")


@clause("datagram.destroyed.is_an_error")
def test_destroyed_socket_is_told_an_error(case: Case) -> None:
    """udp_abort reports the error, then disconnects."""
    sock, peer = case.pair()
    case.arm(sock)

    destroy(sock, getsockname(peer))
    case.at("destroyed")

    case.at("sent", send=attempt(send, sock, b"x", 0))


@clause("datagram.shutdown.read_is_silent")
def test_own_end_of_receiving_signals_nothing(case: Case) -> None:
    """__skb_wait_for_more_packets is where the shutdown is looked at."""
    sock, _ = case.pair()
    case.arm(sock)

    done = attempt(shutdown, sock, SHUT_RD)

    case.at("shut", shutdown=done, waiting=attempt(recv, sock, 1, 0), not_waiting=receive_now(sock))


@clause("datagram.shutdown.write_is_silent")
def test_own_end_of_sending_signals_nothing(case: Case) -> None:
    """sock_alloc_send_pskb is where the shutdown is looked at."""
    sock, _ = case.pair()
    case.arm(sock)

    done = attempt(shutdown, sock, SHUT_WR)

    case.at("shut", shutdown=done, recv=receive_now(sock), send=attempt(send, sock, b"x", 0))


@clause("datagram.shutdown.write_is_silent_on_ping")
def test_own_end_of_sending_signals_an_echo_socket_nothing(case: Case) -> None:
    """It shares inet_shutdown with UDP."""
    shut_ourselves(case, SHUT_WR)


@clause("datagram.shutdown.both_is_silent")
def test_own_end_of_both_directions_signals_nothing(case: Case) -> None:
    """Who shuts knows of it."""
    shut_ourselves(case, SHUT_RDWR)


def shut_unconnected(case: Case) -> None:
    """Shut both directions of an armed subject that was never connected."""
    sock = case.socket()
    case.arm(sock)

    case.at("shut", shutdown=attempt(shutdown, sock, SHUT_RDWR))


@clause("datagram.shutdown.unconnected_takes_effect")
def test_shutdown_of_an_unconnected_socket_fails_and_takes_effect(case: Case) -> None:
    """inet_shutdown notes the errno, and goes on."""
    shut_unconnected(case)


@clause("datagram.shutdown.unconnected_unix_succeeds")
def test_shutdown_of_an_unconnected_unix_socket_succeeds(case: Case) -> None:
    """Without a peer there is nobody to be told, and that is all."""
    shut_unconnected(case)


@clause("datagram.shutdown.is_not_there")
def test_shutdown_of_a_packet_or_netlink_socket_changes_nothing(case: Case) -> None:
    """Their proto_ops have sock_no_shutdown."""
    sock, _ = case.pair()
    case.arm(sock)

    case.at("shut", shutdown=attempt(shutdown, sock, SHUT_RDWR))
    case.deliver(b"x")

    case.at("arrived")


@clause("datagram.shutdown.read_still_receives")
def test_datagrams_still_arrive_after_the_end_of_receiving(case: Case) -> None:
    """No protocol here looks at RCV_SHUTDOWN when a packet comes."""
    sock, _ = case.pair()
    case.arm(sock)
    shutdown(sock, SHUT_RD)

    case.deliver(b"x")
    case.at("arrived")

    case.at("read", recv=receive_now(sock))


@clause("datagram.shutdown.wakes_everyone")
def test_own_shutdown_wakes_every_sleeper(case: Case) -> None:
    """The wake has no key and no limit, so the exclusive receivers wake too."""
    sock, _ = case.pair()
    case.arm(sock)
    for name in ("first", "second"):
        case.sleep("recv", sock, 1, name=name)
    for poller in ("poll", "select", "epoll"):
        case.sleep(poller, sock, INPUT)

    shutdown(sock, SHUT_RDWR)

    case.at("shut")


@clause("datagram.peer_shutdown.is_silent")
def test_peers_shutdown_is_nothing(case: Case) -> None:
    """It is the peer's own affair."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, HOW[case.variant])

    case.at("shut", recv=receive_now(sock))


@clause("datagram.peer_close.is_silent")
def test_peers_close_is_nothing(case: Case) -> None:
    """It is the peer's own affair."""
    sock, peer = case.pair()
    case.arm(sock)

    close(peer)

    case.at("closed", recv=receive_now(sock))
