"""Paths through the kernel: what came of a clause's functions, kernel by kernel, and which functions were seen at all."""

from __future__ import annotations

from pathlib import Path

from reports.html import render
from reports.record import read
from tests.markup import Page
from tests.records import Line, case_line, clause_line, end_line, function_line, node, path_line, run_line, write

TCP4, TCP6 = node("reset", "tcp4"), node("reset", "tcp6")
TRACED = {"ok": True, "how": "ftrace's function_graph"}


def traced_run(run: str, release: str, *lines: Line) -> list[Line]:
    """A run of the reset on two families, both of which passed, with the lines of its trace."""
    kernel = run_line([])["kernel"] | {"release": release}
    return [
        run_line([TCP4, TCP6], run, target=f"vm-{release}", kernel=kernel, trace=TRACED),
        clause_line(run=run),
        case_line(TCP4, run=run),
        case_line(TCP6, run=run),
        *lines,
        end_line(run, PASS=2),
    ]


def test_the_page_shows_a_path_beside_what_was_called(tmp_path: Path) -> None:
    """Cases of the same steps are told once, and the tree of one of them."""
    record = write(
        tmp_path / "a.jsonl", traced_run("r1", "6.12.1", function_line("tcp_reset"), path_line(TCP4), path_line(TCP6))
    )
    made = render(read([record]))
    shown = Page(made)

    assert "The path that was taken" in shown.text
    assert made.count("<th scope=colgroup") == 1
    assert "tcp4, tcp6" in shown.text
    assert "The calls of tcp4 on vm-6.12.1: 18" in shown.text
    assert {link.removeprefix("#") for link in shown.links} <= set(shown.ids)


def test_a_record_without_traces_says_nothing_of_paths(tmp_path: Path) -> None:
    """Its page is as it was before there were traces."""
    made = render(read([write(tmp_path / "a.jsonl", [run_line([TCP4]), clause_line(), case_line(TCP4)])]))

    assert ":paths" not in made
    assert "class=path" not in made
