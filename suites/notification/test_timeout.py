"""Timeouts of TCP: who gets no answer is in error in the end."""

from native import (
    IPPROTO_TCP,
    MSG_DONTWAIT,
    SO_RCVBUF,
    SOL_SOCKET,
    TCP_MAXSEG,
    TCP_USER_TIMEOUT,
    CallError,
    accept4,
    attach_filter,
    bind,
    connect,
    getsockname,
    listen,
    send,
    setsockopt,
    sockaddr_in,
    tcp_info,
)
from suites.catalogue import clause
from suites.lab.case import OUTPUT, Case, Descriptor, attempt
from suites.lab.queueing import unanswered, unblock
from suites.lab.repair import connected_to

HANGUP = 0
"""What a poller asks for that waits for error and hang-up alone: they come unasked."""

SECOND_HOST = "127.0.0.2"
"""An address of loopback's whose route is the kernel's own, with its own least retransmission time."""

SEGMENT = 1_000
SMALL = 2 * SEGMENT
"""A receive buffer, in bytes, that a few segments fill."""


def impatient(sock: Descriptor) -> Descriptor:
    """Have a socket give up when the first retransmission or probe has found no answer: a user timeout of 1 ms."""
    setsockopt(sock, IPPROTO_TCP, TCP_USER_TIMEOUT, 1)
    return sock


def second_pair(case: Case) -> tuple[Descriptor, Descriptor]:
    """A connection between second addresses of loopback; its peer takes little."""
    listener = case.socket("listener")
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, SMALL)
    setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, SEGMENT)
    bind(listener, sockaddr_in(SECOND_HOST, 0))
    listen(listener, 1)
    sock = case.socket()
    bind(sock, sockaddr_in(SECOND_HOST, 0))
    connect(sock, getsockname(listener))
    return sock, case.own(accept4(listener, 0), "peer")


@clause("timeout.connect.is_an_error")
def test_connection_that_nobody_answers_times_out(case: Case) -> None:
    """A poller for room learns of it, and the owner."""
    _, address = unanswered(case)
    sock = impatient(case.socket())
    unblock(sock)
    case.arm(sock)
    attempt(connect, sock, address)
    case.sleep("poll", sock, OUTPUT)
    case.at("pending")

    case.await_return("poll")

    case.at("expired", tcp_state=tcp_info(sock).state)


@clause("timeout.connect.fails_connect")
def test_blocking_connect_takes_the_timeout(case: Case) -> None:
    """It clears up besides, which is another event."""
    _, address = unanswered(case)
    sock = impatient(case.socket())
    case.arm(sock)
    case.sleep("connect", sock, address)

    case.await_return("connect")

    case.at("expired")


@clause("timeout.retransmission.is_an_error")
def test_connection_whose_data_nobody_acknowledges_times_out(case: Case) -> None:
    """A filter makes the peer deaf."""
    sock, peer = second_pair(case)
    impatient(sock)
    attach_filter(peer, 0)
    case.arm(sock)
    case.sleep("poll", sock, HANGUP)

    send(sock, b"x", 0)
    case.await_return("poll")

    case.at("expired")


@clause("timeout.zero_window.is_an_error")
def test_connection_whose_peer_takes_no_more_times_out(case: Case) -> None:
    """The peer answers every probe, and still the user's timeout counts."""
    sock, _ = second_pair(case)
    impatient(sock)
    while True:
        try:
            send(sock, bytes(SEGMENT), MSG_DONTWAIT)
        except CallError:  # EAGAIN: the peer's window is closed and the send buffer is full
            break
    case.arm(sock)
    case.sleep("poll", sock, HANGUP)

    case.await_return("poll")

    case.at("expired")


@clause("timeout.soft_error.is_told")
def test_timeout_tells_the_last_that_was_heard_of_it(case: Case) -> None:
    """A host that can't be reached is no reason to give up a connection, but a reason to name when it is given up."""
    link, domain = case.lab.held_link(), case.family.domain
    host = link.silent_neighbour(domain)
    sock = impatient(connected_to(case, host))
    case.arm(sock)
    case.sleep("poll", sock, HANGUP)

    send(sock, b"x", 0)
    link.forget(domain, host)
    case.at("unreachable")
    case.await_return("poll")
    link.forget(domain, host)

    case.at("expired")
