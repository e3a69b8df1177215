"""What clauses measured of events: moment by moment the signals, what observers said, who slept or woke, what calls returned.

Owns which clauses are about an event and how what their cases showed is told together: cases with the same to show share it, and
kernels where they agree. What is shown was observed. Knows no form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from reports.evidence import parameters, say
from reports.fields import Json
from reports.lines import Case, Clause, Expected, Observed
from reports.matrix import Row, rows, together
from reports.record import Run
from reports.states import AS_POLL, AS_SELECT, Told, departing, is_state, mask_word, sets_word, told

SLEEPER = "sleeper"
"""The role whose facts say what each sleeping call came to."""

OBSERVERS = frozenset({"poll", "edge", *AS_POLL, *AS_SELECT})
RAN = ("PASS", "FAIL", "DONE")


class Masks(NamedTuple):
    """What the observers of one descriptor said: in short, empty where they weren't asked."""

    role: str
    poll: str
    edge: str
    departing: tuple[tuple[str, str], ...]


class Moment(NamedTuple):
    """All that was seen at one moment; `results` are facts by name, of calls and counters."""

    name: str
    signals: tuple[Told, ...]
    masks: tuple[Masks, ...]
    sleepers: tuple[tuple[str, str], ...]
    results: tuple[tuple[str, str], ...]


class Showing(NamedTuple):
    """What one case showed; `otherwise`: the kernel did otherwise than the clause says."""

    moments: tuple[Moment, ...]
    otherwise: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What the cases with these parameters showed on the runs at these places."""

    cases: tuple[str, ...]
    places: tuple[int, ...]
    showing: Showing


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A clause and all that was measured under it.

    `differs`: not all kernels that ran a case showed the same. `change`: nor was the same expected of them, or one failed.
    """

    clause: Clause
    reworded: bool
    groups: tuple[Group, ...]
    differs: bool
    change: bool

    @property
    def area(self) -> str:
        """The first part of the clause's id."""
        return self.clause.id.partition(".")[0]

    @property
    def document(self) -> str:
        """Where its case stands: the folder of its module."""
        return PurePosixPath(self.clause.module).parent.name

    def any(self, column: str) -> bool:
        """Whether any moment has `masks`, `sleepers` or `results`."""
        return any(getattr(moment, column) for group in self.groups for moment in group.showing.moments)

    def sequences(self) -> list[tuple[Told, ...]]:
        """The different sequences of signals that its cases got, from beginning to end."""
        return list(dict.fromkeys(_all_signals(group.showing) for group in self.groups))


def entries(runs: Sequence[Run]) -> list[Entry]:
    """The clauses that measured a state or an event: a signal came, an edge was told, or a sleeper was there."""
    return [entry for row in rows(runs) if row.clause and (entry := _entry(row, row.clause))]


def _entry(row: Row, clause: Clause) -> Entry | None:
    shown: dict[str, dict[int, Showing]] = {}
    stated: dict[str, list[Expected | None]] = {}
    for place, cell in enumerate(row.cells):
        for case in cell.cases:
            if case.observed and case.outcome in RAN:
                shown.setdefault(parameters(case), {})[place] = _showing(case, case.observed)
                stated.setdefault(parameters(case), []).append(case.expected)
    if not (shown and (is_state(clause.id) or any(map(_is_event, shown.values())))):
        return None
    alike: dict[tuple[tuple[int, Showing], ...], list[str]] = {}
    for name, seen in shown.items():
        alike.setdefault(tuple(seen.items()), []).append(name)
    differing = [name for name, seen in shown.items() if len(together(seen)) > 1]
    return Entry(
        clause=clause,
        reworded=row.differs,
        groups=tuple(
            Group(cases=tuple(names), places=tuple(places), showing=showing)
            for seen, names in alike.items()
            for showing, places in together(dict(seen))
        ),
        differs=bool(differing),
        change=any(
            any(expected != stated[name][0] for expected in stated[name])
            or any(showing.otherwise for showing in shown[name].values())
            for name in differing
        ),
    )


def _is_event(seen: Mapping[int, Showing]) -> bool:
    return any(
        moment.signals or moment.sleepers or any(masks.edge not in ("", mask_word(0)) for masks in moment.masks)
        for showing in seen.values()
        for moment in showing.moments
    )


def _all_signals(showing: Showing) -> tuple[Told, ...]:
    return tuple(signal for moment in showing.moments for signal in moment.signals)


def _showing(case: Case, observed: Observed) -> Showing:
    roles = observed.roles
    signals: dict[str, list[Told]] = {moment: [] for moment in observed.moments}
    for signal in observed.signals:
        signals.setdefault(signal.at, []).append(told(signal, observed, roles))
    kinds = case.expected.masks if case.expected else {}
    return Showing(
        moments=tuple(_moment(name, came, observed.moments.get(name, {}), kinds) for name, came in signals.items()),
        otherwise=case.outcome == "FAIL",
    )


def _moment(name: str, signals: Sequence[Told], facts: Mapping[str, Json], kinds: Mapping[str, str]) -> Moment:
    observers: dict[str, dict[str, Json]] = {}
    sleepers: list[tuple[str, str]] = []
    results: list[tuple[str, str]] = []
    for fact, value in facts.items():
        role, _, what = fact.partition(".")
        if role == SLEEPER and what:
            sleepers.append((what, _word(value, kinds.get(fact))))
        elif what in OBSERVERS:
            observers.setdefault(role, {})[what] = value
        elif not (what == "so_error" and value == 0):
            results.append((fact, _word(value, kinds.get(fact))))
    return Moment(
        name=name,
        signals=tuple(signals),
        masks=tuple(_masks(observers)),
        sleepers=tuple(sleepers),
        results=tuple(results),
    )


def _masks(observers: Mapping[str, Mapping[str, Json]]) -> Iterator[Masks]:
    for role, seen in observers.items():
        poll, edge = (mask_word(seen[name]) if name in seen else "" for name in ("poll", "edge"))
        yield Masks(role=role, poll=poll, edge=edge, departing=departing(seen))


def _word(value: Json, kind: str | None) -> str:
    if type(value) is int and kind in ("poll", "select"):
        return mask_word(value) if kind == "poll" else sets_word(value)
    text = say(value)
    return f"'{text.removeprefix('data:')}'" if text.startswith("data:") else text
