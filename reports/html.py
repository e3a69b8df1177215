"""The page of runs side by side: a sentence a target, the matrix of clauses, and the evidence for each.

Owns what the page shows and in which order; how it looks is `templates/`.
"""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from reports.commandline import add_records, read_records
from reports.curves import pictures
from reports.evidence import Evidence, evidence, folded, parameters, sameness
from reports.evidence import Row as Fact
from reports.lines import Case, Observed, Statement, Step
from reports.matrix import RANKS, Row, executed, rank_of, rows, statements, together, verdict
from reports.pages import Stand, again, anchor, fill, stands, write_page
from reports.path_page import path_values
from reports.record import Run
from reports.strace import strace
from reports.timeline import timeline

HELP = "make one self-contained HTML page of records"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """Evidence as it is shown once, and for whom: a case that went wrong, or all others with the same to say.

    `facts` are all of it, or what differs from the first exhibit of its clause, `but`; the calls are left out where they are
    those of an exhibit before, in the same order.
    """

    rank: str
    cases: tuple[tuple[Stand, Case], ...]
    facts: tuple[Fact, ...]
    unjudged: tuple[tuple[str, str], ...]
    but: str
    calls: tuple[Step, ...]

    @property
    def example(self) -> Case:
        """The case whose calls are shown."""
        return self.cases[0][1]

    @property
    def wrong(self) -> bool:
        """Whether nothing of it is left out."""
        return self.rank in WRONG

    def by_moment(self) -> list[tuple[str, list[Fact]]]:
        """The facts of each moment, in order."""
        return [(moment, list(facts)) for moment, facts in groupby(self.facts, key=lambda fact: fact.moment)]


WRONG = ("FAIL", "ERROR", "MISS", "RECORDED")
"""What is shown with all of its evidence and calls."""

SAID = 3
"""How many verdicts are repeated where a target is first spoken of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one sentence says of several targets' outcomes of a clause."""

    stands: tuple[Stand, ...]
    rank: str | None
    words: str


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
    said = statements(runs)
    return fill(
        "page.html",
        stands=places,
        documents=_documents(table, said),
        levels=list(dict.fromkeys(row.clause.level for row in table if row.clause)),
        families=list(dict.fromkeys(family for row in table if row.clause for family in row.clause.families)),
        statements=said,
        changes=_changes,
        verdict=verdict,
        executed=executed,
        heard=lambda row: list(_heard(row, places)),
        exhibits=lambda row: list(_exhibits(row, places)),
        whom=lambda exhibit: list(_whom(exhibit, places)),
        pictures=pictures(places),
        strace=strace,
        timeline=timeline,
        again=again,
        names=_names,
        incomplete=_incomplete,
        cell_anchor=lambda row, stand: anchor(f"{row.id}@{stand.name}"),
        wrong=WRONG,
        on_all=lambda row: _on_all(row, places),
        **path_values(places, table, said),
    )


def _documents(table: Sequence[Row], said: Mapping[str, Statement]) -> list[tuple[str, list[Row]]]:
    """The rows by the folder of their cases, in the documents' order. A folder is called as the document of most of its claims."""
    by_folder: dict[str, list[Row]] = {}
    claims: Counter[tuple[str, str]] = Counter()
    for row in table:
        folder = Path(row.clause.module).parent.name.replace("_", " ") if row.clause else ""
        by_folder.setdefault(folder or row.area, []).append(row)
        found = (said.get(claim) for claim in (row.clause.claims if row.clause else ()))
        claims.update((one.document, folder) for one in found if one and one.document)
    named: dict[str, str] = {}
    for (document, folder), _ in claims.most_common():
        if folder not in named and document not in named.values():
            named[folder] = document
    order = sorted(by_folder, key=lambda folder: named.get(folder, ""))
    return [(f"{named[folder]} · {folder}" if folder in named else folder, by_folder[folder]) for folder in order]


def _heard(row: Row, places: Sequence[Stand]) -> Iterator[Heard]:
    """What each target did, those together of which the same is to be said, worst first."""
    found: dict[tuple[str | None, str], list[Stand]] = {}
    for stand, cell in zip(places, row.cells, strict=True):
        said = list(dict.fromkeys(text for case in cell.cases for text in (case.verdict, _reason(case, stand)) if text))
        more = [f"{len(said) - SAID} more, below"] if len(said) > SAID else []
        found.setdefault((cell.rank, "; ".join([cell.words, *said[:SAID], *more])), []).append(stand)
    order = [*RANKS, None]
    for (rank, words), who in sorted(found.items(), key=lambda item: order.index(item[0][0])):
        yield Heard(stands=tuple(who), rank=rank, words=words)


def _reason(case: Case, stand: Stand) -> str:
    """A case's reason; of a capability that is missing the name, since how that was found out stands with the target."""
    needs, _, name = case.reason.partition(":")[0].partition(" ")
    return f"needs {name}" if needs == "needs" and name in stand.run.head.capabilities else case.reason


def _changes(row: Row) -> list[bool]:
    """For each target, whether a case came out otherwise, or is specified otherwise, than on the target before."""
    made: list[bool] = []
    before: dict[str, object] = {}
    for cell in row.cells:
        now = {
            case.case: (rank_of(case), case.expected.packed if case.expected else None)
            for case in cell.cases
            if case.outcome not in ("SKIP", "MISS")
        }
        made.append(any(before[name] != now[name] for name in now.keys() & before.keys()))
        before |= now
    return made


def _on_all(row: Row, places: Sequence[Stand]) -> str:
    """The command that executes this clause again on all of its targets."""
    ran = dict.fromkeys(stand.run.head.target for stand, cell in zip(places, row.cells, strict=True) if cell.cases)
    if list(ran) == ["host"]:
        return shlex.join(["pytest", "suites", "--clause", row.id])
    verb = "run" if len(ran) == 1 else "matrix"
    return shlex.join(["python", "-m", "targets", verb, *ran, "--", "--clause", row.id])


def _exhibits(row: Row, places: Sequence[Stand]) -> Iterator[Exhibit]:
    """What is shown of a clause, worst first, what was planned and never ran left out."""
    found: dict[Hashable, list[tuple[Stand, Case]]] = {}
    for stand, cell in zip(places, row.cells, strict=True):
        for case in cell.cases:
            rank = rank_of(case)
            if not case.observed and rank in ("SKIP", "MISS"):
                continue
            apart = (stand.number, case.case) if rank in ("FAIL", "ERROR") else None
            found.setdefault((rank, case.verdict, case.reason, sameness(case), apart), []).append((stand, case))
    groups = sorted(found.values(), key=lambda cases: RANKS.index(rank_of(cases[0][1])))
    first: tuple[str, set[Fact]] | None = None
    sequences: set[Hashable] = set()
    for cases in groups:
        rank, case = rank_of(cases[0][1]), cases[0][1]
        shown: Evidence = evidence(case)
        facts, but = folded(shown.rows), ""
        if rank not in WRONG:
            if first:
                but, known = first
                facts = [fact for fact in facts if fact not in known]
            else:
                first = (parameters(case), set(facts))
        calls = case.observed.steps if case.observed else ()
        sequence = tuple(step.call for step in calls)
        yield Exhibit(
            rank=rank,
            cases=tuple(cases),
            facts=tuple(facts),
            unjudged=() if but else shown.unjudged,
            but=but,
            calls=calls if rank in WRONG or sequence not in sequences else (),
        )
        sequences.add(sequence)


def _incomplete(stand: Stand) -> bool:
    """Whether a target's column can't be scored: not all that was planned was executed, or the record has no end."""
    return not stand.run.finished or stand.run.counts()["MISS"] > 0


def _names(observed: Observed) -> str:
    """What the numbers in the calls of an observation stand for, "socket 9, peer 10"."""
    return ", ".join(f"{role} {number}" for role, number in observed.descriptors.items())


def _whom(exhibit: Exhibit, places: Sequence[Stand]) -> Iterator[tuple[str, str]]:
    """For whom an exhibit stands: targets with the same cases together, and these cases."""
    by_stand: dict[int, list[str]] = {}
    for stand, case in exhibit.cases:
        by_stand.setdefault(stand.number, []).append(parameters(case))
    for names, numbers in together({number: tuple(cases) for number, cases in by_stand.items()}):
        everywhere = len(numbers) == len(places) > 1
        targets = (
            f"all {len(places)} targets" if everywhere else ", ".join(places[number - 1].name for number in numbers)
        )
        yield targets, ", ".join(names)
