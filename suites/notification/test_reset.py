"""An RST is one error event: for who is signalled, who sleeps, and who asks."""

from native import (
    EPOLL_CTL_ADD,
    EPOLLET,
    MSG_DONTWAIT,
    O_NONBLOCK,
    SHUT_WR,
    close,
    connect,
    epoll_create1,
    epoll_ctl,
    epoll_wait,
    errno_name,
    get_flags,
    getsockname,
    linger,
    recv,
    send,
    set_flags,
    shutdown,
    so_error,
)
from suites.catalogue import clause
from suites.lab.calls import receive
from suites.lab.case import INPUT, OUTPUT, Case, Descriptor, attempt
from suites.lab.outbox import PAYLOAD


def reset(peer: Descriptor) -> None:
    """Close so that an RST is sent."""
    linger(peer, 1, 0)
    close(peer)


def nobodys_address(case: Case) -> bytes:
    """An address on which nobody listens any more."""
    listener = case.listener()
    address = getsockname(listener)
    close(listener)
    return address


@clause("reset.established.is_an_error")
def test_reset_of_an_established_connection_is_one_error_event(case: Case) -> None:
    """Every observer says the same, and SO_ERROR takes the error away from all of them."""
    sock, peer = case.pair()
    if case.variant == "unread_data":
        send(sock, b"never read", 0)
        case.fence()
    else:
        linger(peer, 1, 0)
    case.arm(sock)

    close(peer)

    case.at("reset")


@clause("reset.so_error.is_read_once")
def test_second_so_error_after_a_reset_is_zero(case: Case) -> None:
    """What is left is a connection that has ended."""
    sock, peer = case.pair()

    reset(peer)
    case.fence()
    case.at("reset", first=errno_name(so_error(sock)), second=so_error(sock))

    case.at("afterwards", recv=attempt(recv, sock, 1, 0), send=attempt(send, sock, b"x", 0))


@clause("reset.receive.takes_the_error")
def test_receive_takes_the_error_of_a_reset(case: Case) -> None:
    """recv and read are the same path."""
    sock, peer = case.pair()
    case.arm(sock)

    reset(peer)
    case.fence()

    case.at("reset", first=receive(case.variant, sock, 1), second=receive(case.variant, sock, 1))


@clause("reset.queued_data.comes_first")
def test_data_before_a_reset_is_read_before_the_error(case: Case) -> None:
    """The receive queue isn't purged by an RST."""
    sock, peer = case.pair()
    case.arm(sock)

    case.deliver(b"abc")
    case.fence()
    reset(peer)
    case.fence()

    case.at("reset", first=attempt(recv, sock, 8, 0), second=attempt(recv, sock, 8, 0), third=attempt(recv, sock, 8, 0))


@clause("reset.close_wait.is_a_broken_pipe")
def test_reset_after_the_end_of_the_stream_is_a_broken_pipe(case: Case) -> None:
    """tcp_reset chooses the errno by the state: EPIPE in CLOSE_WAIT."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, SHUT_WR)
    case.at("ended")
    reset(peer)
    case.fence()

    case.at("reset", recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("reset.fin_wait.is_an_error")
def test_reset_that_answers_our_end_of_stream_is_an_error(case: Case) -> None:
    """FIN_WAIT2 is an established connection as far as errors go."""
    sock, peer = case.pair()
    case.arm(sock)
    shutdown(sock, SHUT_WR)
    case.fence()

    reset(peer)

    case.at("reset")


@clause("reset.refused.is_an_error")
def test_refused_connection_is_one_error_event(case: Case) -> None:
    """The connection never was, so there is no POLL_OUT that says it is made."""
    address = nobodys_address(case)
    sock = case.socket()
    set_flags(sock, get_flags(sock) | O_NONBLOCK)
    case.arm(sock)

    case.at("refused", connect=attempt(connect, sock, address))


@clause("reset.refused.fails_connect")
def test_blocking_connect_takes_the_refusal(case: Case) -> None:
    """Who waited for the error has it, so SO_ERROR has none left."""
    address = nobodys_address(case)
    sock = case.socket()
    case.arm(sock)

    case.at("refused", connect=attempt(connect, sock, address))


@clause("reset.receiver.wakes")
def test_reset_wakes_a_blocked_receiver(case: Case) -> None:
    """Every receiving call sleeps in sk_wait_data."""
    sock, peer = case.pair()
    case.sleep(case.variant, sock, 1, name="receiver")

    reset(peer)

    case.at("reset")


@clause("reset.writer.wakes")
def test_reset_wakes_a_blocked_writer(case: Case) -> None:
    """The error comes before the broken pipe."""
    box = case.outbox()
    box.fill()
    case.sleep(case.variant, box.socket, PAYLOAD, name="writer")

    reset(box.peer)

    case.at("reset")


@clause("reset.poller.wakes")
def test_reset_wakes_a_poller_for_input_with_the_error(case: Case) -> None:
    """POLLERR and POLLHUP needn't be asked for."""
    sock, peer = case.pair()
    case.sleep(case.variant, sock, INPUT)

    reset(peer)

    case.at("reset")


@clause("reset.room_poller.wakes")
def test_reset_wakes_a_poller_for_room_with_the_error(case: Case) -> None:
    """A dead connection is writable: a send would fail at once."""
    box = case.outbox()
    box.load()
    case.sleep(case.variant, box.socket, OUTPUT)

    reset(box.peer)

    case.at("reset")


@clause("reset.epoll.reports")
def test_epoll_reports_a_reset_by_level_and_by_edge(case: Case) -> None:
    """Both are registered for nothing at all; error and hang-up come unasked."""
    sock, peer = case.pair()
    level, edge = case.own(epoll_create1(0), "level"), case.own(epoll_create1(0), "edges")
    epoll_ctl(level, EPOLL_CTL_ADD, sock, 0, 0)
    epoll_ctl(edge, EPOLL_CTL_ADD, sock, EPOLLET, 0)

    def reported(epoll: Descriptor) -> int:
        return sum(events for events, _ in epoll_wait(epoll, 1, 0))

    reset(peer)
    case.fence()

    case.at(
        "reset",
        level_first=reported(level),
        level_again=reported(level),
        edge_first=reported(edge),
        edge_again=reported(edge),
        so_error_read=errno_name(so_error(sock)),
        level_after=reported(level),
        edge_after=reported(edge),
    )


@clause("refused.datagram.is_an_error")
def test_refused_datagram_is_one_error_event(case: Case) -> None:
    """The ICMP port unreachable finds the socket because it is connected."""
    sock, peer = case.pair()
    close(peer)
    case.arm(sock)

    send(sock, b"x", 0)

    case.at("refused")


@clause("reset.unix.is_a_hangup")
def test_unix_close_with_unread_data_is_a_hangup_with_an_error(case: Case) -> None:
    """unix_release_sock sets the error, but wakes with POLL_HUP."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"never read", 0)

    close(peer)

    case.at("closed")
