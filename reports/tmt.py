"""tmt's custom results (its specification's /spec/results), as JSON: a result for each clause, a subresult for each case.

Owns the form. The result named / stands for the whole test, which tmt would else take from an exit code.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from reports.commandline import read_records
from reports.matrix import RECORDED, verdict
from reports.record import Run
from reports.results import VANISHED, Group, Result, groups, names, put, worst
from reports.results import configure as configure_form
from reports.visible import one_line

HELP = "make tmt's custom results of records"

KIND = "results of tmt"

BEGINNING = '[\n {\n  "name": "/",\n  "result": "'

FORMS = {
    "PASS": "pass",
    "DONE": "info",
    RECORDED: "info",
    "SKIP": "skip",
    "FAIL": "fail",
    VANISHED: "fail",
    "ERROR": "error",
    "MISS": "error",
}
"""tmt's outcome for each way in which a case can count. `info` is its soft pass: passed, and somebody may want to look."""

Object = dict[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        metavar="PATH",
        help="a file to show with the results, relative to the folder that the results lie in; may be given again",
    )
    configure_form(parser, KIND)


def run(arguments: argparse.Namespace) -> int:
    """Write the form; 0. Raises RecordError and OutputError."""
    text = json.dumps(render(read_records(arguments), arguments.log), indent=1) + "\n"
    put(arguments, text, KIND, lambda head: head.startswith(BEGINNING.encode()))
    return 0


def render(runs: Sequence[Run], logs: Sequence[str]) -> list[Object]:
    """The form as a list: the whole first, then the clauses of each run, below the run's name if there are several."""
    told: list[str] = []
    below: list[Object] = []
    ranks: Counter[str] = Counter()
    for name, one in zip(names(runs), runs, strict=True):
        found = groups(one)
        ranks.update(result.rank for group in found for result in group.results)
        told += [f"{name}: {verdict(one).words}", one.in_words()]
        prefix = "/" if len(runs) == 1 else f"/{_named(name)}/"
        below += [_clause(prefix, group) for group in found]
    whole: Object = {"name": "/", "result": _worst(ranks), "note": told}
    if logs:
        whole["log"] = list(logs)
    return [whole, *below]


def _clause(prefix: str, group: Group) -> Object:
    made: Object = {
        "name": f"{prefix}{_named(group.id)}",
        "result": _worst(Counter(result.rank for result in group.results)),
    }
    if group.clause:
        made["note"] = [f"{group.clause.level}: {one_line(group.clause.title)}"]
    made["subresult"] = [dict(_case(result)) for result in group.results]
    return made


def _case(result: Result) -> Iterator[tuple[str, Any]]:
    yield "name", f"/{_named(result.name)}"
    yield "result", FORMS[result.rank]
    if result.details:
        yield "note", list(result.details)


def _worst(ranks: Counter[str]) -> str:
    return FORMS[worst(ranks.elements())] if ranks else "skip"


def _named(name: str) -> str:
    """A part of a name: the slash stands between parts."""
    return name.replace("/", "_")
