"""One run on one target, from its start to the record that is left: watched, and ended at its deadline.

Owns when a run is over and why, the exit code, and what is kept beside the record: `RECORD.console.txt`, what the kernel and its
emulator printed, and `RECORD.pytest.txt`, what pytest printed on the target. All that a target writes is bounded. Nothing
here blocks: whoever has runs under way calls `tick` on each.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reports.record import RecordError, Run, Writer
from reports.visible import visible
from targets import bytecode, processes
from targets.progress import Progress, Tail, read_regular
from targets.taking import take
from targets.target import Job, Target, TargetError, UsageError

LIMIT = 1024 * 1024 * 1024
"""How many bytes a target may leave behind, in its shared folder and on its console together, before it is ended."""

FILES = 1000
"""How many files it may leave there."""

ROOM = 64 * 1024
"""A disk with less room than this, in bytes, is full: pytest writes a case's lines at once."""

TEXT_LIMIT = 32 * 1024 * 1024
"""How much is kept of a console, and of what pytest printed: the end of it, in bytes."""

PARTING = 15.0
"""Seconds that a target has to end by itself once its job is done, or once it was told to stop."""

SIGNALLED = 128
"""Added to a signal's number, it is how a shell, and whoever waits in between, tells of a process that was killed."""

INTERRUPTED = 2
CANT_TELL = 125
"""Exit codes: the user stopped it, as pytest says it; and what makes `git bisect run` skip a commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run: the exit code, a sentence for what went wrong outside the cases, and the record, if there is one."""

    code: int
    problem: str
    run: Run | None


class Running:
    """A run under way. Raises TargetError where it can't be started, UsageError where the record can't be put there."""

    def __init__(self, target: Target, record: Path, arguments: Sequence[str], deadline: float | None = None) -> None:
        self.target = target
        self.progress = Progress()
        self.result: Result | None = None
        self._record = record
        self._check_place()
        self._folder = tempfile.TemporaryDirectory(prefix="sockwake-")
        self._console = Path(self._folder.name, "console")
        shared, scratch = Path(self._folder.name, "shared"), Path(self._folder.name, "scratch")
        shared.mkdir()
        scratch.mkdir()
        self.job = Job(
            target=target.name,
            folder=shared,
            scratch=scratch,
            arguments=tuple(arguments),
            bytecode=bytecode.given(target),
        )
        self._cases = Tail(self.job.record)
        self._output = Tail(self.job.output)
        now = time.monotonic()
        self._boot_by = now + target.boot
        self._end_by = now + (deadline or target.deadline)
        self._part_by: float | None = None
        try:
            with self._console.open("wb") as console:
                self._process = target.start(self.job, console)
        except BaseException:
            self._folder.cleanup()
            raise

    def _check_place(self) -> None:
        try:
            Writer(self._record).close()
        except RecordError as error:
            raise UsageError(str(error)) from None

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing of a run outlives whoever watches it."""
        if self.result is None:
            processes.end_session(self._process.pid)
            self._folder.cleanup()

    @property
    def state(self) -> str:
        """Where it stands, in a few words."""
        if self.progress.planned is not None:
            return self.progress.in_words() + self.progress.time_left()
        return "collecting" if self.job.started.exists() else "booting"

    def tick(self) -> bytes:
        """See how far it is, and end it if it is over; returns what pytest has printed since the last time."""
        ended = self._process.poll() is not None  # asked first: what it wrote before its end is read below
        printed = self._output.read()
        self.progress.feed(self._cases.read())
        if ended:
            self._finish("died", self._death())
        elif over := self._over():
            self._finish(*over)
        return printed

    def _over(self) -> tuple[str, str] | None:
        """Why it has to be ended now, as a reason of the record's and in words."""
        now = time.monotonic()
        if self._status() is not None:
            self._part_by = self._part_by or now + PARTING
            return ("died", "didn't end by itself after its job") if now > self._part_by else None
        if left := self._too_much():
            return "died", f"was ended because it left more than {left}"
        if now > self._end_by:
            return "deadline", "was ended at its deadline"
        if now > self._boot_by and not self.job.started.exists():
            return "deadline", "was ended because it didn't boot in time"
        return None

    def stop(self) -> None:
        """End it because the user says so; pytest on this host is given the time to end its record."""
        self._process.send_signal(signal.SIGINT)
        self._finish("interrupted", "was stopped by the user")

    def _finish(self, reason: str, how: str) -> None:
        try:
            stuck = self._end()
            result = self._conclude(reason, how)
            if stuck:
                problem = f"{result.problem}; {stuck}" if result.problem else stuck
                result = replace(result, code=result.code or 1, problem=problem)
            self.result = result
        finally:
            self._folder.cleanup()

    def _end(self) -> str:
        """End all its processes; what there is to say of those that don't end, or nothing."""
        try:
            processes.end_session(self._process.pid)
            self._process.wait()
        except TimeoutError as error:
            return str(error)
        return ""

    def _conclude(self, reason: str, how: str) -> Result:
        status = self._status()
        if status is not None:
            how = f"ended pytest with exit code {status} before the end of its record"
        last = self._last_line()
        if shutil.disk_usage(self.job.folder).free < ROOM:
            last = f"; the disk of {tempfile.gettempdir()} was full: make room there, or set TMPDIR{last}"
        self._keep(self._console, "console")
        self._keep(self.job.output, "pytest")
        while data := self._cases.read():
            self.progress.feed(data)
        tried = self.progress.planned is not None
        if status is not None and status < SIGNALLED and not read_regular(self.job.record, 1):
            return Result(code=status or 1, problem="pytest ran no case on it, and has said why", run=None)
        try:
            run, whole = take(self.job, self._record, reason, how, last)
        except TargetError as error:
            return Result(code=CANT_TELL, problem=str(error), run=None)
        code = exit_code(run, status, self.job.chosen) if tried else CANT_TELL
        if reason == "interrupted":
            code = INTERRUPTED
        return Result(code=code, problem="" if whole else f"the target {how}{last}", run=run)

    def _death(self) -> str:
        code = self._process.returncode
        by = -code if code < 0 else code - SIGNALLED
        known = {number.value: number.name for number in signal.Signals}
        return f"was killed by {known[by]}" if by in known else f"ended with exit code {code}"

    def _last_line(self) -> str:
        """What the kernel said last; where it panicked, that too."""
        text = (_tail(self._console, 64 * 1024) or b"").decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            return "; it printed nothing"
        panics = [line for line in lines if "Kernel panic" in line and "end Kernel panic" not in line]
        said = f"; the last line that it printed: {visible(lines[-1])[:500]}"
        return (f"; {visible(panics[-1])[:500]}" if panics and panics[-1] != lines[-1] else "") + said

    def _status(self) -> int | None:
        text = read_regular(self.job.status, 8)
        return int(text) if text and text.strip().isdigit() and int(text) < 256 else None

    def _too_much(self) -> str | None:
        """The limit that it exceeds."""
        size, files = self._console.stat().st_size, 0
        for folder, _, names in os.walk(self.job.folder):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    size += os.lstat(os.path.join(folder, name)).st_blocks * 512
                files += 1
                if files > FILES:
                    return f"{FILES} files"
        return f"{LIMIT} bytes" if size > LIMIT else None

    def _keep(self, path: Path, kind: str) -> None:
        kept = self._record.with_name(f"{self._record.stem}.{kind}.txt")
        data = _tail(path, TEXT_LIMIT)
        with contextlib.suppress(OSError):  # a full disk: of the record, which is what matters, it is said
            if data:
                kept.write_bytes(data)
            else:
                kept.unlink(missing_ok=True)


def _tail(path: Path, limit: int) -> bytes | None:
    try:
        size = path.lstat().st_size
    except FileNotFoundError:
        return None
    return read_regular(path, limit, max(0, size - limit))


def exit_code(run: Run, status: int | None, asked: bool) -> int:
    """The exit code of a run that has a record: pytest's own `status`, or what the record says where that is worse.

    Where a clause was `asked` for, it is what `git bisect run` understands: a FAIL is 1; else CANT_TELL if any case is an ERROR
    or a MISS, or all cases of a clause are SKIP.
    """
    if any(case.outcome == "FAIL" and not case.deviation for case in run.cases):
        return 1
    counts = run.counts()
    if asked:
        tried = {case.clause for case in run.cases if case.outcome != "SKIP"}
        if counts["ERROR"] or counts["MISS"] or any(case.clause not in tried for case in run.cases):
            return CANT_TELL
    return status or int(bool(counts["ERROR"] or counts["MISS"]))
