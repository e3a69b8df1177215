"""The account of calls, and how each ends: in its result, or in what a negative one says.

Every call of this package ends in `done`, which is hot and does nothing that isn't needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident, get_native_id
from time import monotonic_ns

from native._native import lib
from native.errors import CallError, DeadlineExpired

EINTR = 4

Step = tuple[int, int, str, tuple[object, ...], "int | None", int]
"""When the call returned (CLOCK_MONOTONIC, ns), thread id, call, arguments, result (-1 for an error), errno or 0.

A sleeper's call has two: when it began there was no result yet, None.
"""

steps: list[Step] | None = None
"""The steps since `start`, in the order in which the calls returned; None while nothing is traced."""

_here = (0, 0)
"""The thread that began the account, as Python and as the kernel know it: asking the kernel each time is a call for each call."""

_deadline_expired = lib.deadline_expired


def start() -> None:
    """Begin a new account."""
    global steps, _here
    steps, _here = [], (get_ident(), get_native_id())


def stop() -> list[Step]:
    """End the account and return it; empty if there was none."""
    global steps
    ended, steps = steps, None
    return ended or []


@contextmanager
def paused() -> Iterator[None]:
    """Leave out of the account what is called inside: hundreds of calls that are all alike."""
    global steps
    kept, steps = steps, None
    try:
        yield
    finally:
        steps = kept


def done(call: str, arguments: tuple[object, ...], result: int) -> int:
    """Account for a call, and return its result or raise what a negative one says, like `checked`."""
    if steps is not None:
        now = monotonic_ns()
        ident, tid = _here
        if get_ident() != ident:
            tid = get_native_id()
        outcome = (result, 0) if result >= 0 else (-1, -result)
        steps.append((now, tid, call, arguments, *outcome))
    return result if result >= 0 else checked(call, arguments, result)


def checked(call: str, arguments: tuple[object, ...], result: int) -> int:
    """Return a result; a negative one is an errno.

    Raises CallError with it, or DeadlineExpired where it is EINTR and the deadline has passed. Leaves no step
    behind: this is for what isn't a call under test.
    """
    if result >= 0:
        return result
    if result == -EINTR and _deadline_expired():
        raise DeadlineExpired(call, arguments)
    raise CallError(call, arguments, -result)


def note(step: Step) -> None:
    """Add a step that another thread has made."""
    if steps is not None:
        steps.append(step)
