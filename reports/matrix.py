"""Runs side by side: a row for each clause, a cell for each run, and what a run's outcomes amount to.

Owns which outcome stands for several, and the verdict on a run. Knows no form: HTML and the terminal's table are made
of this.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from reports.lines import Case, Clause, Statement
from reports.record import WORDS, Run

RECORDED = "RECORDED"
"""How a FAIL counts here that is a recorded deviation of its target: known, with a cause, and no news."""

RANKS = ("FAIL", "ERROR", "MISS", RECORDED, "PASS", "DONE", "SKIP")
"""Worst first: the first that occurs stands for all cases of a cell."""

Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a run's outcomes amount to: a sentence, and which of its kinds that is (good, known, bad, open)."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The cases of one clause in one run. `rank` stands for all of them; None where the run planned none."""

    rank: str | None
    cases: tuple[Case, ...]
    counts: tuple[tuple[str, int], ...]

    @property
    def share(self) -> str:
        """How many of the cases have the outcome shown, "2/11"; empty for a single case."""
        return f"{dict(self.counts)[self.rank]}/{len(self.cases)}" if self.rank and len(self.cases) > 1 else ""

    @property
    def words(self) -> str:
        """The cell in words, "9 passed, 2 failed"."""
        return ", ".join(f"{number} {rank_words(rank, number)}" for rank, number in self.counts) or "not planned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A clause and its cell in each run. `clause` is None where no record has it; `differs`: the runs' texts do."""

    id: str
    clause: Clause | None
    differs: bool
    cells: tuple[Cell, ...]

    @property
    def area(self) -> str:
        """The first part of a clause's id."""
        return self.id.partition(".")[0] if self.clause else "clauses that no record describes"


def rank_of(case: Case) -> str:
    """The outcome of a case, with recorded deviations apart."""
    return RECORDED if case.outcome == "FAIL" and case.deviation else case.outcome


def rank_words(rank: str, number: int) -> str:
    """What one case or several of a rank are called."""
    if rank == RECORDED:
        return "recorded deviation" if number == 1 else "recorded deviations"
    return WORDS[rank][number != 1]


def ordered(runs: Sequence[Run]) -> list[Run]:
    """The runs, oldest kernel first; what isn't Linux comes last, and equals stay in the order in which they are named."""

    def age(run: Run) -> tuple[bool, list[int]]:
        kernel = run.head.kernel
        debian = re.search(r"Debian (\S+)", kernel.version)  # whose release is 5.10.0 whatever stable release it is
        said = debian[1] if debian else kernel.release
        return kernel.implementation != "Linux", [int(part) for part in re.findall(r"\d{1,9}", said)]

    return sorted(runs, key=age)


def labels(runs: Sequence[Run]) -> list[str]:
    """What each run is called beside the others: target and kernel's release, with the run's number where that isn't enough."""
    called = [f"{run.head.target} · {run.head.kernel.release}" for run in runs]
    return [f"{name} · run {number}" if called.count(name) > 1 else name for number, name in enumerate(called, 1)]


def together(seen: Mapping[int, Shown]) -> list[tuple[Shown, list[int]]]:
    """What was shown, each once, with the places of all runs that showed it."""
    groups: dict[Shown, list[int]] = {}
    for place, shown in seen.items():
        groups.setdefault(shown, []).append(place)
    return list(groups.items())


def statements(runs: Sequence[Run]) -> dict[str, Statement]:
    """The statements of all runs by their ids."""
    return {name: statement for run in runs for name, statement in run.statements.items()}


def executed(run: Run) -> int:
    """How many cases were put in front of the kernel."""
    counts = run.counts()
    return len(run.cases) - counts["SKIP"] - counts["MISS"]


def verdict(run: Run) -> Verdict:
    """What a run says of its kernel. A failure outweighs what is undecided, and that outweighs recorded deviations.

    A run that didn't come to its end isn't conformant, whatever it has seen.
    """
    ranks = Counter(map(rank_of, run.cases))
    undecided = ranks["ERROR"] + ranks["MISS"]
    vanished = len(run.end.vanished) if run.end else 0
    if ranks["FAIL"]:
        return Verdict(kind="bad", words=f"not conformant ({ranks['FAIL']} failed)")
    if undecided:
        return Verdict(
            kind="open", words=f"undecided ({undecided} {'case' if undecided == 1 else 'cases'} without a result)"
        )
    if not run.finished:
        return Verdict(kind="open", words="undecided (the run didn't come to its end)")
    if not executed(run):
        return Verdict(kind="open", words="undecided (no case was executed)")
    if vanished:
        return Verdict(kind="open", words=f"not as recorded (deviations that are no longer seen: {vanished})")
    if ranks[RECORDED]:
        return Verdict(kind="known", words=f"conformant with recorded deviations ({ranks[RECORDED]})")
    return Verdict(kind="good", words="conformant")


def rows(runs: Sequence[Run]) -> list[Row]:
    """The clauses of all runs, those of an area together, in the order in which the runs name them."""
    clauses: dict[str, list[Clause]] = {}
    found: dict[str, list[list[Case]]] = {}
    for number, run in enumerate(runs):
        for clause in run.clauses.values():
            clauses.setdefault(clause.id, []).append(clause)
            found.setdefault(clause.id, [[] for _ in runs])
        for case in run.cases:
            name = case.clause or case.case.partition("[")[0]
            found.setdefault(name, [[] for _ in runs])[number].append(case)
    made = [_row(name, clauses.get(name, []), cells) for name, cells in found.items()]
    areas = list(dict.fromkeys(row.area for row in made))
    return sorted(made, key=lambda row: areas.index(row.area))


def _row(name: str, clauses: Sequence[Clause], cells: Sequence[Sequence[Case]]) -> Row:
    said = {(clause.title, clause.text, clause.level, clause.source) for clause in clauses}
    return Row(id=name, clause=clauses[0] if clauses else None, differs=len(said) > 1, cells=tuple(map(_cell, cells)))


def _cell(cases: Sequence[Case]) -> Cell:
    counted = Counter(map(rank_of, cases))
    counts = tuple((rank, counted[rank]) for rank in RANKS if counted[rank])
    return Cell(rank=counts[0][0] if counts else None, cases=tuple(cases), counts=counts)
