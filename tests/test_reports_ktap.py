"""KTAP: what a reader of the form finds in it is what the record says, and nothing that a record's text pretends."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reports.__main__ import main
from reports.ktap import render
from reports.record import read
from tests.records import Line
from tests.runs import every_rank, hostile, record

RESULT = re.compile(r"(ok|not ok) ([0-9]+) ([^#]*?)(?: # (.*))?")


@dataclass
class Found:
    """A test as a parser of KTAP sees it."""

    result: str = ""
    said: str = ""
    tests: dict[str, Found] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def parse(lines: list[str]) -> Found:
    """Parse strictly, by the kernel's description of the form: every line is one of its four, at its depth, as planned."""
    lines = list(lines)
    found = _parse(lines, "")
    assert lines == []
    return found


def _parse(lines: list[str], indent: str) -> Found:
    assert lines.pop(0) == f"{indent}KTAP version 1"
    plan = re.fullmatch(r"1\.\.([0-9]+)", lines.pop(0).removeprefix(indent))
    assert plan
    outer, inner = Found(), Found()
    while lines and len(lines[0]) - len(lines[0].lstrip(" ")) >= len(indent):
        line = lines[0].removeprefix(indent)
        if line == "  KTAP version 1":
            inner.tests = _parse(lines, f"{indent}  ").tests
            continue
        lines.pop(0)
        if line.startswith("# "):
            outer.notes.append(line[2:])
            continue
        match = RESULT.fullmatch(line)
        assert match, line
        assert int(match[2]) == len(outer.tests) + 1
        assert match[3] not in outer.tests
        inner.result, inner.said = match[1], match[4] or ""
        outer.tests[match[3]], inner = inner, Found()
    assert len(outer.tests) == int(plan[1])
    return outer


def form(tmp_path: Path, *runs: list[Line]) -> list[str]:
    """The lines of the form."""
    return list(render(read([record(tmp_path / "a.jsonl", *runs)])))


def test_every_way_to_count_has_its_result_and_directive(tmp_path: Path) -> None:
    """A recorded deviation doesn't fail, one that is no longer seen does, and what is missing is an error."""
    cases = parse(form(tmp_path, every_rank())).tests["host"].tests["error.reset.established"].tests

    assert {name: (case.result, case.said) for name, case in cases.items()} == {
        "tcp4": ("ok", ""),
        "tcp6": ("not ok", "verdict: at reset: socket.so_error is EPIPE, not ECONNRESET"),
        "mptcp": ("ok", "XFAIL recorded deviation, late-delivery: at reset: socket.so_error is EPIPE, not ECONNRESET"),
        "udp4": ("not ok", "ERROR OSError: no room"),
        "vsock": ("ok", "SKIP needs vsock: there is no device"),
        "udp6": ("not ok", "XPASS a recorded deviation is no longer seen: at reset: a signal too many"),
        "unix-stream": ("not ok", "ERROR missing: never started"),
    }


def test_measurement_passes_with_its_values(tmp_path: Path) -> None:
    """An open clause isn't judged."""
    clause = parse(form(tmp_path, every_rank())).tests["host"].tests["race.open"]

    assert clause.result == "ok"
    assert clause.tests["unix-stream"].said == "measured: rounds 32"


def test_totals_add_up(tmp_path: Path) -> None:
    """In kselftest's words, and in ours."""
    lines = form(tmp_path, every_rank())

    assert "  # Totals: pass:2 fail:1 xfail:1 xpass:1 skip:1 error:2" in lines
    counts = "8 cases planned: 2 passed, 2 failed (1 as recorded), 1 error, 1 skipped, 1 missing, 1 measured"
    assert f"  # counts: {counts}" in lines


def test_failure_is_explained_before_its_result(tmp_path: Path) -> None:
    """With what was expected beside what was observed."""
    lines = [line.strip() for line in form(tmp_path, every_rank())]

    place = next(number for number, line in enumerate(lines) if line.startswith("not ok 2 tcp6"))
    assert lines[place - 2 : place] == [
        "# verdict: at reset: socket.so_error is EPIPE, not ECONNRESET",
        "# at reset: socket.so_error: expected ECONNRESET, observed EPIPE",
    ]


def test_what_holds_others_fails_with_one_of_them_and_is_skipped_with_all(tmp_path: Path) -> None:
    """As the kernel's description asks."""
    skipped = [line | {"outcome": "SKIP"} if line["type"] == "case" else line for line in every_rank("r2")[:-1]]
    skipped[0] = skipped[0] | {"target": "bare", "planned": [line["case"] for line in skipped[3:]]}

    runs = parse(form(tmp_path, every_rank(), skipped)).tests

    assert (runs["host"].result, runs["host"].said) == ("not ok", "")
    assert runs["host"].tests["error.reset.established"].result == "not ok"
    assert (runs["bare"].result, runs["bare"].said) == ("ok", "SKIP nothing in it was executed")


@pytest.mark.parametrize(
    ("second", "names"),
    [
        ({"target": "uml-6.1"}, ["host", "uml-6.1"]),
        ({}, ["host 6.12.107+deb13-amd64 (run 1)", "host 6.12.107+deb13-amd64 (run 2)"]),
        (
            {"kernel": {"release": "6.1.0", "version": "1", "machine": "um", "implementation": "Linux"}},
            ["host 6.12.107+deb13-amd64", "host 6.1.0"],
        ),
    ],
)
def test_runs_are_called_by_their_targets_and_told_apart(tmp_path: Path, second: Line, names: list[str]) -> None:
    """A target's name lasts when its kernel is updated; where it isn't enough, the release and a number are added."""
    assert list(parse(form(tmp_path, every_rank("r1"), every_rank("r2", **second))).tests) == names


def test_no_text_of_a_record_changes_the_form(tmp_path: Path) -> None:
    """No line, result or directive comes from it: the tests are those that were planned, and no character is unseen."""
    lines = form(tmp_path, hostile())

    (run,) = parse(lines).tests.values()
    (clause,) = run.tests.values()
    results = [(case.result, case.said.partition(" ")[0]) for case in clause.tests.values()]
    assert results == [("ok", "XFAIL"), ("not ok", "ERROR"), ("ok", "SKIP"), ("ok", "")]
    assert all(line.isprintable() for line in lines)


def test_command_writes_the_same_bytes_again(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """To standard output, and to a file that is KTAP already."""
    path, out = record(tmp_path / "a.jsonl", every_rank(), every_rank("r2")), tmp_path / "out.ktap"

    assert main(["ktap", str(path)]) == 0
    assert main(["ktap", str(path), "-o", str(out)]) == 0
    assert main(["ktap", str(path), "-o", str(out)]) == 0

    assert capfdbinary.readouterr().out == out.read_bytes() != b""


def test_command_replaces_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record, for one."""
    path = record(tmp_path / "a.jsonl", every_rank())
    before = path.read_bytes()

    assert main(["ktap", str(path), "-o", str(path)]) == 2

    assert "it is there and isn't KTAP" in capsys.readouterr().err
    assert path.read_bytes() == before
