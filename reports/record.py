"""The record of a run as a file: JSON Lines, written line by line and read back whole.

Owns writing (each line reaches the kernel before the next case begins, so that a kernel that dies loses only the case
that killed it), reading, and the account of outcomes, which always adds up to the number of cases planned. What a
line may say is `reports.lines`; what is made of records is the other modules' part.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import BinaryIO

from reports import traces
from reports.fields import Json, LineError, Object
from reports.lines import (
    OUTCOMES,
    RECORD_VERSION,
    Case,
    Clause,
    End,
    Head,
    Line,
    Start,
    Statement,
    parse,
)

__all__ = ["LINE_LIMIT", "OUTCOMES", "RecordError", "Run", "Writer", "in_words", "read"]

LINE_LIMIT = 16 * 1024 * 1024
"""The longest line that is read, in bytes. A case's line has some kilobytes."""

WORDS = {
    "PASS": ("passed", "passed"),
    "FAIL": ("failed", "failed"),
    "ERROR": ("error", "errors"),
    "SKIP": ("skipped", "skipped"),
    "MISS": ("missing", "missing"),
    "DONE": ("measured", "measured"),
}
"""What one case, and what several cases, of an outcome are called."""


class RecordError(Exception):
    """A record can't be written or read; the message is one sentence: which file and line, what, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run, whole: its head, statements and clauses by id, a case for each that was planned, in that order, and how it ended.

    `functions`, by name, and `paths`, by case, are what it traced; there are none where it didn't.
    A planned case without a line of its own is a MISS made here. `warnings` are sentences about what the file lacks.
    `path` is where the record lies: for messages, never for a report, which is to depend on nothing but what the
    record says.
    """

    path: Path
    head: Head
    statements: Mapping[str, Statement]
    clauses: Mapping[str, Clause]
    cases: tuple[Case, ...]
    functions: Mapping[str, traces.Function]
    paths: Mapping[str, traces.Path]
    end: End | None
    warnings: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether the run came to its end; one that was interrupted or died didn't."""
        return self.end is not None and self.end.reason == "finished"

    def counts(self) -> dict[str, int]:
        """How many cases came out how."""
        return _account(len(self.head.planned), Counter(case.outcome for case in self.cases))

    def in_words(self) -> str:
        """Those counts as a sentence."""
        return in_words(
            self.counts(), sum(case.outcome == "FAIL" and case.deviation is not None for case in self.cases)
        )


def in_words(counts: Mapping[str, int], recorded: int) -> str:
    """The account as a sentence: "312 cases planned: 300 passed, 2 failed, 0 errors, ..."; every outcome is named.

    `recorded` is how many of the failures are recorded deviations, which is said where there are any.
    """
    planned = sum(counts.values())
    said = {outcome: f"{counts[outcome]} {WORDS[outcome][counts[outcome] != 1]}" for outcome in OUTCOMES}
    if recorded:
        said["FAIL"] += f" ({recorded} as recorded)"
    return f"{planned} {'case' if planned == 1 else 'cases'} planned: {', '.join(said.values())}"


def _account(planned: int, counted: Mapping[str, int]) -> dict[str, int]:
    """Counts of all outcomes; what was planned and isn't counted is MISS."""
    missing = planned - sum(counted.values())
    return {name: counted.get(name, 0) + (missing if name == "MISS" else 0) for name in OUTCOMES}


# Writing


class Writer:
    """Writes one record. A record that stands at `path` is replaced, and is lost only when the first line is written.

    Raises RecordError where the path can't be used: it holds something that isn't a record, or can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._planned = 0
        self._counted: Counter[str] = Counter()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._check()
        except OSError as error:
            raise RecordError(self._unusable(error)) from None

    def _check(self) -> None:
        try:
            mode = self._path.stat().st_mode
        except FileNotFoundError:
            if not os.access(self._path.parent, os.W_OK | os.X_OK):
                raise RecordError(f"{self._path}: its directory can't be written to; name another file") from None
            return
        if not stat.S_ISREG(mode):
            raise RecordError(f"{self._path}: it isn't a regular file; name another file")
        if not os.access(self._path, os.W_OK):
            raise RecordError(f"{self._path}: it can't be written to; name another file")
        with self._path.open("rb") as file:
            if not _begins_record(file.readline(LINE_LIMIT)):
                raise RecordError(
                    f"{self._path}: it holds something that isn't a sockwake record, and isn't replaced; "
                    "name another file, or remove it"
                )

    def write(self, line: Object, text: str | None = None) -> None:
        """Append one line; it has reached the kernel when this returns. Raises RecordError.

        `text` is the line as JSON, where it has travelled as such; `line` then needs to have no more than its type and outcome.
        """
        text = text or json.dumps(line, separators=(",", ":"), allow_nan=False)
        rest = memoryview(text.encode("ascii") + b"\n")
        try:
            if self._file < 0:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise RecordError(self._unusable(error)) from None
        if line["type"] == "run":
            self._planned += len(line["planned"])
        elif line["type"] == "case":
            self._counted[line["outcome"]] += 1

    def counts(self) -> dict[str, int]:
        """The account of what has been written so far; what has no line yet counts as MISS."""
        return _account(self._planned, self._counted)

    def close(self) -> None:
        """Close the file; nothing is left to be flushed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _unusable(self, error: OSError) -> str:
        remedy = "make room, or name another file" if error.errno in (ENOSPC, EDQUOT) else "name another file"
        return f"{self._path}: the record can't be written: {error.strerror}; {remedy}"


def _begins_record(line: bytes) -> bool:
    """Whether a file that begins with this line is a record; one without any line may become one."""
    if not line:
        return True
    try:
        head = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(head, dict) and head.get("type") == "run" and head.get("record") == RECORD_VERSION


# Reading


def read(paths: Iterable[Path]) -> list[Run]:
    """All runs of some files, in the order of the command line and of the run lines. Raises RecordError."""
    runs: list[Run] = []
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise RecordError(f"{path}: it is named twice; name each record once")
        seen.add(path.resolve())
        try:
            with path.open("rb") as file:
                runs += _read_file(path, file)
        except OSError as error:
            raise RecordError(f"{path}: it can't be read: {error.strerror}; name a record that can") from None
    return runs


class _Growing:
    """A run while its file is read."""

    def __init__(self, path: Path, head: Head) -> None:
        self.path = path
        self.head = head
        self.planned = frozenset(head.planned)
        self.statements: dict[str, Statement] = {}
        self.clauses: dict[str, Clause] = {}
        self.cases: dict[str, Case] = {}
        self.started: set[str] = set()
        self.functions: dict[str, traces.Function] = {}
        self.paths: dict[str, traces.Path] = {}
        self.end: End | None = None
        self.warnings: list[str] = []

    def take(self, line: Line) -> None:
        """Add what a line says. Raises LineError where that contradicts what is known."""
        match line:
            case Statement():
                if line.id in self.statements:
                    raise LineError(f"the statement {line.id!r} stands in this run already")
                self.statements[line.id] = line
            case Clause():
                if line.id in self.clauses:
                    raise LineError(f"the clause {line.id!r} stands in this run already")
                self.clauses[line.id] = line
            case Start():
                self.started.add(line.case)
            case Case():
                if line.case in self.cases:
                    raise LineError(f"the case {line.case!r} has a line in this run already")
                if line.case not in self.planned:
                    raise LineError(f"the case {line.case!r} isn't among those that its run planned")
                self.cases[line.case] = line
            case traces.Function():
                if line.name in self.functions:
                    raise LineError(f"the function {line.name!r} stands in this run already")
                self.functions[line.name] = line
            case traces.Path():
                if line.case in self.paths:
                    raise LineError(f"the case {line.case!r} has a path in this run already")
                if line.case not in self.planned:
                    raise LineError(f"the case {line.case!r} isn't among those that its run planned")
                self.paths[line.case] = line
            case End():
                if self.end:
                    raise LineError(f"the run {line.run!r} has ended already")
                self.end = line

    def grown(self) -> Run:
        """The run as it stands; what was planned and has no line is made a MISS, and every case gets its clause."""
        by_function = {(clause.module, _function(clause.source)): clause for clause in self.clauses.values()}
        cases = []
        for name in self.head.planned:
            case = self.cases.get(name) or self._missing(name)
            if case.clause is None and (clause := by_function.get(_split(name))):
                case = replace(case, clause=clause.id, level=clause.level, family=case.family or _family(name, clause))
            cases.append(case)
        run = Run(
            path=self.path,
            head=self.head,
            statements=self.statements,
            clauses=self.clauses,
            cases=tuple(cases),
            functions=self.functions,
            paths=self.paths,
            end=self.end,
            warnings=tuple(self.warnings),
        )
        counts = run.counts()
        if self.end and any(self.end.counts.get(outcome, 0) != counts[outcome] for outcome in OUTCOMES):
            warning = "the account at its end isn't what its lines add up to; the lines count"
            run = replace(run, warnings=(*run.warnings, warning))
        return run

    def _missing(self, name: str) -> Case:
        return Case(
            run=self.head.run,
            case=name,
            worker=None,
            clause=None,
            family=None,
            level=None,
            outcome="MISS",
            verdict="",
            reason="it was running when the run ended" if name in self.started else "never started",
            deviation=None,
            expected=None,
            observed=None,
            duration_ns=None,
        )


def _split(nodeid: str) -> tuple[str, str]:
    """Module and function of a case, `suites/x/test_y.py::test_z[tcp4]`."""
    module, _, rest = nodeid.partition("::")
    return module, rest.partition("[")[0]


def _function(source: str) -> str:
    match = re.search(r"^def (\w+)\(", source, re.MULTILINE)
    return match[1] if match else ""


def _family(nodeid: str, clause: Clause) -> str | None:
    """The family of a case by its parameters, `[tcp4]` or `[tcp4-variant]`."""
    name = nodeid.partition("[")[2].rstrip("]").partition("-")[0]
    return name if name in clause.families else None


def _read_file(path: Path, file: BinaryIO) -> list[Run]:
    runs: dict[str, _Growing] = {}
    latest: _Growing | None = None
    for number, text in _numbered(path, file):
        try:
            line = parse(_json(text))
            if isinstance(line, Head):
                if line.run in runs:
                    raise LineError(f"the run {line.run!r} stands in this file already")
                latest = runs[line.run] = _Growing(path, line)
            elif line is not None:
                latest = _owner(line, runs, latest)
                latest.take(line)
        except _NotJson as error:
            if latest is None or text.endswith(b"\n"):
                raise RecordError(f"{path}: line {number}: {error}; {_remedy(runs)}") from None
            latest.warnings.append(f"line {number}, the last one, is cut off; what it would have said counts as MISS")
        except LineError as error:
            raise RecordError(f"{path}: line {number}: {error}; {_remedy(runs)}") from None
    if not runs:
        raise RecordError(f"{path}: it holds no run; name a record of sockwake")
    return [run.grown() for run in runs.values()]


def _remedy(runs: Mapping[str, _Growing]) -> str:
    return "make the record anew, or remove the line" if runs else "name a record of sockwake"


def _owner(line: Line, runs: Mapping[str, _Growing], latest: _Growing | None) -> _Growing:
    """The run that a line belongs to: the one it names, or for a line that names none the one before it."""
    owner = latest if line.run is None else runs.get(line.run)
    if owner is None:
        raise LineError("it belongs to a run that has no line before it")
    return owner


def _numbered(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 1
    while text := file.readline(LINE_LIMIT + 1):
        if len(text) > LINE_LIMIT:
            raise RecordError(
                f"{path}: line {number}: it has more than {LINE_LIMIT} bytes, which no line of a record has; "
                "name a record of sockwake"
            )
        yield number, text
        number += 1


class _NotJson(LineError):
    """The text of a line can't be parsed at all, as is the case where it is cut off."""


def _json(text: bytes) -> Object:
    try:
        line = _DECODER.decode(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise _NotJson("it isn't UTF-8") from None
    except (ValueError, RecursionError):
        raise _NotJson("it isn't JSON") from None
    if not isinstance(line, dict):
        raise LineError("it isn't a JSON object")
    return line


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} isn't JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
