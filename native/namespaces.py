"""What a thread may see and use: namespaces, limits, processors, and the devices of its network."""

from __future__ import annotations

from collections.abc import Iterable

from native._native import ffi, lib
from native.errors import DeadlineExpired
from native.memory import buffers
from native.trace import done

__all__ = [
    "getrlimit",
    "gettid",
    "if_index",
    "if_up",
    "prlimit",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_yield",
    "setns",
    "unshare",
]

_CPUS = 1024


def unshare(flags: int) -> None:
    """unshare(2) of the calling thread: CLONE_NEWNET and the like."""
    done("unshare", (flags,), lib.sys_unshare(flags))


def setns(fd: int, type: int = 0) -> None:
    """setns(2): enter the namespace that a descriptor stands for; type 0 takes any."""
    done("setns", (fd, type), lib.sys_setns(fd, type))


def prlimit(resource: int, soft: int, hard: int, pid: int = 0) -> tuple[int, int]:
    """prlimit(2): set both limits; returns what they were. No limit is 2**64 - 1."""
    new, old = ffi.new("uint64_t[2]", [soft, hard]), buffers.words
    done("prlimit", (pid, resource, soft, hard), lib.sys_prlimit(pid, resource, new, old))
    return old[0], old[1]


def getrlimit(resource: int, pid: int = 0) -> tuple[int, int]:
    """prlimit(2) without new limits: the soft one and the hard one."""
    old = buffers.words
    done("prlimit", (pid, resource), lib.sys_prlimit(pid, resource, ffi.NULL, old))
    return old[0], old[1]


def sched_setaffinity(tid: int, cpus: Iterable[int]) -> None:
    """sched_setaffinity(2): the processors that a thread may run on; tid 0 is the caller."""
    mask = 0
    for cpu in cpus:
        mask |= 1 << cpu
    packed = mask.to_bytes(max(_CPUS // 8, (mask.bit_length() + 7) // 8), "little")
    done("sched_setaffinity", (tid, cpus), lib.sys_sched_setaffinity(tid, packed, len(packed)))


def sched_getaffinity(tid: int) -> set[int]:
    """sched_getaffinity(2); tid 0 is the caller."""
    size = _CPUS  # bytes, so eight times as many processors as any kernel is built for
    size = done("sched_getaffinity", (tid,), lib.sys_sched_getaffinity(tid, buffers.data, size))
    mask = int.from_bytes(ffi.unpack(buffers.data, size), "little")
    return {cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1}


def sched_yield() -> None:
    """sched_yield(2), for loops that await something, so not traced. Raises DeadlineExpired past the deadline."""
    lib.sys_sched_yield()
    if lib.deadline_expired():
        raise DeadlineExpired("sched_yield", ())


def gettid() -> int:
    """gettid(2)."""
    return done("gettid", (), lib.sys_gettid())


def if_up(name: str) -> None:
    """SIOCSIFFLAGS, netdevice(7): switch a device on. ENODEV where the calling thread's network has no such device."""
    done("if_up", (name,), lib.sys_if_up(name.encode()))


def if_index(name: str) -> int:
    """SIOCGIFINDEX, netdevice(7)."""
    return done("if_index", (name,), lib.sys_if_index(name.encode()))
