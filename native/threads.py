"""Threads that never run Python: sleepers, each for one system call; and the signal masks of threads that others made.

A sleeper announces itself just before its call, so that state S in /proc says that it is asleep in that call. Its
memory belongs to it until it is joined. Its thread may have been another sleeper's before and be another one's afterwards, where
nobody can tell: not after a call that may leave the thread otherwise than a new one, nor once somebody knows its id.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from native import constants
from native._native import ffi, lib
from native.deadlines import DEADLINE_SIGNAL
from native.errors import CallError, errno_name
from native.masks import mask_of
from native.memory import parts_for
from native.polling import EXCEPT, READ, WRITE, bit_sets, selected
from native.signals import Siginfo, siginfo_of
from native.sockets import CONTROL_ROOM, Message, message_for, message_of
from native.trace import checked, note

__all__ = [
    "Outcome",
    "Sleeper",
    "block_signals_in_other_threads",
    "live_sleepers",
    "sleep_accept",
    "sleep_bind",
    "sleep_close",
    "sleep_connect",
    "sleep_dup2",
    "sleep_epoll",
    "sleep_poll",
    "sleep_ppoll",
    "sleep_pselect",
    "sleep_read",
    "sleep_readv",
    "sleep_recv",
    "sleep_recvmsg",
    "sleep_select",
    "sleep_send",
    "sleep_sigsuspend",
    "sleep_sigtimedwait",
    "sleep_socket",
    "sleep_write",
]

Outcome = tuple[Any, str | None]
"""What a sleeper's call brought, and None; or None, and the errno's name."""


class _Words(NamedTuple):
    """What is known of a sleeper's call: its result, when it began and ended, and how often the thread slept in it."""

    result: int
    began_ns: int
    ended_ns: int
    began_ticks: int
    ended_ticks: int
    switches: int


KEEPING = frozenset(
    ("accept", "connect", "epoll_wait", "poll", "ppoll", "pselect6", "read", "readv", "recv", "recvmsg", "select")
)
"""The calls that leave a thread as it was. One that sends may leave it a SIGPIPE."""

_live: list[Sleeper] = []


class Sleeper:
    """A thread that makes one system call. Join it before the end, whatever came of it."""

    def __init__(
        self, call: str, arguments: tuple[object, ...], handle: Any, decode: Callable[[int], Any], keep: Any
    ) -> None:
        self.call = call
        self.arguments = arguments
        self._tid: int = lib.sleeper_tid(handle)
        self._handle = handle
        self._decode = decode
        self._keep = keep
        self._end: _Words | None = None
        self._may_be_another_s = call in KEEPING
        _live.append(self)
        note((self._words().began_ticks, self._tid, call, arguments, None, 0))

    @classmethod
    def start(
        cls,
        call: str,
        number: int,
        arguments: Sequence[Any],
        keep: object = None,
        decode: Callable[[int], Any] = int,
        shown: tuple[object, ...] | None = None,
    ) -> Sleeper:
        """Start a thread that makes system call `number` with up to six integers or pointers.

        `keep` is held until it is joined, `decode` makes its value of the kernel's result, `shown` are the arguments
        to be written down. Raises CallError where there can be no thread.
        """
        words = ffi.new("long[6]", [_word(argument) for argument in arguments])
        error = ffi.new("long *")
        handle = lib.sleeper_start(number, words, call in KEEPING, error)
        shown = tuple(arguments) if shown is None else shown
        if not handle:
            raise CallError("pthread_create", (call, *shown), error[0])
        return cls(call, shown, handle, decode, keep)

    @property
    def tid(self) -> int:
        """Its thread's id. Who has asked for it may send signals to it: the thread ends with the call, and is nobody else's."""
        self._may_be_another_s = False
        return self._tid

    @property
    def done(self) -> bool:
        """Whether its call is over."""
        return self._handle is None or lib.sleeper_done(self._handle) != 0

    def state(self) -> str:
        """The thread's state as proc(5) has it in `stat`: "S" asleep, "R" running; "X" once it is joined."""
        return "X" if self._handle is None else chr(self._checked("state", lib.thread_state(self._tid)))

    def await_asleep(self) -> bool:
        """Return True once the thread is asleep in its call, False if the call is over. Raises DeadlineExpired."""
        return not self.done and self._checked("await_asleep", lib.sleeper_await_asleep(self._handle)) == 1

    def wait(self) -> None:
        """Return once its call is over. Raises DeadlineExpired."""
        if not self.done:
            self._checked("wait", lib.sleeper_wait(self._handle))

    def interrupt(self) -> None:
        """End its call by a signal that restarts nothing, and return once it is over: with EINTR, if it slept."""
        if not self.done:
            self._checked("interrupt", lib.sleeper_interrupt(self._handle))

    def outcome(self) -> Outcome:
        """What its call brought: (value, None), or (None, "EAGAIN"); values are as the call's own function has them.

        Waits for the call's end. Raises DeadlineExpired.
        """
        result = self._ended().result
        return (None, errno_name(-result)) if result < 0 else (self._decode(result), None)

    def times(self) -> tuple[int, int]:
        """When its call began and ended: CLOCK_MONOTONIC, ns. Waits for the call's end. Raises DeadlineExpired."""
        return self._ended().began_ns, self._ended().ended_ns

    def switches(self) -> int:
        """How often the thread has gone to sleep in its call: proc(5) `voluntary_ctxt_switches`, or ru_nvcsw at its end.

        Raises CallError with ENODATA where the kernel doesn't say.
        """
        if self.done:
            return self._ended().switches
        return self._checked("switches", lib.sleeper_switches(self._handle))

    def join(self) -> None:
        """Wait for the call's end, and until the kernel has forgotten the thread if it ends with it. Raises DeadlineExpired."""
        if self._handle is not None:
            self._ended()
            self._checked("join", lib.sleeper_join(self._handle, self._may_be_another_s))
            self._handle = None
            _live.remove(self)

    def _ended(self) -> _Words:
        if self._end is None:
            self.wait()
            self._end = words = self._words()
            outcome = max(words.result, -1), max(-words.result, 0)
            note((words.ended_ticks, self._tid, self.call, self.arguments, *outcome))
        return self._end

    def _words(self) -> _Words:
        """Before its call's end only its begin means something."""
        words = ffi.new("int64_t[6]")
        lib.sleeper_outcome(self._handle, words)
        return _Words(*words)

    def _checked(self, action: str, result: int) -> int:
        return checked(f"{action} of {self.call}", self.arguments, result)


def live_sleepers() -> tuple[Sleeper, ...]:
    """Those that have been started and not joined."""
    return tuple(_live)


def sleep_recv(fd: int, size: int, flags: int = 0) -> Sleeper:
    """A thread in recv(2); its value is the data."""
    return _receiver("recv", lib.SYS_recvfrom, (fd, size, flags), size, (flags, 0, 0))


def sleep_read(fd: int, size: int) -> Sleeper:
    """A thread in read(2); its value is the data."""
    return _receiver("read", lib.SYS_read, (fd, size), size, ())


def sleep_readv(fd: int, size: int) -> Sleeper:
    """A thread in readv(2) into one buffer; its value is the data."""
    parts, (buffer,) = parts_for([size])
    return Sleeper.start(
        "readv", lib.SYS_readv, (fd, parts, 1), buffer, lambda got: ffi.unpack(buffer, got), shown=(fd, [size])
    )


def sleep_recvmsg(fd: int, size: int, flags: int = 0) -> Sleeper:
    """A thread in recvmsg(2); its value is a Message."""
    parts, (buffer,) = parts_for([size])
    message, name, control = message_for(parts, CONTROL_ROOM)

    def decode(got: int) -> Message:
        return message_of(message, ffi.unpack(buffer, min(got, size)), name, control)

    keep = (parts, buffer, message, name, control)
    return Sleeper.start("recvmsg", lib.SYS_recvmsg, (fd, message, flags), keep, decode, shown=(fd, size, flags))


def sleep_accept(fd: int) -> Sleeper:
    """A thread in accept(2); its value is the new descriptor."""
    return Sleeper.start("accept", lib.SYS_accept, (fd, 0, 0), shown=(fd,))


def sleep_connect(fd: int, address: bytes) -> Sleeper:
    """A thread in connect(2); its value is 0."""
    memory = ffi.from_buffer("char[]", address)
    return Sleeper.start("connect", lib.SYS_connect, (fd, memory, len(address)), memory, shown=(fd, address))


def sleep_send(fd: int, data: bytes, flags: int = 0) -> Sleeper:
    """A thread in send(2); its value is how many bytes were taken."""
    memory = ffi.from_buffer("char[]", data)
    return Sleeper.start("send", lib.SYS_sendto, (fd, memory, len(data), flags, 0, 0), memory, shown=(fd, data, flags))


def sleep_bind(fd: int, address: bytes) -> Sleeper:
    """A thread in bind(2), which waits for others that have the socket's lock."""
    memory = ffi.from_buffer("char[]", address)
    return Sleeper.start("bind", lib.SYS_bind, (fd, memory, len(address)), memory, shown=(fd, address))


def sleep_close(fd: int) -> Sleeper:
    """A thread in close(2), which waits where the socket lingers; its value is 0."""
    return Sleeper.start("close", lib.SYS_close, (fd,))


def sleep_dup2(fd: int, target: int) -> Sleeper:
    """A thread in dup2(2), made as dup3(2), which waits as close does for what it replaces; its value is the descriptor."""
    return Sleeper.start("dup3", lib.SYS_dup3, (fd, target, 0))


def sleep_socket(domain: int, type: int, protocol: int) -> Sleeper:
    """A thread in socket(2); its value is the descriptor."""
    return Sleeper.start("socket", lib.SYS_socket, (domain, type, protocol))


def sleep_sigsuspend(signo: int) -> Sleeper:
    """A thread in sigsuspend(2), open to one signal and the deadline's alone; it ends with EINTR after a handler."""
    blocked = ~mask_of([signo, DEADLINE_SIGNAL]) & (1 << 64) - 1
    memory = ffi.new("uint64_t *", blocked)
    return Sleeper.start("sigsuspend", lib.SYS_rt_sigsuspend, (memory, 8), memory, shown=(signo,))


def sleep_write(fd: int, data: bytes) -> Sleeper:
    """A thread in write(2); its value is how many bytes were taken."""
    memory = ffi.from_buffer("char[]", data)
    return Sleeper.start("write", lib.SYS_write, (fd, memory, len(data)), memory, shown=(fd, data))


def sleep_sigtimedwait(signo: int) -> Sleeper:
    """A thread in sigtimedwait(2) for one signal, which the caller blocks, without a limit; its value is a Siginfo."""
    mask, info = ffi.new("uint64_t *", mask_of([signo])), ffi.new("char[]", 128)
    call = (mask, info, 0, 8)

    def decode(_: int) -> Siginfo:
        return siginfo_of(ffi.unpack(info, 128))

    return Sleeper.start("sigtimedwait", lib.SYS_rt_sigtimedwait, call, (mask, info), decode, shown=(signo,))


def sleep_poll(fd: int, events: int, timeout_ms: int = -1) -> Sleeper:
    """A thread in poll(2); its value is the revents."""
    one = ffi.new("struct pollfd *", (fd, events, 0))
    number = _number("poll")
    return Sleeper.start(
        "poll", number, (one, 1, timeout_ms), one, lambda _: one.revents & 0xFFFF, shown=(fd, events, timeout_ms)
    )


def sleep_ppoll(fd: int, events: int) -> Sleeper:
    """A thread in ppoll(2), without a limit and with its own mask; its value is the revents."""
    one = ffi.new("struct pollfd *", (fd, events, 0))
    return Sleeper.start(
        "ppoll", lib.SYS_ppoll, (one, 1, 0, 0, 8), one, lambda _: one.revents & 0xFFFF, shown=(fd, events)
    )


def sleep_select(fd: int, wanted: int) -> Sleeper:
    """A thread in select(2), without a limit; `wanted` and its value are READ, WRITE and EXCEPT, added up."""
    return _selector("select", _number("select"), fd, wanted)


def sleep_pselect(fd: int, wanted: int) -> Sleeper:
    """A thread in pselect6(2), without a limit and with its own mask; like sleep_select."""
    return _selector("pselect6", lib.SYS_pselect6, fd, wanted)


def sleep_epoll(epoll: int, timeout_ms: int = -1) -> Sleeper:
    """A thread in epoll_wait(2); its value is the events of the first descriptor that has any, 0 for none."""
    pairs = ffi.new("uint64_t[4]")

    def decode(count: int) -> int:
        return int.from_bytes(bytes(ffi.buffer(pairs))[:4], sys.byteorder) if count else 0

    call = (epoll, pairs, 1, timeout_ms, 0, 8)
    return Sleeper.start("epoll_wait", lib.SYS_epoll_pwait, call, pairs, decode, shown=(epoll, 1, timeout_ms))


def block_signals_in_other_threads(signals: Iterable[int]) -> int:
    """Add signals to the masks of all threads but the caller's; returns how many there are. Raises DeadlineExpired.

    Each runs a handler that changes the mask it returns to; a thread that blocks SIGRTMAX - 9 can't be reached.
    """
    return checked("block_signals_in_other_threads", (signals,), lib.block_in_other_threads(mask_of(signals)))


def _word(argument: Any) -> int:
    return argument if isinstance(argument, int) else int(ffi.cast("intptr_t", argument))


def _number(call: str) -> int:
    number: int | None = getattr(constants, f"SYS_{call}", None)
    if number is None:
        raise CallError(call, (), 38)  # ENOSYS: newer architectures have only the p-forms of these calls
    return number


def _receiver(call: str, number: int, shown: tuple[object, ...], size: int, rest: tuple[int, ...]) -> Sleeper:
    buffer = ffi.new("char[]", size)
    return Sleeper.start(
        call, number, (shown[0], buffer, size, *rest), buffer, lambda got: ffi.unpack(buffer, min(got, size)), shown
    )


def _selector(call: str, number: int, fd: int, wanted: int) -> Sleeper:
    sets, count = bit_sets(*([fd] if wanted & bit else [] for bit in (READ, WRITE, EXCEPT)), [fd])

    def decode(_: int) -> int:
        return sum(bit for bit, found in zip((READ, WRITE, EXCEPT), selected(sets[:3], count), strict=True) if found)

    return Sleeper.start(call, number, (count, *sets[:3], 0, 0), sets, decode, shown=(fd, wanted))
