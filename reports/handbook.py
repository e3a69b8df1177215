"""The handbook: one HTML page of what each socket state and event was measured to say, for an author of an event loop.

Owns what the page tells and in which order, and what follows from the states: where observers disagree, and which states give an
answer. All of it is worked out from the records; nothing is known beforehand. How it looks is `templates/handbook.html`.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from reports.commandline import add_records, read_records
from reports.decode import POLL_BITS, SELECT_SETS, si_code, signal_name
from reports.events import Entry, entries
from reports.fields import Json
from reports.matrix import executed
from reports.pages import anchor, fill, stands, write_page
from reports.record import Run
from reports.states import (
    NONE,
    SUBJECT,
    UNKNOWN,
    Row,
    State,
    Told,
    code_word,
    folded,
    is_state,
    kernels,
    mask_word,
    sets_word,
    states,
)

HELP = "make the handbook: what each state and event says to poll, select, epoll, SIGIO, read, write and SO_ERROR"

SAME = "="
TIMES = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}"

IN, OUT, PRI, ERR, HUP, RDHUP = (POLL_BITS[f"POLL{name}"] for name in ("IN", "OUT", "PRI", "ERR", "HUP", "RDHUP"))
NEWS = IN | PRI | ERR | HUP | RDHUP
"""What a poll mask may tell besides room to write."""


class Line(NamedTuple):
    """A row of a table of states: what the kernels that agree showed. `changed`: which cells aren't the oldest kernel's."""

    row: Row
    kernels: str
    cells: tuple[str, ...]
    changed: tuple[bool, ...]
    otherwise: bool
    first: bool


class Table(NamedTuple):
    """The states of families that show the same, and the kernels that showed any of them, if not all did."""

    families: tuple[str, ...]
    kernels: str
    lines: tuple[Line, ...]


class Place(NamedTuple):
    """Where something holds among the states of some families: each state, and its kernels if not all that showed it."""

    families: tuple[str, ...]
    rows: tuple[tuple[Row, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that was looked for in all states, and where it holds."""

    words: str
    places: tuple[Place, ...]

    @property
    def count(self) -> int:
        """In how many states; that of two families are two."""
        return sum(len(place.families) * len(place.rows) for place in self.places)


class Siginfo(NamedTuple):
    """The fields of a signal in words; what differs from run to run is named, not numbered."""

    signal: str
    code: str
    band: str
    fd: str
    errno: str
    pid: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("out", type=Path, metavar="OUT.html", help="the page; replaced only if it is HTML")
    parser.add_argument(
        "--report", metavar="FILE.html", help="link each entry to its clause in this page of the same records"
    )
    add_records(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the page; 0. Raises RecordError and OutputError."""
    write_page(arguments.out, render(read_records(arguments), arguments.report))
    return 0


def render(runs: Sequence[Run], report: str | None = None) -> str:
    """The page as text. The same runs give the same text. `report` is the address of the page that entries link to."""
    placed = [stand.run for stand in stands(runs)]
    labels = kernels(placed)
    words = _Words(labels=labels, usual=_usual_bands(placed))
    tables = folded(states(placed))
    described = entries(placed)
    return fill(
        "handbook.html",
        kernels=[(label, one, executed(one)) for label, one in zip(labels, placed, strict=True)],
        clauses=len({name for one in placed for name in one.clauses}),
        siginfos=_siginfos(placed, words),
        tables=[_table(families, rows, words) for families, rows in tables],
        findings=list(_findings(tables, words)),
        answers=list(_answers(tables, words)),
        entries=described,
        documents=_documents([entry for entry in described if not is_state(entry.clause.id)]),
        state_entries=[entry for entry in described if is_state(entry.clause.id)],
        words=words,
        state_anchor=_state_anchor,
        report=quote(report) if report else "",
        subject=SUBJECT,
        nothing=NONE,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """How signals and kernels are told here: a band only where it isn't the usual one, kernels only where not all are meant."""

    labels: Sequence[str]
    usual: Mapping[int, int]

    def signals(self, signals: Sequence[Told]) -> str:
        """Signals in order, with a count for those that repeat."""
        repeated = ((self._signal(signal), len(list(same))) for signal, same in groupby(signals))
        return ", ".join(word if count == 1 else f"{count}{TIMES}{word}" for word, count in repeated) or NONE

    def _signal(self, signal: Told) -> str:
        role = f" of {signal.role}" if signal.role not in ("", SUBJECT) else ""
        unusual = signal.armed and signal.band != self.usual.get(signal.code)
        return f"{code_word(signal)}{role}{f' with band {mask_word(signal.band)}' if unusual else ''}"

    def kernels(self, places: Sequence[int], among: Sequence[int] | None = None) -> str:
        """The kernels at these places, empty if they are all; three or more that follow each other as a span."""
        everywhere = list(range(len(self.labels)) if among is None else among)
        if list(places) == everywhere:
            return ""
        first = everywhere.index(places[0])
        if len(places) > 2 and list(places) == everywhere[first : first + len(places)]:
            return f"{self.labels[places[0]]} to {self.labels[places[-1]]}"
        return ", ".join(self.labels[place] for place in places)

    def gist(self, entry: Entry) -> str:
        """The signals of an entry in a few words: a sequence that all its cases got, or which signals some got."""
        sequences = entry.sequences()
        if len(sequences) == 1:
            return self.signals(sequences[0]) if sequences[0] else "no signal"
        some = dict.fromkeys(code_word(signal) for sequence in sequences for signal in sequence)
        return f"differs: {', '.join([*some, *(['none'] if () in sequences else [])])}"


# States


def _table(families: Sequence[str], rows: Sequence[Row], words: _Words) -> Table:
    places = sorted({place for row in rows for place in row.seen})
    return Table(
        families=tuple(families),
        kernels=words.kernels(places),
        lines=tuple(line for row in rows for line in _lines(row, places, words)),
    )


def _lines(row: Row, places: Sequence[int], words: _Words) -> Iterator[Line]:
    oldest: tuple[str, ...] = ()
    for state, those in row.groups():
        cells = _cells(state, words)
        oldest = oldest or cells
        yield Line(
            row=row,
            kernels=words.kernels(those, places),
            cells=cells,
            changed=tuple(cell != before for cell, before in zip(cells, oldest, strict=True)),
            otherwise=state.otherwise,
            first=cells is oldest,
        )


def _cells(state: State, words: _Words) -> tuple[str, ...]:
    """What stands in the columns, `SAME` where epoll says what poll says."""
    poll, epoll, edge = map(mask_word, (state.poll, state.epoll, state.edge))
    others = [f"{name} {said}" for name, said in state.departing if name not in ("select", "epoll")]
    level, edges = (SAME if mask == poll and poll not in (NONE, UNKNOWN) else mask for mask in (epoll, edge))
    return (
        poll,
        sets_word(state.select),
        ", ".join([level, *others]),
        edges,
        words.signals(state.signals),
        state.read,
        f"{state.write} SIGPIPE" if state.broken else state.write,
        state.so_error,
    )


def _state_anchor(row: Row, family: str) -> str:
    """The id of a state's row, which doesn't depend on what the family shares its table with."""
    return anchor(f"{row.clause}@{family}{f'-{row.variant}' if row.variant else ''}")


# What follows from the states


def _findings(tables: Sequence[tuple[Sequence[str], Sequence[Row]]], words: _Words) -> Iterator[Finding]:
    """What an event loop may stumble over, each looked for in every state of every family on every kernel."""
    for sentence, holds in CONCLUSIONS.items():
        yield Finding(words=sentence, places=_where(tables, holds, words))


def _where(
    tables: Sequence[tuple[Sequence[str], Sequence[Row]]], holds: Callable[[State], bool], words: _Words
) -> tuple[Place, ...]:
    found = []
    for families, rows in tables:
        held = [(row, [place for place, state in row.seen.items() if holds(state)]) for row in rows]
        if there := [(row, words.kernels(places, list(row.seen))) for row, places in held if places]:
            found.append(Place(families=tuple(families), rows=tuple(there)))
    return tuple(found)


def _bits(mask: Json) -> int:
    return mask if type(mask) is int else 0


def _failed(result: str) -> bool:
    """Whether a call came to an errno."""
    return re.fullmatch("E[A-Z0-9]+", result) is not None


CONCLUSIONS: Mapping[str, Callable[[State], bool]] = {
    "poll tells of input, an error or a hang-up, and no signal had come.": lambda state: (
        bool(_bits(state.poll) & NEWS) and not state.signals
    ),
    "A signal had come, and poll has none of the bits of its si_band.": lambda state: (
        type(state.poll) is int and any(signal.band and not signal.band & state.poll for signal in state.signals)
    ),
    "Edge-triggered epoll told nothing, and level-triggered epoll does.": lambda state: (
        state.edge == 0 and bool(_bits(state.epoll))
    ),
    "Edge-triggered epoll told something else than level-triggered epoll.": lambda state: (
        bool(_bits(state.edge)) and type(state.epoll) is int and state.edge != state.epoll
    ),
    "poll has bits, and select has the socket in none of its sets.": lambda state: (
        bool(_bits(state.poll)) and state.select == 0
    ),
    "select says readable, and poll doesn't say IN: it is an error or a hang-up.": lambda state: (
        bool(_bits(state.select) & SELECT_SETS["read"]) and type(state.poll) is int and not state.poll & IN
    ),
    "select, pselect, epoll, ppoll, io_uring or AIO said otherwise than poll's bits.": lambda state: (
        bool(state.departing) and type(state.poll) is int
    ),
    "poll says IN, and read fails.": lambda state: bool(_bits(state.poll) & IN) and _failed(state.read),
    "poll says OUT, and write fails.": lambda state: bool(_bits(state.poll) & OUT) and _failed(state.write),
    "write raises SIGPIPE besides.": lambda state: state.broken,
    "read says that the stream has ended (0), and poll says neither RDHUP nor HUP.": lambda state: (
        state.read == "0" and type(state.poll) is int and not state.poll & (RDHUP | HUP)
    ),
    "poll says ERR, and SO_ERROR has no error.": lambda state: bool(_bits(state.poll) & ERR) and state.so_error == "0",
    "SO_ERROR has an error, and poll doesn't say ERR.": lambda state: (
        _failed(state.so_error) and type(state.poll) is int and not state.poll & ERR
    ),
}
"""What is looked for in each state, and the sentence that says so where it is found."""


def _answers(
    tables: Sequence[tuple[Sequence[str], Sequence[Row]]], words: _Words
) -> Iterator[tuple[str, list[Finding]]]:
    """For each thing that an observer or a call can say: which states have it say that."""
    every = [state for _, rows in tables for row in rows for state in row.seen.values()]
    for asked, answers in ANSWERS.items():
        there = dict.fromkeys(answer for state in every for answer in answers(state))
        findings = [
            Finding(words=answer, places=_where(tables, partial(_answered, answers, answer), words))
            for answer in sorted(there)
        ]
        if findings:
            yield asked, findings


def _answered(answers: Callable[[State], Sequence[str]], answer: str, state: State) -> bool:
    return answer in answers(state)


def _said(word: str) -> list[str]:
    return [] if word == UNKNOWN else word.split()


ANSWERS: Mapping[str, Callable[[State], Sequence[str]]] = {
    "poll": lambda state: _said(mask_word(state.poll)),
    "select": lambda state: _said(" ".join(sets_word(state.select))),
    "edge-triggered epoll": lambda state: _said(mask_word(state.edge)),
    "signals": lambda state: [code_word(signal) for signal in state.signals] or [NONE],
    "read": lambda state: [state.read] if _failed(state.read) or state.read == "0" else [],
    "write": lambda state: [state.write] if _failed(state.write) else [],
    "SO_ERROR": lambda state: [state.so_error] if _failed(state.so_error) else [],
}
"""Who is asked in a state, and the words of what it said."""


# Signals


def _usual_bands(runs: Sequence[Run]) -> dict[int, int]:
    """The si_band that came most often with each si_code of an armed signal."""
    seen: Counter[tuple[int, int]] = Counter()
    for one in runs:
        for case in one.cases:
            if case.observed:
                seen.update((s.code, s.band) for s in case.observed.signals if s.signo == case.observed.signal)
    return {code: band for (code, band), _ in reversed(seen.most_common())}


def _siginfos(runs: Sequence[Run], words: _Words) -> list[tuple[Siginfo, int, str]]:
    """Every siginfo that came, how often, and on which kernels if not on all; the most frequent first."""
    seen: Counter[Siginfo] = Counter()
    places: dict[Siginfo, dict[int, None]] = {}
    for place, one in enumerate(runs):
        for case in one.cases:
            if not (case.observed and case.observed.signals):
                continue
            roles = case.observed.roles
            for signal in case.observed.signals:
                armed = signal.signo == case.observed.signal
                info = Siginfo(
                    signal="as set by F_SETSIG" if armed else signal_name(signal.signo),
                    code=si_code(signal.code),
                    band=mask_word(signal.band),
                    fd="the descriptor" if signal.fd in roles else str(signal.fd),
                    errno=str(signal.errno),
                    pid="self" if signal.pid and signal.pid == case.observed.pid else "another" if signal.pid else "0",
                )
                seen[info] += 1
                places.setdefault(info, {})[place] = None
    return [(info, count, words.kernels(list(places[info]))) for info, count in seen.most_common()]


# Events


def _documents(described: Sequence[Entry]) -> list[tuple[str, list[tuple[str, list[Entry]]]]]:
    """The entries of each document by area. Areas are sorted, to be looked up; all else is in the records' order."""
    documents: dict[str, dict[str, list[Entry]]] = {}
    for entry in described:
        documents.setdefault(entry.document, {}).setdefault(entry.area, []).append(entry)
    return [(document, sorted(areas.items())) for document, areas in documents.items()]
