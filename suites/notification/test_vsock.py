"""What a vsock connection is told, and all that it isn't: it has no call of its own that signals."""

from dataclasses import replace

from native import (
    MSG_DONTWAIT,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SOCK_SEQPACKET,
    CallError,
    close,
    connect,
    getsockname,
    ioctl_inq,
    ioctl_outq,
    send,
    shutdown,
    so_error,
)
from suites.catalogue import clause
from suites.lab.calls import receive_now, shut_ourselves
from suites.lab.case import INPUT, OUTPUT, Case, Descriptor, Plain, attempt
from suites.lab.outbox import read_all

CHUNK = b"x" * 16_384
"""What a sender uses up its credit by, in bytes."""


@clause("vsock.connect.signals_the_listener")
def test_vsock_connection_signals_the_listener_only(case: Case) -> None:
    """The response from the other side is a state change."""
    listener = case.listener()
    sock = case.socket()
    case.arm(sock)
    case.arm(listener)

    connect(sock, getsockname(listener))

    case.at("connected")


@clause("vsock.fresh.has_room")
def test_fresh_vsock_socket_has_room(case: Case) -> None:
    """vsock_poll finds it in TCP_CLOSE, and has it fail at sending."""
    case.arm(case.socket())

    case.at("fresh")


@clause("vsock.data.signals")
def test_each_packet_of_a_vsock_connection_signals(case: Case) -> None:
    """It is a stream: one read takes both."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"x")
    case.at("first")
    case.deliver(b"y")
    case.at("second")

    case.at("read", recv=receive_now(sock, 8))


@clause("vsock.seqpacket.signals")
def test_each_message_of_a_vsock_connection_signals(case: Case) -> None:
    """The same transport, with a mark at each message's end."""
    sock, peer = (
        case.own(fd, role)
        for fd, role in zip(replace(case.family, type=SOCK_SEQPACKET).pair(), ("socket", "peer"), strict=True)
    )
    case.arm(sock)

    send(peer, b"x", 0)
    case.at("first")
    send(peer, b"y", 0)
    case.at("second")

    case.at("read", first=receive_now(sock, 8), second=receive_now(sock, 8))


@clause("vsock.refused.is_an_error")
def test_vsock_connection_that_nobody_takes_is_an_error(case: Case) -> None:
    """A packet to a port without a socket is answered by a reset."""
    listener = case.listener()
    address = getsockname(listener)
    close(listener)
    sock = case.socket()
    case.arm(sock)

    refused = attempt(connect, sock, address)
    so_error(sock)

    case.at("refused", connect=refused)


@clause("vsock.peer_shut_write.is_silent")
def test_end_of_a_vsock_peers_data_is_not_signalled(case: Case) -> None:
    """sk_state_change is all that is called."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, SHUT_WR)
    case.fence()

    case.at("shut", recv=receive_now(sock, 8))


@clause("vsock.peer_shut_read.is_silent")
def test_vsock_peer_that_stops_reading_is_found_out_by_sending(case: Case) -> None:
    """vsock_connectible_sendmsg looks at what the peer has shut."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, SHUT_RD)
    case.at("shut")

    case.at("sent", send=attempt(send, sock, b"x", 0))


@clause("vsock.peer_end.is_silent")
def test_end_of_a_vsock_peer_is_not_signalled(case: Case) -> None:
    """Data that is lost with the peer is nobody's error."""
    sock, peer = case.pair()
    case.arm(sock)
    if case.variant == "close_unread":
        send(sock, b"never read", 0)
        case.fence()

    if case.variant == "SHUT_RDWR":
        shutdown(peer, SHUT_RDWR)
    else:
        close(peer)
    case.fence()

    case.at("ended", recv=receive_now(sock, 8))


@clause("vsock.peer_end.wakes_everyone")
def test_close_of_a_vsock_peer_wakes_every_sleeper(case: Case) -> None:
    """A state change has no key and no limit."""
    sock, peer = case.pair()
    case.arm(sock)
    for name in ("first", "second"):
        case.sleep("recv", sock, 1, name=name)
    for poller in ("poll", "select", "epoll"):
        case.sleep(poller, sock, INPUT)

    close(peer)

    case.at("closed")


@clause("vsock.shutdown.read_is_silent")
def test_own_end_of_receiving_signals_a_vsock_socket_nothing(case: Case) -> None:
    """Who shuts knows of it."""
    shut_ourselves(case, SHUT_RD)


@clause("vsock.shutdown.write_is_silent")
def test_own_end_of_sending_signals_a_vsock_socket_nothing(case: Case) -> None:
    """vsock_poll reports room only to who may send."""
    shut_ourselves(case, SHUT_WR)


@clause("vsock.shutdown.both_is_silent")
def test_own_end_of_both_directions_signals_a_vsock_socket_nothing(case: Case) -> None:
    """Who shuts knows of it."""
    shut_ourselves(case, SHUT_RDWR)


def use_up_the_credit(sock: Descriptor) -> Plain:
    """Send until there is no room; returns what the last send came to."""
    try:
        while True:
            send(sock, CHUNK, MSG_DONTWAIT)
    except CallError as error:
        return error.name


@clause("vsock.room.is_silent")
def test_room_that_comes_back_to_a_vsock_sender_is_not_signalled(case: Case) -> None:
    """SOCKWQ_ASYNC_NOSPACE is never set."""
    sock, peer = case.pair()
    case.arm(sock)

    failed = use_up_the_credit(sock)
    case.sleep("poll", sock, OUTPUT)
    case.at("full", send=failed)
    read_all(peer)

    case.at("read")


@clause("vsock.queue.sizes")
def test_vsock_queues_can_be_asked(case: Case) -> None:
    """The subject is asked what it has unread, its peer what it hasn't sent."""
    sock, peer = case.pair()
    case.arm(sock)
    case.deliver(b"abc")
    case.fence()

    case.at("arrived", unsent=attempt(ioctl_outq, peer), unread=attempt(ioctl_inq, sock))
