"""Claim by claim: which clauses stand for it and how they came out in each run, or why none does.

Owns the terminal's account of coverage. The statements come with the records, as do the clauses that name them.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence

from reports.commandline import add_records, read_records
from reports.lines import Statement
from reports.matrix import Row, rows, statements
from reports.record import Run
from reports.visible import visible

HELP = "print claim by claim which clauses stand for it and how they came out"

KINDS = {
    "claims": "",
    "behaviours": "behaviour",
    "facts": "fact",
    "differences": "diff",
    "corrections": "correction",
}
"""What can be asked for, and how the ids of its statements begin."""

WIDTH = 110
"""Columns of the terminal that lines are folded at."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--of",
        choices=KINDS,
        default="claims",
        help="which statements: the documents' claims (default), the surveyed behaviours, facts, differences, corrections",
    )
    add_records(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the account; 0."""
    for line in account(read_records(arguments), KINDS[arguments.of]):
        print(visible(line))
    return 0


def account(runs: Sequence[Run], prefix: str) -> Iterator[str]:
    """The account line by line: statements by document, under each its clauses with a cell for each run, sums last."""
    chosen = [statement for statement in statements(runs).values() if statement.id.rpartition(":")[0] == prefix]
    if not chosen:
        yield "the records have no such statements: they were made by an older suite"
        return
    standing = _standing(rows(runs))
    columns = [f"{one.head.target} ({one.head.kernel.release})" for one in runs]
    document = None
    for statement in chosen:
        if statement.document != document:
            document = statement.document
            yield from ("", f"Document {document}", "")
        yield from _told(statement, standing.get(statement.id, []), columns)
    driven = sum(statement.id in standing for statement in chosen)
    reasons = sum(statement.left_out is not None and statement.id not in standing for statement in chosen)
    untried = len(chosen) - driven - reasons
    yield ""
    yield f"{len(chosen)} in all: {driven} with clauses in these runs, {reasons} left out with a reason, {untried} not tried"


def _standing(matrix: Sequence[Row]) -> dict[str, list[Row]]:
    standing: dict[str, list[Row]] = {}
    for row in matrix:
        for name in dict.fromkeys((*row.clause.claims, *row.clause.covers) if row.clause else ()):
            standing.setdefault(name, []).append(row)
    return standing


def _told(statement: Statement, standing: Sequence[Row], columns: Sequence[str]) -> Iterator[str]:
    name = statement.id.rpartition(":")[2]
    yield from textwrap.wrap(statement.says, WIDTH, initial_indent=f"{name:4} ", subsequent_indent=" " * 5)
    if statement.left_out:
        where = f"for {statement.target}: " if statement.target else ""
        yield from textwrap.wrap(
            f"not driven here, {where}{statement.left_out}", WIDTH, initial_indent=" " * 7, subsequent_indent=" " * 9
        )
    elif not standing:
        yield "       no clause of it was in these runs"
    for row in standing:
        cells = [f"{column}: {cell.words}" for column, cell in zip(columns, row.cells, strict=True)]
        yield f"       {row.id:44} {cells[0] if len(cells) == 1 else ''}".rstrip()
        if len(cells) > 1:
            yield from (f"         {cell}" for cell in cells)
