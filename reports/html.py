"""One self-contained HTML page of runs side by side: verdicts, a table of clauses, and the evidence for each.

Owns what the page shows and in which order; how it looks is `templates/`.
"""

from __future__ import annotations

import argparse
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from reports.commandline import add_records, read_records
from reports.evidence import Evidence, evidence, parameters, strace
from reports.lines import Case, Observed
from reports.matrix import RANKS, Row, executed, rank_of, rows, verdict
from reports.pages import Stand, again, fill, stands, write_page
from reports.record import Run, in_words

HELP = "make one self-contained HTML page of records"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """Evidence as it is shown once, and for whom: a case that went wrong, or all others with the same to say."""

    rank: str
    cases: tuple[tuple[Stand, Case], ...]
    evidence: Evidence

    @property
    def example(self) -> Case:
        """The case whose calls are shown."""
        return self.cases[0][1]

    @property
    def for_whom(self) -> list[tuple[Stand, str]]:
        """For each run, the parameters of the cases that this stands for."""
        by_run = groupby(self.cases, key=lambda pair: pair[0])
        return [(stand, ", ".join(parameters(case) for _, case in pairs)) for stand, pairs in by_run]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("out", type=Path, metavar="OUT.html", help="the page; replaced only if it is HTML")
    add_records(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the page; 0. Raises RecordError and OutputError."""
    write_page(arguments.out, render(read_records(arguments)))
    return 0


def render(runs: Sequence[Run]) -> str:
    """The page as text. The same runs give the same text."""
    places = stands(runs)
    table = rows([stand.run for stand in places])
    return fill(
        "page.html",
        stands=places,
        areas=[(area, list(members)) for area, members in groupby(table, key=lambda row: row.area)],
        verdict=verdict,
        executed=executed,
        in_words=in_words,
        exhibits=lambda row: list(_exhibits(row, places)),
        strace=strace,
        names=_names,
        again=again,
    )


def _exhibits(row: Row, stands: Sequence[Stand]) -> Iterator[Exhibit]:
    """What is shown of a clause, worst first.

    What went wrong is shown case by case, with its own calls; of the rest, cases with the same evidence are shown once.
    """
    exhibits: dict[Hashable, list[tuple[Stand, Case]]] = {}
    for stand, cell in zip(stands, row.cells, strict=True):
        for case in cell.cases:
            apart = (stand.number, case.case) if case.outcome in ("FAIL", "ERROR") else None
            key = (rank_of(case), case.verdict, case.reason, evidence(case), apart)
            exhibits.setdefault(key, []).append((stand, case))
    made = [
        Exhibit(rank=rank_of(cases[0][1]), cases=tuple(cases), evidence=evidence(cases[0][1]))
        for cases in exhibits.values()
    ]
    yield from sorted(made, key=lambda exhibit: RANKS.index(exhibit.rank))


def _names(observed: Observed) -> str:
    """What the numbers in the calls of an observation stand for, "socket 9, peer 10"."""
    return ", ".join(f"{role} {number}" for role, number in observed.descriptors.items())
