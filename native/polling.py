"""poll, select and epoll, in all their calls. A timeout below 0, or None, is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from native._native import ffi, lib
from native.constants import (
    POLLIN,
    POLLMSG,
    POLLOUT,
    POLLPRI,
    POLLRDBAND,
    POLLRDHUP,
    POLLRDNORM,
    POLLWRBAND,
    POLLWRNORM,
)
from native.masks import mask_of
from native.memory import EVENTS, buffers
from native.trace import done

__all__ = [
    "EXCEPT",
    "POLL_ALL",
    "READ",
    "WRITE",
    "Selected",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait2",
    "epoll_wait",
    "poll",
    "poll_one",
    "ppoll",
    "pselect6",
    "select",
    "select_one",
]

POLL_ALL = POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG | POLLRDHUP
"""Every event that may be asked for; POLLERR, POLLHUP and POLLNVAL come unasked (poll(2))."""

READ = 1
"""select: readable. Like `WRITE` and `EXCEPT` a number of this package's own: select(2) has sets instead."""

WRITE = 2
"""select: writable."""

EXCEPT = 4
"""select: an exceptional condition, which on sockets is urgent data."""

_WORD = 64

Selected = tuple[list[int], list[int], list[int]]
"""The descriptors that are readable, that are writable, and that have an exceptional condition."""


def poll(wanted: Sequence[tuple[int, int]], timeout_ms: int) -> list[int]:
    """poll(2) of (descriptor, events) pairs: the revents of each."""
    fds = ffi.new("struct pollfd[]", [(fd, events, 0) for fd, events in wanted])
    done("poll", (wanted, timeout_ms), lib.sys_poll(fds, len(wanted), timeout_ms))
    return [one.revents & 0xFFFF for one in fds]


def poll_one(fd: int, events: int, timeout_ms: int = 0) -> int:
    """poll(2) of one descriptor: its revents, 0 for none."""
    return done("poll", (fd, events, timeout_ms), lib.sys_poll_one(fd, events, timeout_ms))


def ppoll(wanted: Sequence[tuple[int, int]], timeout_ns: int | None, signals: Iterable[int] | None = None) -> list[int]:
    """ppoll(2): like poll, with `signals` as the mask meanwhile."""
    fds = ffi.new("struct pollfd[]", [(fd, events, 0) for fd, events in wanted])
    limit, mask, masked = _waiting(timeout_ns, signals)
    done("ppoll", (wanted, timeout_ns, signals), lib.sys_ppoll(fds, len(wanted), limit, mask, masked))
    return [one.revents & 0xFFFF for one in fds]


def select_one(fd: int, timeout_ns: int = 0) -> int:
    """select(2) of one descriptor in all three sets: READ, WRITE and EXCEPT, added up.

    The kernel is asked directly, with sets as large as it takes, so libc's FD_SETSIZE (1,024) is no limit.
    """
    return done("select", (fd, timeout_ns), lib.sys_select_one(fd, timeout_ns))


def select(
    read: Sequence[int], write: Sequence[int], exceptional: Sequence[int], timeout_ns: int | None = None
) -> Selected:
    """select(2), with sets as large as the highest descriptor needs; the kernel's limit is in µs, rounded up."""
    sets, count = bit_sets(read, write, exceptional)
    result = lib.sys_select(count, *sets, -1 if timeout_ns is None else timeout_ns)
    done("select", (read, write, exceptional, timeout_ns), result)
    return selected(sets, count)


def pselect6(
    read: Sequence[int],
    write: Sequence[int],
    exceptional: Sequence[int],
    timeout_ns: int | None = None,
    signals: Iterable[int] | None = None,
) -> Selected:
    """pselect6(2): like select, with `signals` as the mask meanwhile."""
    sets, count = bit_sets(read, write, exceptional)
    limit, mask, masked = _waiting(timeout_ns, signals)
    result = lib.sys_pselect6(count, *sets, limit, mask, masked)
    done("pselect6", (read, write, exceptional, timeout_ns, signals), result)
    return selected(sets, count)


def epoll_create1(flags: int = 0) -> int:
    """epoll_create1(2)."""
    return done("epoll_create1", (flags,), lib.sys_epoll_create1(flags))


def epoll_ctl(epoll: int, operation: int, fd: int, events: int = 0, data: int = 0) -> None:
    """epoll_ctl(2): EPOLL_CTL_ADD, EPOLL_CTL_MOD or EPOLL_CTL_DEL; `data`, 64 bits, comes back with the events."""
    result = lib.sys_epoll_ctl(epoll, operation, fd, events, data)
    done("epoll_ctl", (epoll, operation, fd, events, data), result)


def epoll_wait(epoll: int, most: int, timeout_ms: int) -> list[tuple[int, int]]:
    """epoll_wait(2): up to `most` pairs of events and data."""
    pairs = _pairs(most)
    count = done("epoll_wait", (epoll, most, timeout_ms), lib.sys_epoll_wait(epoll, pairs, most, timeout_ms))
    return _events(pairs, count)


def epoll_pwait2(
    epoll: int, most: int, timeout_ns: int | None, signals: Iterable[int] | None = None
) -> list[tuple[int, int]]:
    """epoll_pwait2(2), Linux 5.11: like epoll_wait, with `signals` as the mask meanwhile."""
    pairs = _pairs(most)
    limit, mask, masked = _waiting(timeout_ns, signals)
    result = lib.sys_epoll_pwait2(epoll, pairs, most, limit, mask, masked)
    count = done("epoll_pwait2", (epoll, most, timeout_ns, signals), result)
    return _events(pairs, count)


def bit_sets(*groups: Sequence[int]) -> tuple[list[Any], int]:
    """Sets of descriptors as select(2) wants them, and one more than the highest."""
    count = max((int(fd) for group in groups for fd in group), default=-1) + 1
    sets = []
    for group in groups:
        words = ffi.new("unsigned long[]", count // _WORD + 1)
        for fd in group:
            if fd < 0:
                raise ValueError(f"a set for select(2) can't hold descriptor {fd}: they begin with 0")
            words[fd // _WORD] |= 1 << fd % _WORD
        sets.append(words)
    return sets, count


def selected(sets: Sequence[Any], count: int) -> Selected:
    """The descriptors that are in each set."""
    readable, writable, exceptional = (
        [fd for fd in range(count) if words[fd // _WORD] >> fd % _WORD & 1] for words in sets
    )
    return readable, writable, exceptional


def _waiting(timeout_ns: int | None, signals: Iterable[int] | None) -> tuple[int, int, int]:
    masked = signals is not None
    return -1 if timeout_ns is None else timeout_ns, mask_of(signals or ()), masked


def _pairs(most: int) -> Any:
    return buffers.pairs if most <= EVENTS else ffi.new("uint64_t[]", 2 * most)


def _events(pairs: Any, count: int) -> list[tuple[int, int]]:
    flat = ffi.unpack(pairs, 2 * count)
    return list(zip(flat[::2], flat[1::2], strict=True))
