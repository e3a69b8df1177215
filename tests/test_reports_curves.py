"""The pictures: what they draw is in the records, alike is drawn once, and what can't be drawn is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from reports.curves import Picture, pictures
from reports.pages import stands
from reports.record import read
from tests.records import case_line, clause_line, node, observed, run_line, write

FILLED = {"charges": [0, 500, 1000], "room": [1, 1, 0], "socket.sndbuf": 1000, "send": "EAGAIN"}
DRAINED = {"charges": [1000, 500, 0], "room": [0, 1, 1], "signalled": [0, 1, 0]}
SPACE = {"filled": FILLED, "drained": DRAINED}


def release(version: str) -> dict[str, Any]:
    """The kernel of a run."""
    return {"kernel": run_line([])["kernel"] | {"release": f"{version}-test"}, "target": f"uml-{version}"}


def pictures_of(tmp_path: Path, *runs: tuple[str, dict[str, dict[str, Any]]]) -> list[Picture]:
    """The pictures of runs: each a kernel's version, and the moments that were seen of each family."""
    paths = []
    for version, seen in runs:
        cases = {family: node("curve", family) for family in seen}
        lines = [
            run_line(cases.values(), run=version, **release(version)),
            clause_line("room.curve.all", "curve", run=version),
        ]
        for family, moments in seen.items():
            facts = observed() | {"moments": moments, "signals": []}
            lines.append(case_line(cases[family], run=version, clause="room.curve.all", observed=facts))
        paths.append(write(tmp_path / f"{version}.jsonl", lines))
    return pictures(stands(read(paths)))


def panels(picture: Picture) -> list[str]:
    """What the panels of a picture are called."""
    root = ElementTree.fromstring(f"<div>{picture.drawing}</div>")
    return [caption.text or "" for caption in root.iter("figcaption")]


def test_families_and_kernels_that_showed_the_same_are_drawn_once(tmp_path: Path) -> None:
    """A row of kernels is named by its first and its last."""
    alike = {"udp4": SPACE, "udp6": SPACE}
    space, *_ = pictures_of(tmp_path, ("5.10", alike), ("6.1", alike), ("6.12", alike))
    assert panels(space) == ["udp4, udp6 · 5.10 to 6.12"]
    assert space.clauses == ("room.curve.all",)
    assert space.table == (
        ("udp4, udp6", "5.10 to 6.12", "1000", "0 500 1000", "500", "1000, EAGAIN", "1000 500 0", "500", "500"),
    )


def test_kernels_that_differ_are_two_lines_of_one_panel(tmp_path: Path) -> None:
    """They are told apart by how they are drawn, and named beside it."""
    other = {"filled": FILLED, "drained": DRAINED | {"signalled": [0, 0, 0]}}
    space, *_ = pictures_of(tmp_path, ("5.10", {"udp4": SPACE}), ("6.1", {"udp4": other}))

    root = ElementTree.fromstring(f"<div>{space.drawing}</div>")
    titles = [path.findtext("title") for path in root.iter("path") if path.find("title") is not None]
    assert titles == ["udp4: 5.10", "udp4: 6.1"]
    assert {"5.10", "6.1"} <= {text.text for text in root.iter("text")}
    assert [row[1:2] + row[-1:] for row in space.table] == [("5.10", "500"), ("6.1", "never")]


def test_connections_are_dots_in_the_order_in_which_they_were_offered(tmp_path: Path) -> None:
    """Those without a place are open, and what became of them is said."""
    moments = {"full": {"backlog": 1, "established": 2, "refused": 3}, "drained": {"accepted": 2}}
    queue, *_ = pictures_of(tmp_path, ("6.1", {"unix-stream": moments}))

    marks = {
        path.get("class"): path.get("d", "")
        for path in ElementTree.fromstring(f"<div>{queue.drawing}</div>").iter("path")
    }
    assert (marks["b"].count("M"), marks["k"].count("M")) == (5, 3)
    assert queue.table == (("unix-stream", "6.1", "1", "5", "2", "3, EAGAIN", "2"),)


def test_signals_are_drawn_against_events(tmp_path: Path) -> None:
    """In full up to the limit, and one SIGIO for the rest."""
    facts = {"limit": 2, "events": [1, 2, 3], "in_full": [1, 2, 2], "sigio": [0, 0, 1]}
    signals, *_ = pictures_of(tmp_path, ("6.1", {"tcp4": {"sent": facts}}))
    assert signals.table == (("tcp4", "6.1", "2", "1 2 3", "1 2 2", "0 0 1"),)


def test_slowest_case_is_named(tmp_path: Path) -> None:
    """Every run has its row."""
    *_, times = pictures_of(tmp_path, ("5.10", {"udp4": SPACE}), ("6.1", {"udp4": {}}))
    assert [row[0] for row in times.table] == ["uml-5.10", "uml-6.1"]
    assert times.table[0][-1] == node("curve", "udp4")


@pytest.mark.parametrize(
    "broken",
    [
        {"filled": FILLED | {"room": [1]}, "drained": DRAINED},
        {"filled": FILLED | {"charges": ["0", None, 1.5]}, "drained": DRAINED},
        {"filled": FILLED | {"charges": [0, -1, 2**60]}, "drained": DRAINED},
        {"filled": FILLED | {"socket.sndbuf": 0}, "drained": DRAINED},
        {"filled": {"charges": [], "room": []} | {"socket.sndbuf": 1, "send": ""}, "drained": DRAINED},
        {"filled": FILLED, "drained": {key: [0] * 300 for key in DRAINED}},
        {"full": {"backlog": None, "refused": 10**9, "established": 1}, "drained": {"accepted": 1}},
        {"sent": {"limit": 0, "events": [1], "in_full": [1], "sigio": [1]}},
        {"sent": {"limit": "8", "events": 1, "in_full": [1], "sigio": [1]}},
    ],
)
def test_facts_that_are_no_curve_are_left_out(tmp_path: Path, broken: dict[str, Any]) -> None:
    """A record may say anything."""
    assert [picture.title for picture in pictures_of(tmp_path, ("6.1", {"udp4": broken}))] == ["Case times"]


def test_words_of_a_record_are_text(tmp_path: Path) -> None:
    """In the drawing and in the table."""
    hostile = "<script>\u202e\"'"
    filled = FILLED | {"send": hostile}
    made = pictures_of(tmp_path, ("6.1", {hostile: {"filled": filled, "drained": DRAINED}}))
    for picture in made:
        root = ElementTree.fromstring(f"<div>{picture.drawing}</div>")
        assert {child.tag for child in root.iter()} <= {"div", "figure", "figcaption", "svg", "path", "title", "text"}
        assert "\u202e" not in "".join(root.itertext())
