"""KTAP version 1 (the kernel's Documentation/dev-tools/ktap.rst): for kselftest-style runners, LAVA and KernelCI.

Owns the form: a test for each run, in it one for each clause, in that one for each case. A record's text can't end a line,
begin one, or bring in a directive: a `#` in it is spelled out, and diagnostic lines begin with what they are.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence

from reports.commandline import read_records
from reports.matrix import RECORDED
from reports.record import Run
from reports.results import VANISHED, Group, Result, groups, names, put, worst
from reports.results import configure as configure_form
from reports.visible import one_line

HELP = "make KTAP of records, for kselftest-style runners and LAVA"

VERSION = "KTAP version 1"

FORMS = {
    "PASS": ("ok", ""),
    "DONE": ("ok", "measured: {}"),
    RECORDED: ("ok", "XFAIL {}"),
    "SKIP": ("ok", "SKIP {}"),
    "FAIL": ("not ok", "verdict: {}"),
    VANISHED: ("not ok", "XPASS {}"),
    "ERROR": ("not ok", "ERROR {}"),
    "MISS": ("not ok", "ERROR missing: {}"),
}
"""Result, and what follows the `#`, for each way in which a case can count.

XFAIL and XPASS are kselftest's: expected to fail, and did; expected to, and didn't.
"""

TOTALS = {
    "pass": ("PASS", "DONE"),
    "fail": ("FAIL",),
    "xfail": (RECORDED,),
    "xpass": (VANISHED,),
    "skip": ("SKIP",),
    "error": ("ERROR", "MISS"),
}
"""kselftest's totals line (tools/testing/selftests/kselftest.h), and what counts as each."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    configure_form(parser, "KTAP")


def run(arguments: argparse.Namespace) -> int:
    """Write the form; 0. Raises RecordError and OutputError."""
    text = "".join(f"{line}\n" for line in render(read_records(arguments)))
    put(arguments, text, "KTAP", lambda head: head.startswith(VERSION.encode()))
    return 0


def render(runs: Sequence[Run]) -> Iterator[str]:
    """The form line by line."""
    yield from _opening(len(runs))
    for number, (name, one) in enumerate(zip(names(runs), runs, strict=True), 1):
        found = groups(one)
        ranks = Counter(result.rank for group in found for result in group.results)
        yield from _indented(_run(one, found, ranks))
        yield _closing(number, name, ranks)


def _run(run: Run, found: Sequence[Group], ranks: Counter[str]) -> Iterator[str]:
    head, kernel = run.head, run.head.kernel
    ended = run.end.reason if run.end else "never ended"
    yield from _opening(len(found))
    yield one_line(f"# kernel: {kernel.implementation} {kernel.release} {kernel.version} {kernel.machine}")
    yield one_line(f"# run: {head.run}, started {head.started}, {ended}")
    for number, group in enumerate(found, 1):
        yield from _indented(_group(group))
        yield _closing(number, group.id, Counter(result.rank for result in group.results))
    yield f"# counts: {run.in_words()}"
    yield f"# Totals: {' '.join(f'{name}:{sum(ranks[rank] for rank in of)}' for name, of in TOTALS.items())}"


def _group(group: Group) -> Iterator[str]:
    yield from _opening(len(group.results))
    if group.clause:
        yield f"# clause ({group.clause.level}): {one_line(group.clause.title)}"
    for number, result in enumerate(group.results, 1):
        yield from (f"# {line}" for line in result.more)
        yield _result(number, result)


def _opening(number: int) -> tuple[str, str]:
    return VERSION, f"1..{number}"


def _result(number: int, result: Result) -> str:
    word, form = FORMS[result.rank]
    said = form.format(_hashless(result.summary)).rstrip()
    return f"{word} {number} {_hashless(result.name)}" + (f" # {said}" if said else "")


def _closing(number: int, name: str, ranks: Counter[str]) -> str:
    """The result of a test that has others in it: it fails if one of them does, and is skipped if all are."""
    rank = worst(ranks.elements()) if ranks else "SKIP"
    skipped = " # SKIP nothing in it was executed" if rank == "SKIP" else ""
    return f"{FORMS[rank][0]} {number} {_hashless(name)}{skipped}"


def _hashless(text: str) -> str:
    """A `#` would begin the directive, and KTAP knows no way to quote it."""
    return text.replace("#", "\\x23")


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)
