"""Calls on descriptors of any kind: reading, writing, copying, closing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from native._native import ffi, lib
from native.memory import buffers, gathered, parts_for, parts_of, room
from native.trace import done

__all__ = [
    "FileStatus",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "fstat",
    "pipe2",
    "pread",
    "preadv2",
    "pwrite",
    "pwritev2",
    "read",
    "readv",
    "write",
    "writev",
]


class FileStatus(NamedTuple):
    """What fstat(2) says: `mode` is type and permissions; `size` and `blksize` are in bytes, `mtime` in seconds."""

    ino: int
    mode: int
    nlink: int
    uid: int
    gid: int
    size: int
    blksize: int
    mtime: int


def read(fd: int, size: int) -> bytes:
    """read(2): up to `size` bytes; none at the end of the file."""
    buffer = room(size)
    got = done("read", (fd, size), lib.sys_read(fd, buffer, size))
    return ffi.unpack(buffer, got)  # type: ignore[no-any-return]


def write(fd: int, data: bytes) -> int:
    """write(2): how many bytes were taken."""
    return done("write", (fd, data), lib.sys_write(fd, data, len(data)))


def readv(fd: int, sizes: Sequence[int]) -> bytes:
    """readv(2) into buffers of these sizes: what they hold, one after the other."""
    parts, kept = parts_for(sizes)
    got = done("readv", (fd, sizes), lib.sys_readv(fd, parts, len(kept)))
    return gathered(kept, sizes, got)


def writev(fd: int, data: Sequence[bytes]) -> int:
    """writev(2): how many bytes were taken."""
    parts, kept = parts_of(data)
    return done("writev", (fd, data), lib.sys_writev(fd, parts, len(kept)))


def pread(fd: int, size: int, offset: int) -> bytes:
    """pread(2); a socket has no offsets: ESPIPE."""
    buffer = room(size)
    got = done("pread", (fd, size, offset), lib.sys_pread(fd, buffer, size, offset))
    return ffi.unpack(buffer, got)  # type: ignore[no-any-return]


def preadv2(fd: int, size: int, offset: int, flags: int) -> bytes:
    """preadv2(2) into one buffer; offset -1 stands for the file's own, and is the one that a socket accepts."""
    buffer = room(size)
    got = done("preadv2", (fd, size, offset, flags), lib.sys_preadv2(fd, buffer, size, offset, flags))
    return ffi.unpack(buffer, got)  # type: ignore[no-any-return]


def pwrite(fd: int, data: bytes, offset: int) -> int:
    """pwrite(2): how many bytes were taken."""
    return done("pwrite", (fd, data, offset), lib.sys_pwrite(fd, data, len(data), offset))


def pwritev2(fd: int, data: bytes, offset: int, flags: int) -> int:
    """pwritev2(2) of one buffer; offset -1 stands for the file's own, and is the one that a socket accepts."""
    return done("pwritev2", (fd, data, offset, flags), lib.sys_pwritev2(fd, data, len(data), offset, flags))


def close(fd: int) -> None:
    """close(2). On Linux the descriptor is gone whatever it says, but for EBADF."""
    done("close", (fd,), lib.sys_close(fd))


def close_range(first: int, last: int, flags: int = 0) -> None:
    """close_range(2), Linux 5.9: all descriptors from `first` to `last`."""
    done("close_range", (first, last, flags), lib.sys_close_range(first, last, flags))


def dup(fd: int) -> int:
    """dup(2): the lowest free descriptor."""
    return done("dup", (fd,), lib.sys_dup(fd))


def dup2(fd: int, target: int) -> int:
    """dup2(2): `target`, which is closed first if it was open."""
    return done("dup2", (fd, target), lib.sys_dup2(fd, target))


def dup3(fd: int, target: int, flags: int) -> int:
    """dup3(2): like dup2, with O_CLOEXEC; EINVAL where both are the same."""
    return done("dup3", (fd, target, flags), lib.sys_dup3(fd, target, flags))


def pipe2(flags: int = 0) -> tuple[int, int]:
    """pipe2(2): the end to read from, and the end to write to."""
    ends = buffers.ints
    done("pipe2", (flags,), lib.sys_pipe2(ends, flags))
    return ends[0], ends[1]


def fstat(fd: int) -> FileStatus:
    """fstat(2)."""
    status = ffi.new("struct file_status *")
    done("fstat", (fd,), lib.sys_fstat(fd, status))
    return FileStatus(*(getattr(status, field) for field in FileStatus._fields))
