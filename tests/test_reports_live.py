"""What a run shows while it lasts: a line on a terminal, nothing but failures elsewhere, the summary last."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from reports.status import Status, in_words, time_left, wanted
from tests.conftest import suites_command
from tests.test_run import Mini


class Clock:
    """Time as a test says it is."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_run_of_less_than_two_seconds_has_no_line() -> None:
    """And a longer one has it anew ten times a second at most."""
    clock, written = Clock(), list[str]()
    status = Status(written.append, clock)
    for clock.now in (100.0, 101.9, 102.0, 102.05, 102.2):
        status.show(lambda seconds: f"{seconds:.1f}")

    assert written == ["\r2.0\x1b[K", "\r2.2\x1b[K"]


def test_the_line_makes_room_and_comes_back() -> None:
    """What is cleared was shown; a second time there is nothing to clear."""
    clock, written = Clock(), list[str]()
    status = Status(written.append, clock)
    status.clear()
    clock.now = 103.0
    for _ in range(2):
        status.show(lambda _: "x")
        status.clear()
        status.clear()

    assert written == ["\rx\x1b[K", "\r\x1b[K"] * 2


def test_the_line_fits_and_commands_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be folded else, and not written over."""
    monkeypatch.setenv("COLUMNS", "20")
    clock, written = Clock(), list[str]()
    status = Status(written.append, clock)
    clock.now = 103.0
    status.show(lambda _: "\x1b[2J\r" + "x" * 100)

    assert written == ["\r\\x1b[2J\\x0d" + "x" * 8 + "\x1b[K"]


@pytest.mark.parametrize(
    ("done", "planned", "seconds", "words"),
    [
        (0, 100, 9.0, ""),
        (100, 100, 9.0, ""),
        (4, 100, 9.0, ""),
        (10, 100, 4.0, "; about 36 s left"),
        (10, 100, 60.0, "; about 9 min left"),
    ],
)
def test_time_left_is_told_once_it_can_be(done: int, planned: int, seconds: float, words: str) -> None:
    """Not from the first few cases."""
    assert time_left({"PASS": done}, planned, seconds) == words
    assert in_words({"PASS": 2, "ERROR": 1}, 9) == "3 of 9: 2 passed, 1 error"


def test_a_dumb_terminal_has_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It couldn't write over it."""
    monkeypatch.setenv("TERM", "xterm")
    assert wanted(True)
    assert not wanted(False)
    monkeypatch.setenv("TERM", "dumb")
    assert not wanted(True)


@pytest.fixture
def failing(tmp_path: Path) -> Mini:
    """A checkout of one case that passes, and one that doesn't."""
    mini = Mini(tmp_path)
    mini.add("fails", facts="recv = 1", body="case.pair(); case.at('now', recv=2)")
    mini.add("passes")
    return mini


def test_elsewhere_there_are_the_failures_and_the_summary(failing: Mini) -> None:
    """Each failure once, with what was expected beside what was seen; the summary comes after it and names it again."""
    ran = failing.run("-n0")

    assert ran.code == 1
    assert "\x1b" not in ran.output
    assert re.search(r"\nFAIL  suites/mini/test_mini.py::test_fails\[unix-stream\]\n  at now: ", ran.output)
    assert re.search(r"at now, recv\n +expected +\S+\n +observed +2\n", ran.output)
    assert ran.output.count("at now, recv") == 1
    assert "FAILURES" not in ran.output
    assert ran.output.index("at now, recv") < ran.output.index("2 cases planned: 1 passed, 1 failed")
    assert "[100%]" not in ran.output
    assert "test_mini.py ." not in ran.output


@pytest.mark.parametrize("arguments", [("-n", "1"), ("-v",), ("-q",), ("--tb=no",)])
def test_failures_are_told_however_it_runs(failing: Mini, arguments: tuple[str, ...]) -> None:
    """In workers, with -v beside pytest's own line for each case, with -q, and without details where none are asked for."""
    ran = failing.run(*arguments)

    assert ran.code == 1
    assert "FAIL  suites/mini/test_mini.py::test_fails[unix-stream]\n  at now: " in ran.output
    assert "\nFAIL suites/mini/test_mini.py::test_fails[unix-stream] - FAIL: at now: " in ran.output
    assert ran.output.count("expected  ") == ("--tb=no" not in arguments)
    assert ("test_passes[unix-stream] PASS" in ran.output) == ("-v" in arguments)


def test_on_a_terminal_a_short_run_leaves_no_line(failing: Mini) -> None:
    """The failure is there in colour, and nothing was written over."""
    failing.write()
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    process = subprocess.Popen(
        suites_command(failing.record), cwd=failing.root, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # EIO: nobody has the other end any more
            break
    os.close(ours)

    assert process.wait() == 1
    assert re.search(rb"\x1b\[[\d;m\x1b\[]+FAIL  suites/mini/test_mini.py::test_fails", shown)
    assert b"\r\x1b[K" not in shown


def test_what_fails_and_is_no_case_is_told_too(tmp_path: Path) -> None:
    """A test beside the cases has its traceback, which the summary doesn't repeat."""
    mini = Mini(tmp_path)
    mini.add("passes")
    mini.cases += "\ndef test_of_its_own():\n    assert 1 == 2\n"

    ran = mini.run()

    assert ">       assert 1 == 2" in ran.output or ">   assert 1 == 2" in ran.output
    assert "FAILURES" not in ran.output
    assert "call of suites/mini/test_mini.py::test_of_its_own" in ran.output
