"""What all HTML pages share: how templates are filled, a run's place on a page, its links, and writing the file.

A page is a pure function of the runs: no clock, no host, nothing loaded from elsewhere. All text of a record passes through
`visible` and Jinja2's escaping. A page's one script, if it has one, is named by its hash, so that no other can run.
"""

from __future__ import annotations

import shlex
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.lines import Case
from reports.matrix import labels, ordered
from reports.output import write_text
from reports.record import Run
from reports.visible import visible

TEMPLATES = Path(__file__).parent / "templates"

SYMBOLS = {
    "PASS": ("PASS", "as the clause says"),
    "FAIL": ("FAIL", "the kernel did otherwise"),
    "RECORDED": ("FAIL, recorded", "the kernel did otherwise, as recorded with a cause for this target"),
    "ERROR": ("ERROR", "the suite's own set-up or clean-up broke"),
    "MISS": ("MISS", "planned, and never came to an end"),
    "SKIP": ("SKIP", "the target lacks a capability that the case needs"),
    "DONE": ("DONE", "measured; the clause is open and isn't judged"),
}
"""Word and meaning of what a cell can show; its glyph stands in the style."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A run's place on a page: its number, from 1; what it is called; and its name in links, which no other run has."""

    number: int
    label: str
    name: str
    run: Run


def stands(runs: Sequence[Run]) -> list[Stand]:
    """The places of the runs, oldest kernel first."""
    placed = ordered(runs)
    targets = [run.head.target for run in placed]
    return [
        Stand(number=number, label=label, name=name if targets.count(name) == 1 else f"{name}:{number}", run=run)
        for number, (label, name, run) in enumerate(zip(labels(placed), targets, placed, strict=True), 1)
    ]


def fill(template: str, **values: object) -> str:
    """A template of `templates/` with its values. The same values give the same text."""
    return _environment().get_template(template).render(values)


def write_page(path: Path, text: str) -> None:
    """Write a page; only HTML is replaced. Raises OutputError."""
    write_text(path, text, "HTML", _is_html)


def anchor(name: str) -> str:
    """A name as an id and as a link's fragment, the same in both, of characters that need no quotes."""
    return quote(visible(name), safe="@:")


def again(run: Run, case: Case) -> str:
    """The command that executes this one case again, on the same target."""
    target = run.head.target
    if target == "host":
        return shlex.join(["pytest", case.case, "--record", "one.jsonl"])
    return shlex.join(["python", "-m", "targets", "run", target, "--record", "one.jsonl", "--", case.case])


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "anchor": anchor,
        "as_it_is": _as_it_is,
        "breakable": _breakable,
        "command": shlex.join,
        "dotted": _dotted,
        "script": _script,
        "symbols": SYMBOLS,
    }
    return environment


def _finalize(value: Any) -> Any:
    """What every expression of a template passes through; what is markup already has passed before."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _dotted(name: str) -> Markup:
    """A clause's id, which may be broken after its dots."""
    return Markup(".<wbr>").join(visible(name).split("."))


def _as_it_is(text: str) -> Markup:
    """Text for between tags: quotes, of which sources and calls are full, mean nothing there."""
    return Markup(escape(visible(text), quote=False))


def _breakable(text: str) -> str:
    """A mask may be broken between its bits."""
    return text.replace("|", " | ")


def _script(name: str) -> tuple[Markup, str]:
    """A script of `templates/`, and how the page's policy names it."""
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    return Markup(text), f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"  # our own file, no record's


def _is_html(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype html", b"<html"))
