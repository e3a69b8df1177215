"""One self-contained HTML page of runs side by side: verdicts, a table of clauses, and the evidence for each.

Owns what the page shows and in which order; how it looks is `templates/`. A pure function of the runs: no clock, no
host, no script, nothing loaded from elsewhere. All text of a record passes through `visible` and Jinja2's escaping.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.commandline import add_records, read_records
from reports.evidence import Evidence, evidence, parameters, strace
from reports.lines import Case, Observed
from reports.matrix import RANKS, Row, executed, rank_of, rows, verdict
from reports.output import write_text
from reports.record import Run, in_words
from reports.visible import visible

HELP = "make one self-contained HTML page of records"

TEMPLATES = Path(__file__).parent / "templates"

SYMBOLS = {
    "PASS": ("✓", "PASS", "as the clause says"),
    "FAIL": ("✗", "FAIL", "the kernel did otherwise"),
    "RECORDED": ("≠", "FAIL, recorded", "the kernel did otherwise, as recorded with a cause for this target"),
    "ERROR": ("!", "ERROR", "the suite's own set-up or clean-up broke"),
    "MISS": ("?", "MISS", "planned, and never came to an end"),
    "SKIP": ("○", "SKIP", "the target lacks a capability that the case needs"),
    "DONE": ("◆", "DONE", "measured; the clause is open and isn't judged"),
}
"""Glyph, word and meaning of what a cell can show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A run's place on the page: its number, from 1, is what anchors and labels are made of."""

    number: int
    run: Run

    @property
    def label(self) -> str:
        """What a column is called."""
        return f"{self.run.head.target} · {self.run.head.kernel.release}"


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
    write_text(arguments.out, render(read_records(arguments)), "HTML", _is_html)
    return 0


def _is_html(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype html", b"<html"))


def render(runs: Sequence[Run]) -> str:
    """The page as text. The same runs give the same text."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    stands = [Stand(number=number, run=run) for number, run in enumerate(runs, 1)]
    table = rows(runs)
    return environment.get_template("page.html").render(
        stands=stands,
        areas=[(area, list(members)) for area, members in groupby(table, key=lambda row: row.area)],
        symbols=SYMBOLS,
        verdict=verdict,
        executed=executed,
        in_words=in_words,
        anchor=_anchor,
        breakable=_breakable,
        exhibits=lambda row: list(_exhibits(row, stands)),
        strace=strace,
        names=_names,
        again=_again,
        command=shlex.join,
    )


def _finalize(value: Any) -> Any:
    """What every expression of a template passes through; what is markup already has passed before."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(text: str) -> Markup:
    """A mask may be broken between its bits, and nowhere else."""
    return Markup("|<wbr>").join(visible(text).split("|"))


def _anchor(name: str) -> str:
    """A name as an id and as a link's fragment, the same in both."""
    return quote(visible(name), safe="")


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


def _again(stand: Stand, case: Case) -> str:
    """The command that runs this one case again, on the same target."""
    target = stand.run.head.target
    if target == "host":
        return shlex.join(["pytest", case.case, "--record", "one.jsonl"])
    return shlex.join(["python", "-m", "targets", "run", target, "--record", "one.jsonl", "--", case.case])
