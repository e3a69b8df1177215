"""KCIDB data: the schema's own package takes it, whatever the record says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kcidb_io.schema import V5_3

from reports.__main__ import main
from reports.kcidb import render
from reports.record import read
from tests.records import Line
from tests.runs import DEVIATION, every_rank, hostile, record


def form(tmp_path: Path, *runs: list[Line], origin: str = "sockwake") -> Any:
    """The form as it is read back from JSON, valid."""
    data = json.loads(json.dumps(render(read([record(tmp_path / "a.jsonl", *runs)]), origin)))
    assert V5_3.validate(data) is data
    return data


def test_outcomes_are_kcidbs_own(tmp_path: Path) -> None:
    """A recorded deviation stays a FAIL, and one that is no longer seen a PASS."""
    found = {test["path"]: test["status"] for test in form(tmp_path, every_rank())["tests"]}

    reset = "sockwake.error.reset.established"
    assert found == {
        f"{reset}.tcp4": "PASS",
        f"{reset}.tcp6": "FAIL",
        f"{reset}.mptcp": "FAIL",
        f"{reset}.udp4": "ERROR",
        f"{reset}.vsock": "SKIP",
        f"{reset}.udp6": "PASS",
        f"{reset}.unix-stream": "MISS",
        "sockwake.race.open.unix-stream": "DONE",
    }


def test_every_test_is_of_a_build_of_a_checkout(tmp_path: Path) -> None:
    """Runs on the same kernel share them; ids are unique otherwise."""
    other = {"release": "6.1.0", "version": "#1", "machine": "um", "implementation": "Linux"}
    data = form(tmp_path, every_rank(), every_rank("r2"), every_rank("r3", kernel=other))

    assert len(data["checkouts"]) == len(data["builds"]) == 2
    assert {build["checkout_id"] for build in data["builds"]} == {checkout["id"] for checkout in data["checkouts"]}
    assert {test["build_id"] for test in data["tests"]} == {build["id"] for build in data["builds"]}
    assert len({test["id"] for test in data["tests"]}) == len(data["tests"]) == 24
    assert [build["architecture"] for build in data["builds"]] == ["x86_64", "um"]


def test_test_says_how_it_came_out(tmp_path: Path) -> None:
    """With evidence, the time that it took, and what to name to see it again."""
    (test,) = [test for test in form(tmp_path, every_rank())["tests"] if test["path"].endswith("tcp6")]

    assert test["comment"] == "A reset of an established connection is one error event"
    assert test["log_excerpt"].split("\n")[0] == "verdict: at reset: socket.so_error is EPIPE, not ECONNRESET"
    assert test["duration"] == pytest.approx(0.000812345)
    assert test["start_time"] == "2026-11-21T07:30:00+00:00"
    assert test["environment"] == {"comment": "host"}
    assert test["misc"]["case"] == "suites/notification/test_error.py::test_reset[tcp6]"


def test_recorded_deviation_is_an_incident_of_an_issue(tmp_path: Path) -> None:
    """One issue for a cause, however many tests it touches."""
    data = form(tmp_path, every_rank(), every_rank("r2"))

    (issue,) = data["issues"]
    assert (issue["report_subject"], issue["comment"]) == (DEVIATION["cause"], DEVIATION["reason"])
    assert issue["culprit"] == {"code": True, "tool": False, "harness": False}
    touched = {test["id"] for test in data["tests"] if test["path"].endswith("mptcp")}
    assert {incident["test_id"] for incident in data["incidents"]} == touched
    assert {incident["issue_id"] for incident in data["incidents"]} == {issue["id"]}


def test_whatever_a_record_says_is_valid(tmp_path: Path) -> None:
    """Ids, paths and times are made or checked; text has no unseen character and isn't endless."""
    run = hostile()
    run[2] = run[2] | {"reason": "\x00" * 100_000, "duration_ns": -1}

    data = form(tmp_path, run)

    tests = data["tests"]
    assert [test["status"] for test in tests] == ["FAIL", "ERROR", "SKIP", "PASS"]
    assert all("start_time" not in test for test in tests)
    assert "architecture" not in data["builds"][0]
    assert "bytes more]" in tests[0]["log_excerpt"]
    assert tests[0]["duration"] == 0
    assert all(text.replace("\n", "").isprintable() for text in _texts(data))


def _texts(data: Any) -> list[str]:
    match data:
        case str():
            return [data]
        case dict():
            return [text for item in data.items() for part in item for text in _texts(part)]
        case list():
            return [text for item in data for text in _texts(item)]
    return []


@pytest.mark.parametrize(
    ("started", "valid"),
    [
        ("2026-11-21T07:30:00Z", True),
        ("2026-11-21T07:30:00.123456+05:30", True),
        ("2026-02-30T07:30:00Z", False),
        ("2026-11-21T07:30:00", False),
        ("2026-11-21T07:30:00+99:00", False),
        ("٢٠٢٦-11-21T07:30:00Z", False),
    ],
)
def test_start_is_said_where_it_is_a_time(tmp_path: Path, started: str, valid: bool) -> None:
    """As RFC 3339 writes it."""
    tests = form(tmp_path, every_rank(started=started))["tests"]

    assert all(("start_time" in test) == valid for test in tests)


def test_origin_is_whoever_submits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each id begins with it; KCIDB takes few characters in it."""
    data = form(tmp_path, every_rank(), origin="our_lab")
    assert all(test["id"].startswith("our_lab:") and test["origin"] == "our_lab" for test in data["tests"])

    with pytest.raises(SystemExit) as exit:
        main(["kcidb", "--origin", "Our Lab", str(tmp_path / "a.jsonl")])
    assert exit.value.code == 2
    assert "'Our Lab' isn't made of a to z, 0 to 9 and _ alone" in capsys.readouterr().err


def test_run_that_is_named_in_two_records_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that was judged again, for one: the ids would be the same."""
    one, two = (str(record(tmp_path / f"{name}.jsonl", every_rank())) for name in ("old", "new"))

    assert main(["kcidb", one, two]) == 2

    assert "the run r1 stands in" in capsys.readouterr().err


def test_command_writes_the_same_bytes_again(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """To standard output, and to a file that is KCIDB data already."""
    path, out = record(tmp_path / "a.jsonl", every_rank(), every_rank("r2")), tmp_path / "out.json"

    assert main(["kcidb", str(path)]) == 0
    assert main(["kcidb", str(path), "-o", str(out)]) == 0
    assert main(["kcidb", str(path), "-o", str(out)]) == 0

    assert capfdbinary.readouterr().out == out.read_bytes() != b""


def test_command_replaces_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON of another kind, for one."""
    path, out = record(tmp_path / "a.jsonl", every_rank()), tmp_path / "out.json"
    out.write_text('{"name": "mine"}')

    assert main(["kcidb", str(path), "-o", str(out)]) == 2

    assert "it is there and isn't KCIDB data" in capsys.readouterr().err
    assert out.read_text() == '{"name": "mine"}'
