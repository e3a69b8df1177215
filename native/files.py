"""Calls that belong to files of other kinds, and what a socket makes of them: positions, sizes, mappings, splicing, attributes."""

from __future__ import annotations

from native._native import ffi, lib
from native.memory import SMALL, buffers
from native.threads import Sleeper
from native.trace import done

__all__ = [
    "copy_file_range",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchown",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "fsetxattr",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futimens",
    "getdents64",
    "lseek",
    "mmap",
    "munmap",
    "openat",
    "posix_fadvise",
    "readahead",
    "sendfile",
    "sleep_splice",
    "splice",
    "syncfs",
    "tee",
]


def lseek(fd: int, offset: int, whence: int) -> int:
    """lseek(2): the new position; a socket has none: ESPIPE."""
    return done("lseek", (fd, offset, whence), lib.sys_lseek(fd, offset, whence))


def ftruncate(fd: int, length: int) -> None:
    """ftruncate(2)."""
    done("ftruncate", (fd, length), lib.sys_ftruncate(fd, length))


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2)."""
    done("fallocate", (fd, mode, offset, length), lib.sys_fallocate(fd, mode, offset, length))


def posix_fadvise(fd: int, offset: int, length: int, advice: int) -> None:
    """posix_fadvise(2): POSIX_FADV_DONTNEED and the like."""
    done("posix_fadvise", (fd, offset, length, advice), lib.sys_posix_fadvise(fd, offset, length, advice))


def readahead(fd: int, offset: int, count: int) -> None:
    """readahead(2)."""
    done("readahead", (fd, offset, count), lib.sys_readahead(fd, offset, count))


def fsync(fd: int) -> None:
    """fsync(2)."""
    done("fsync", (fd,), lib.sys_fsync(fd))


def fdatasync(fd: int) -> None:
    """fdatasync(2)."""
    done("fdatasync", (fd,), lib.sys_fdatasync(fd))


def syncfs(fd: int) -> None:
    """syncfs(2): writes out the file system that the file is in, which for a socket is sockfs."""
    done("syncfs", (fd,), lib.sys_syncfs(fd))


def fchdir(fd: int) -> None:
    """fchdir(2)."""
    done("fchdir", (fd,), lib.sys_fchdir(fd))


def fchmod(fd: int, mode: int) -> None:
    """fchmod(2)."""
    done("fchmod", (fd, mode), lib.sys_fchmod(fd, mode))


def fchown(fd: int, uid: int, gid: int) -> None:
    """fchown(2)."""
    done("fchown", (fd, uid, gid), lib.sys_fchown(fd, uid, gid))


def futimens(fd: int, seconds: int) -> None:
    """futimens(3): sets the times of access and change, in seconds since the epoch."""
    done("futimens", (fd, seconds), lib.sys_futimens(fd, seconds))


def fstatfs(fd: int) -> int:
    """fstatfs(2): the number of the file system's type, f_type."""
    kind = ffi.new("uint64_t *")
    done("fstatfs", (fd,), lib.sys_fstatfs(fd, kind))
    return kind[0]  # type: ignore[no-any-return]


def getdents64(fd: int, size: int) -> bytes:
    """getdents64(2): a directory's entries as the kernel packs them, up to `size` bytes, at most 64 KiB."""
    got = done("getdents64", (fd, size), lib.sys_getdents64(fd, buffers.data, min(size, SMALL)))
    return ffi.unpack(buffers.data, got)  # type: ignore[no-any-return]


def openat(directory: int, path: str, flags: int, mode: int = 0) -> int:
    """openat(2): a new descriptor; `directory` counts for a path that doesn't begin at the root."""
    return done("openat", (directory, path, flags), lib.sys_openat(directory, path.encode(), flags, mode))


def mmap(fd: int, length: int, protection: int, flags: int, hint: int = 0) -> int:
    """mmap(2) from offset 0: the address. `hint` is where the kernel may put it if there is room; fd -1 for no file."""
    address = ffi.new("uint64_t *")
    done("mmap", (fd, length, protection, flags), lib.sys_mmap(hint, length, protection, flags, fd, address))
    return address[0]  # type: ignore[no-any-return]


def munmap(address: int, length: int) -> None:
    """munmap(2)."""
    done("munmap", (length,), lib.sys_munmap(address, length))


def splice(fd_in: int, fd_out: int, count: int, flags: int = 0, *, offset_in: int = -1, offset_out: int = -1) -> int:
    """splice(2): how many bytes were moved, one end being a pipe; -1 stands for no offset, as a pipe and a socket want it."""
    shown = (fd_in, fd_out, count, flags)
    return done("splice", shown, lib.sys_splice(fd_in, _at(offset_in), fd_out, _at(offset_out), count, flags))


def sleep_splice(fd_in: int, fd_out: int, count: int, flags: int = 0) -> Sleeper:
    """A thread in splice(2) without offsets; its value is how many bytes were moved."""
    shown = (fd_in, fd_out, count, flags)
    return Sleeper.start("splice", lib.SYS_splice, (fd_in, 0, fd_out, 0, count, flags), shown=shown)


def tee(fd_in: int, fd_out: int, count: int, flags: int = 0) -> int:
    """tee(2): how many bytes were duplicated from pipe to pipe."""
    return done("tee", (fd_in, fd_out, count, flags), lib.sys_tee(fd_in, fd_out, count, flags))


def sendfile(fd_out: int, fd_in: int, count: int, offset: int = -1) -> int:
    """sendfile(2): how many bytes were copied; offset -1 stands for the position of `fd_in`."""
    return done("sendfile", (fd_out, fd_in, offset, count), lib.sys_sendfile(fd_out, fd_in, _at(offset), count))


def copy_file_range(fd_in: int, fd_out: int, count: int) -> int:
    """copy_file_range(2) from position to position: how many bytes were copied."""
    return done("copy_file_range", (fd_in, fd_out, count), lib.sys_copy_file_range(fd_in, fd_out, count))


def flistxattr(fd: int) -> list[str]:
    """flistxattr(2): the names of the file's extended attributes."""
    got = done("flistxattr", (fd,), lib.sys_flistxattr(fd, buffers.data, SMALL))
    names: bytes = ffi.unpack(buffers.data, got)
    return names.decode().split("\0")[:-1]


def fgetxattr(fd: int, name: str) -> bytes:
    """fgetxattr(2): an extended attribute's value."""
    got = done("fgetxattr", (fd, name), lib.sys_fgetxattr(fd, name.encode(), buffers.data, SMALL))
    return ffi.unpack(buffers.data, got)  # type: ignore[no-any-return]


def fsetxattr(fd: int, name: str, value: bytes, flags: int = 0) -> None:
    """fsetxattr(2)."""
    done("fsetxattr", (fd, name, value, flags), lib.sys_fsetxattr(fd, name.encode(), value, len(value), flags))


def _at(offset: int) -> object:
    return ffi.NULL if offset < 0 else ffi.new("int64_t *", offset)
