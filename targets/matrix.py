"""Several targets at once, as many as this machine has cores and memory for, and one page of all their records."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from reports.__main__ import main as reports
from targets.running import CANT_TELL, INTERRUPTED, Result, Running
from targets.target import Target, TargetError

TICK = 0.1
PAUSE = 5.0
"""Seconds between two lines about a target whose state hasn't changed but in numbers, where lines can't be written over."""


class Row:
    """What is known of one target of the matrix."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.running: Running | None = None
        self.result: Result | None = None

    @property
    def state(self) -> str:
        """The target's line."""
        if self.result:
            said = self.result.run.in_words() if self.result.run else ""
            return "; ".join(part for part in (said, self.result.problem) if part)
        return self.running.state if self.running else "waiting"


def run(targets: Sequence[Target], page: Path, arguments: Sequence[str], deadline: float | None) -> int:
    """Run all, and write the page; the exit code is the worst of all, 125 counting as 1."""
    rows = [Row(target) for target in dict.fromkeys(targets)]
    page.parent.mkdir(parents=True, exist_ok=True)
    board = Board(rows)
    longest_first = sorted(rows, key=lambda row: -row.target.deadline)  # so that no long one is left to run alone
    cpus, memory = len(os.sched_getaffinity(0)), psutil.virtual_memory().available // 2**20
    with ExitStack() as started:
        try:
            while any(row.result is None for row in rows):
                for row in longest_first:
                    under_way = [other.target for other in rows if other.running and not other.result]
                    if row.running is None and row.result is None and fits(row.target, under_way, cpus, memory):
                        _start(row, page, arguments, deadline, started)
                    elif row.running and row.result is None:
                        row.running.tick()
                        row.result = row.running.result
                board.show()
                time.sleep(TICK)
        except KeyboardInterrupt:
            for row in rows:
                if row.running and row.result is None:
                    row.running.stop()
                    row.result = row.running.result
    board.show(last=True)
    records = [str(row.result.run.path) for row in rows if row.result and row.result.run]
    rendered = reports(["html", str(page), *records]) if records else 0
    print(f"\n{page}" if records else "no target left a record")
    codes = [row.result.code if row.result else INTERRUPTED for row in rows]
    return INTERRUPTED if INTERRUPTED in codes else max(1 if code == CANT_TELL else code for code in [*codes, rendered])


def fits(target: Target, under_way: Sequence[Target], cpus: int, memory: int) -> bool:
    """Whether there is room for one more; there always is for one. Each waits at times: one more is let in."""
    return not under_way or (
        sum(other.cpus for other in (target, *under_way)) <= cpus + 1
        and sum(other.memory for other in (target, *under_way)) <= memory
    )


def _start(row: Row, page: Path, arguments: Sequence[str], deadline: float | None, started: ExitStack) -> None:
    record = (page.parent / f"{row.target.name}.jsonl").absolute()
    try:
        row.running = started.enter_context(Running(row.target, record, arguments, deadline))
    except TargetError as error:
        row.result = Result(code=CANT_TELL, problem=str(error), run=None)


class Board:
    """A line a target: written over on a terminal; elsewhere a new line where something has changed."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._width = max(len(row.target.name) for row in rows)
        self._terminal = sys.stdout.isatty()
        self._shown: dict[str, tuple[str, float]] = {}
        self._drawn = False

    def show(self, last: bool = False) -> None:
        """Bring what is shown up to date."""
        if self._terminal:
            columns = os.get_terminal_size().columns
            lines = [f"{row.target.name:{self._width}}  {row.state}" for row in self._rows]
            up = f"\x1b[{len(lines)}F" if self._drawn else ""
            sys.stdout.write(up + "".join(f"\x1b[2K{line if last else line[: columns - 1]}\n" for line in lines))
            self._drawn = True
        else:
            for row in self._rows:
                self._tell(row)
        sys.stdout.flush()

    def _tell(self, row: Row) -> None:
        name, now = row.target.name, time.monotonic()
        before, when = self._shown.get(name, ("", -PAUSE))
        if row.state != before and (row.result or _kind(row.state) != _kind(before) or now - when >= PAUSE):
            print(f"{name:{self._width}}  {row.state}")
            self._shown[name] = row.state, now


def _kind(state: str) -> str:
    """What a state is but for its numbers, which change with each case."""
    return "running" if state[:1].isdigit() else state
