"""The command `python -m suites`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suites.__main__ import main as suites
from tests.conftest import Ran


def test_explain_says_what_a_clause_says_and_shows_its_case(capsys: pytest.CaptureFixture[str]) -> None:
    """Text, expectation, change and source, in one page of the terminal."""
    assert suites(["explain", "room.release.on"]) == 0

    said = capsys.readouterr().out
    assert said.startswith("room.release.on (observed): On the boundary, UDP and raw sockets wake and signal")
    assert "from 5.19 on: sock_wfree gives UDP and raw packets back" in said
    assert 'signals = ["POLL_OUT"]' in said
    assert "def test_packet_that_makes_just_enough_room(case: Case) -> None:" in said


def test_explain_of_an_unknown_clause_names_what_is_near(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 2."""
    assert suites(["explain", "room.release.onn"]) == 2
    assert capsys.readouterr().err.startswith(
        "sockwake: there is no clause 'room.release.onn'; did you mean room.release.on"
    )


def write(path: Path, ran: Ran) -> Path:
    """Write a run's lines as a record again."""
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in ran.lines))
    return path


def test_judging_again_gives_the_same_outcomes(host_run: Ran, tmp_path: Path) -> None:
    """The specification hasn't changed, so no outcome does."""
    old, new = write(tmp_path / "old.jsonl", host_run), tmp_path / "new.jsonl"

    assert suites(["judge", str(old), "-o", str(new)]) == 0

    assert [json.loads(line) for line in new.read_text().splitlines()] == host_run.lines


def test_judging_again_finds_what_an_old_run_got_wrong(host_run: Ran, tmp_path: Path) -> None:
    """An observation that differs from today's text fails, without the kernel."""
    old, new = write(tmp_path / "old.jsonl", host_run), tmp_path / "new.jsonl"
    old.write_text(old.read_text().replace('"socket.so_error":"ECONNRESET"', '"socket.so_error":"EPIPE"'))

    assert suites(["judge", str(old), "-o", str(new)]) == 0

    (end,) = [line for line in map(json.loads, new.read_text().splitlines()) if line["type"] == "end"]
    assert end["counts"]["FAIL"] > 10
    assert sum(end["counts"].values()) == len(host_run.of("run")[0]["planned"])


def test_judging_again_leaves_what_is_no_record_as_it_is(host_run: Ran, tmp_path: Path) -> None:
    """Only a record is ever replaced."""
    old, new = write(tmp_path / "old.jsonl", host_run), tmp_path / "thesis.txt"
    new.write_text("my thesis")

    assert suites(["judge", str(old), "-o", str(new)]) == 2
    assert new.read_text() == "my thesis"
