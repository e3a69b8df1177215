"""A forked child that holds what its parent held, never runs Python, and makes the calls it is told to make."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from mmap import PAGESIZE, mmap
from typing import NamedTuple

from native._native import ffi, lib
from native.constants import SIGKILL
from native.descriptors import close
from native.errors import CallError
from native.masks import mask_of
from native.memory import buffers
from native.signals import Siginfo, kill, siginfo_of
from native.trace import checked, done

__all__ = [
    "Child",
    "ChildState",
    "fork_child",
]


class ChildState(NamedTuple):
    """What waitid(2) says of a child: CLD_EXITED, CLD_KILLED, CLD_STOPPED or CLD_CONTINUED, and its status or signal."""

    code: int
    status: int


class Child:
    """A child, which dies with the thread that made it (PR_SET_PDEATHSIG). Have it exit, or kill it: both reap it."""

    def __init__(self, own_memory: bool) -> None:
        self._child = ffi.new("struct child *")
        self._room = mmap(-1, PAGESIZE)  # the child's memory too: what its calls read and write
        self.pid = done("fork", (), lib.child_fork(self._child, not own_memory))
        self._reaped = False

    def call(self, name: str, number: int, *arguments: int | bytes | bytearray) -> int:
        """Have it make a system call (SYS_*) on integers and pointers to bytes; returns the result.

        A bytearray holds afterwards what the call has written. Raises CallError with its errno, or DeadlineExpired, after
        which only `kill` ends a child that still hangs.
        """
        result = ffi.new("long *")
        places = self._lay_out(arguments)
        base = int(ffi.cast("long", ffi.from_buffer("char[]", self._room)))
        words = ffi.new("long[6]", [base + place.start if isinstance(place, slice) else place for place in places])
        checked(f"child: {name}", arguments, lib.child_call(self._child, number, words, result))
        for argument, place in zip(arguments, places, strict=True):
            if isinstance(argument, bytearray) and isinstance(place, slice):
                argument[:] = self._room[place]
        return done(f"child: {name}", arguments, result[0])

    def _lay_out(self, arguments: tuple[int | bytes | bytearray, ...]) -> list[int | slice]:
        """Copy what isn't an integer to the shared memory; returns the integers, and where the others are there."""
        places: list[int | slice] = []
        free = 0
        for argument in arguments:
            if isinstance(argument, (bytes, bytearray)):
                place = slice(free, free + len(argument))
                self._room[place] = bytes(argument)
                places.append(place)
                free = (place.stop + 7) & ~7
            else:
                places.append(argument)
        return places

    def close(self, fd: int) -> None:
        """Have it close its copy of a descriptor; when this returns, it has."""
        self.call("close", lib.SYS_close, fd)

    def copy(self, fd: int) -> int:
        """Take a copy of a descriptor of its, for the same open file; pidfd_getfd(2), Linux 5.6."""
        return done("pidfd_getfd", (self.pid, fd), lib.child_copy(self.pid, fd))

    def set_mask(self, signals: Iterable[int]) -> None:
        """Have it block these signals and no others; what was pending and isn't blocked takes effect at once."""
        self.call("sigprocmask", lib.CHILD_SET_MASK, int(ffi.cast("long", mask_of(signals))))

    def lead_group(self) -> None:
        """Have it leave its process group for one of its own, whose id is its pid; setpgid(2)."""
        self.call("setpgid", lib.SYS_setpgid, 0, 0)

    def execute(self) -> None:
        """Have it become another program (execve(2) of /bin/sh), which only waits to be told to exit."""
        try:
            self.call("execve", lib.CHILD_EXECUTE)
        except CallError as error:
            if error.name != "EPIPE":  # the pipe of answers closes with the old program: that is the answer
                raise

    def await_state(self) -> ChildState:
        """Wait until it ends, is stopped or goes on, waitid(2); it still is to be reaped."""
        ints = buffers.ints
        done("waitid", (self.pid,), lib.child_state(self.pid, ints, ints + 1))
        return ChildState(ints[0], ints[1])

    def drain_signals(self, signals: Iterable[int]) -> list[Siginfo]:
        """Have it fetch what is pending for it, as `drain_signals` does for the caller."""
        mask, info, no_time = mask_of(signals).to_bytes(8, sys.byteorder), bytearray(128), bytes(16)
        found: list[Siginfo] = []
        while True:
            try:
                self.call("sigtimedwait", lib.SYS_rt_sigtimedwait, mask, info, no_time, len(mask))
            except CallError as error:
                if error.name != "EAGAIN":
                    raise
                return found
            found.append(siginfo_of(bytes(info)))

    def end(self) -> None:
        """Have it end and leave it unreaped: when this returns it is a zombie."""
        self._dismiss()
        self.await_state()

    def exit(self) -> None:
        """Have it end, which closes all it holds, and reap it."""
        if not self._reaped:
            self._dismiss()
        self._hang_up()
        self._reap()

    def kill(self) -> None:
        """Kill it, and reap it."""
        if not self._reaped:
            kill(self.pid, SIGKILL)
        self._hang_up()
        self._reap()

    def _dismiss(self) -> None:
        checked("child: exit", (), lib.child_dismiss(self._child))

    def _hang_up(self) -> None:
        ends, self._child.orders, self._child.answers = (self._child.orders, self._child.answers), -1, -1
        for end in ends:
            if end >= 0:
                close(end)

    def _reap(self) -> None:
        if not self._reaped:
            done("waitpid", (self.pid,), lib.child_reap(self._child, self.pid))
            self._reaped = True


def fork_child(own_memory: bool = False) -> Child:
    """clone(2) with CLONE_VM, or with `own_memory` fork(2), which takes a hundred times as long in a large process.

    The child gets copies of all descriptors; it blocks the signals that the caller blocks. One that is to make a user
    namespace, or that a signal may end with a core dump, needs memory of its own: the kernel refuses the one, and the other
    ends all who share it (kernel/fork.c check_unshare_flags, fs/coredump.c zap_threads).
    """
    return Child(own_memory)
