"""Recorded deviations: what a target is known to do otherwise than the specification says, and why.

Owns the files `deviations/TARGET.toml`. A file has two parts. The causes are a person's: each has a name, the reason, and the
differences that it explains, as regular expressions for the parts of a verdict. The deviations are taken from records by
`python -m suites deviations`: a verdict and the cases that had it, as far as causes explain every part of the verdict. A file is
refused where a part of a verdict has no cause, or a cause explains nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suites.clauses import SpecificationError, read_toml

FOLDER = Path(__file__).parent / "deviations"
SEPARATOR = "; "
"""Between the parts of a verdict (`suites.judge`)."""
MARK = "# What follows is taken from records by `python -m suites deviations`.\n"

Key = tuple[str, str]
"""Case and verdict."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a target deviates. `differences` match whole parts of verdicts; `cases`, where given, is found in a case's id."""

    name: str
    reason: str
    differences: tuple[re.Pattern[str], ...]
    cases: re.Pattern[str] | None

    def explains(self, case: str, difference: str) -> bool:
        """Whether this is why the case showed the difference."""
        if self.cases and not self.cases.search(case):
            return False
        return any(pattern.fullmatch(difference) for pattern in self.differences)


def load(target: str) -> dict[Key, dict[str, str]]:
    """The deviations of a target, with `cause` (names, where there are several) and `reason`. Raises SpecificationError."""
    path = FOLDER / f"{target}.toml"
    if not path.exists():
        return {}
    content = read_toml(path)
    causes = [_cause(path, table) for table in content.get("cause", [])]
    unused = dict.fromkeys(cause.name for cause in causes)
    found = {}
    for case, verdict in _recorded(path, content):
        explaining = _explain(causes, case, verdict)
        if None in explaining:
            part = verdict.split(SEPARATOR)[explaining.index(None)]
            raise SpecificationError(f"{path.name}: {case}: no cause explains {part!r}; add one that does")
        named = dict.fromkeys(cause for cause in explaining if cause)
        for cause in named:
            unused.pop(cause.name, None)
        found[case, verdict] = {
            "cause": ", ".join(cause.name for cause in named),
            "reason": " ".join(cause.reason for cause in named),
        }
    if unused:
        raise SpecificationError(f"{path.name}: no deviation has the cause {next(iter(unused))!r}; remove it")
    return found


def propose(target: str, runs: Iterable[Iterable[dict[str, Any]]]) -> tuple[str, Counter[str], list[str]]:
    """The file of a target after some runs, each given by the lines of its cases.

    Returns its text, the parts of verdicts that no cause explains with how many cases had each, and the cases that came out
    differently from run to run; neither are recorded. What the runs didn't select stays as it was.
    """
    path = FOLDER / f"{target}.toml"
    content = read_toml(path) if path.exists() else {}
    causes = [_cause(path, table) for table in content.get("cause", [])]
    seen: dict[str, set[str]] = {}
    for run in runs:
        for line in run:
            seen.setdefault(line["case"], set()).add(line["verdict"] if line["outcome"] == "FAIL" else "")
    kept = [key for key in _recorded(path, content) if key[0] not in seen]
    unsteady = sorted(case for case, verdicts in seen.items() if len(verdicts) > 1)
    new = [(case, *verdicts) for case, verdicts in seen.items() if len(verdicts) == 1 and verdicts != {""}]
    unexplained: Counter[str] = Counter()
    by_verdict: dict[str, list[str]] = {}
    for case, verdict in sorted([*kept, *new]):
        explaining = _explain(causes, case, verdict)
        if None not in explaining:
            by_verdict.setdefault(verdict, []).append(case)
        unexplained.update(
            part for part, cause in zip(verdict.split(SEPARATOR), explaining, strict=True) if cause is None
        )
    old = path.read_text() if path.exists() else f"# What {target} is known to do otherwise.\n\n"
    text = old.partition(MARK)[0] + MARK + "".join(map(_table, by_verdict, by_verdict.values()))
    return text, unexplained, unsteady


def _cause(path: Path, table: dict[str, Any]) -> Cause:
    missing = {"name", "reason", "differences"} - set(table)
    if missing:
        raise SpecificationError(f"{path.name}: cause {table.get('name', '')}: {', '.join(sorted(missing))} is missing")
    try:
        differences = tuple(map(re.compile, table["differences"]))
        cases = re.compile(table["cases"]) if "cases" in table else None
    except re.error as error:
        raise SpecificationError(f"{path.name}: cause {table['name']}: {error}") from None
    return Cause(table["name"], table["reason"], differences, cases)


def _recorded(path: Path, content: dict[str, Any]) -> Iterator[Key]:
    for number, table in enumerate(content.get("deviation", []), 1):
        missing = {"verdict", "cases"} - set(table)
        if missing:
            raise SpecificationError(f"{path.name}: deviation {number}: {', '.join(sorted(missing))} is missing")
        for function, parameters in table["cases"].items():
            for parameter in parameters:
                yield f"{function}[{parameter}]", table["verdict"]


def _explain(causes: list[Cause], case: str, verdict: str) -> list[Cause | None]:
    """The cause of each part of a verdict: the first that explains it."""
    parts = verdict.split(SEPARATOR)
    return [next((cause for cause in causes if cause.explains(case, part)), None) for part in parts]


def _table(verdict: str, cases: list[str]) -> str:
    functions: dict[str, list[str]] = {}
    for case in cases:
        function, _, parameter = case.removesuffix("]").partition("[")
        functions.setdefault(function, []).append(parameter)
    said = [f"\n[[deviation]]\nverdict = {json.dumps(verdict)}\n"]
    said += [f"cases.{json.dumps(function)} = {json.dumps(parameters)}\n" for function, parameters in functions.items()]
    return "".join(said)
