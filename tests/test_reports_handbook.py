"""The handbook: what was measured stands in it, told together where it agrees, and what follows is worked out from it alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reports.__main__ import main
from reports.handbook import render
from reports.pages import anchor
from reports.record import read
from tests.markup import Page
from tests.records import Line, case_line, clause_line, expected, node, observed, run_line, write
from tests.states import HALF_CLOSED, IN, OUT, RDHUP, record, said, seen, signal

HUP, ERR = 0x10, 0x8


class Handbook(Page):
    """A handbook taken apart: the cells of each table's rows, and the text of each `details` and of what is found nowhere."""

    def __init__(self, text: str) -> None:
        self.rows: list[list[str]] = []
        self.findings: list[str] = []
        self.within = 0
        super().__init__(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
        elif dict(attrs).get("class") in ("finding", "entry"):
            self.findings.append("")
            self.within = len(self.open)

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data
        if self.within:
            self.findings[-1] += data

    def handle_endtag(self, tag: str) -> None:
        super().handle_endtag(tag)
        if len(self.open) < self.within:
            self.within = 0

    def rows_of(self, name: str) -> list[list[str]]:
        """The rows that begin with a name."""
        return [row for row in self.rows if row and row[0].split(" ")[0] == name]

    def finding(self, words: str) -> str:
        """What is said of something that was looked for."""
        (found,) = (" ".join(found.split()) for found in self.findings if found.strip().startswith(words))
        return found


def handbook(*paths: Path, report: str | None = None) -> Handbook:
    """The handbook of some records."""
    return Handbook(render(read(paths), report))


def event(path: Path, *cases: tuple[str, Line], run: str = "r1", release: str = "6.18.1", **changes: Any) -> Path:
    """A record of one clause whose cases, by parameters, showed this."""
    planned = [node("reset", name) for name, _ in cases]
    kernel = {"version": "#1", "machine": "x86_64", "implementation": "Linux", "release": release}
    lines = [run_line(planned, run, kernel=kernel), clause_line(run=run)]
    lines += [
        case_line(node("reset", name), run=run, family=name.partition("-")[0], **{"observed": showed} | changes)
        for name, showed in cases
    ]
    return write(path, lines)


def at_reset(*signals: Line, **facts: int | str) -> Line:
    """An observation with one moment."""
    shown = {name.replace("__", "."): value for name, value in facts.items()}
    return observed() | {"moments": {"reset": shown}, "signals": list(signals)}


# States


def test_a_state_is_a_row_of_what_was_observed(tmp_path: Path) -> None:
    """Signals by their whole si_code, with a count where they repeat."""
    page = handbook(record(tmp_path / "a.jsonl", {("s", "tcp4"): HALF_CLOSED}))

    assert page.rows_of("s") == [["s", "IN OUT RDHUP", "rw", "=", "=", "2\xa0×\xa0POLL_IN", "0", "1", "0"]]  # noqa: RUF001


def test_observer_that_says_otherwise_than_poll_is_named(tmp_path: Path) -> None:
    """In the column of epoll; those that agree are silent."""
    state = said(OUT) | {"socket.ppoll": OUT, "socket.aio": IN, "socket.pselect": 1, "socket.io_uring": OUT}
    page = handbook(record(tmp_path / "a.jsonl", {("s", "tcp4"): seen(state)}))

    assert page.rows_of("s")[0][3] == "=, aio IN, pselect r"
    assert page.finding("select, pselect, epoll, ppoll, io_uring or AIO").endswith("In 1 state. tcp4s")


def test_families_that_agree_share_a_table_and_keep_their_anchors(tmp_path: Path) -> None:
    """So that a link lasts when one of them no longer agrees."""
    states = {("s", "tcp4"): HALF_CLOSED, ("s", "tcp6"): HALF_CLOSED, ("s", "mptcp"): seen(said(OUT))}
    page = handbook(record(tmp_path / "a.jsonl", states))

    assert len(page.rows_of("s")) == 2
    assert {anchor(f"state.tcp.s@{family}") for family in ("tcp4", "tcp6", "mptcp")} <= set(page.ids)


def test_row_is_split_where_kernels_differ(tmp_path: Path) -> None:
    """Oldest first, and what isn't as on the oldest is marked."""
    paths = [
        record(tmp_path / "c.jsonl", {("s", "tcp4"): HALF_CLOSED}, "r3", "7.2.1"),
        record(tmp_path / "b.jsonl", {("s", "tcp4"): HALF_CLOSED}, "r2", "6.1.1"),
        record(tmp_path / "d.jsonl", {("s", "tcp4"): HALF_CLOSED}, "r4", "6.12.1"),
        record(tmp_path / "a.jsonl", {("s", "tcp4"): seen(said(OUT, 3), read=0)}, "r1", "5.10.1"),
    ]

    old, new = handbook(*paths).rows_of("s")

    assert (old[0], old[1]) == ("s 5.10.1", "OUT")
    assert (new[0], new[1]) == ("s 6.1.1 to 7.2.1", "IN OUT RDHUP")
    text = render(read(paths))
    assert '<td><span class="changed">IN OUT RDHUP</span></td>' in text
    assert "<td>rw</td><td>=</td>" in text


# What follows


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (seen(said(OUT | HUP, edge=0)), "poll tells of input, an error or a hang-up, and no signal had come."),
        (
            seen(said(OUT), signal(4) | {"band": ERR}),
            "A signal had come, and poll has none of the bits of its si_band.",
        ),
        (seen(said(OUT, edge=0)), "Edge-triggered epoll told nothing, and level-triggered epoll does."),
        (seen(said(OUT, edge=IN)), "Edge-triggered epoll told something else than level-triggered epoll."),
        (seen(said(RDHUP, 0)), "poll has bits, and select has the socket in none of its sets."),
        (seen(said(HUP, 1)), "select says readable, and poll doesn't say IN"),
        (seen(said(IN, 1)), "poll says IN, and read fails."),
        (seen(said(OUT), wrote="EPIPE"), "poll says OUT, and write fails."),
        (seen(said(OUT), signal(0, "asked", 13), wrote="EPIPE"), "write raises SIGPIPE besides."),
        (seen(said(OUT), read=0), "read says that the stream has ended (0), and poll says neither RDHUP nor HUP."),
        (seen(said(ERR)), "poll says ERR, and SO_ERROR has no error."),
        (seen(said(OUT, so_error="EPIPE")), "SO_ERROR has an error, and poll doesn't say ERR."),
    ],
)
def test_what_an_event_loop_may_stumble_over_is_found(tmp_path: Path, state: Line, words: str) -> None:
    """Where a state has it, and nowhere where none has."""
    calm = seen(said(OUT), signal(2) | {"band": OUT})
    found = handbook(record(tmp_path / "a.jsonl", {("s", "tcp4"): state, ("calm", "tcp4"): calm}))
    nowhere = handbook(record(tmp_path / "b.jsonl", {("calm", "tcp4"): calm}))

    assert found.finding(words).endswith("In 1 state. tcp4s")
    assert nowhere.finding(words).endswith("Nowhere.")


def test_kernels_on_which_something_holds_are_named_if_it_isnt_all(tmp_path: Path) -> None:
    """Those that drove the state."""
    old = record(tmp_path / "a.jsonl", {("s", "tcp4"): seen(said(OUT, edge=0))}, "r1", "5.10.1")
    new = record(tmp_path / "b.jsonl", {("s", "tcp4"): seen(said(OUT))}, "r2", "6.1.1")

    assert handbook(old, new).finding("Edge-triggered epoll told nothing").endswith("In 1 state. tcp4s 5.10.1")


def test_states_are_found_by_answer(tmp_path: Path) -> None:
    """By each bit, set, signal and errno."""
    page = handbook(record(tmp_path / "a.jsonl", {("s", "tcp4"): HALF_CLOSED, ("full", "tcp4"): seen(said(0, 0))}))

    answers = [" ".join(found.split()) for found in page.findings]
    assert answers.count("RDHUP in 1 state tcp4s") == 2  # poll, and edge-triggered epoll
    assert {"nothing in 1 state tcp4full", "POLL_IN in 1 state tcp4s", "EAGAIN in 1 state tcp4full"} <= set(answers)


# Events


def test_event_is_told_moment_by_moment(tmp_path: Path) -> None:
    """Signals, what each descriptor's observers said, who slept, and what calls returned."""
    showed = observed() | {
        "moments": {
            "before_it": {"sleeper.receiver": "asleep", "peer.poll": OUT},
            "reset": {
                "recv": "data:x",
                "socket.poll": IN,
                "socket.edge": IN,
                "socket.epoll": IN,
                "socket.aio": 0,
                "socket.so_error": 0,
            },
        },
        "signals": [signal(1, "reset"), signal(1, "reset"), signal(0x80, "reset", 23), signal(4, "reset", fd=10)],
    }
    page = handbook(event(tmp_path / "a.jsonl", ("tcp4", showed), ("tcp6", showed)))

    assert page.rows_of("tcp4,") == [["tcp4, tcp6"]]
    assert page.rows_of("before") == [["before it", "-", "peer OUT", "", "receiver asleep", ""]]
    told = "2\xa0×\xa0POLL_IN, SIGURG, POLL_ERR of peer"  # noqa: RUF001
    assert page.rows_of("reset") == [["reset", told, "IN; aio -", "IN", "", "recv 'x'"]]
    assert page.finding("A reset of").startswith(
        f"A reset of an established connection is one error event {told}".replace("\xa0", " ")
    )


def test_clause_about_calls_alone_has_no_entry(tmp_path: Path) -> None:
    """Nothing came, no edge was told, and nobody slept."""
    page = handbook(event(tmp_path / "a.jsonl", ("tcp4", at_reset(recv="EAGAIN", socket__poll=OUT, socket__edge=0))))

    assert "No case of these records measured an event." in page.text
    assert "0 of 1 clauses measured a state or an event" in page.text


def test_entry_opens_to_its_clause_and_names_its_evidence(tmp_path: Path) -> None:
    """In the terminal; and in the report, if there is one beside it."""
    path = event(tmp_path / "a.jsonl", ("tcp4", at_reset(signal(4, "reset"))))
    page = handbook(path)

    assert "error.reset.established" in page.ids
    for said_of_it in (
        "wakes every sleeper",
        "net/ipv4/tcp_input.c tcp_reset",
        "tcp_reset → sk_error_report",
        "fact:reset",
    ):
        assert said_of_it in page.text
    assert "python -m reports explain error.reset.established FILE.jsonl" in page.text
    assert all(link.startswith("#") for link in page.links)
    assert "a%20page.html#error.reset.established" in handbook(path, report="a page.html").links


def test_every_siginfo_is_listed_and_an_unusual_band_is_told(tmp_path: Path) -> None:
    """The usual one of a code stands in the list only."""
    usual, unusual = signal(1, "reset") | {"band": IN}, signal(1, "reset") | {"band": 0x41 | HUP}
    page = handbook(event(tmp_path / "a.jsonl", ("tcp4", at_reset(usual, usual, unusual))))

    assert page.rows_of("as")[0] == ["as set by F_SETSIG", "POLL_IN", "IN", "the descriptor", "0", "0", "2"]
    assert page.rows_of("reset")[0][1] == "2\xa0×\xa0POLL_IN, POLL_IN with band IN HUP"  # noqa: RUF001


def test_kernels_that_differ_are_told_apart(tmp_path: Path) -> None:
    """A change that is stated, and what is open either way."""
    one, two = at_reset(signal(1, "reset")), at_reset(signal(4, "reset"))
    old = event(tmp_path / "a.jsonl", ("tcp4", one), ("tcp6", one), release="5.10.1")
    stated = expected()
    stated["moments"]["reset"]["signals"] = []
    changed = event(tmp_path / "b.jsonl", ("tcp4", two), ("tcp6", one), run="r2", release="6.1.1", expected=stated)
    varying = event(tmp_path / "c.jsonl", ("tcp4", two), ("tcp6", one), run="r3", release="6.1.2")

    page = handbook(old, changed)
    assert [row[0] for row in page.rows if row[0].startswith("tcp")] == ["tcp4 5.10.1", "tcp4 6.1.1", "tcp6"]
    assert "In 1 entry." in page.finding("Seen differently, where the clause states the change")
    assert "differs: POLL_IN, POLL_ERR kernels differ" in page.finding("A reset of")
    page = handbook(old, varying)
    assert "Nowhere." in page.finding("Seen differently, where the clause states the change")
    assert "In 1 entry." in page.finding("Seen differently, and each time as the clause has it")


def test_what_failed_is_marked(tmp_path: Path) -> None:
    """It is told as it was seen."""
    page = handbook(event(tmp_path / "a.jsonl", ("tcp4", at_reset(signal(1, "reset"))), outcome="FAIL"))

    assert page.rows_of("tcp4") == [["tcp4 *"]]


# The page


def test_where_nothing_is_proved_the_page_says_so(tmp_path: Path) -> None:
    """A kernel whose fence isn't sound only waited."""
    path = write(tmp_path / "a.jsonl", [run_line([node("reset", "tcp4")], quiescence_ms=20)])

    assert "not proved: nothing had come for 20 ms" in handbook(path).text


def test_every_link_leads_to_a_place_on_the_page(tmp_path: Path) -> None:
    """And every place has a name of its own."""
    states = {("s", "tcp4"): HALF_CLOSED, ("s", "tcp6"): HALF_CLOSED, ("t", "mptcp"): seen(said(OUT))}
    paths = [
        record(tmp_path / "a.jsonl", states, "r1", "5.10.1"),
        record(tmp_path / "b.jsonl", {("s", "tcp4"): seen(said(OUT))}, "r2"),
        event(tmp_path / "c.jsonl", ("tcp4", at_reset(signal(1, "reset"))), run="r3"),
    ]
    page = handbook(*paths)

    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    assert "script" not in page.tags


def test_same_records_make_the_same_page(tmp_path: Path) -> None:
    """Whatever else is the case."""
    path = record(tmp_path / "a.jsonl", {("s", "tcp4"): HALF_CLOSED})

    assert render(read([path])) == render(read([path]))


def test_record_is_only_text(tmp_path: Path) -> None:
    """Wherever it has a name or a value."""
    nasty = "<script>x</script>\u202e"
    showed = at_reset(signal(1, "reset"), **{nasty: nasty, "sleeper." + nasty: nasty, nasty + ".poll": nasty})
    showed["names"]["descriptors"] = {nasty: 9}
    paths = [
        record(tmp_path / "a.jsonl", {(nasty, nasty): seen(said(OUT) | {"socket.aio": nasty}, read=nasty)}),
        event(tmp_path / "b.jsonl", (nasty, showed), run="r2", release=nasty),
    ]

    text = render(read(paths))

    assert "script" not in Page(text).tags
    assert "\u202e" not in text


def test_records_without_states_say_so(tmp_path: Path) -> None:
    """What ran then was something else."""
    path = write(tmp_path / "a.jsonl", [run_line([])])

    assert "The records have no states" in handbook(path).text


def test_command_writes_a_page_and_replaces_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit code 2."""
    path, out = record(tmp_path / "a.jsonl", {("s", "tcp4"): HALF_CLOSED}), tmp_path / "out.html"
    assert main(["handbook", str(out), str(path)]) == 0
    assert main(["handbook", str(out), "--report", "report.html", str(path)]) == 0
    assert "report.html#state.tcp.s" in out.read_text(encoding="utf-8")
    capsys.readouterr()

    assert main(["handbook", str(path), str(path)]) == 2
    assert "it is there and isn't HTML, so it isn't replaced" in capsys.readouterr().err
