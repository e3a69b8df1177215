"""Calls with addresses and counts of the caller's choice: memory that isn't there, counts beyond all memory.

The kernel is told exactly what stands here. Where it could write, the address must be the caller's own (`files.mmap`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from native._native import ffi, lib
from native.trace import done

__all__ = [
    "KERNEL",
    "NOWHERE",
    "Part",
    "memory_at",
    "read_at",
    "readv_at",
    "recv_at",
    "recvmsg_at",
    "send_at",
    "sendmsg_at",
    "write_at",
    "writev_at",
]

Part = tuple[int, int]
"""An address and a length in bytes, as they stand in a struct iovec."""

NOWHERE = 8
"""An address in user space where nothing is mapped (it is below vm.mmap_min_addr)."""

KERNEL = 0xFFFF_FFFF_FFFF_0000
"""An address that isn't in user space."""


def memory_at(address: int, size: int) -> bytes:
    """What memory of this process holds."""
    return ffi.unpack(_pointer(address), size)  # type: ignore[no-any-return]


def read_at(fd: int, address: int, size: int) -> int:
    """read(2): how many bytes were written to the address."""
    return done("read", (fd, _shown(address), size), lib.sys_read(fd, _pointer(address), size))


def write_at(fd: int, address: int, size: int) -> int:
    """write(2): how many bytes were taken from the address."""
    return done("write", (fd, _shown(address), size), lib.sys_write(fd, _pointer(address), size))


def recv_at(fd: int, address: int, size: int, flags: int = 0) -> int:
    """recv(2): how many bytes were written to the address, or with MSG_TRUNC how many there were."""
    return done("recv", (fd, _shown(address), size, flags), lib.sys_recv(fd, _pointer(address), size, flags))


def send_at(fd: int, address: int, size: int, flags: int = 0) -> int:
    """send(2): how many bytes were taken from the address."""
    return done("send", (fd, _shown(address), size, flags), lib.sys_send(fd, _pointer(address), size, flags))


def readv_at(fd: int, parts: Sequence[Part], count: int | None = None) -> int:
    """readv(2): how many bytes were written to the parts; `count` is what the kernel is told of their number."""
    number = len(parts) if count is None else count
    return done("readv", (fd, _all_shown(parts), number), lib.sys_readv(fd, _vector(parts), number))


def writev_at(fd: int, parts: Sequence[Part], count: int | None = None) -> int:
    """writev(2): how many bytes were taken from the parts; `count` as in readv_at."""
    number = len(parts) if count is None else count
    return done("writev", (fd, _all_shown(parts), number), lib.sys_writev(fd, _vector(parts), number))


def recvmsg_at(fd: int, parts: Sequence[Part], flags: int = 0, count: int | None = None) -> int:
    """recvmsg(2) without control messages: how many bytes were written to the parts; `count` as in readv_at."""
    vector = _vector(parts)
    message = _message(vector, len(parts) if count is None else count)
    return done("recvmsg", (fd, _all_shown(parts), count, flags), lib.sys_recvmsg(fd, message, flags))


def sendmsg_at(fd: int, parts: Sequence[Part], flags: int = 0, count: int | None = None) -> int:
    """sendmsg(2) without control messages: how many bytes were taken from the parts; `count` as in readv_at."""
    vector = _vector(parts)
    message = _message(vector, len(parts) if count is None else count)
    return done("sendmsg", (fd, _all_shown(parts), count, flags), lib.sys_sendmsg(fd, message, flags))


def _pointer(address: int) -> Any:
    return ffi.cast("char *", address)


def _vector(parts: Sequence[Part]) -> Any:
    return ffi.new("struct iovec[]", [(_pointer(address), size) for address, size in parts])


def _message(vector: Any, count: int) -> Any:
    """A struct msghdr that points to the vector, which the caller keeps."""
    message = ffi.new("struct msghdr *")
    message.msg_iov, message.msg_iovlen = vector, count
    return message


def _shown(address: int) -> object:
    return {NOWHERE: "nowhere", KERNEL: "of the kernel"}.get(address, "memory")


def _all_shown(parts: Sequence[Part]) -> list[tuple[object, int]]:
    return [(_shown(address), size) for address, size in parts[:4]]
