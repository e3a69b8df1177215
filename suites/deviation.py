"""Recorded deviations: what a target is known to do otherwise than the specification says, and why.

Owns the files `deviations/TARGET.toml`. A file has two parts. The causes are a person's: each has a name, the reason, and the
differences that it explains, as regular expressions for the differences of a verdict. The deviations are taken from records by
`python -m suites deviations`: a verdict and the cases that had it, as far as causes explain every difference in it. A file is
refused where a difference has no cause, or a cause explains nothing.

A case may be recorded with several verdicts, an empty one for a PASS: then each of them is as recorded. What isn't in all of them
must have a cause that `varies`: one that says why the target does now this and now that.
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
MARK = "# What follows is taken from records by `python -m suites deviations`.\n"

Key = tuple[str, str]
"""Case and verdict."""

_MASK = re.compile(r"(at \w+: \S+ )(?:lacks ([A-Z ]+?))?(?: and )?(?:has ([A-Z ]+) too)?")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a target deviates. `differences` match whole differences; `cases`, where given, is found in a case's id."""

    name: str
    reason: str
    differences: tuple[re.Pattern[str], ...]
    cases: re.Pattern[str] | None
    varies: bool

    def explains(self, case: str, difference: str) -> bool:
        """Whether this is why the case showed the difference."""
        if self.cases and not self.cases.search(case):
            return False
        return any(pattern.fullmatch(difference) for pattern in self.differences)


def differences(verdict: str) -> list[str]:
    """What a verdict (`suites.judge`) says apart, none for a PASS. A mask's bits stand alone: each may have its own cause."""
    found = []
    for part in verdict.split("; ") if verdict else ():
        if mask := _MASK.fullmatch(part):
            found += [f"{mask[1]}lacks {bit}" for bit in (mask[2] or "").split()]
            found += [f"{mask[1]}has {bit} too" for bit in (mask[3] or "").split()]
        else:
            found.append(part)
    return found


def load(target: str) -> dict[Key, dict[str, str]]:
    """The deviations of a target, with `cause` (names, where there are several) and `reason`. Raises SpecificationError.

    An empty verdict stands for a PASS of a case that varies.
    """
    path = FOLDER / f"{target}.toml"
    if not path.exists():
        return {}
    content = read_toml(path)
    causes = [_cause(path, table) for table in content.get("cause", [])]
    unused = dict.fromkeys(cause.name for cause in causes)
    found = {}
    for case, verdicts in _by_case(_recorded(path, content)).items():
        explained = _Explained(causes, case, verdicts)
        for difference in explained.by_nothing:
            raise SpecificationError(f"{path.name}: {case}: no cause explains {difference!r}; add one that does")
        for difference in explained.unsteady:
            raise SpecificationError(
                f"{path.name}: {case}: {difference!r} isn't in all of its verdicts, and no cause varies"
            )
        for verdict in verdicts:
            named = explained.causes(verdict)
            for cause in named:
                unused.pop(cause.name, None)
            found[case, verdict] = {
                "cause": ", ".join(cause.name for cause in named),
                "reason": " ".join(cause.reason for cause in named),
            }
    if unused:
        raise SpecificationError(f"{path.name}: no deviation has the cause {next(iter(unused))!r}; remove it")
    return found


def propose(target: str, runs: Iterable[Iterable[dict[str, Any]]]) -> tuple[str, Counter[str], dict[str, list[str]]]:
    """The file of a target after some runs, each given by the lines of its cases.

    Returns its text, the differences that no cause explains with how many cases had each, and the cases that came out
    differently from run to run for no known cause, with their verdicts; neither are recorded. What the runs didn't select stays
    as it was, and so do all verdicts of a case that varies: that one of them wasn't seen this time says nothing.
    """
    path = FOLDER / f"{target}.toml"
    content = read_toml(path) if path.exists() else {}
    causes = [_cause(path, table) for table in content.get("cause", [])]
    seen: dict[str, set[str]] = {}
    for run in runs:
        for line in run:
            seen.setdefault(line["case"], set()).add(line["verdict"] if line["outcome"] == "FAIL" else "")
    for case, verdicts in _by_case(_recorded(path, content)).items():
        if case not in seen or len(verdicts) > 1:
            seen.setdefault(case, set()).update(verdicts)
    unexplained: Counter[str] = Counter()
    unsteady: dict[str, list[str]] = {}
    by_verdict: dict[str, list[str]] = {}
    for case in sorted(seen):
        verdicts = sorted(seen[case])
        explained = _Explained(causes, case, verdicts)
        unexplained.update(explained.by_nothing)
        if explained.unsteady:
            unsteady[case] = verdicts
        elif verdicts != [""] and not explained.by_nothing:
            for verdict in verdicts:
                by_verdict.setdefault(verdict, []).append(case)
    old = path.read_text() if path.exists() else f"# What {target} is known to do otherwise.\n\n"
    text = old.partition(MARK)[0] + MARK + "".join(map(_table, by_verdict, by_verdict.values()))
    return text, unexplained, unsteady


class _Explained:
    """The verdicts of one case, and which cause each difference in them has: the first that explains it."""

    def __init__(self, causes: list[Cause], case: str, verdicts: Iterable[str]) -> None:
        self._verdicts = {verdict: differences(verdict) for verdict in verdicts}
        said = [set(found) for found in self._verdicts.values()]
        self._cause = {
            difference: next((cause for cause in causes if cause.explains(case, difference)), None)
            for difference in sorted(set().union(*said))
        }
        always = set.intersection(*said)
        self.by_nothing = [difference for difference, cause in self._cause.items() if cause is None]
        self.unsteady = [
            difference
            for difference, cause in self._cause.items()
            if difference not in always and not (cause and cause.varies)
        ]

    def causes(self, verdict: str) -> list[Cause]:
        """The causes of a verdict; for a PASS those of what is missing in it."""
        found = map(self._cause.get, self._verdicts[verdict] or self._cause)
        return list(dict.fromkeys(cause for cause in found if cause))


def _by_case(keys: Iterable[Key]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for case, verdict in keys:
        found.setdefault(case, []).append(verdict)
    return found


def _cause(path: Path, table: dict[str, Any]) -> Cause:
    missing = {"name", "reason", "differences"} - set(table)
    if missing:
        raise SpecificationError(f"{path.name}: cause {table.get('name', '')}: {', '.join(sorted(missing))} is missing")
    try:
        patterns = tuple(map(re.compile, table["differences"]))
        cases = re.compile(table["cases"]) if "cases" in table else None
    except re.error as error:
        raise SpecificationError(f"{path.name}: cause {table['name']}: {error}") from None
    return Cause(table["name"], table["reason"], patterns, cases, table.get("varies", False))


def _recorded(path: Path, content: dict[str, Any]) -> Iterator[Key]:
    for number, table in enumerate(content.get("deviation", []), 1):
        missing = {"verdict", "cases"} - set(table)
        if missing:
            raise SpecificationError(f"{path.name}: deviation {number}: {', '.join(sorted(missing))} is missing")
        for function, parameters in table["cases"].items():
            for parameter in parameters:
                yield f"{function}[{parameter}]", table["verdict"]


def _table(verdict: str, cases: list[str]) -> str:
    functions: dict[str, list[str]] = {}
    for case in cases:
        function, _, parameter = case.removesuffix("]").partition("[")
        functions.setdefault(function, []).append(parameter)
    said = [f"\n[[deviation]]\nverdict = {json.dumps(verdict)}\n"]
    said += [f"cases.{json.dumps(function)} = {json.dumps(parameters)}\n" for function, parameters in functions.items()]
    return "".join(said)
