"""How far a run is: in words, and as one line of a terminal that is written over.

Imports little: every worker of pytest's has it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping

from reports.record import OUTCOMES, WORDS
from reports.visible import visible

DELAY, PAUSE = 2.0, 0.1
"""Seconds before a line is first written, and before it is written anew."""

TELLING = 20
"""One in so many cases has to be done before one can tell how long the others will take."""


def counted_as(line: Mapping[str, object]) -> str:
    """What a case's line counts as: its outcome, or DEVIATION for a failure that is recorded as one."""
    return "DEVIATION" if line["outcome"] == "FAIL" and line.get("deviation") else str(line["outcome"])


def in_words(counts: Mapping[str, int], planned: int) -> str:
    """The account so far, "120 of 6386: 118 passed, 2 skipped"; what counts is as `counted_as` has it."""
    done = sum(counts.values())
    words = WORDS | {"DEVIATION": ("deviating", "deviating")}
    said = (f"{counts[name]} {words[name][counts[name] != 1]}" for name in (*OUTCOMES, "DEVIATION") if counts.get(name))
    return f"{done} of {planned}" + (f": {', '.join(said)}" if done else "")


def time_left(counts: Mapping[str, int], planned: int, seconds: float) -> str:
    """How long the rest takes if it goes on as in the `seconds` so far, "; about 40 s left"; empty while that can't be told."""
    done = sum(counts.values())
    if not done or done * TELLING < planned or done == planned:
        return ""
    left = seconds / done * (planned - done)
    return f"; about {left / 60:.0f} min left" if left >= 100 else f"; about {left:.0f} s left"


def wanted(terminal: bool) -> bool:
    """Whether a line can be written over: on a terminal that isn't a dumb one."""
    return terminal and os.environ.get("TERM") != "dumb"


class Status:
    """One line of a terminal that says how far something is, and is written over; nothing is written in the first seconds."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._began = clock()
        self._next = self._began + DELAY
        self._shown = False

    def show(self, words: Callable[[float], str]) -> None:
        """Write it anew if it is time to; `words` makes the line of the seconds that have passed."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + PAUSE
        line = visible(words(now - self._began))[: shutil.get_terminal_size().columns - 1]
        self._write(f"\r{line}\x1b[K")
        self._shown = True

    def clear(self) -> None:
        """Make room for something that is to stay."""
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = False
            self._next = 0.0
