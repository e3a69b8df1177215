"""tmt's results: the whole, the clauses and the cases, with outcomes that tmt's own specification knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reports.__main__ import main
from reports.record import read
from reports.tmt import render
from tests.records import Line, case_line, clause_line, node, run_line
from tests.runs import every_rank, hostile, record


def form(tmp_path: Path, *runs: list[Line], logs: tuple[str, ...] = ()) -> Any:
    """The form as it is read back from JSON."""
    return json.loads(json.dumps(render(read([record(tmp_path / "a.jsonl", *runs)]), logs)))


def test_whole_comes_first_and_says_what_the_run_amounts_to(tmp_path: Path) -> None:
    """tmt takes it for the test itself."""
    whole = form(tmp_path, every_rank(), logs=("host.html",))[0]

    assert whole == {
        "name": "/",
        "result": "fail",
        "note": [
            "host: not conformant (1 failed)",
            "8 cases planned: 2 passed, 2 failed (1 as recorded), 1 error, 1 skipped, 1 missing, 1 measured",
        ],
        "log": ["host.html"],
    }


def test_every_way_to_count_has_its_outcome(tmp_path: Path) -> None:
    """A result a clause, the worst of its cases; a subresult a case."""
    _, reset, race = form(tmp_path, every_rank())

    assert (reset["name"], reset["result"]) == ("/error.reset.established", "fail")
    assert reset["note"] == ["must: A reset of an established connection is one error event"]
    assert {case["name"]: case["result"] for case in reset["subresult"]} == {
        "/tcp4": "pass",
        "/tcp6": "fail",
        "/mptcp": "info",
        "/udp4": "error",
        "/vsock": "skip",
        "/udp6": "fail",
        "/unix-stream": "error",
    }
    assert (race["name"], race["result"]) == ("/race.open", "info")
    assert race["subresult"][0]["note"] == ["measured: at raced: rounds 32"]


@pytest.mark.parametrize(
    ("outcome", "deviation", "result"),
    [
        ("PASS", None, "pass"),
        ("SKIP", None, "skip"),
        ("MISS", None, "error"),
        ("FAIL", None, "fail"),
        ("FAIL", {"cause": "late", "reason": "it is late"}, "info"),
    ],
)
def test_whole_is_its_worst(tmp_path: Path, outcome: str, deviation: Line | None, result: str) -> None:
    """And nothing but skipped cases is skipped."""
    case = node("reset", "tcp4")
    run = [run_line([case]), clause_line(), case_line(case, outcome, deviation=deviation)]

    assert [entry["result"] for entry in form(tmp_path, run)] == [result, result]


def test_runs_of_several_targets_stand_below_their_names(tmp_path: Path) -> None:
    """One run needs none."""
    results = form(tmp_path, every_rank(), every_rank("r2", target="ssh:host/a"))

    assert [entry["name"] for entry in results] == [
        "/",
        "/host/error.reset.established",
        "/host/race.open",
        "/ssh:host_a/error.reset.established",
        "/ssh:host_a/race.open",
    ]


def test_text_of_a_record_is_visible_and_makes_no_names(tmp_path: Path) -> None:
    """A name has the slashes that stand between its parts, and no line end."""
    whole, clause = form(tmp_path, hostile())

    assert clause["name"].count("/") == 1
    assert [case["name"].count("/") for case in clause["subresult"]] == [1, 1, 1, 1]
    names = [entry["name"] for entry in (clause, *clause["subresult"])]
    notes = [note for entry in (whole, clause, *clause["subresult"]) for note in entry["note"]]
    assert all(text.isprintable() for text in (*names, *notes))


def test_command_writes_the_same_bytes_again(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """To standard output, and to a file that has results already."""
    path, out = record(tmp_path / "a.jsonl", every_rank()), tmp_path / "results.json"

    assert main(["tmt", str(path)]) == 0
    assert main(["tmt", str(path), "-o", str(out)]) == 0
    assert main(["tmt", str(path), "-o", str(out)]) == 0

    assert capfdbinary.readouterr().out == out.read_bytes() != b""
