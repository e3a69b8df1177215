"""Which case stands for which clause: read from the text of the cases, without importing them.

Owns the marker `@clause("…")`, and the way from a clause to its case's source and back. The run's controller, the commands and
the tests use it; under xdist the controller never imports a case.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SUITES = Path(__file__).parent
clause: Callable[[str], Callable[[Any], Any]] = pytest.mark.clause
"""Names the one clause that a case puts in front of the kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A case as it is written: where, for which clause, and its text."""

    clause: str
    module: str
    function: str
    text: str


@cache
def cases(path: Path) -> dict[str, Source]:
    """The cases of one file by function name."""
    text = path.read_text()
    lines = text.splitlines()
    found = {}
    for node in ast.parse(text, str(path)).body:
        if isinstance(node, ast.FunctionDef) and (name := _clause_of(node)):
            first = min(decorator.lineno for decorator in node.decorator_list)
            found[node.name] = Source(
                clause=name,
                module=f"{SUITES.name}/{path.relative_to(SUITES).as_posix()}",
                function=node.name,
                text="\n".join(lines[first - 1 : node.end_lineno]),
            )
    return found


def all_cases() -> Iterator[Source]:
    """Every case of the suites, in the order of files and lines."""
    for path in sorted(SUITES.rglob("test_*.py")):
        yield from cases(path).values()


def source_of(nodeid: str) -> Source | None:
    """The source of a collected case, `suites/x/test_y.py::test_z[tcp4]`; None if it stands for no clause."""
    path, _, rest = nodeid.partition("::")
    file = SUITES.parent / path
    return cases(file).get(rest.partition("[")[0]) if file.is_relative_to(SUITES) and file.exists() else None


def _clause_of(node: ast.FunctionDef) -> str | None:
    for decorator in node.decorator_list:
        match decorator:
            case ast.Call(func=ast.Name(id="clause"), args=[ast.Constant(value=str(name))]):
                return name
    return None
