"""KernelCI's report data (KCIDB I/O schema, version 5.3): what `kcidb-submit` takes.

Owns the form. The six outcomes are KCIDB's own. A kernel is a checkout and a build that are known by uname(2) alone; a case is
a test with the path sockwake.CLAUSE.PARAMETERS; a recorded deviation stays a FAIL, with an issue for its cause and an
incident that ties the two.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from reports.commandline import read_records
from reports.record import RecordError, Run
from reports.results import Group, Result, groups, put
from reports.results import configure as configure_form
from reports.visible import one_line, visible

HELP = "make KCIDB data of records, for KernelCI"

KIND = "KCIDB data"

VERSION = {"major": 5, "minor": 3}
BEGINNING = '{\n "version": {\n  "major": '

Object = dict[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--origin", type=_origin, default="sockwake", help="the CI system that submits (default: %(default)s)"
    )
    configure_form(parser, KIND)


def _origin(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} isn't made of a to z, 0 to 9 and _ alone, as KCIDB asks")
    return text


def run(arguments: argparse.Namespace) -> int:
    """Write the form; 0. Raises RecordError and OutputError."""
    data = render(read_records(arguments), arguments.origin)
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    put(arguments, text, KIND, lambda head: head.startswith(BEGINNING.encode()))
    return 0


def render(runs: Sequence[Run], origin: str) -> Object:
    """The form as an object. Raises RecordError where two runs have the same id: so would their tests."""
    checkouts: dict[str, Object] = {}
    builds: dict[str, Object] = {}
    tests: list[Object] = []
    issues: dict[str, Object] = {}
    incidents: list[Object] = []
    known: dict[str, Run] = {}
    for one in runs:
        if one is not (other := known.setdefault(one.head.run, one)):
            raise RecordError(
                f"{one.path}: the run {one.head.run} stands in {other.path} too, and their tests would have the same ids; "
                "name one of the two"
            )
        checkout, build = _kernel(one, origin)
        checkouts[checkout["id"]], builds[build["id"]] = checkout, build
        for group in groups(one):
            for result in group.results:
                test = _test(one, group, result, build["id"], origin)
                tests.append(test)
                if issue := _issue(result, origin):
                    issues[issue["id"]] = issue
                    incidents.append(_incident(issue, test, origin))
    return {
        "version": VERSION,
        "checkouts": list(checkouts.values()),
        "builds": list(builds.values()),
        "tests": tests,
        "issues": list(issues.values()),
        "incidents": incidents,
    }


def _id(origin: str, *parts: str) -> str:
    """An id that the same parts always give: KCIDB merges objects of the same id."""
    return f"{origin}:{sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


def _kernel(run: Run, origin: str) -> tuple[Object, Object]:
    kernel = run.head.kernel
    name = one_line(f"{kernel.implementation} {kernel.release} {kernel.version}")
    checkout: Object = {
        "id": _id(origin, "checkout", kernel.implementation, kernel.release, kernel.version),
        "origin": origin,
        "comment": name,
    }
    build: Object = {
        "id": _id(origin, "build", kernel.implementation, kernel.release, kernel.version, kernel.machine),
        "origin": origin,
        "checkout_id": checkout["id"],
        "comment": name,
    }
    if re.fullmatch(r"[a-z0-9_]+", kernel.machine):
        build["architecture"] = kernel.machine
    return checkout, build


def _test(run: Run, group: Group, result: Result, build: str, origin: str) -> Object:
    case = result.case
    test: Object = {
        "id": _id(origin, "test", run.head.target, run.head.run, case.case),
        "origin": origin,
        "build_id": build,
        "environment": {"comment": one_line(run.head.target)},
        "path": _path(group.id, result.name),
        "status": case.outcome,
    }
    if group.clause:
        test["comment"] = one_line(group.clause.title)
    if result.details:
        test["log_excerpt"] = "\n".join(result.details)
    if _is_time(run.head.started):
        test["start_time"] = run.head.started  # the run's: a case's own isn't in the record
    if case.duration_ns is not None:
        test["duration"] = max(0, case.duration_ns) / 1e9
    test["misc"] = {"run": one_line(run.head.run), "case": one_line(case.case)}
    if group.clause:
        test["misc"] |= {"clause": group.id, "level": group.clause.level}
    return test


def _path(clause: str, name: str) -> str:
    """Where a test stands in KernelCI's tree; parts may hold letters, digits, - and _ alone."""
    parts = ["sockwake", *clause.split("."), name]
    return ".".join(re.sub(r"[^A-Za-z0-9_-]+", "_", part) for part in parts if part)


def _issue(result: Result, origin: str) -> Object | None:
    """What a recorded deviation is to KernelCI: an issue of the tested code, one for each cause."""
    deviation = result.case.deviation
    if deviation is None:
        return None
    return {
        "id": _id(origin, "issue", deviation.cause, deviation.reason),
        "version": 0,
        "origin": origin,
        "report_subject": one_line(deviation.cause),
        "comment": visible(deviation.reason),
        "culprit": {"code": True, "tool": False, "harness": False},
    }


def _incident(issue: Object, test: Object, origin: str) -> Object:
    return {
        "id": _id(origin, "incident", issue["id"], test["id"]),
        "origin": origin,
        "issue_id": issue["id"],
        "issue_version": issue["version"],
        "test_id": test["id"],
        "present": True,
    }


def _is_time(text: str) -> bool:
    """Whether text is a time as RFC 3339 writes it, which KCIDB asks for."""
    found = re.fullmatch(
        r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])", text
    )
    try:
        return found is not None and datetime.fromisoformat(found[1]) is not None
    except ValueError:
        return False
