"""What runs showed of each socket state: the masks, signals and results that stand in their records, and words for them.

Owns how states are read out of records, which of them are told together, and the short words for masks and signals. The tables
in the terminal and the handbook are forms of it. A state is a case of a clause whose id begins with `state.`: its moment `state`
has the observers, and the signals up to there are what getting there sent; `read` and `write` stand wherever they were asked.
What is shown was observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reports.decode import POLL_BITS, SELECT_SETS, si_code, signal_name
from reports.evidence import parameters, say
from reports.fields import Json
from reports.lines import Case, Observed, Signal
from reports.matrix import together
from reports.record import Run
from reports.visible import visible

AREA = "state."
MOMENT = "state"
SUBJECT = "socket"

PAIRS = {"IN": ("POLLIN", "POLLRDNORM"), "OUT": ("POLLOUT", "POLLWRNORM"), "WRB": ("POLLWRBAND",)}
"""Short words for poll's bits that come together, and for the longest one."""

READABLE, WRITABLE, EXCEPTIONAL = 0x0001 | 0x0040 | 0x0080 | 0x0010 | 0x0008, 0x0004 | 0x0100 | 0x0200 | 0x0008, 0x0002
"""What of a poll mask puts a descriptor into each of select's sets (fs/select.c)."""

NONE, UNKNOWN = "-", "?"

AS_POLL, AS_SELECT = ("epoll", "ppoll", "io_uring", "aio"), ("select", "pselect")
"""Observers of the level that ask as poll does, and those that have sets."""


class Told(NamedTuple):
    """A signal as who gets it sees it. `armed`: it is the one that F_SETSIG set; `role`: whose number si_fd is, if any's."""

    armed: bool
    signo: int
    code: int
    band: int
    role: str


class State(NamedTuple):
    """What one run showed of one state; None where it wasn't asked.

    `departing` are observers that said otherwise than poll, or select, and what; `otherwise`: the kernel did otherwise than the
    clause says.
    """

    poll: Json
    select: Json
    epoll: Json
    edge: Json
    departing: tuple[tuple[str, str], ...]
    signals: tuple[Told, ...]
    read: str
    write: str
    broken: bool
    so_error: str
    otherwise: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One state of a family, and what each run that drove it showed, by the run's place."""

    name: str
    clause: str
    variant: str
    title: str
    seen: Mapping[int, State]

    def groups(self) -> list[tuple[State, list[int]]]:
        """The runs that showed the same, in their order."""
        return together(self.seen)


def states(runs: Sequence[Run]) -> dict[str, list[Row]]:
    """The states of each family, in the order in which the runs name them."""
    found: dict[str, dict[tuple[str, str], dict[int, State]]] = {}
    titles: dict[str, str] = {}
    for place, run in enumerate(runs):
        for case in run.cases:
            if not (is_state(case.clause) and case.family and case.observed and MOMENT in case.observed.moments):
                continue
            clause = str(case.clause)
            if described := run.clauses.get(clause):
                titles.setdefault(clause, described.title)
            variant = parameters(case).removeprefix(case.family).removeprefix("-")
            found.setdefault(case.family, {}).setdefault((clause, variant), {})[place] = _state(case, case.observed)
    return {
        family: [
            Row(
                name=_name(clause, variant),
                clause=clause,
                variant=variant,
                title=titles.get(clause, ""),
                seen=seen,
            )
            for (clause, variant), seen in rows.items()
        ]
        for family, rows in found.items()
    }


def is_state(clause: str | None) -> bool:
    """Whether a clause is about a state."""
    return clause is not None and clause.startswith(AREA)


def folded(by_family: Mapping[str, Sequence[Row]]) -> list[tuple[list[str], Sequence[Row]]]:
    """The families that show the same in all states, together, and their rows as the first of them has them."""
    shared: dict[tuple[object, ...], list[str]] = {}
    for family, rows in by_family.items():
        shown = tuple((row.name, tuple(row.seen.items())) for row in rows)
        shared.setdefault(shown, []).append(family)
    return [(names, by_family[names[0]]) for names in shared.values()]


def kernels(runs: Sequence[Run]) -> list[str]:
    """What each run's kernel is called: its release, where need be with its target, and where need be with the run's number."""
    releases = [one.head.kernel.release for one in runs]
    targets = [f"{one.head.target} {release}" for one, release in zip(runs, releases, strict=True)]
    numbered = [f"{target} (run {number})" for number, target in enumerate(targets, 1)]
    labels = next(labels for labels in (releases, targets, numbered) if len(set(labels)) == len(runs))
    return [visible(label) for label in labels]


def _name(clause: str, variant: str) -> str:
    """A state by the last part of its clause's id."""
    return f"{clause.rpartition('.')[2]} {variant}".replace("_", " ").strip()


def _state(case: Case, observed: Observed) -> State:
    seen = {
        fact.removeprefix(f"{SUBJECT}."): value
        for fact, value in observed.moments[MOMENT].items()
        if fact.startswith(f"{SUBJECT}.")
    }
    moments = list(observed.moments)
    before = moments[: moments.index(MOMENT) + 1]
    roles = observed.roles
    wrote = next((moment for moment, facts in observed.moments.items() if "write" in facts), None)
    return State(
        poll=seen.get("poll"),
        select=seen.get("select"),
        epoll=seen.get("epoll"),
        edge=seen.get("edge"),
        departing=departing(seen),
        signals=tuple(told(signal, observed, roles) for signal in observed.signals if signal.at in before),
        read=_outcome("read", observed.moments.values()),
        write=_outcome("write", observed.moments.values()),
        broken=any(signal.at == wrote and signal_name(signal.signo) == "SIGPIPE" for signal in observed.signals),
        so_error=_fact(seen.get("so_error")),
        otherwise=case.outcome == "FAIL",
    )


def _outcome(call: str, moments: Iterable[Mapping[str, Json]]) -> str:
    """What a call came to."""
    return next((_fact(facts[call]) for facts in moments if call in facts), UNKNOWN)


def _fact(value: Json) -> str:
    if value is None:
        return UNKNOWN
    text = say(value)
    return f"'{text.removeprefix('data:')}'" if text.startswith("data:") else text


# What is told, and its words


def departing(seen: Mapping[str, Json]) -> tuple[tuple[str, str], ...]:
    """The observers among those of one descriptor that say otherwise than poll does, and what; all where poll wasn't asked."""
    poll = seen.get("poll")
    level = poll if type(poll) is int else None
    return tuple(
        [(name, mask_word(seen[name])) for name in AS_POLL if name in seen and (level is None or seen[name] != poll)]
        + [
            (name, sets_word(seen[name]))
            for name in AS_SELECT
            if name in seen and (level is None or seen[name] != selected(level))
        ]
    )


def selected(poll: int) -> int:
    """The sets of select that a poll mask amounts to."""
    return sum(
        bit for bit, bits in zip(SELECT_SETS.values(), (READABLE, WRITABLE, EXCEPTIONAL), strict=True) if poll & bits
    )


def told(signal: Signal, observed: Observed, roles: Mapping[int, str]) -> Told:
    """A signal without what differs from run to run."""
    return Told(
        armed=signal.signo == observed.signal,
        signo=signal.signo,
        code=signal.code,
        band=signal.band,
        role=roles.get(signal.fd, str(signal.fd)) if signal.fd else "",
    )


def mask_word(mask: Json) -> str:
    """A poll mask in short, "IN OUT HUP"."""
    if type(mask) is not int:
        return UNKNOWN if mask is None else say(mask)
    words, rest = [], mask
    for word, names in PAIRS.items():
        bits = sum(POLL_BITS[name] for name in names)
        if mask & bits == bits:
            words.append(word)
            rest &= ~bits
    known = {name: bit for name, bit in POLL_BITS.items() if rest & bit}
    paired = {name for names in PAIRS.values() for name in names}
    words += [name if name in paired else name.removeprefix("POLL") for name in known]
    rest &= ~sum(known.values())
    return " ".join([*words, hex(rest)] if rest else words) or NONE


def sets_word(mask: Json) -> str:
    """Select's sets in short, "rw"."""
    if type(mask) is not int:
        return UNKNOWN if mask is None else say(mask)
    return "".join(name[0] if name != "except" else "x" for name, bit in SELECT_SETS.items() if mask & bit) or NONE


def code_word(signal: Told) -> str:
    """A signal by its si_code where it is the one that was set, else by its name and the si_code of an event, if it has one."""
    code = si_code(signal.code)
    if signal.armed:
        return code
    return f"{signal_name(signal.signo)} {code}" if code.startswith("POLL_") else signal_name(signal.signo)
