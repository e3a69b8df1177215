"""fcntl(2), ioctl(2) and flock(2): flags, owners, signals and locks of open files, and the sizes of sockets' queues."""

from __future__ import annotations

from typing import NamedTuple

from native._native import ffi, lib
from native.constants import (
    F_GETFD,
    F_GETFL,
    F_GETLK,
    F_GETSIG,
    F_NOTIFY,
    F_SETFD,
    F_SETFL,
    F_SETOWN,
    F_SETSIG,
    FIOASYNC,
    FIOGETOWN,
    FIOSETOWN,
    SIOCATMARK,
    SIOCGPGRP,
    SIOCGSKNS,
    SIOCINQ,
    SIOCOUTQ,
    SIOCOUTQNSD,
    SIOCSPGRP,
)
from native.memory import buffers
from native.trace import done

__all__ = [
    "Lock",
    "Owner",
    "OwnerUids",
    "fcntl",
    "flock",
    "get_descriptor_flags",
    "get_flags",
    "get_lock",
    "get_owner",
    "get_owner_ex",
    "get_owner_uids",
    "get_signal",
    "ioctl",
    "ioctl_async",
    "ioctl_atmark",
    "ioctl_getown",
    "ioctl_gpgrp",
    "ioctl_inq",
    "ioctl_int",
    "ioctl_outq",
    "ioctl_outqnsd",
    "ioctl_setown",
    "ioctl_skns",
    "ioctl_spgrp",
    "notify",
    "set_descriptor_flags",
    "set_flags",
    "set_lock",
    "set_owner",
    "set_owner_ex",
    "set_signal",
]


class Owner(NamedTuple):
    """struct f_owner_ex: F_OWNER_TID, F_OWNER_PID or F_OWNER_PGRP, and the id; (0, 0) on a fresh socket."""

    type: int
    pid: int


class OwnerUids(NamedTuple):
    """The real and the effective user id that F_SETOWN captured; sigio_perm in fs/fcntl.c decides by them."""

    uid: int
    euid: int


class Lock(NamedTuple):
    """struct flock: a record lock, with the process that holds it (-1 for an open file description's lock)."""

    type: int
    whence: int
    start: int
    length: int
    pid: int


def fcntl(fd: int, command: int, argument: int = 0) -> int:
    """fcntl(2) itself, not libc's, with an integer argument passed as a long.

    F_GETOWN's answer may be negative, which this takes for an error: use `get_owner`.
    """
    return done("fcntl", (fd, command, argument), lib.sys_fcntl(fd, command, argument))


def get_flags(fd: int) -> int:
    """F_GETFL: the access mode and the status flags."""
    return done("fcntl", (fd, "F_GETFL"), lib.sys_fcntl(fd, F_GETFL, 0))


def set_flags(fd: int, flags: int) -> None:
    """F_SETFL: changes O_APPEND, O_ASYNC, O_DIRECT, O_NOATIME and O_NONBLOCK, and ignores the others."""
    done("fcntl", (fd, "F_SETFL", flags), lib.sys_fcntl(fd, F_SETFL, flags))


def get_descriptor_flags(fd: int) -> int:
    """F_GETFD: FD_CLOEXEC or 0."""
    return done("fcntl", (fd, "F_GETFD"), lib.sys_fcntl(fd, F_GETFD, 0))


def set_descriptor_flags(fd: int, flags: int) -> None:
    """F_SETFD."""
    done("fcntl", (fd, "F_SETFD", flags), lib.sys_fcntl(fd, F_SETFD, flags))


def get_owner(fd: int) -> int:
    """F_GETOWN as the kernel answers: a process, a process group as its negated id, 0 for nobody."""
    done("fcntl", (fd, "F_GETOWN"), lib.sys_getown(fd, buffers.ints))
    return buffers.ints[0]  # type: ignore[no-any-return]


def set_owner(fd: int, owner: int) -> None:
    """F_SETOWN: a process, a process group as its negated id, or 0 for nobody."""
    done("fcntl", (fd, "F_SETOWN", owner), lib.sys_fcntl(fd, F_SETOWN, owner))


def get_owner_ex(fd: int) -> Owner:
    """F_GETOWN_EX."""
    ints = buffers.ints
    done("fcntl", (fd, "F_GETOWN_EX"), lib.sys_getown_ex(fd, ints, ints + 1))
    return Owner(ints[0], ints[1])


def set_owner_ex(fd: int, type: int, pid: int) -> None:
    """F_SETOWN_EX: F_OWNER_TID, F_OWNER_PID or F_OWNER_PGRP, and an id."""
    done("fcntl", (fd, "F_SETOWN_EX", type, pid), lib.sys_setown_ex(fd, type, pid))


def get_owner_uids(fd: int) -> OwnerUids:
    """F_GETOWNER_UIDS; EINVAL on a kernel without CONFIG_CHECKPOINT_RESTORE."""
    uids = ffi.new("uint32_t[2]")
    done("fcntl", (fd, "F_GETOWNER_UIDS"), lib.sys_getowner_uids(fd, uids))
    return OwnerUids(uids[0], uids[1])


def get_signal(fd: int) -> int:
    """F_GETSIG: the signal that tells of events; 0 stands for SIGIO without siginfo."""
    return done("fcntl", (fd, "F_GETSIG"), lib.sys_fcntl(fd, F_GETSIG, 0))


def set_signal(fd: int, signo: int) -> None:
    """F_SETSIG."""
    done("fcntl", (fd, "F_SETSIG", signo), lib.sys_fcntl(fd, F_SETSIG, signo))


def notify(fd: int, events: int) -> None:
    """F_NOTIFY (dnotify) on a directory; 0 ends it."""
    done("fcntl", (fd, "F_NOTIFY", events), lib.sys_fcntl(fd, F_NOTIFY, events))


def set_lock(fd: int, command: int, type: int, start: int = 0, length: int = 0, whence: int = 0) -> None:
    """F_SETLK, F_SETLKW, F_OFD_SETLK or F_OFD_SETLKW over `length` bytes from `start`; length 0 is to the end."""
    lock = ffi.new("struct lock *", (type, whence, start, length, 0))
    done("fcntl", (fd, command, type, start, length, whence), lib.sys_lock(fd, command, lock))


def get_lock(fd: int, type: int, start: int = 0, length: int = 0, whence: int = 0, command: int = F_GETLK) -> Lock:
    """F_GETLK or F_OFD_GETLK: the lock that is in the way of such a one; its type is F_UNLCK where none is."""
    lock = ffi.new("struct lock *", (type, whence, start, length, 0))
    done("fcntl", (fd, command, type, start, length, whence), lib.sys_lock(fd, command, lock))
    return Lock(lock.type, lock.whence, lock.start, lock.length, lock.pid)


def flock(fd: int, operation: int) -> None:
    """flock(2): LOCK_SH, LOCK_EX or LOCK_UN, with LOCK_NB to be refused with EAGAIN instead of waiting."""
    done("flock", (fd, operation), lib.sys_flock(fd, operation))


def ioctl(fd: int, request: int, argument: int = 0) -> int:
    """ioctl(2) with the argument passed by value."""
    return done("ioctl", (fd, request, argument), lib.sys_ioctl(fd, request, argument))


def ioctl_int(fd: int, request: int, value: int = 0) -> int:
    """ioctl(2) with a pointer to an int; returns what the int holds afterwards."""
    return _ioctl_int(fd, request, request, value)


def ioctl_async(fd: int, on: int) -> None:
    """FIOASYNC: O_ASYNC on or off; ENOTTY on what can't signal."""
    _ioctl_int(fd, "FIOASYNC", FIOASYNC, on)


def ioctl_setown(fd: int, owner: int) -> None:
    """FIOSETOWN: like F_SETOWN, on sockets only."""
    _ioctl_int(fd, "FIOSETOWN", FIOSETOWN, owner)


def ioctl_getown(fd: int) -> int:
    """FIOGETOWN: like F_GETOWN, without its ambiguity."""
    return _ioctl_int(fd, "FIOGETOWN", FIOGETOWN)


def ioctl_spgrp(fd: int, owner: int) -> None:
    """SIOCSPGRP: another name for FIOSETOWN."""
    _ioctl_int(fd, "SIOCSPGRP", SIOCSPGRP, owner)


def ioctl_gpgrp(fd: int) -> int:
    """SIOCGPGRP: another name for FIOGETOWN."""
    return _ioctl_int(fd, "SIOCGPGRP", SIOCGPGRP)


def ioctl_inq(fd: int) -> int:
    """SIOCINQ, which is FIONREAD: bytes that can be read; of a datagram socket those of the first datagram."""
    return _ioctl_int(fd, "SIOCINQ", SIOCINQ)


def ioctl_outq(fd: int) -> int:
    """SIOCOUTQ: TCP's bytes that aren't acknowledged yet; on other sockets what packets in flight are charged with."""
    return _ioctl_int(fd, "SIOCOUTQ", SIOCOUTQ)


def ioctl_outqnsd(fd: int) -> int:
    """SIOCOUTQNSD: bytes of a TCP connection that haven't been sent yet."""
    return _ioctl_int(fd, "SIOCOUTQNSD", SIOCOUTQNSD)


def ioctl_atmark(fd: int) -> int:
    """SIOCATMARK: 1 where the next byte to be read is the urgent one."""
    return _ioctl_int(fd, "SIOCATMARK", SIOCATMARK)


def ioctl_skns(fd: int) -> int:
    """SIOCGSKNS: a new descriptor of the socket's network namespace; needs CAP_NET_ADMIN in it."""
    return done("ioctl", (fd, "SIOCGSKNS"), lib.sys_ioctl(fd, SIOCGSKNS, 0))


def _ioctl_int(fd: int, name: str | int, request: int, value: int = 0) -> int:
    ints = buffers.ints
    ints[0] = value
    done("ioctl", (fd, name, value), lib.sys_ioctl_int(fd, request, ints))
    return ints[0]  # type: ignore[no-any-return]
