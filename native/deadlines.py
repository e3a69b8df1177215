"""The deadline: a timer that interrupts whatever call the thread that started it is blocked in, and goes on doing so.

Its signal is this package's own: nobody else may block it or handle it.
"""

from __future__ import annotations

from native._native import lib
from native.constants import SIGRTMAX
from native.trace import checked

__all__ = [
    "DEADLINE_SIGNAL",
    "deadline_expired",
    "deadline_start",
    "deadline_stop",
]

DEADLINE_SIGNAL = SIGRTMAX - 8
"""Interrupts the thread that the deadline is for, and sleepers that are to be interrupted."""


def deadline_start(ns: int) -> None:
    """Start the clock anew, for the calling thread: past `ns` from now, a call that blocks raises DeadlineExpired."""
    checked("deadline_start", (ns,), lib.deadline_start(ns))


def deadline_stop() -> None:
    """Stop the clock; whether or not it had expired is forgotten."""
    checked("deadline_stop", (), lib.deadline_stop())


def deadline_expired() -> bool:
    """Whether the deadline has passed."""
    return bool(lib.deadline_expired())
