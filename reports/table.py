"""The table of states: what poll, select, epoll, SIGIO, read, write and SO_ERROR said in each state that a run drove.

Owns the terminal's form of it. A state is a case of a clause whose id begins with `state.`: its moment `state` has the observers,
and the signals up to there are what getting there sent; the facts `read` and `write` stand wherever they were asked. What is shown
was observed. Families with the same to show share a table, and a row is split where kernels differ.
"""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from reports.commandline import add_records, read_records
from reports.decode import POLL_BITS, SELECT_SETS, si_code, signal_name
from reports.evidence import parameters, say
from reports.lines import Case, Json, Observed, Signal
from reports.record import RecordError, Run
from reports.visible import visible

HELP = "print the table of states: what each observer, read, write and SO_ERROR say in each"

AREA = "state."
MOMENT = "state"
SUBJECT = "socket"
NARROWEST, WIDEST = 80, 200
"""Columns of the terminal that a table is fitted to."""

COLUMNS = ("poll", "select", "epoll", "edge", "SIGIO", "read", "write", "SO_ERROR")
PAIRS = {"IN": ("POLLIN", "POLLRDNORM"), "OUT": ("POLLOUT", "POLLWRNORM"), "WRB": ("POLLWRBAND",)}
SAME, NONE, UNKNOWN = "=", "-", "?"

LEGEND = (
    "IN stands for POLLIN and POLLRDNORM, OUT for POLLOUT and POLLWRNORM, WRB for POLLWRBAND. = says the same as poll, - nothing, "
    "? wasn't asked. select: r, w, x for its sets. edge: what edge-triggered epoll told since the socket was made or connected. "
    "SIGIO: the si_codes of the signals on the way into the state, in order, without POLL_; URG is SIGURG. "
    "read, write, SO_ERROR: what each came to."
)
OTHERWISE = "* The kernel did otherwise than the clause says."


class Cells(NamedTuple):
    """What one run showed of one state."""

    values: tuple[str, ...]
    otherwise: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One state of a family, and what each run that drove it showed, by the run's number."""

    name: str
    clause: str
    title: str
    seen: Mapping[int, Cells]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--family", action="append", metavar="NAME", help="only this family; may be given again")
    parser.add_argument("--clauses", action="store_true", help="name the clause of each row, and say it in words")
    add_records(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the tables; 0. Raises RecordError."""
    width = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
    for line in tables(read_records(arguments), width, arguments.family, arguments.clauses):
        print(line)
    return 0


def tables(
    runs: Sequence[Run], width: int, families: Sequence[str] | None = None, clauses: bool = False
) -> Iterator[str]:
    """The tables line by line. Raises RecordError where a family is asked for of which there is none."""
    by_family = _rows(runs)
    if missing := [name for name in families or () if name not in by_family]:
        there = f"there are {', '.join(by_family)}" if by_family else "there are none at all"
        raise RecordError(visible(f"the records have no states of {missing[0]!r}; {there}"))
    if not by_family:
        yield "the records have no states: run the suites with --record, and with their cases of states"
        return
    labels = _labels(runs)
    shared: dict[tuple[object, ...], list[str]] = {}
    for family, rows in by_family.items():
        if not families or family in families:
            shown = tuple((row.name, tuple(row.seen.items())) for row in rows)
            shared.setdefault(shown, []).append(family)
    yield from textwrap.wrap(LEGEND, width)
    for names in shared.values():
        yield ""
        yield from _table(names, by_family[names[0]], labels, width, clauses)
    if any(cells.otherwise for rows in by_family.values() for row in rows for cells in row.seen.values()):
        yield from ("", OTHERWISE)


def _labels(runs: Sequence[Run]) -> list[str]:
    """What each run's kernel is called: its release, where need be with its target, and where need be with the run's number."""
    releases = [one.head.kernel.release for one in runs]
    targets = [f"{one.head.target} {release}" for one, release in zip(runs, releases, strict=True)]
    numbered = [f"{target} (run {number})" for number, target in enumerate(targets, 1)]
    labels = next(labels for labels in (releases, targets, numbered) if len(set(labels)) == len(runs))
    return [visible(label) for label in labels]


# What the records say


def _rows(runs: Sequence[Run]) -> dict[str, list[Row]]:
    """The states of each family, in the order in which the runs name them."""
    found: dict[str, dict[tuple[str, str], dict[int, Cells]]] = {}
    titles: dict[str, str] = {}
    for number, one in enumerate(runs):
        for case in one.cases:
            if not (case.clause and case.clause.startswith(AREA) and case.family and case.observed):
                continue
            if MOMENT not in case.observed.moments:
                continue
            if clause := one.clauses.get(case.clause):
                titles.setdefault(clause.id, clause.title)
            variant = parameters(case).removeprefix(case.family).removeprefix("-")
            states = found.setdefault(visible(case.family), {})
            states.setdefault((case.clause, variant), {})[number] = _cells(case, case.observed)
    return {
        family: [
            Row(name=_name(clause, variant), clause=visible(clause), title=visible(titles.get(clause, "")), seen=seen)
            for (clause, variant), seen in states.items()
        ]
        for family, states in found.items()
    }


def _name(clause: str, variant: str) -> str:
    """A state by the last part of its clause's id."""
    return visible(f"{clause.rpartition('.')[2]} {variant}".replace("_", " ").strip())


def _cells(case: Case, observed: Observed) -> Cells:
    state = observed.moments[MOMENT]
    poll, epoll, edge = (_mask(state.get(f"{SUBJECT}.{observer}")) for observer in ("poll", "epoll", "edge"))
    values = (
        poll,
        _sets(state.get(f"{SUBJECT}.select")),
        *(SAME if mask == poll and poll not in (NONE, UNKNOWN) else mask for mask in (epoll, edge)),
        _signals(observed),
        _outcome("read", observed),
        _outcome("write", observed),
        _fact(state.get(f"{SUBJECT}.so_error")),
    )
    return Cells(values=tuple(map(visible, values)), otherwise=case.outcome == "FAIL")


def _mask(mask: Json) -> str:
    if type(mask) is not int:
        return UNKNOWN
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


def _sets(mask: Json) -> str:
    if type(mask) is not int:
        return UNKNOWN
    return "".join(name[0] if name != "except" else "x" for name, bit in SELECT_SETS.items() if mask & bit) or NONE


def _signals(observed: Observed) -> str:
    """The signals up to the state's moment."""
    moments = list(observed.moments)
    before = moments[: moments.index(MOMENT) + 1]
    return " ".join(_signal(signal, observed) for signal in observed.signals if signal.at in before) or NONE


def _signal(signal: Signal, observed: Observed) -> str:
    if signal.signo != observed.signal:
        return signal_name(signal.signo).removeprefix("SIG")
    roles = {number: role for role, number in observed.descriptors.items()}
    role = roles.get(signal.fd, str(signal.fd))
    return si_code(signal.code).removeprefix("POLL_") + ("" if role == SUBJECT else f"({role})")


def _outcome(call: str, observed: Observed) -> str:
    """What a call came to, with SIGPIPE where a write was answered with it."""
    for moment, facts in observed.moments.items():
        if call in facts:
            broken = [signal_name(signal.signo) for signal in observed.signals if signal.at == moment]
            pipe = " SIGPIPE" if call == "write" and "SIGPIPE" in broken else ""
            return _fact(facts[call]) + pipe
    return UNKNOWN


def _fact(value: Json) -> str:
    if value is None:
        return UNKNOWN
    text = say(value)
    return f"'{text.removeprefix('data:')}'" if text.startswith("data:") else text


# How it is set


def _table(
    families: Sequence[str], rows: Sequence[Row], labels: Sequence[str], width: int, clauses: bool
) -> Iterator[str]:
    runs = sorted({number for row in rows for number in row.seen})
    heading = f"{' and '.join(families)}, on {', '.join(labels[number] for number in runs)}"
    yield from textwrap.wrap(heading, width)
    lines: list[tuple[str, ...]] = [("state", *COLUMNS)]
    notes: dict[int, str] = {}
    for row in rows:
        lines += _split(row, runs, labels)
        notes[len(lines) - 1] = f"{row.clause}: {row.title}" if row.title else row.clause
    widths, gap = _fit(lines, width)
    yield from _set(lines[0], widths, gap)
    yield gap.join("-" * each for each in widths)
    for number, line in enumerate(lines[1:], 1):
        yield from _set(line, widths, gap)
        if clauses and number in notes:
            yield from textwrap.wrap(notes[number], width, initial_indent="    ", subsequent_indent="    ")


def _split(row: Row, runs: Sequence[int], labels: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """A line for all runs of the table, or one for each group of runs that agree, with their kernels named."""
    groups: dict[Cells, list[int]] = {}
    for number, cells in row.seen.items():
        groups.setdefault(cells, []).append(number)
    for cells, numbers in groups.items():
        kernels = "" if numbers == list(runs) else f" on {', '.join(labels[number] for number in numbers)}"
        yield (f"{row.name}{kernels}{' *' if cells.otherwise else ''}", *cells.values)


def _fit(lines: Sequence[Sequence[str]], width: int) -> tuple[list[int], str]:
    """The widths of the columns, and what stands between them: as wide as they like to be, else the widest gives way first."""
    columns = list(zip(*lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    least = [max(len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    gap = "  " if sum(least) + 2 * (len(columns) - 1) <= width else " "
    room = width - len(gap) * (len(columns) - 1)
    while sum(widths) > room:
        yielding = [number for number, each in enumerate(widths) if each > least[number]] or range(len(widths))
        widths[max(yielding, key=widths.__getitem__)] -= 1
    return widths, gap


def _set(line: Sequence[str], widths: Sequence[int], gap: str) -> Iterator[str]:
    """The cells of a line beside each other, folded at spaces."""
    folded = [
        textwrap.wrap(cell, each, subsequent_indent=" " if number == 0 and each > 1 else "", break_on_hyphens=False)
        for number, (cell, each) in enumerate(zip(line, widths, strict=True))
    ]
    for parts in zip_longest(*folded, fillvalue=""):
        yield gap.join(part.ljust(each) for part, each in zip(parts, widths, strict=True)).rstrip()
