"""The timeline: what is drawn of a case is in its record, in order, small, and nothing but text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from reports.lines import Case
from reports.record import read
from reports.timeline import COLUMNS, NAME, SLEEPERS, TIMES, timeline
from tests.records import case_line, node, observed, run_line, write

CASE = node("drained", "udp4")
OWN, SLEEPER = 4123, 4200


def step(t_us: int, call: str, result: int | None = 0, tid: int = OWN, errno: str | None = None) -> dict[str, Any]:
    """A step of the case's own thread, unless another is named."""
    return {"t_ns": t_us * 1000, "tid": tid, "call": call, "arguments": "", "result": result, "errno": errno}


def moment(t_us: int) -> list[dict[str, Any]]:
    """What the lab does at a moment."""
    return [
        step(t_us, "fence"),
        step(t_us + 1, "poll", 4),
        step(t_us + 2, "select", 2),
        step(t_us + 3, "drain_signals"),
    ]


def case_of(tmp_path: Path, steps: list[dict[str, Any]], **changes: Any) -> Case:
    """A case with these steps."""
    seen = observed() | {"steps": steps} | changes
    (run,) = read([write(tmp_path / "a.jsonl", [run_line([CASE]), case_line(CASE, observed=seen)])])
    return run.cases[0]


def drawn(case: Case) -> tuple[list[str], ElementTree.Element]:
    """The rows of text of a case's timeline, without their gaps, and the drawing."""
    made = timeline(case)
    assert made is not None
    root = ElementTree.fromstring(made)
    return [" ".join((text.text or "").split()).replace(TIMES, "*") for text in root.iter("text")], root


def test_calls_moments_and_signals_stand_in_order(tmp_path: Path) -> None:
    """What the observers asked at a moment is the moment; what is repeated is one label."""
    steps = [step(1, "socket"), step(2, "send"), step(3, "send"), step(4, "send", -1, errno="EAGAIN"), *moment(10)]
    steps += [step(20, "recv"), *moment(30)]
    signal = observed()["signals"][0] | {"code": 2}
    case = case_of(
        tmp_path, steps, moments={"full": {}, "drained": {}}, signals=[signal | {"at": "drained"} for _ in range(2)]
    )

    rows, root = drawn(case)

    assert rows == ["full 13 µs drained 33 µs", "case socket send*2 send EAGAIN recv", "signals POLL_OUT*2"]
    assert [svg.get("aria-label", "").replace(TIMES, "*") for svg in root] == [
        "Timeline; full 13 µs: no signal; drained 33 µs: POLL_OUT*2"
    ]


def test_sleeper_is_a_bar_from_its_begin_to_its_end(tmp_path: Path) -> None:
    """Who never returns is asleep up to the edge; a record that doesn't know the begin has the end alone."""
    steps = [
        step(1, "socket"),
        step(2, "recv", None, SLEEPER),
        step(3, "poll", None, SLEEPER + 1),
        step(10, "send"),
        *moment(20),
        step(9, "recv", 1, SLEEPER),
        step(8, "select", 1, SLEEPER + 2),
    ]

    rows, root = drawn(case_of(tmp_path, steps, moments={"sent": {}}, signals=[]))

    bars = [(path.findtext("title"), path.get("d")) for path in root.iter("path") if path.get("class") == "s"]
    assert rows[1:] == ["case socket send", "recv", "poll", "select"]
    assert [words for words, _ in bars] == [
        "recv slept from 2 µs, returned at 9 µs",
        "poll slept from 3 µs, never returned",
        "select returned at 8 µs",
    ]
    assert [re.sub(r"\d+", "", marks or "") for _, marks in bars] == ["M HM v", "M H", "M v"]


def test_calls_that_come_again_and_again_are_one_label(tmp_path: Path) -> None:
    """Also where several take turns."""
    steps = [step(number, ("setsockopt", "poll")[number % 2]) for number in range(10)]
    rows, _ = drawn(case_of(tmp_path, [*steps, step(20, "child: read"), *moment(30)], moments={"on": {}}))
    assert rows[1:3] == ["case setsockopt poll*5", "child read"]


def test_moments_are_left_out_where_it_cannot_be_told_when_they_were(tmp_path: Path) -> None:
    """The case has fetched signals by itself: of the only moment it is the last fetch, of two nobody knows."""
    steps = [step(1, "send"), step(2, "drain_signals", 1), step(3, "send"), *moment(10)]
    assert drawn(case_of(tmp_path, steps, moments={"sent": {}}, signals=[]))[0][0] == "sent 13 µs"
    assert drawn(case_of(tmp_path, steps, moments={"sent": {}, "read": {}, "shut": {}}))[0][0].startswith(
        "case send drain_signals"
    )


@pytest.mark.parametrize("changes", [{"observed": None}, {"observed": observed() | {"steps": []}}])
def test_case_without_calls_has_no_timeline(tmp_path: Path, changes: dict[str, Any]) -> None:
    """There is nothing to draw."""
    (run,) = read([write(tmp_path / "a.jsonl", [run_line([CASE]), case_line(CASE, **changes)])])
    assert timeline(run.cases[0]) is None


def test_names_of_a_record_are_text(tmp_path: Path) -> None:
    """Markup, direction marks and line breaks do nothing, and a long name ends."""
    hostile = '<script>"\u202e\n' + "x" * 100
    steps = [step(1, hostile), step(2, hostile, None, SLEEPER), *moment(10)]

    rows, root = drawn(case_of(tmp_path, steps, moments={hostile: {}}, signals=[]))

    assert {child.tag for child in root.iter()} == {"div", "svg", "text", "path", "title"}
    assert all(len(name) <= NAME for row in rows for name in row.split(" "))
    assert "\u202e" not in "".join(root.itertext())


def test_drawing_stays_small(tmp_path: Path) -> None:
    """However much a case did, its last calls and its first sleepers are what is drawn."""
    steps = [step(number, f"call{number}") for number in range(5000)]
    steps += [step(5000 + number, "recv", None, SLEEPER + number) for number in range(50)]

    made = timeline(case_of(tmp_path, [*steps, *moment(6000)], moments={"sent": {}}, signals=[]))

    assert made is not None
    rows = [text.text or "" for text in ElementTree.fromstring(made).iter("text")]
    assert max(map(len, rows)) < COLUMNS + 80
    assert "…" in rows[1]
    assert rows[-1] == f"and {50 - SLEEPERS} more"
    assert len(made.encode()) < 3000
