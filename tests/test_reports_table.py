"""The table of states: what was observed stands in it, families and kernels that agree share, and it fits the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.__main__ import main
from reports.record import read
from reports.table import tables
from tests.records import Line, case_line, node, run_line, write
from tests.states import HALF_CLOSED, OUT, RDHUP, TITLE, record, said, seen, signal


def told(*paths: Path, width: int = 120, families: list[str] | None = None, clauses: bool = False) -> list[str]:
    """The lines of the tables, without the legend."""
    lines = list(tables(read(paths), width, families, clauses))
    return lines[lines.index("") + 1 :]


def test_a_state_is_a_row_of_what_was_observed(tmp_path: Path) -> None:
    """Pairs of bits have one word, epoll that agrees with poll an equals sign, and signals stand in order."""
    path = record(tmp_path / "a.jsonl", {("half_closed_by_peer", "tcp4"): HALF_CLOSED})

    heading, columns, _, row = told(path)

    assert heading == "tcp4, on 6.18.1"
    assert columns.split() == ["state", "poll", "select", "epoll", "edge", "SIGIO", "read", "write", "SO_ERROR"]
    assert " ".join(row.split()) == "half closed by peer IN OUT RDHUP rw = = IN IN 0 1 0"


@pytest.mark.parametrize(
    ("state", "signals", "row"),
    [
        (said(0), [], "s - w - - - EAGAIN 1 0"),
        (said(OUT, edge=0), [], "s OUT w = - - EAGAIN 1 0"),
        (said(OUT | 0x200, 2, OUT), [], "s OUT WRB w = OUT - EAGAIN 1 0"),
        (said(0x1 | 0x100, 3), [], "s POLLIN POLLWRNORM rw = = - EAGAIN 1 0"),
        (said(0x2 | 0x10000, 4), [], "s PRI 0x10000 x = = - EAGAIN 1 0"),
        (said(OUT), [signal(4, "before"), signal(2, "asked")], "s OUT w = = - EAGAIN 1 0"),
        (said(OUT), [signal(0x80, signo=23), signal(5), signal(1, fd=10)], "s OUT w = = URG PRI IN(peer) EAGAIN 1 0"),
        (said(OUT, so_error="EPIPE"), [], "s OUT w = = - EAGAIN 1 EPIPE"),
        ({}, [], "s ? ? ? ? - EAGAIN 1 ?"),
    ],
)
def test_every_observer_is_told_in_short(tmp_path: Path, state: Line, signals: list[Line], row: str) -> None:
    """What isn't half of a known pair keeps its own name; what wasn't asked is a question mark."""
    path = record(tmp_path / "a.jsonl", {("s", "tcp4"): seen(state, *signals)})

    assert " ".join(told(path)[-1].split()) == row


def test_signals_of_moments_before_the_state_are_on_the_way_to_it(tmp_path: Path) -> None:
    """Those of later moments aren't; SIGPIPE is told with the write that it answers."""
    showed = seen(said(OUT), signal(2, "connected"), signal(1), signal(0, "asked", 13), wrote="EPIPE")
    showed["moments"] = {"connected": {}} | showed["moments"]
    path = record(tmp_path / "a.jsonl", {("s", "tcp4"): showed})

    assert " ".join(told(path)[-1].split()) == "s OUT w = = OUT IN EAGAIN EPIPE SIGPIPE 0"


def test_data_that_was_read_is_quoted_and_can_command_no_terminal(tmp_path: Path) -> None:
    """A record is only text."""
    path = record(tmp_path / "a.jsonl", {("s", "tcp4"): seen(said(OUT), read="data:\x1b[2J")})

    assert r"'\x1b[2J'" in told(path)[-1]


def test_families_that_agree_share_a_table(tmp_path: Path) -> None:
    """One that differs has its own."""
    other = seen(said(OUT))
    states = {("s", "tcp4"): HALF_CLOSED, ("s", "tcp6"): HALF_CLOSED, ("s", "mptcp"): other}
    path = record(tmp_path / "a.jsonl", states)

    headings = [line for line in told(path) if ", on " in line]

    assert headings == ["tcp4 and tcp6, on 6.18.1", "mptcp, on 6.18.1"]
    assert [line for line in told(path, families=["tcp6"]) if ", on " in line] == ["tcp6, on 6.18.1"]


def test_a_family_that_no_record_has_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 2."""
    path = record(tmp_path / "a.jsonl", {("s", "tcp4"): HALF_CLOSED})

    assert main(["table", "--family", "tcp5", str(path)]) == 2

    assert capsys.readouterr().err == "python -m reports: the records have no states of 'tcp5'; there are tcp4\n"


def test_kernels_that_agree_share_a_row_and_those_that_dont_are_named(tmp_path: Path) -> None:
    """A row is split where they differ, and nowhere else."""
    old = {("same", "tcp4"): HALF_CLOSED, ("split", "tcp4"): seen(said(OUT))}
    new = {("same", "tcp4"): HALF_CLOSED, ("split", "tcp4"): HALF_CLOSED}
    paths = [
        record(tmp_path / "a.jsonl", old, "r1", "5.10.1"),
        record(tmp_path / "b.jsonl", new, "r2", "6.1.1"),
        record(tmp_path / "c.jsonl", new, "r3", "7.2.1"),
    ]

    heading, _, _, *rows = told(*paths)

    assert heading == "tcp4, on 5.10.1, 6.1.1, 7.2.1"
    assert [" ".join(row.split()) for row in rows] == [
        "same IN OUT RDHUP rw = = IN IN 0 1 0",
        "split on 5.10.1 OUT w = = - EAGAIN 1 0",
        "split on 6.1.1, 7.2.1 IN OUT RDHUP rw = = IN IN 0 1 0",
    ]


def test_kernel_that_didnt_show_a_state_isnt_named_for_it(tmp_path: Path) -> None:
    """Which is to be told from one that showed it."""
    old = record(tmp_path / "a.jsonl", {("one", "tcp4"): HALF_CLOSED}, "r1", "5.10.1")
    new = record(tmp_path / "b.jsonl", {("one", "tcp4"): HALF_CLOSED, ("two", "tcp4"): HALF_CLOSED}, "r2", "6.1.1")

    _, _, _, one, two = told(old, new)

    assert one.startswith("one  ")
    assert two.startswith("two on 6.1.1  ")


@pytest.mark.parametrize(
    ("targets", "labels"),
    [
        (("host", "uml"), "host 6.18.1, uml 6.18.1"),
        (("host", "host"), "host 6.18.1 (run 1), host 6.18.1 (run 2)"),
    ],
)
def test_runs_of_the_same_kernel_are_told_apart(tmp_path: Path, targets: tuple[str, str], labels: str) -> None:
    """By their targets, and if need be by their numbers on the command line."""
    paths = [
        record(tmp_path / f"{number}.jsonl", {("s", "tcp4"): HALF_CLOSED}, f"r{number}", target=target)
        for number, target in enumerate(targets)
    ]

    assert told(*paths)[0] == f"tcp4, on {labels}"


def test_what_failed_is_marked(tmp_path: Path) -> None:
    """The table shows what was observed, which needn't be what the clause says."""
    path = record(tmp_path / "a.jsonl", {("s", "tcp4"): HALF_CLOSED}, outcome="FAIL")

    lines = told(path)

    assert lines[3].startswith("s *  ")
    assert lines[-1] == "* The kernel did otherwise than the clause says."


def test_clauses_are_named_on_request(tmp_path: Path) -> None:
    """By id and title, below their rows."""
    path = record(tmp_path / "a.jsonl", {("half_closed_by_peer", "tcp4"): HALF_CLOSED})

    assert told(path, clauses=True)[-1] == f"    state.tcp.half_closed_by_peer: {TITLE}"


@pytest.mark.parametrize("width", [80, 97, 200])
def test_lines_fit_the_terminal(tmp_path: Path, width: int) -> None:
    """Cells are folded at spaces, and broken where there is no other way."""
    state = said(0x1 | 0x100 | 0x2 | OUT | 0x8 | 0x10 | RDHUP, 7, so_error="EDESTADDRREQ")
    showed = seen(state, *[signal(2)] * 9, read="ECONNREFUSED", wrote="EDESTADDRREQ")
    path = record(tmp_path / "a.jsonl", {("x" * 60, "tcp4"): showed, ("closed_here_then_there", "tcp4"): HALF_CLOSED})

    assert max(map(len, tables(read([path]), width, None, True))) <= width


def test_command_fits_the_terminal_that_it_runs_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between 80 and 200 columns."""
    path = record(tmp_path / "a.jsonl", {("half_closed_by_peer", "tcp4"): HALF_CLOSED})
    monkeypatch.setenv("COLUMNS", "40")

    assert main(["table", "--clauses", str(path)]) == 0

    said = capsys.readouterr()
    assert said.err == ""
    assert 72 < max(map(len, said.out.splitlines())) <= 80


def test_records_without_states_say_so(tmp_path: Path) -> None:
    """What ran then was something else."""
    path = write(tmp_path / "a.jsonl", [run_line([node("reset", "tcp4")]), case_line(node("reset", "tcp4"))])

    assert list(tables(read([path]), 80)) == [
        "the records have no states: run the suites with --record, and with their cases of states"
    ]


def test_the_oldest_kernel_comes_first(tmp_path: Path) -> None:
    """In whichever order the records are named."""
    new = record(tmp_path / "a.jsonl", {("s", "tcp4"): HALF_CLOSED}, "r1", "6.12.1")
    old = record(tmp_path / "b.jsonl", {("s", "tcp4"): HALF_CLOSED}, "r2", "6.1.1")

    assert told(new, old)[0] == "tcp4, on 6.1.1, 6.12.1"
