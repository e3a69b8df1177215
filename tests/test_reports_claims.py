"""The account of claims: every statement is there with its clauses and their outcomes, or with the reason for having none."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.__main__ import main
from tests.records import Line, case_line, clause_line, node, run_line, write

DOCUMENT = "000: how a socket's events reach processes"


def statement_line(name: str, run: str = "r1", **changes: str) -> Line:
    """A statement line."""
    document = {} if ":" in name else {"document": DOCUMENT}
    return {"type": "statement", "run": run, "id": name, "says": f"What {name} says."} | document | changes


def record(path: Path, run: str, target: str, outcome: str) -> Path:
    """A run of one clause on two families; the first comes out as asked."""
    cases = [node("reset", "tcp4"), node("reset", "tcp6")]
    statements = [
        statement_line("E9", run),
        statement_line("E10", run),
        statement_line("E14", run, left_out="destruction has no trace that user space could see", target="vm-6.12"),
        statement_line("fact:reset", run),
    ]
    head = run_line(cases, run, target=target)
    verdict = "at reset: socket.poll lacks ERR" if outcome == "FAIL" else ""
    lines = [case_line(cases[0], outcome, run, verdict=verdict), case_line(cases[1], run=run)]
    return write(path, [head, *statements, clause_line(run=run), *lines])


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What the command prints."""
    assert main(["claims", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_each_claim_has_its_clauses_and_how_they_came_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One run stands beside the clause."""
    lines = told(capsys, str(record(tmp_path / "a.jsonl", "r1", "host", "PASS")))

    place = lines.index("E10  What E10 says.")
    assert f"Document {DOCUMENT}" in lines
    assert lines[place + 1].split() == ["error.reset.established", "host", "(6.12.107+deb13-amd64):", "2", "passed"]


def test_runs_stand_below_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several kernels, one line each."""
    good = record(tmp_path / "a.jsonl", "r1", "host", "PASS")
    bad = record(tmp_path / "b.jsonl", "r2", "uml-6.1", "FAIL")

    lines = told(capsys, str(good), str(bad))

    place = lines.index("E10  What E10 says.")
    assert lines[place + 1].strip() == "error.reset.established"
    assert lines[place + 2].strip() == "host (6.12.107+deb13-amd64): 2 passed"
    assert lines[place + 3].strip() == "uml-6.1 (6.12.107+deb13-amd64): 1 failed, 1 passed"


def test_claim_without_a_clause_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Left out with the reason and the target, or not tried in these runs."""
    lines = told(capsys, str(record(tmp_path / "a.jsonl", "r1", "host", "PASS")))

    left_out = lines[lines.index("E14  What E14 says.") + 1].strip()
    assert left_out == "not driven here, for vm-6.12: destruction has no trace that user space could see"
    assert lines[lines.index("E9   What E9 says.") + 1].strip() == "no clause of it was in these runs"
    assert lines[-1] == "3 in all: 1 with clauses in these runs, 1 left out with a reason, 1 not tried"


def test_other_statements_are_asked_for_by_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Facts, behaviours, differences and corrections are covered as claims are."""
    lines = told(capsys, "--of", "facts", str(record(tmp_path / "a.jsonl", "r1", "host", "PASS")))

    assert "reset What fact:reset says." in lines
    assert lines[-1] == "1 in all: 1 with clauses in these runs, 0 left out with a reason, 0 not tried"


def test_record_of_an_older_suite_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, and doesn't pretend that nothing was to be covered."""
    case = node("reset", "tcp4")
    old = write(tmp_path / "old.jsonl", [run_line([case]), clause_line(), case_line(case)])

    assert told(capsys, str(old)) == ["the records have no such statements: they were made by an older suite"]
