"""The tables of states in the terminal: what each observer, read, write and SO_ERROR said in each state that a run drove.

Owns how they are set in columns that fit. What the records say of states is `reports.states`; the handbook is the other form of it.
"""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from reports.commandline import add_records, read_records
from reports.decode import si_code, signal_name
from reports.matrix import ordered
from reports.record import RecordError, Run
from reports.states import NONE, SUBJECT, UNKNOWN, Row, State, Told, folded, kernels, mask_word, sets_word, states
from reports.visible import visible

HELP = "print the table of states: what each observer, read, write and SO_ERROR say in each"

NARROWEST, WIDEST = 80, 200
"""Columns of the terminal that a table is fitted to."""

COLUMNS = ("poll", "select", "epoll", "edge", "SIGIO", "read", "write", "SO_ERROR")
SAME = "="

LEGEND = (
    "IN stands for POLLIN and POLLRDNORM, OUT for POLLOUT and POLLWRNORM, WRB for POLLWRBAND. = says the same as poll, - nothing, "
    "? wasn't asked. select: r, w, x for its sets. edge: what edge-triggered epoll told since the socket was made or connected. "
    "SIGIO: the si_codes of the signals on the way into the state, in order, without POLL_; URG is SIGURG. "
    "read, write, SO_ERROR: what each came to."
)
OTHERWISE = "* The kernel did otherwise than the clause says."


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
    placed = ordered(runs)
    by_family = states(placed)
    if missing := [name for name in families or () if name not in by_family]:
        there = f"there are {', '.join(by_family)}" if by_family else "there are none at all"
        raise RecordError(visible(f"the records have no states of {missing[0]!r}; {there}"))
    if not by_family:
        yield "the records have no states: run the suites with --record, and with their cases of states"
        return
    labels = kernels(placed)
    chosen = {family: rows for family, rows in by_family.items() if not families or family in families}
    yield from textwrap.wrap(LEGEND, width)
    for names, rows in folded(chosen):
        yield ""
        yield from _table(names, rows, labels, width, clauses)
    if any(state.otherwise for rows in chosen.values() for row in rows for state in row.seen.values()):
        yield from ("", OTHERWISE)


def _cells(state: State) -> tuple[str, ...]:
    """What stands in the columns."""
    poll, epoll, edge = map(mask_word, (state.poll, state.epoll, state.edge))
    cells = (
        poll,
        sets_word(state.select),
        *(SAME if mask == poll and poll not in (NONE, UNKNOWN) else mask for mask in (epoll, edge)),
        " ".join(map(_signal, state.signals)) or NONE,
        state.read,
        f"{state.write} SIGPIPE" if state.broken else state.write,
        state.so_error,
    )
    return tuple(map(visible, cells))


def _signal(signal: Told) -> str:
    if not signal.armed:
        return signal_name(signal.signo).removeprefix("SIG")
    return si_code(signal.code).removeprefix("POLL_") + ("" if signal.role in ("", SUBJECT) else f"({signal.role})")


# How it is set


def _table(
    families: Sequence[str], rows: Sequence[Row], labels: Sequence[str], width: int, clauses: bool
) -> Iterator[str]:
    runs = sorted({number for row in rows for number in row.seen})
    heading = f"{visible(' and '.join(families))}, on {', '.join(labels[number] for number in runs)}"
    yield from textwrap.wrap(heading, width)
    lines: list[tuple[str, ...]] = [("state", *COLUMNS)]
    notes: dict[int, str] = {}
    for row in rows:
        lines += _split(row, runs, labels)
        notes[len(lines) - 1] = visible(f"{row.clause}: {row.title}" if row.title else row.clause)
    widths, gap = _fit(lines, width)
    yield from _set(lines[0], widths, gap)
    yield gap.join("-" * each for each in widths)
    for number, line in enumerate(lines[1:], 1):
        yield from _set(line, widths, gap)
        if clauses and number in notes:
            yield from textwrap.wrap(notes[number], width, initial_indent="    ", subsequent_indent="    ")


def _split(row: Row, runs: Sequence[int], labels: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """A line for all runs of the table, or one for each group of runs that agree, with their kernels named."""
    for state, places in row.groups():
        on = "" if places == list(runs) else f" on {', '.join(labels[place] for place in places)}"
        yield (f"{visible(row.name)}{on}{' *' if state.otherwise else ''}", *_cells(state))


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
