"""JUnit XML, the form that Jenkins and most other CI systems read: pytest's xunit2, a suite for each run.

Owns the form. A case's class is its run and its clause, so that the same case on several kernels is told apart. A recorded
deviation is skipped, as pytest's own expected failures are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from reports.commandline import read_records
from reports.matrix import RECORDED
from reports.record import Run
from reports.results import VANISHED, Result, groups, names, put
from reports.results import configure as configure_form
from reports.visible import one_line

HELP = "make JUnit XML of records, for Jenkins and its like"

KIND = "JUnit XML"

FORMS = {
    "FAIL": ("failure", "FAIL"),
    VANISHED: ("failure", "VANISHED"),
    "ERROR": ("error", "ERROR"),
    "MISS": ("error", "MISS"),
    "SKIP": ("skipped", "SKIP"),
    RECORDED: ("skipped", "RECORDED"),
}
"""Element and its type, for each way in which a case can count; what isn't here has passed."""

SUMS = {"failures": "failure", "errors": "error", "skipped": "skipped"}
"""The attributes of a suite that count its elements."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    configure_form(parser, KIND)


def run(arguments: argparse.Namespace) -> int:
    """Write the form; 0. Raises RecordError and OutputError."""
    put(arguments, render(read_records(arguments)), KIND, _is_junit)
    return 0


def _is_junit(head: bytes) -> bool:
    return head.lstrip().startswith((b"<?xml", b"<testsuite")) and b"<testsuite" in head


def render(runs: Sequence[Run]) -> str:
    """The form as text."""
    root = Element("testsuites")
    for name, one in zip(names(runs), runs, strict=True):
        _suite(root, name, one)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _suite(root: Element, name: str, run: Run) -> None:
    found = groups(run)
    results = [result for group in found for result in group.results]
    elements = [FORMS[result.rank][0] for result in results if result.rank in FORMS]
    suite = SubElement(root, "testsuite", name=name, tests=str(len(results)))
    suite.attrib |= {attribute: str(elements.count(element)) for attribute, element in SUMS.items()}
    suite.attrib |= {"time": f"{sum(map(_seconds, results)):.3f}", "timestamp": one_line(run.head.started)}
    properties = SubElement(suite, "properties")
    for key, value in _facts(run):
        SubElement(properties, "property", name=one_line(key), value=one_line(value))
    for group in found:
        for result in group.results:
            _case(suite, f"{name}.{group.id}", result)


def _case(suite: Element, classname: str, result: Result) -> None:
    case = SubElement(suite, "testcase", classname=classname, name=result.name, time=f"{_seconds(result):.6f}")
    text = "\n".join(result.more) or None
    if result.rank in FORMS:
        element, kind = FORMS[result.rank]
        SubElement(case, element, type=kind, message=result.summary).text = text
    elif result.details:
        SubElement(case, "system-out").text = text or result.summary


def _seconds(result: Result) -> float:
    return max(0, result.case.duration_ns or 0) / 1e9


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    """What a suite says of its run: where it was made and how, and the account of its outcomes."""
    head = run.head
    yield from (("run", head.run), ("target", head.target))
    for field in head.kernel.__slots__:
        yield f"kernel.{field}", getattr(head.kernel, field)
    yield from (("specification", head.specification), ("ended", run.end.reason if run.end else "never"))
    for outcome, number in run.counts().items():
        yield f"count.{outcome}", str(number)
    for name, found in sorted(head.capabilities.items()):
        yield f"capability.{name}", f"{'yes' if found.ok else 'no'}: {found.how}"
    for name, value in sorted(head.sysctls.items()):
        yield f"sysctl.{name}", value
    for name, value in sorted(head.versions.items()):
        yield f"version.{name}", value
