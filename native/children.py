"""A forked child that holds what its parent held, never runs Python, and makes the calls it is told to make."""

from __future__ import annotations

from native._native import ffi, lib
from native.constants import SIGKILL
from native.descriptors import close
from native.signals import kill
from native.trace import checked, done

__all__ = [
    "Child",
    "fork_child",
]


class Child:
    """A child, which dies with the thread that made it (PR_SET_PDEATHSIG). Have it exit, or kill it: both reap it."""

    def __init__(self) -> None:
        self._ends = ffi.new("int[2]")
        self.pid = done("fork", (), lib.child_fork(self._ends))
        self._reaped = False

    def call(self, name: str, number: int, *arguments: int) -> int:
        """Have it make a system call (SYS_*) on integers; returns the result.

        Raises CallError with its errno, or DeadlineExpired, after which only `kill` ends a child that still hangs.
        """
        result = ffi.new("long *")
        words = ffi.new("long[6]", list(arguments))
        checked(f"child: {name}", arguments, lib.child_call(self._ends, number, words, result))
        return done(f"child: {name}", arguments, result[0])

    def close(self, fd: int) -> None:
        """Have it close its copy of a descriptor; when this returns, it has."""
        self.call("close", lib.SYS_close, fd)

    def exit(self) -> None:
        """Have it end, which closes all it holds, and reap it."""
        self._hang_up()
        self._reap()

    def kill(self) -> None:
        """Kill it, and reap it."""
        if not self._reaped:
            kill(self.pid, SIGKILL)
        self._hang_up()
        self._reap()

    def _hang_up(self) -> None:
        for i, end in enumerate(self._ends):
            self._ends[i] = -1
            if end >= 0:
                close(end)

    def _reap(self) -> None:
        if not self._reaped:
            done("waitpid", (self.pid,), lib.child_reap(self.pid))
            self._reaped = True


def fork_child() -> Child:
    """fork(2). The child gets copies of all descriptors; it blocks the signals that the caller blocks."""
    return Child()
