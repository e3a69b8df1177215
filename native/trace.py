"""The account of calls, and how each ends: in its result, or in what a negative one says.

Every call of this package ends in `done`, which is hot and does nothing that isn't needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident, get_native_id

from native._native import ffi, lib
from native.errors import CallError, DeadlineExpired

EINTR = 4

Step = tuple[int, int, str, tuple[object, ...], "int | None", int]
"""When the call returned (CLOCK_MONOTONIC in ns, within microseconds), thread id, call, arguments, result (-1 for an error), errno.

A sleeper's call has two: when it began there was no result yet, None.
"""

steps: list[Step] | None = None
"""The steps since `start`, in the order in which the calls returned, with ticks for their times; None while nothing is traced."""

_began = (0, 0)
"""When the account began: ticks, and CLOCK_MONOTONIC in ns."""

_here = (0, 0)
"""The thread that began the account, as Python and as the kernel know it: asking the kernel each time is a call for each call."""

_deadline_expired, _ticks = lib.deadline_expired, lib.ticks


def start() -> None:
    """Begin a new account."""
    global steps, _here, _began
    steps, _here, _began = [], (get_ident(), get_native_id()), _clocks()


def so_far() -> list[Step]:
    """The steps of the account, whose times are told from the two clocks then and now; empty if there is none."""
    began_ticks, began_ns = _began
    ticks, ns = _clocks()
    ticks, ns = max(ticks - began_ticks, 1), ns - began_ns
    return [(began_ns + (step[0] - began_ticks) * ns // ticks, *step[1:]) for step in steps or ()]


def stop() -> None:
    """End the account, which is gone."""
    global steps
    steps = None


def _clocks() -> tuple[int, int]:
    now = ffi.new("int64_t[2]")
    lib.clocks(now)
    return now[0], now[1]


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
        now = _ticks()
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
    """Add a step that another thread has made, with ticks for its time."""
    if steps is not None:
        steps.append(step)
