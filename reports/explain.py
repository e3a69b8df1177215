"""One clause in the terminal: what it says and rests on, the case that drives it, and what each kernel did.

Owns what is printed of a clause, and that kernels and families that did the same are told once. The clause is what the
records say; `python -m suites explain` prints it from the specification, without a record, in the same words.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from reports.commandline import read_files
from reports.evidence import MEASURED, evidence, parameters
from reports.lines import Case, Clause, Statement
from reports.matrix import RANKS, Row, labels, ordered, rank_of, rows, statements
from reports.paths import taken
from reports.record import RecordError, Run
from reports.terminal import Paint, Style, coloured, differing, facts, fold, said, width
from reports.visible import one_line, visible

HELP = "print what a clause says, the case that drives it, and what each kernel did"

COLOURS: dict[str, Style] = {"FAIL": "red", "ERROR": "red", "MISS": "red", "RECORDED": "yellow", "PASS": "green"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("clause", metavar="CLAUSE", help="the clause's id")
    parser.add_argument("records", nargs="*", type=Path, metavar="FILE", help="records of runs that had the clause")


def run(arguments: argparse.Namespace) -> int:
    """Print the account; 0. Raises RecordError, also where no record has the clause."""
    if not arguments.records:
        raise RecordError(
            "explain: no record is named; name some, or ask `python -m suites explain CLAUSE`, which needs none"
        )
    for line in account(arguments.clause, read_files(arguments.records), width(), Paint(coloured())):
        print(line)
    return 0


def account(name: str, runs: Sequence[Run], columns: int, paint: Paint) -> Iterator[str]:
    """The clause, and what each kernel did, oldest first. Raises RecordError where no record has it."""
    placed = ordered(runs)
    matrix = {row.id: row for row in rows(placed)}
    if name not in matrix:
        near = get_close_matches(name, matrix, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"they have {len(matrix)} others"
        raise RecordError(f"there is no clause {name!r} in the records; {hint}")
    row = matrix[name]
    if row.clause:
        yield from _clause(row.clause, row.differs, statements(placed), columns, paint)
    else:
        yield from (*fold(one_line(name), columns), "no record describes this clause")
    yield from ("", paint("What each kernel did", "bold"))
    alike: dict[tuple[str, ...], list[str]] = {}
    for label, lines in zip(labels(placed), _outcomes(row, columns, paint), strict=True):
        alike.setdefault(lines, []).append(label)
    for lines, names in alike.items():
        yield from ("", *fold(one_line(", ".join(names)), columns, "  ", "  "), *lines)
    if path := list(taken(row, placed, columns, paint)):
        yield from ("", paint("The path that each kernel took", "bold"), *path)


def _clause(
    clause: Clause, differs: bool, statements: Mapping[str, Statement], columns: int, paint: Paint
) -> Iterator[str]:
    title = fold(one_line(f"{clause.id} ({clause.level}): {clause.title}"), columns)
    yield from (paint(line, "bold") for line in title)
    yield from ("", *fold(visible(clause.text), columns), "")
    if differs:
        yield from fold(
            "The runs were made with different texts of this clause; this is that of the oldest kernel.", columns
        )
        yield ""
    for word, names in (
        ("claims", clause.claims),
        ("covers", tuple(name for name in clause.covers if name not in clause.claims)),
    ):
        if names:
            yield f"{word}:"
            for name in names:
                statement = statements.get(name)
                says = f": {statement.says}" if statement else ""
                document = f" (document {statement.document})" if statement and statement.document else ""
                yield from fold(one_line(f"{name}{says}{document}"), columns, "  ", "    ")
    for word, values in (
        ("references", clause.refs),
        ("kernel path", clause.path),
        ("families", clause.families),
        ("needs", clause.needs),
    ):
        if values:
            yield from fold(one_line(f"{word}: {', '.join(values)}"), columns, rest="  ")
    if clause.unjudged:
        yield "observed and not judged:"
        for name, why in clause.unjudged.items():
            yield from fold(one_line(f"{name}: {why}"), columns, "  ", "    ")
    if clause.source:
        yield from ("", *fold(f"{one_line(clause.module)}:" if clause.module else "the case:", columns), "")
        yield from (f"    {line}".rstrip() for line in visible(clause.source).rstrip("\n").split("\n"))


def _outcomes(row: Row, columns: int, paint: Paint) -> Iterator[tuple[str, ...]]:
    """What each run did, worst first; cases that say the same are told once."""
    for cell in row.cells:
        alike: dict[tuple[str, str, tuple[str, ...]], list[Case]] = {}
        for case in cell.cases:
            details = tuple(_details(case, columns))
            alike.setdefault((rank_of(case), said(case), details), []).append(case)
        lines = []
        for (rank, words, details), cases in sorted(alike.items(), key=lambda item: RANKS.index(item[0][0])):
            number = f"{len(cases)} cases: " if len(cases) > 1 else ""
            styles = [COLOURS[rank]] if rank in COLOURS else []
            lines += [paint(line, *styles) for line in fold(words, columns, "    ", "      ")]
            lines += fold(number + one_line(", ".join(map(parameters, cases))), columns, "      ", "      ")
            lines += details
        yield tuple(lines) or ("    not planned",)


def _details(case: Case, columns: int) -> Iterator[str]:
    """What there is to show of a case below its verdict."""
    if case.deviation:
        yield from fold(one_line(f"recorded deviation: {case.deviation.reason}"), columns, " " * 8, " " * 10)
    if case.outcome == "FAIL":
        yield from differing(case, columns, " " * 8)
    elif case.outcome == "DONE":
        measured = [row for row in evidence(case).rows if row.mark == MEASURED]
        yield from facts([(f"at {row.moment}, {row.name}: {row.observed}", ()) for row in measured], columns, " " * 8)
