"""Calls by other ways than libc's: a child's, with bytes of the parent's; a thread's; the 32-bit interface's."""

from __future__ import annotations

import pytest

from native import (
    AF_UNIX,
    SO_TYPE,
    SOCK_DGRAM,
    SOL_SOCKET,
    CallError,
    SYS_bind,
    SYS_socketpair,
    close,
    fork_child,
    getsockname,
    getsockopt,
    sleep_bind,
    sleep_socket,
    sockaddr_un,
    socket,
    socketcall,
    socketcall_works,
    socketpair,
)


def test_child_reads_bytes_and_writes_to_a_bytearray() -> None:
    """The memory is shared, and each argument has its own part of it."""
    fd = socket(AF_UNIX, SOCK_DGRAM)
    child = fork_child()
    name = sockaddr_un(b"\0named by a child")

    child.call("bind", SYS_bind, fd, name, len(name))
    numbers = bytearray(8)
    child.call("socketpair", SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, numbers)

    child.exit()
    assert getsockname(fd) == name
    close(fd)
    assert int.from_bytes(numbers[:4], "little") < int.from_bytes(numbers[4:], "little")


def test_threads_bind_and_make_sockets() -> None:
    """Each makes one call, and says what came of it."""
    maker = sleep_socket(AF_UNIX, SOCK_DGRAM, 0)
    fd, _ = maker.outcome()
    maker.join()
    binder = sleep_bind(fd, sockaddr_un(b""))

    assert binder.outcome() == (0, None)
    binder.join()
    assert len(getsockname(fd)) > 2
    close(fd)


def test_socketcall_is_the_same_as_the_calls() -> None:
    """Bytes go to the kernel, and what it writes comes back."""
    try:
        socketcall_works()
    except CallError as error:
        pytest.skip(f"the kernel has no 32-bit interface: {error.name}")
    ends = bytearray(8)

    assert socketcall(8, AF_UNIX, SOCK_DGRAM, 0, ends) == 0

    one, other = (int.from_bytes(ends[at : at + 4], "little") for at in (0, 4))
    assert getsockopt(one, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM
    assert socketcall(9, one, b"sent", 4, 0) == 4
    received = bytearray(4)
    assert socketcall(10, other, received, 4, 0) == 4
    assert received == b"sent"
    with pytest.raises(CallError, match="EPROTONOSUPPORT"):
        socketcall(1, AF_UNIX, SOCK_DGRAM, 2)
    close(one)
    close(other)
    assert socketpair(AF_UNIX, SOCK_DGRAM) == (one, other)
    close(one)
    close(other)
