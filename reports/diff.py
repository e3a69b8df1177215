"""Two runs compared case by case: what was added, removed, broken, mended or went wrong otherwise, and what else differs.

Owns the classes below, the pairing of runs and cases, and when what broke may be called a regression: only where the
kernel is all that differs between the two runs. Else it is "broken", with the reason why the kernel can't be blamed.

PASS and FAIL say something of the kernel; a recorded deviation is a FAIL that is known. ERROR, MISS, SKIP and DONE don't: our
set-up broke, the case never came to an end, a capability is missing, or nothing is judged. So PASS before and MISS now isn't
a broken kernel, and no better one either: the two can't be compared, which is a class of its own and told apart in the sum.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from reports.commandline import read_files
from reports.evidence import DIFFERS, NOTHING, evidence, parameters
from reports.lines import Case, Clause, Head
from reports.matrix import RECORDED, executed, rank_of
from reports.pages import fill, write_page
from reports.record import RecordError, Run
from reports.terminal import Paint, Style, coloured, facts, fold, said, width
from reports.visible import one_line

HELP = "compare two runs case by case: what broke, what was mended, and what else differs between them"

ADDED, REMOVED, UNCHANGED = "added", "removed", "unchanged"
BROKEN, KNOWN, MENDED, OTHERWISE = "broken", "broken as recorded", "mended", "differently wrong"
INCOMPARABLE = "not comparable"

CLASSES = {
    BROKEN: "A did as the clause says, and B does otherwise",
    KNOWN: "the same, and recorded with a cause as a deviation of B's target: no news",
    OTHERWISE: "both do otherwise than the clause says, each in its own way",
    INCOMPARABLE: "in A or B the case says nothing of the kernel: ERROR, our set-up broke; MISS, it never ran or never ended, "
    "as where the kernel died; SKIP, the target lacks a capability; DONE, it was measured and isn't judged",
    MENDED: "A did otherwise than the clause says, recorded or not, and B does as it says",
    REMOVED: "planned in A only",
    ADDED: "planned in B only",
    UNCHANGED: "the same outcome, and where it is a FAIL the same verdict",
}
"""What can have become of a case, worst first, and what that means."""

COLOURS: dict[str, Style] = {
    BROKEN: "red",
    KNOWN: "yellow",
    OTHERWISE: "yellow",
    INCOMPARABLE: "yellow",
    MENDED: "green",
}

JUDGED = ("PASS", "FAIL", RECORDED)
"""The ranks that say something of the kernel."""

NOT_PLANNED, NOT_THERE = "not planned", "not there"

MEMORY = 0.05
"""Which part of its memory may be missing on the same machine: a kernel tells of what it doesn't take itself."""


class Difference(NamedTuple):
    """Something that isn't the same in the two runs: of which kind, its name if the kind has several, and both values."""

    kind: str
    name: str
    before: str
    now: str


class Contrast(NamedTuple):
    """A fact that isn't as expected in A or in B. `stated` is what A expected where B expects something else, else empty."""

    moment: str
    name: str
    stated: str
    expected: str
    before: str
    now: str


class _Alike(NamedTuple):
    """What cases have in common that are told once."""

    before: str
    now: str
    contrasts: tuple[Contrast, ...]
    rank_before: str | None
    rank_now: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of some cases of one clause: what A and B say of them in a line, their ranks, the facts that tell."""

    names: tuple[str, ...]
    before: str
    now: str
    contrasts: tuple[Contrast, ...]
    rank_before: str | None
    rank_now: str | None

    @property
    def number(self) -> int:
        """How many cases it stands for."""
        return len(self.names)

    @property
    def same_seen(self) -> bool:
        """Whether the kernel did the same in both runs, and only what is expected of it changed."""
        return bool(self.contrasts) and all(seen.stated and seen.before == seen.now for seen in self.contrasts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The changes of one class in one clause; `reworded`: the clause or its case isn't the same in both runs."""

    id: str
    clause: Clause | None
    reworded: bool
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two runs and all that differs. `counts` has every class, and adds up to the cases that either run planned."""

    before: Run
    now: Run
    kernel: tuple[Difference, ...]
    others: tuple[Difference, ...]
    counts: dict[str, int]
    groups: dict[str, tuple[Group, ...]]

    @property
    def regression(self) -> bool:
        """Whether what broke may be put down to the kernel."""
        return bool(self.kernel) and not self.others

    @property
    def why(self) -> str:
        """Why what broke can be put down to the kernel, or can't."""
        if self.regression:
            return "The kernel is all that differs between the two runs: what broke is a regression of the kernel."
        if not self.kernel and not self.others:
            return (
                "Nothing that the records tell of differs, not even the kernel: a case that changed isn't steady, "
                "or depends on something that isn't recorded."
            )
        kinds = " and ".join(", ".join(dict.fromkeys(each.kind for each in self.others)).rsplit(", ", 1))
        if not self.kernel:
            return f"The kernel is the same in both, and {kinds} not: what broke can't be put down to the kernel."
        return f"Not only the kernel differs, but also {kinds}: what broke can't be put down to the kernel alone."

    @property
    def summary(self) -> str:
        """All classes with their numbers, in a sentence."""
        total = sum(self.counts.values())
        each = ", ".join(f"{number} {kind}" for kind, number in self.counts.items())
        return f"{total} {'case' if total == 1 else 'cases'}: {each}"

    @property
    def result(self) -> str:
        """What it comes to, in a sentence."""
        broken = self.counts[BROKEN]
        lost = sum(
            change.number
            for group in self.groups[INCOMPARABLE]
            for change in group.changes
            if change.rank_before in JUDGED
        )
        noun = "regression" if self.regression else "case broken"
        plural = "regressions" if self.regression else "cases broken"
        words = f"{broken} {noun if broken == 1 else plural}" if broken else "nothing broken"
        if lost:
            words += f"; but of {lost} {'case' if lost == 1 else 'cases'} that A judged, B says nothing"
        return words


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("before", type=Path, metavar="A.jsonl", help="the record of before")
    parser.add_argument("now", type=Path, metavar="B.jsonl", help="the record that is compared with it")
    parser.add_argument(
        "--html", type=Path, metavar="OUT.html", help="make a page of it too; a file is replaced only if it is HTML"
    )
    parser.epilog = "exit code: 0 nothing broken, 1 broken, 2 a record or the page can't be used"


def run(arguments: argparse.Namespace) -> int:
    """Print the comparisons, and write the page if one is asked for; 1 if anything is broken. Raises RecordError, OutputError."""
    pairs, alone = paired(read_files([arguments.before]), read_files([arguments.now]))
    compared = [compare(before, now) for before, now in pairs]
    for line in told(compared, alone, width(), Paint(coloured())):
        print(line)
    if arguments.html:
        write_page(arguments.html, page(compared, alone))
    return int(any(each.counts[BROKEN] for each in compared))


def page(compared: Sequence[Comparison], alone: Sequence[str]) -> str:
    """The page as text. The same runs give the same text."""
    return fill("diff.html", compared=compared, alone=alone, classes=CLASSES, executed=executed)


# Pairing


def paired(before: Sequence[Run], now: Sequence[Run]) -> tuple[list[tuple[Run, Run]], list[str]]:
    """Which runs are compared, and a sentence for each that isn't. Raises RecordError where that isn't clear.

    One run in each file is a pair. Of several, those of the same target are.
    """
    if len(before) == len(now) == 1:
        return [(before[0], now[0])], []
    targets = [_by_target(before), _by_target(now)]
    common = [name for name in targets[0] if name in targets[1]]
    if not common:
        named = " and ".join(
            f"{runs[0].path} has {', '.join(one.head.target for one in runs)}" for runs in (before, now)
        )
        raise RecordError(f"no target is in both records: {named}; name two records of one run each")
    alone = [
        f"{name} is in {where} only, and isn't compared"
        for where, runs, others in (("A", *targets), ("B", *targets[::-1]))
        for name in runs
        if name not in others
    ]
    return [(targets[0][name], targets[1][name]) for name in common], alone


def _by_target(runs: Sequence[Run]) -> dict[str, Run]:
    found = {one.head.target: one for one in runs}
    if len(found) < len(runs):
        name = next(name for name, number in Counter(one.head.target for one in runs).items() if number > 1)
        raise RecordError(
            f"{runs[0].path}: it holds several runs of the target {name}, so it isn't clear which to compare; "
            "name a record with one"
        )
    return found


# Comparing


def compare(before: Run, now: Run) -> Comparison:
    """All that differs between two runs."""
    old, new = ({case.case: case for case in one.cases} for one in (before, now))
    counts = dict.fromkeys(CLASSES, 0)
    found: dict[str, dict[str, dict[_Alike, list[Case]]]] = {kind: {} for kind in CLASSES}
    for name in dict.fromkeys([*old, *new]):
        pair = old.get(name), new.get(name)
        kind = _class(*pair)
        counts[kind] += 1
        if kind != UNCHANGED:
            cases = [case for case in reversed(pair) if case]
            clause = next((case.clause for case in cases if case.clause), name.partition("[")[0])
            alike = _Alike(
                before=said(pair[0]) if pair[0] else NOT_PLANNED,
                now=said(pair[1]) if pair[1] else NOT_PLANNED,
                contrasts=_contrasts(*pair),
                rank_before=rank_of(pair[0]) if pair[0] else None,
                rank_now=rank_of(pair[1]) if pair[1] else None,
            )
            found[kind].setdefault(clause, {}).setdefault(alike, []).append(cases[0])
    groups = {
        kind: tuple(_group(clause, alike, before, now) for clause, alike in clauses.items())
        for kind, clauses in found.items()
    }
    return Comparison(
        before=before,
        now=now,
        kernel=tuple(_kernel(before.head, now.head)),
        others=tuple(_others(before, now)),
        counts=counts,
        groups=groups,
    )


def _class(old: Case | None, new: Case | None) -> str:
    """What became of a case."""
    if old is None:
        return ADDED
    if new is None:
        return REMOVED
    before, now = rank_of(old), rank_of(new)
    if before not in JUDGED or now not in JUDGED:
        return UNCHANGED if before == now else INCOMPARABLE
    if before == "PASS":
        return {"PASS": UNCHANGED, "FAIL": BROKEN}.get(now, KNOWN)
    if now == "PASS":
        return MENDED
    return UNCHANGED if old.verdict == new.verdict else OTHERWISE


def _group(name: str, changes: Mapping[_Alike, Sequence[Case]], before: Run, now: Run) -> Group:
    clauses = [clause for one in (now, before) if (clause := one.clauses.get(name))]
    texts = {(clause.title, clause.text, clause.level, clause.source) for clause in clauses}
    return Group(
        id=name,
        clause=clauses[0] if clauses else None,
        reworded=len(texts) > 1,
        changes=tuple(
            Change(names=tuple(map(parameters, cases)), **alike._asdict()) for alike, cases in changes.items()
        ),
    )


def _contrasts(old: Case | None, new: Case | None) -> tuple[Contrast, ...]:
    """The facts that aren't as expected in either, with what both saw."""
    before, now = (
        {(row.moment, row.name): row for row in evidence(case).rows} if case and case.outcome in JUDGED else {}
        for case in (old, new)
    )
    wrong = dict.fromkeys(
        key
        for case, rows in ((new, now), (old, before))
        if case and case.outcome == "FAIL"
        for key, row in rows.items()
        if row.mark == DIFFERS
    )
    found = []
    for key in wrong:
        was, is_now = before.get(key), now.get(key)
        row = is_now or was
        assert row
        stated = was.expected if was and was.expected != row.expected else ""
        found.append(
            Contrast(
                moment=row.moment,
                name=row.name,
                stated=stated,
                expected=row.expected,
                before=was.observed if was else NOTHING,
                now=is_now.observed if is_now else NOTHING,
            )
        )
    return tuple(found)


# What differs between the runs


def _kernel(before: Head, now: Head) -> Iterator[Difference]:
    for name in ("release", "version"):
        values = getattr(before.kernel, name), getattr(now.kernel, name)
        if values[0] != values[1]:
            yield Difference("kernel", name, *values)


def _others(before: Run, now: Run) -> Iterator[Difference]:
    """All but the kernel's release and build."""
    a, b = before.head, now.head
    single = [
        ("target", _engine(a.target), _engine(b.target)),
        ("implementation", a.kernel.implementation, b.kernel.implementation),
        ("machine", a.kernel.machine, b.kernel.machine),
        ("specification", a.specification[:12], b.specification[:12]),
        ("user", _user(before), _user(now)),
        ("processors", _number(a.cpus), _number(b.cpus)),
        ("waiting for what comes late", f"{a.quiescence_ms} ms", f"{b.quiescence_ms} ms"),
        ("arguments", _arguments(a.argv), _arguments(b.argv)),
    ]
    yield from (Difference(kind, "", was, is_now) for kind, was, is_now in single if was != is_now)
    if a.memory and b.memory and abs(a.memory - b.memory) > MEMORY * max(a.memory, b.memory):
        yield Difference("memory", "", *(f"{one.memory / 2**20:.0f} MiB" for one in (a, b) if one.memory))
    several: list[tuple[str, Mapping[str, str], Mapping[str, str]]] = [
        ("versions", a.versions, b.versions),
        ("sysctls", a.sysctls, b.sysctls),
        ("capabilities", _capabilities(a), _capabilities(b)),
    ]
    for kind, was, is_now in several:
        for name in dict.fromkeys([*was, *is_now]):
            values = was.get(name, NOT_THERE), is_now.get(name, NOT_THERE)
            if values[0] != values[1]:
                yield Difference(kind, name, *values)


def _capabilities(head: Head) -> dict[str, str]:
    return {name: "ok" if found.ok else "missing" for name, found in head.capabilities.items()}


def _engine(target: str) -> str:
    """A target without the kernel's series that it is named after: uml-6.1 and uml-6.12 are one way to run a kernel."""
    return re.sub(r"-\d+(\.\d+)+$", "", target)


def _number(value: int | None) -> str:
    return "not recorded" if value is None else str(value)


def _user(one: Run) -> str:
    """As whom the cases ran, as the first that tells saw it."""
    uids = (case.observed.uid for case in one.cases if case.observed)
    uid = next((uid for uid in uids if uid is not None), None)
    return "not recorded" if uid is None else "root" if uid == 0 else f"uid {uid}"


def _arguments(argv: Sequence[str]) -> str:
    """A command line but for what says where the record goes, what the target is called, and how much is printed."""
    kept, given = [], iter(argv)
    for argument in given:
        if argument in ("--record", "--target"):
            next(given, None)
        elif not re.fullmatch(r"--(record|target)=.*|-(q+|v+)", argument, re.DOTALL):
            kept.append(argument)
    return shlex.join(kept)


# In the terminal


def told(compared: Sequence[Comparison], alone: Sequence[str], columns: int, paint: Paint) -> Iterator[str]:
    """The comparisons line by line, what is worst nearest to the end, and the sums last."""
    for number, each in enumerate(compared):
        yield from [""] * bool(number)
        yield from _heading(each, columns, paint)
        for kind in reversed(CLASSES):
            if not (groups := each.groups[kind]):
                continue
            cases = each.counts[kind]
            title = f"{kind}: {cases} {'case' if cases == 1 else 'cases'}"
            yield from ("", paint(title, "bold", *([COLOURS[kind]] if kind in COLOURS else [])))
            if kind in (ADDED, REMOVED, INCOMPARABLE):
                yield from _by_words(groups, columns)
            else:
                for group in groups:
                    yield from _group_told(group, columns)
    legend = [kind for kind in CLASSES if any(each.counts[kind] for each in compared)]
    yield ""
    for kind in legend:
        yield from (paint(line, "dim") for line in fold(f"{kind}: {CLASSES[kind]}", columns, rest="    "))
    for each in compared:
        yield ""
        if len(compared) > 1:
            yield paint(one_line(each.now.head.target), "bold")
        yield from fold(one_line(each.why), columns)
        yield from fold(each.summary, columns)
        broken = bool(each.counts[BROKEN])
        yield from (paint(line, "bold", "red" if broken else "green") for line in fold(each.result, columns))
    if alone:
        yield ""
        yield from (line for sentence in alone for line in fold(one_line(sentence), columns))


def _heading(each: Comparison, columns: int, paint: Paint) -> Iterator[str]:
    for letter, one in (("A", each.before), ("B", each.now)):
        head = one.head
        ended = "" if one.finished else f", {one.end.reason if one.end else 'without an end'}"
        what = f"{head.target} · {head.kernel.implementation} {head.kernel.release} {head.kernel.machine}"
        ran = f"{executed(one)} executed of {len(head.planned)} planned{ended}; began {head.started}"
        yield from (paint(line, "bold") for line in fold(one_line(what), columns, f"{letter}  "))
        yield from fold(one_line(ran), columns, "   ")
    yield ""
    differences = (*each.kernel, *each.others)
    if not differences:
        return
    yield "What differs between the runs, from A to B:"
    for found in differences:
        label = f"{found.kind} {found.name}".strip()
        yield from fold(one_line(f"{label}: {found.before} → {found.now}"), columns, "  ", "      ")


def _by_words(groups: Sequence[Group], columns: int) -> Iterator[str]:
    """What is one and the same for many clauses, told once: a capability that one target lacks, for one."""
    alike: dict[tuple[str, str], list[tuple[Group, Change]]] = {}
    for group in groups:
        for change in group.changes:
            alike.setdefault((change.before, change.now), []).append((group, change))
    for words, members in alike.items():
        for letter, word in zip("AB", words, strict=True):
            yield from fold(word, columns, f"  {letter}  ")
        for group, change in members:
            yield from fold(one_line(f"{group.id}: {', '.join(change.names)}"), columns, "       ", "         ")


def _group_told(group: Group, columns: int) -> Iterator[str]:
    title = f": {group.clause.title}" if group.clause else ""
    yield from fold(one_line(f"{group.id}{title}"), columns, "  ", "    ")
    if group.reworded:
        yield from fold("the clause or its case isn't the same in A and B", columns, "    ")
    for change in group.changes:
        yield from fold(one_line(", ".join(change.names)), columns, "    ")
        yield from fold(change.before, columns, "      A  ")
        yield from fold(change.now, columns, "      B  ")
        if change.same_seen:
            yield from fold("the kernel did the same in both; what is expected of it changed", columns, " " * 9)
        told = [
            (
                f"at {seen.moment}, {seen.name}",
                [
                    ("expected", f"{seen.expected}; in A {seen.stated}" if seen.stated else seen.expected),
                    ("A saw", seen.before),
                    ("B saw", seen.now),
                ],
            )
            for seen in change.contrasts
        ]
        yield from facts(told, columns, " " * 9)
