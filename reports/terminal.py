"""What all that prints for people shares: how wide lines are, where they are folded, facts side by side, and colour.

Text of a record has to pass through `visible` before it is folded here. Colour only repeats what words say.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal, TextIO

from reports.evidence import DIFFERS, evidence
from reports.lines import Case
from reports.matrix import RECORDED, rank_of
from reports.visible import one_line, visible

NARROWEST, WIDEST = 80, 110
"""Columns of the terminal that lines are folded at."""

FACTS = 12
"""How many facts are printed at one place; a page has all of them."""

Style = Literal["bold", "dim", "red", "green", "yellow"]

_CODES: dict[Style, int] = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33}


def width() -> int:
    """How many columns lines may have: the terminal's, within reason; 80 where there is none."""
    return min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)


def coloured(stream: TextIO | None = None) -> bool:
    """Whether a stream, standard output if none is named, is shown in colour: a terminal, and NO_COLOR isn't set."""
    return (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR")


class Paint:
    """Colours text, or leaves it as it is."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, text: str, *styles: Style) -> str:
        if not self._on or not styles:
            return text
        return f"\x1b[{';'.join(str(_CODES[style]) for style in styles)}m{text}\x1b[0m"


class _Folder(textwrap.TextWrapper):
    """A mask, `POLLIN|POLLRDNORM`, may be folded between its bits."""

    wordsep_simple_re = re.compile(r"([\t\n\r\f\v ]+|(?<=\|))")


def fold(text: str, columns: int, first: str = "", rest: str | None = None) -> list[str]:
    """The lines of a text: `first` stands before the first, `rest` before the others (default: as many blanks)."""
    following = " " * len(first) if rest is None else rest
    folder = _Folder(
        columns, initial_indent=first, subsequent_indent=following, break_on_hyphens=False, drop_whitespace=True
    )
    return folder.wrap(text) or [first.rstrip()]


def facts(told: Sequence[tuple[str, Sequence[tuple[str, str]]]], columns: int, indent: str) -> Iterator[str]:
    """What each fact is called, and below it its values, each with a word for what it is: what was expected, what was seen."""
    for name, values in told[:FACTS]:
        yield from fold(one_line(name), columns, indent, f"{indent}  ")
        for word, value in values:
            yield from fold(one_line(value), columns, f"{indent}  {word:8}  ")
    if len(told) > FACTS:
        yield f"{indent}and {len(told) - FACTS} facts more"


def differing(case: Case, columns: int, indent: str) -> Iterator[str]:
    """The facts of a case that aren't as expected: what was expected, and below it what was seen."""
    yield from facts(
        [
            (f"at {row.moment}, {row.name}", [("expected", row.expected), ("observed", row.observed)])
            for row in evidence(case).rows
            if row.mark == DIFFERS
        ],
        columns,
        indent,
    )


def said(case: Case) -> str:
    """A case in a line: its outcome, and its verdict or the last line of its reason."""
    rank = rank_of(case)
    why = one_line(case.verdict or case.reason.strip().rpartition("\n")[2])
    cause = f" ({one_line(case.deviation.cause)})" if case.deviation else ""
    return f"{'FAIL, recorded' if rank == RECORDED else rank}{cause}{': ' if why else ''}{why}"


def failure(case: Case, whole: bool = True) -> Iterator[str]:
    """A failure in lines: the case and its verdict; the `whole` of it has expected beside observed, and how to see it again."""
    columns = width()
    yield f"{case.outcome}  {one_line(case.case)}"
    if case.outcome == "ERROR" and whole:
        for line in visible(case.reason).split("\n"):
            yield from fold(line.strip(), columns, " " * (2 + len(line) - len(line.lstrip())))
    else:
        yield from fold(said(case).partition(": ")[2], columns, "  ")
    if whole:
        if case.outcome == "FAIL" and case.verdict and case.reason:
            yield from fold(one_line(case.reason), columns, "  ")
        yield from differing(case, columns, "    ")
        clause = f"clause {one_line(case.clause)}, " if case.clause else ""
        yield f"  {clause}run it again with: pytest '{one_line(case.case)}'"
