"""close(): what happens to the descriptor's number."""

from pathlib import Path

from native import FD_CLOEXEC, close, get_descriptor_flags, linger, set_descriptor_flags
from suites.catalogue import clause
from suites.lab.case import Case, attempt


@clause("close.slot.is_free_at_once")
def test_closed_number_is_free_and_comes_next(case: Case) -> None:
    """The lowest free number is the next to be given, and FD_CLOEXEC belongs to the slot."""
    sock = case.socket()
    set_descriptor_flags(sock, FD_CLOEXEC)

    closed = attempt(close, sock)
    listed = int(Path(f"/proc/thread-self/fd/{int(sock)}").is_symlink())
    case.at("closed", close=closed, getfd=attempt(get_descriptor_flags, sock), listed=listed)
    again = case.socket("again")

    case.at("reopened", same_number=int(again == sock), getfd=get_descriptor_flags(again))


@clause("close.twice.is_ebadf")
def test_second_close_finds_no_descriptor(case: Case) -> None:
    """There is nothing left under the number."""
    sock = case.socket()

    case.at("closed", first=attempt(close, sock), second=attempt(close, sock))


@clause("close.error.is_not_told")
def test_close_of_a_socket_in_error_returns_zero(case: Case) -> None:
    """socket_file_ops has no flush that could tell."""
    sock, peer = case.pair()
    case.arm(sock)
    linger(peer, 1, 0)
    close(peer)
    case.fence()

    case.at("closed", close=attempt(close, sock))
