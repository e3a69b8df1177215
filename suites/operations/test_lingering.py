"""SO_LINGER with a time: close waits until all that was sent is acknowledged, and who doesn't wait."""

from time import monotonic

from native import (
    IPPROTO_TCP,
    MSG_DONTWAIT,
    O_NONBLOCK,
    TCP_QUICKACK,
    Sleeper,
    close,
    dup,
    get_descriptor_flags,
    get_flags,
    ioctl_outq,
    linger,
    recv,
    set_flags,
    setsockopt,
)
from suites.catalogue import clause
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.outbox import Outbox

PATIENT = 600
"""A time to linger for that no case waits out, in s."""

SHORT = 1
"""The shortest time there is, in s."""

NOTICED = 2
"""A time to linger that would be noticed, in s."""


def unacknowledged(case: Case, seconds: int = PATIENT) -> tuple[Outbox, int]:
    """A connection that lingers, with more sent than its peer's window takes; and how many bytes the peer can expect."""
    box = case.outbox()
    box.fill()
    read = box.held * len(box.payload)
    linger(box.socket, 1, seconds)
    return box, read


def read_to_the_end(peer: Descriptor) -> int:
    """Read until the end of the stream comes; returns how many bytes came."""
    total = 0
    while got := recv(peer, 1 << 16, 0):
        total += len(got)
        setsockopt(peer, IPPROTO_TCP, TCP_QUICKACK, 1)
    return total


def closing(case: Case, fd: Descriptor) -> Sleeper:
    """A thread that lingers in close."""
    return case.sleep("close", fd, name="closer")


@clause("lingering.unacknowledged.waits")
def test_close_waits_until_all_is_acknowledged(case: Case) -> None:
    """O_NONBLOCK is a flag of the file, and close doesn't look at it."""
    box, _ = unacknowledged(case)
    if case.variant == "O_NONBLOCK":
        set_flags(box.socket, get_flags(box.socket) | O_NONBLOCK)
    outstanding = ioctl_outq(box.socket)

    closing(case, box.socket)
    case.at("closing", outstanding=outstanding)
    arrived = read_to_the_end(box.peer)
    case.await_return("closer")

    case.at("read", arrived=arrived)


@clause("lingering.number.is_free")
def test_number_is_free_while_close_lingers(case: Case) -> None:
    """The slot is emptied first, and what lingers is the file."""
    box, _ = unacknowledged(case)

    closing(case, box.socket)

    case.at("closing", getfd=attempt(get_descriptor_flags, box.socket), close=attempt(close, box.socket))


@clause("lingering.acknowledged.returns")
def test_close_returns_at_once_where_all_is_acknowledged(case: Case) -> None:
    """Only the end itself is to be acknowledged, which the peer's kernel does."""
    sock, peer = case.pair()
    case.arm(sock)
    linger(peer, 1, NOTICED)

    began = monotonic()
    closed = attempt(close, peer)
    waited = int(monotonic() - began >= NOTICED)
    case.fence()

    case.at("closed", close=closed, waited=waited, recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("lingering.unread.resets")
def test_close_with_unread_data_does_not_linger(case: Case) -> None:
    """There is nothing to wait for: the connection is reset."""
    sock, peer = case.pair()
    case.deliver(b"never read")
    case.fence()
    linger(sock, 1, PATIENT)

    closed = attempt(close, sock)
    case.fence()

    case.at("closed", close=closed, recv=attempt(recv, peer, 1, MSG_DONTWAIT))


@clause("lingering.time.is_over")
def test_close_returns_when_the_time_is_over(case: Case) -> None:
    """Waiting ends, sending doesn't."""
    box, sent = unacknowledged(case, SHORT)

    closer = closing(case, box.socket)
    case.await_return("closer")
    began, ended = closer.times()
    case.at("over", waited_ms=(ended - began) // 1_000_000)
    arrived = read_to_the_end(box.peer)

    case.at("read", sent=sent, arrived=arrived)


@clause("lingering.signal.ends_the_wait")
def test_signal_ends_the_wait_and_not_the_connection(case: Case) -> None:
    """The number is gone already, so there is nothing that could be tried again."""
    box, sent = unacknowledged(case)

    closing(case, box.socket).interrupt()
    case.at("interrupted")
    arrived = read_to_the_end(box.peer)

    case.at("read", sent=sent, arrived=arrived)


@clause("lingering.process.does_not_wait")
def test_end_of_a_process_does_not_wait(case: Case) -> None:
    """A task that is exiting must not sleep for its peer."""
    box, sent = unacknowledged(case)
    child = case.fork()
    close(box.socket)

    child.exit() if case.variant == "exit" else child.kill()
    case.at("ended")
    arrived = read_to_the_end(box.peer)

    case.at("read", sent=sent, arrived=arrived)


@clause("lingering.duplicate.does_not_wait")
def test_close_of_one_of_two_descriptors_does_not_wait(case: Case) -> None:
    """The protocol isn't asked before the last reference goes."""
    box, _ = unacknowledged(case)
    copy = case.own(dup(box.socket), "copy")

    case.at("closed", close=attempt(close, copy), outstanding=ioctl_outq(box.socket))


@clause("lingering.replaced.waits")
def test_dup2_over_a_lingering_socket_waits(case: Case) -> None:
    """What is replaced is closed."""
    box, _ = unacknowledged(case)

    closer = case.sleep("dup2", case.lab.fence.to_itself, box.socket, name="closer")
    case.at("closing")
    arrived = read_to_the_end(box.peer)
    number, _ = closer.outcome()

    case.at("read", arrived=arrived, same_number=int(number == box.socket))


@clause("lingering.datagram.does_not_wait")
def test_sockets_without_a_connection_do_not_linger(case: Case) -> None:
    """Their release asks for no time."""
    box = case.outbox()
    box.send()
    linger(box.socket, 1, PATIENT)

    case.at("closed", close=attempt(close, box.socket))
