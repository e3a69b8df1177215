"""What the forms for other programs share: a run as results by clause, what to call it, and where the form goes.

Owns the reading of an outcome that KTAP, JUnit, KCIDB and tmt all need: recorded deviations apart from failures, deviations
that are no longer seen, and a case told in lines of text. Knows no form: what an outcome is called there is each form's
own table. All text has passed through `visible`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.commandline import add_records
from reports.evidence import DIFFERS, MEASURED, evidence, parameters
from reports.lines import Case, Clause
from reports.matrix import RECORDED, rank_of, rows
from reports.output import write_text
from reports.record import Run
from reports.visible import one_line, visible

VANISHED = "VANISHED"
"""How a case counts whose recorded deviation is no longer seen: it fails the run, until the record of it is removed."""

RANKS = ("FAIL", VANISHED, "ERROR", "MISS", RECORDED, "PASS", "DONE", "SKIP")
"""How a case can count, worst first: the first that occurs stands for all cases of a clause, and of a run."""

DETAILS = 16_000
"""The longest account of a case, in bytes: KCIDB takes 16,384 characters, and what is cut off is said at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one case. `summary` is one line, `details` are all that explain it; both are empty for a PASS."""

    case: Case
    name: str
    rank: str
    summary: str
    details: tuple[str, ...]

    @property
    def more(self) -> tuple[str, ...]:
        """The details where they say more than the summary does."""
        return self.details if len(self.details) > 1 else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The results of one clause; `clause` is None where the record doesn't describe it."""

    id: str
    clause: Clause | None
    results: tuple[Result, ...]


def configure(parser: argparse.ArgumentParser, kind: str) -> None:
    """Add the arguments that every form takes."""
    where = f"where the form goes; replaced only if it is {kind} (default: standard output)"
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help=where)
    add_records(parser)


def put(arguments: argparse.Namespace, text: str, kind: str, is_kind: Callable[[bytes], bool]) -> None:
    """Write a form to where it was asked for, as UTF-8 whatever the locale says. Raises OutputError."""
    if arguments.output is None:
        sys.stdout.buffer.write(text.encode())
    else:
        write_text(arguments.output, text, kind, is_kind)


def names(runs: Sequence[Run]) -> list[str]:
    """What each run is called: its target, so that the name lasts; where need be with the kernel's release and a number."""
    targets = [one.head.target for one in runs]
    releases = [f"{one.head.target} {one.head.kernel.release}" for one in runs]
    numbered = [f"{release} (run {number})" for number, release in enumerate(releases, 1)]
    shown = ([one_line(name) for name in called] for called in (targets, releases, numbered))
    return next(called for called in shown if len(set(called)) == len(runs))


def groups(run: Run) -> list[Group]:
    """The results of a run by clause, those of an area together, in the order in which the run names them."""
    vanished = run.end.vanished if run.end else {}
    return [
        Group(
            id=one_line(row.id),
            clause=row.clause,
            results=tuple(_result(case, vanished.get(case.case)) for case in row.cells[0].cases),
        )
        for row in rows([run])
        if row.cells[0].cases
    ]


def worst(ranks: Iterator[str]) -> str:
    """The rank that stands for several."""
    return min(ranks, key=RANKS.index)


def _result(case: Case, vanished: str | None) -> Result:
    rank = rank_of(case)
    if vanished is not None and rank not in ("FAIL", "ERROR", "MISS"):
        rank = VANISHED
    details = visible("\n".join(_account(case, vanished)), DETAILS).split("\n")
    return Result(
        case=case,
        name=one_line(parameters(case)),
        rank=rank,
        summary=one_line(_summary(case, rank, vanished)),
        details=tuple(details) if details != [""] else (),
    )


def _summary(case: Case, rank: str, vanished: str | None) -> str:
    if rank == VANISHED:
        return f"a recorded deviation is no longer seen: {vanished}"
    if rank == RECORDED and case.deviation:
        return f"recorded deviation, {case.deviation.cause}: {case.verdict}"
    if rank == "DONE":
        return ", ".join(f"{name} {value}" for _, name, value in _measured(case)) or "measured, not judged"
    last = case.reason.strip().rpartition("\n")[2]  # of a traceback, the exception
    return case.verdict or last


def _account(case: Case, vanished: str | None) -> Iterator[str]:
    """A case in lines, each of which begins with what it is: none can be taken for a line of the form that it stands in."""
    if case.verdict:
        yield from _labelled("verdict", case.verdict)
    if case.reason:
        yield from _labelled("reason", case.reason)
    if case.deviation:
        yield from _labelled("recorded deviation", f"{case.deviation.cause}: {case.deviation.reason}")
    if vanished is not None:
        yield from _labelled("recorded, and not seen", vanished)
    if case.outcome in ("FAIL", "ERROR"):
        for row in evidence(case).rows:
            if row.mark == DIFFERS:
                said = f"{row.name}: expected {row.expected}, observed {row.observed}"
                yield from _labelled(f"at {row.moment}", said)
    if case.outcome == "DONE":
        for moment, name, value in _measured(case):
            yield from _labelled("measured", f"at {moment}: {name} {value}")


def _measured(case: Case) -> Iterator[tuple[str, str, str]]:
    return ((row.moment, row.name, row.observed) for row in evidence(case).rows if row.mark == MEASURED)


def _labelled(label: str, text: str) -> Iterator[str]:
    for line in visible(text).split("\n"):
        yield f"{one_line(label)}: {line}"
