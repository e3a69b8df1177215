"""Signals: masks, actions, the ring that handlers write to, and siginfo with all of its fields.

Sets of signals are any iterable of numbers. Masks are the kernel's, so libc's own signals (32 and 33) are like others.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from errno import EBADMSG
from typing import Any, Literal, NamedTuple

from native._native import ffi, lib
from native.descriptors import read
from native.errors import CallError
from native.masks import mask_of, signals_of
from native.memory import SIGNALS, buffers
from native.trace import done

__all__ = [
    "Handler",
    "Layout",
    "Siginfo",
    "SignalAction",
    "SignalfdInfo",
    "drain_signals",
    "kill",
    "ring_drain",
    "ring_lost",
    "sigaction",
    "sigaction_query",
    "sigaction_restore",
    "signalfd",
    "signalfd_read",
    "sigpending",
    "sigprocmask",
    "sigqueue",
    "sigtimedwait",
    "tgkill",
]

Handler = Literal["default", "ignore", "ring", "polling"]
_KINDS: tuple[str, ...] = ("default", "ignore", "ring", "other", "polling")

Layout = Literal["kill", "timer", "poll", "fault", "chld", "rt", "sys"]
_LAYOUTS: tuple[Layout, ...] = ("kill", "timer", "poll", "fault", "chld", "rt", "sys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Siginfo:
    """A siginfo_t, sigaction(2). Its fields share memory, so those that aren't in its `layout` are 0.

    `layout` is what siginfo_layout in kernel/signal.c makes of signal and code: "poll" has `band` and `fd`; "kill"
    `pid` and `uid`; "rt" these and `value`; "chld" these and `status`; "timer" `value`. `raw` is all of it, 128 bytes.
    `revents` isn't of the kernel: it is what a "polling" handler saw (`sigaction`).
    """

    signo: int
    errno: int
    code: int
    pid: int
    uid: int
    band: int
    fd: int
    status: int
    value: int
    layout: Layout
    raw: bytes
    revents: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalAction:
    """What a signal does: "default", "ignore", "ring", "polling", or "other", a foreign handler at `address`."""

    handler: str
    flags: int
    mask: frozenset[int]
    address: int


class SignalfdInfo(NamedTuple):
    """struct signalfd_siginfo, signalfd(2)."""

    signo: int
    errno: int
    code: int
    pid: int
    uid: int
    fd: int
    tid: int
    band: int
    overrun: int
    trapno: int
    status: int
    value: int


def sigaction(signo: int, handler: Handler, flags: int = 0, mask: Iterable[int] = ()) -> SignalAction:
    """sigaction(2); returns what the signal did before.

    "ring" is a handler in C that copies its siginfo to a ring in memory (`ring_drain`) and does nothing else.
    "polling" is one that asks poll(2) of si_fd as well, for every event, and has the answer written down as `revents`.
    """
    old = ffi.new("struct action *")
    result = lib.sys_sigaction(signo, _KINDS.index(handler), flags, mask_of(mask), old)
    done("sigaction", (signo, handler, flags), result)
    return _action(old)


def sigaction_query(signo: int) -> SignalAction:
    """sigaction(2) without a new action: what the signal does."""
    found = ffi.new("struct action *")
    done("sigaction", (signo,), lib.sys_sigaction_query(signo, found))
    return _action(found)


def sigaction_restore(signo: int, saved: SignalAction) -> SignalAction:
    """sigaction(2) with what `sigaction` or `sigaction_query` returned, somebody else's handler included."""
    action = ffi.new("struct action *", (saved.address, saved.flags, mask_of(saved.mask), 0))
    old = ffi.new("struct action *")
    done("sigaction", (signo, saved.handler, saved.flags), lib.sys_sigaction_restore(signo, action, old))
    return _action(old)


def ring_drain() -> list[Siginfo]:
    """What handlers have written to the ring since the last call, in their order. For one thread at a time."""
    found: list[Siginfo] = []
    while count := lib.ring_drain(buffers.signals, SIGNALS):
        found += map(_siginfo, buffers.signals[0:count])
    return found


def ring_lost() -> int:
    """How many signals found the ring (of 4,096) full since the last call."""
    lost: int = lib.ring_lost()
    return lost


def sigprocmask(how: int, signals: Iterable[int]) -> frozenset[int]:
    """sigprocmask(2) of the calling thread: SIG_BLOCK, SIG_UNBLOCK or SIG_SETMASK; returns the mask as it was."""
    old = buffers.words
    done("sigprocmask", (how, signals), lib.sys_sigprocmask(how, mask_of(signals), old))
    return signals_of(old[0])


def sigpending() -> frozenset[int]:
    """sigpending(2): signals that wait for the calling thread, or for the process, and are blocked."""
    pending = buffers.words
    done("sigpending", (), lib.sys_sigpending(pending))
    return signals_of(pending[0])


def sigtimedwait(signals: Iterable[int], timeout_ns: int) -> Siginfo:
    """sigtimedwait(2). Raises CallError with EAGAIN where none comes in time; a timeout below 0 is none."""
    done("sigtimedwait", (signals, timeout_ns), lib.sys_sigtimedwait(mask_of(signals), timeout_ns, buffers.signals))
    return _siginfo(buffers.signals[0])


def drain_signals(signals: Iterable[int]) -> list[Siginfo]:
    """sigtimedwait(2) without waiting, until nothing is pending: lower numbers first, one number's in their order."""
    mask, records = mask_of(signals), buffers.signals
    found: list[Siginfo] = []
    count = SIGNALS
    while count == SIGNALS:
        count = done("drain_signals", (signals,), lib.sys_drain_signals(mask, records, SIGNALS))
        if count:
            found += map(_siginfo, records[0:count])
    return found


def sigqueue(pid: int, signo: int, value: int) -> None:
    """sigqueue(3): a signal with a value; EAGAIN where RLIMIT_SIGPENDING is used up."""
    done("sigqueue", (pid, signo, value), lib.sys_sigqueue(pid, signo, value))


def kill(pid: int, signo: int) -> None:
    """kill(2): to a process, or a process group as its negated id."""
    done("kill", (pid, signo), lib.sys_kill(pid, signo))


def tgkill(pid: int, tid: int, signo: int) -> None:
    """tgkill(2): to one thread of a process."""
    done("tgkill", (pid, tid, signo), lib.sys_tgkill(pid, tid, signo))


def signalfd(signals: Iterable[int], flags: int = 0, fd: int = -1) -> int:
    """signalfd(2): a new descriptor, or `fd` with a new set of signals."""
    return done("signalfd", (fd, signals, flags), lib.sys_signalfd(fd, mask_of(signals), flags))


def signalfd_read(fd: int, most: int = 16) -> list[SignalfdInfo]:
    """read(2) from a signalfd: up to `most` signals. Raises CallError with EBADMSG where what comes isn't whole structs."""
    data = read(fd, most * _SIGNALFD.size)
    if len(data) % _SIGNALFD.size:
        raise CallError("signalfd_read", (fd, most), EBADMSG)
    return [SignalfdInfo._make(fields) for fields in _SIGNALFD.iter_unpack(data)]


_SIGNALFD = struct.Struct("=IiiIIiIIIIii80x")


def siginfo_of(raw: bytes) -> Siginfo:
    """A siginfo_t as the kernel has written it, 128 bytes."""
    records = ffi.new("struct signal_record[1]")
    lib.siginfo_record(raw, records)
    return _siginfo(records[0])


def _siginfo(record: Any) -> Siginfo:
    signo, errno, code, pid, uid, band, fd, status, value, layout, revents = record.fields
    return Siginfo(
        signo=signo,
        errno=errno,
        code=code,
        pid=pid,
        uid=uid,
        band=band,
        fd=fd,
        status=status,
        value=value,
        layout=_LAYOUTS[layout],
        raw=ffi.unpack(record.raw, 128),
        revents=revents,
    )


def _action(found: Any) -> SignalAction:
    return SignalAction(
        handler=_KINDS[found.kind], flags=found.flags, mask=signals_of(found.mask), address=found.handler
    )
