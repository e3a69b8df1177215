"""What the commands that print for people share: how wide lines are, where they are folded, and when there is colour.

Text of a record passes through `visible` before it comes here. Colour only repeats what words say.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from typing import Literal, TextIO

NARROWEST, WIDEST = 80, 110
"""Columns of the terminal that lines are folded at."""

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
