"""One clause explained: what it says and rests on, and what each kernel did, kernels that did the same together."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from reports.__main__ import main
from tests.records import Line, case_line, clause_line, node, observed, run_line, write
from tests.runs import HOSTILE, VERDICT, every_rank, hostile, record

CLAUSE = "error.reset.established"


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command prints."""
    assert main(["explain", *arguments]) == 0
    return capsys.readouterr().out


def run_of(run: str, target: str, outcome: str) -> list[Line]:
    """A run of the clause on two families, the second as asked for."""
    cases = [node("reset", "tcp4"), node("reset", "tcp6")]
    otherwise: dict[str, Any] = {"socket.so_error": "EPIPE"}
    changes = {"verdict": VERDICT, "observed": observed(**otherwise)} if outcome == "FAIL" else {}
    return [
        run_line(cases, run, target=target),
        {"type": "statement", "run": run, "id": "E10", "says": "A reset is told of at once.", "document": "005"},
        clause_line(run=run),
        case_line(cases[0], run=run),
        case_line(cases[1], outcome, run, **changes),
    ]


def test_the_clause_and_what_it_rests_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Title, level, text, claims with what the document says there, references, path, families, source."""
    clause = clause_line()
    text = explained(capsys, CLAUSE, str(write(tmp_path / "a.jsonl", run_of("r1", "host", "PASS"))))

    assert " ".join(text.split()).startswith(f"{CLAUSE} ({clause['level']}): {clause['title']} ")
    assert "E10: A reset is told of at once. (document 005)" in text
    assert f"kernel path: {', '.join(clause['path'][:2])}" in text
    assert "families: tcp4, tcp6" in text
    assert textwrap.indent(clause["source"].strip(), "    ") in text


def test_kernels_that_did_the_same_are_told_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the one that did otherwise has what was expected beside what was seen."""
    runs = [("r1", "host", "PASS"), ("r2", "uml", "FAIL"), ("r3", "vm", "PASS")]
    path = record(tmp_path / "a.jsonl", *(run_of(*run) for run in runs))

    said = explained(capsys, CLAUSE, str(path)).partition("What each kernel did\n")[2]

    assert said == (
        "\n  host · 6.12.107+deb13-amd64, vm · 6.12.107+deb13-amd64\n"
        "    PASS\n"
        "      2 cases: tcp4, tcp6\n"
        "\n  uml · 6.12.107+deb13-amd64\n"
        "    FAIL: at reset: socket.so_error is EPIPE, not ECONNRESET\n"
        "      tcp6\n"
        "        at reset, socket.so_error\n"
        "          expected  ECONNRESET\n"
        "          observed  EPIPE\n"
        "    PASS\n"
        "      tcp4\n"
    )


def test_every_outcome_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Worst first, each with its reason; a measurement with what was measured."""
    path = str(record(tmp_path / "a.jsonl", every_rank()))

    text = explained(capsys, CLAUSE, path)
    places = [
        text.index(f"    {word}") for word in ("FAIL:", "ERROR:", "MISS:", "FAIL, recorded (late-", "PASS", "SKIP:")
    ]
    assert places == sorted(places)
    assert "recorded deviation: signals are delivered by another thread, later" in text
    assert "at raced, rounds: 32" in explained(capsys, "race.open", path)


def test_a_clause_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest ids; exit code 2."""
    path = str(record(tmp_path / "a.jsonl", every_rank()))

    assert main(["explain", "error.rest.established", path]) == 2
    assert "there is no clause 'error.rest.established' in the records; did you mean error.reset.established?" in (
        capsys.readouterr().err
    )


def test_without_a_record_it_says_who_needs_none(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence; exit code 2."""
    assert main(["explain", CLAUSE]) == 2
    assert "python -m suites explain CLAUSE" in capsys.readouterr().err


def test_hostile_text_stays_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No terminal's command gets through, and no line is forged."""
    text = explained(capsys, HOSTILE, str(record(tmp_path / "a.jsonl", hostile())))

    for character in "\x1b\r\x00\x85\u2028\u202e\ufffe":
        assert character not in text
    assert "\nok 99 forged" not in text
