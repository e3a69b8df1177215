"""close(): what happens to the descriptor's number."""

from pathlib import Path

from native import (
    CLONE_NEWNS,
    FD_CLOEXEC,
    MSG_DONTWAIT,
    CallError,
    Child,
    SYS_mount,
    SYS_unshare,
    close,
    dup,
    get_descriptor_flags,
    linger,
    recv,
    send,
    set_descriptor_flags,
)
from suites.catalogue import clause
from suites.lab.calls import port_of
from suites.lab.case import Case, attempt
from suites.lab.counters import tcp_row


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


@clause("close.none.is_ebadf")
def test_close_of_a_number_that_never_was_open_is_refused(case: Case) -> None:
    """Neither in the table nor within it."""
    case.at("refused", far=attempt(close, case.spare_number()), negative=attempt(close, -1))


@clause("close.duplicate.leaves_the_number")
def test_close_of_a_duplicate_leaves_the_first_number_open(case: Case) -> None:
    """The table has two entries for one file."""
    sock, _ = case.pair()
    copy = case.own(dup(sock), "copy")

    closed = attempt(close, copy)

    case.at("closed", close=closed, getfd=attempt(get_descriptor_flags, sock), again=attempt(close, copy))


@clause("close.error.is_not_told")
def test_close_of_a_socket_in_error_returns_zero(case: Case) -> None:
    """socket_file_ops has no flush that could tell."""
    sock, peer = case.pair()
    case.arm(sock)
    linger(peer, 1, 0)
    close(peer)
    case.fence()

    case.at("closed", close=attempt(close, sock))


@clause("close.error.unix_is_not_told")
def test_close_of_a_unix_socket_in_error_returns_zero(case: Case) -> None:
    """socket_file_ops has no flush that could tell."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"never read")
    close(peer)

    case.at("closed", close=attempt(close, sock))


@clause("close.unsent.is_not_told")
def test_close_does_not_tell_what_was_not_sent(case: Case) -> None:
    """What waits for the peer's window is the kernel's to send, and nobody waits for it."""
    box = case.outbox()
    box.fill()

    closed = attempt(close, box.socket)

    case.at("closed", close=closed, first=attempt(recv, box.peer, 1, MSG_DONTWAIT))


@clause("close.effect.tcp_is_there_on_return")
def test_tcp_end_is_sent_when_close_returns(case: Case) -> None:
    """The last reference is dropped before the call comes back to user space."""
    sock, peer = case.pair()
    port, peer_port = (port_of(fd) for fd in (sock, peer))

    close(sock)
    row = tcp_row(case.family.name, port, peer_port)

    case.at("closed", state=row.state, inode=row.inode)


@clause("close.effect.unix_is_there_on_return")
def test_unix_end_is_there_when_close_returns(case: Case) -> None:
    """The last reference is dropped before the call comes back to user space."""
    sock, peer = case.pair()

    close(peer)
    seen = attempt(recv, sock, 1, MSG_DONTWAIT)

    case.at("closed", recv=seen)


# The file system that sockets live in.


def mount(child: Child, kind: bytes) -> int | str:
    """What mount(2) of a file system of this kind over / comes to, in a child's own table of mounts."""
    try:
        return child.call("mount", SYS_mount, b"none\0", b"/\0", kind + b"\0", 0, 0)
    except CallError as error:
        return error.name


@clause("close.sockfs.cannot_be_mounted")
def test_sockfs_is_there_and_cannot_be_mounted(case: Case) -> None:
    """The kernel has mounted it for itself, where no path leads to."""
    child = case.fork()
    child.call("unshare", SYS_unshare, CLONE_NEWNS)
    kinds = Path("/proc/filesystems").read_text().splitlines()
    mounts = [line.split() for line in Path("/proc/thread-self/mountinfo").read_text().splitlines()]

    case.at(
        "asked",
        known=int("nodev\tsockfs" in kinds),
        mounted=sum("sockfs" in line for line in mounts),
        mount=mount(child, b"sockfs"),
        unknown=mount(child, b"sockfs-or-so"),
    )
