"""The deadline: a timer that interrupts whatever call the thread that started it is blocked in, and goes on doing so.

Its signal, SIGRTMAX - 1, is this package's own: nobody else may block it or handle it.
"""

from __future__ import annotations

from native._native import lib
from native.trace import checked


def deadline_start(ns: int) -> None:
    """Start the clock anew, for the calling thread: past `ns` from now, a call that blocks raises DeadlineExpired."""
    checked("deadline_start", (ns,), lib.deadline_start(ns))


def deadline_stop() -> None:
    """Stop the clock; whether or not it had expired is forgotten."""
    checked("deadline_stop", (), lib.deadline_stop())


def deadline_expired() -> bool:
    """Whether the deadline has passed."""
    return lib.deadline_expired() != 0
