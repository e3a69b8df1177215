"""The HTML page: verdicts and evidence are told, a record is only text, and the same records make the same page."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from reports.__main__ import main
from reports.decode import poll_mask, select_sets, si_code, signal_name
from reports.evidence import DIFFERS, NOT_JUDGED, SAME, Evidence, evidence
from reports.html import render
from reports.matrix import rows, verdict
from reports.record import Run, read
from reports.strace import strace
from reports.visible import LIMIT, visible
from tests.conftest import ROOT
from tests.markup import Page
from tests.records import (
    POLL_AFTER_RESET,
    case_line,
    clause_line,
    end_line,
    expected,
    node,
    observed,
    run_line,
    start_line,
    write,
)

A, B = node("reset", "tcp4"), node("reset", "tcp6")
DEVIATION = {"cause": "tracker#1042", "reason": "A reset is a hangup here too."}


def runs_of(tmp_path: Path, *lines: dict[str, object]) -> list[Run]:
    """The runs of a record of these lines."""
    return read([write(tmp_path / "record.jsonl", lines)])


def page(tmp_path: Path, *lines: dict[str, object]) -> Page:
    """The page of a record of these lines."""
    return Page(render(runs_of(tmp_path, *lines)))


def evidence_of(tmp_path: Path, **changes: object) -> Evidence:
    """The evidence of one case."""
    (run,) = runs_of(tmp_path, run_line([A]), case_line(A, **changes))  # type: ignore[arg-type]
    return evidence(run.cases[0])


# The verdict


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        (["PASS", "PASS"], "conformant"),
        (["PASS", "SKIP"], "conformant"),
        (["PASS", "DONE"], "conformant"),
        (["PASS", "RECORDED"], "conformant with recorded deviations (1)"),
        (["FAIL", "RECORDED"], "not conformant (1 failed)"),
        (["FAIL", "ERROR"], "not conformant (1 failed)"),
        (["ERROR", "RECORDED"], "undecided (1 case without a result)"),
        (["ERROR", "MISS"], "undecided (2 cases without a result)"),
        (["SKIP", "SKIP"], "undecided (no case was executed)"),
    ],
)
def test_the_verdict_follows_the_worst_news(tmp_path: Path, outcomes: list[str], words: str) -> None:
    """New failures, then what is undecided, then what is recorded."""
    lines = [
        case_line(case, "FAIL", deviation=DEVIATION) if outcome == "RECORDED" else case_line(case, outcome)
        for case, outcome in zip((A, B), outcomes, strict=True)
    ]
    end = end_line()
    end["counts"] |= Counter("FAIL" if outcome == "RECORDED" else outcome for outcome in outcomes)
    (run,) = runs_of(tmp_path, run_line([A, B]), *lines, end)
    assert verdict(run).words == words


@pytest.mark.parametrize("reason", ["interrupted", "died", "deadline", None])
def test_run_without_its_end_is_not_scored(tmp_path: Path, reason: str | None) -> None:
    """All that it executed may have passed: its column is hatched, and its verdict open."""
    end = [end_line(PASS=1) | {"reason": reason}] if reason else []
    lines = [run_line([A]), clause_line(), case_line(A), *end]
    (run,) = runs_of(tmp_path, *lines)
    assert verdict(run).words == "undecided (the run didn't come to its end)"
    assert "<col class=incomplete>" in render([run])


def test_deviation_that_is_no_longer_seen_is_news(tmp_path: Path) -> None:
    """It fails the run, until it is removed from what is recorded."""
    end = end_line(PASS=2) | {"vanished": [{"case": A, "verdict": "at reset: socket.poll lacks RDHUP"}]}
    (run,) = read([write(tmp_path / "a.jsonl", [run_line([A, B]), clause_line(), case_line(A), case_line(B), end])])

    assert verdict(run).words == "not as recorded (deviations that are no longer seen: 1)"


def test_the_worst_outcome_stands_for_a_clause(tmp_path: Path) -> None:
    """A cell says how many of its cases came out like the worst."""
    runs = runs_of(tmp_path, run_line([A, B]), clause_line(), case_line(A), case_line(B, "FAIL"))
    (row,) = rows(runs)
    assert (row.cells[0].rank, row.cells[0].share, row.cells[0].words) == ("FAIL", "1/2", "1 failed, 1 passed")


def test_runs_stand_side_by_side(tmp_path: Path) -> None:
    """A clause that a run didn't plan has an empty cell there; areas stay together."""
    other = node("space", "tcp4")
    runs = runs_of(
        tmp_path,
        run_line([A]),
        clause_line(),
        case_line(A),
        run_line([other, B], "r2"),
        clause_line("output.space.half", "space", "r2"),
        clause_line(run="r2"),
        case_line(other, run="r2", clause="output.space.half"),
        case_line(B, run="r2"),
    )
    table = [(row.id, *(cell.words for cell in row.cells)) for row in rows(runs)]
    assert table == [
        ("error.reset.established", "1 passed", "1 passed"),
        ("output.space.half", "not planned", "1 passed"),
    ]


# The page


def test_the_page_tells_what_was_expected_and_what_was_seen(tmp_path: Path) -> None:
    """A failure has its verdict, both sides decoded, the calls, and the command that shows it again."""
    seen = observed(**{"socket.poll": POLL_AFTER_RESET & ~0x2000})
    text = page(
        tmp_path,
        run_line([A]),
        clause_line(),
        case_line(A, "FAIL", verdict="at reset: socket.poll lacks RDHUP", observed=seen),
    ).text
    assert "not conformant (1 failed)" in text
    assert "at reset: socket.poll lacks RDHUP" in text
    assert "POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM | POLLRDHUP (0x215d)" in text
    assert "POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM (0x15d)" in text
    assert "61 recv(socket, 1) = -1 ECONNRESET" in text
    assert f"pytest '{A}' --record one.jsonl" in text
    assert "def test_reset(case: Case)" in text


def test_passes_with_equal_evidence_are_shown_once(tmp_path: Path) -> None:
    """Descriptor numbers and times don't tell evidence apart; another fact does."""
    c = node("reset", "mptcp")
    text = render(
        runs_of(
            tmp_path,
            run_line([A, B, c]),
            clause_line(),
            case_line(A),
            case_line(B, observed=observed(23), duration_ns=5),
            case_line(c, observed=observed(charge=4096)),
        )
    )
    assert text.count("<table class=facts>") == 2
    assert "tcp4, tcp6" in text


def test_a_clause_is_closed_only_if_all_passed(tmp_path: Path) -> None:
    """What needs a look is open without a script."""
    assert "<details class=clause>" in render(runs_of(tmp_path, run_line([A]), clause_line(), case_line(A)))
    failed = render(runs_of(tmp_path, run_line([A]), clause_line(), case_line(A, "FAIL")))
    assert "<details class=clause open>" in failed


def test_a_run_that_died_is_shown_with_what_it_lacks(tmp_path: Path) -> None:
    """Without clauses, cases or an end, the page still accounts for all that was planned."""
    text = page(tmp_path, run_line([A, B], target="uml-6.12"), start_line(A)).text
    assert "2 cases planned: 0 passed, 0 failed, 0 errors, 0 skipped, 2 missing, 0 measured" in text
    assert "it was running when the run ended" in text
    assert "incomplete" in text


HOSTILE = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 71371*73 }}</style></pre>\u202e\x1b[2J\x00\ud800&lt;"
)


def hostile(value: object) -> object:
    """A line with every string in it made hostile, but for those that the format itself needs."""
    if isinstance(value, dict):
        kept = {"type", "run", "record", "outcome", "level", "planned", "case", "masks"}
        return {key: item if key in kept else hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
    return value + HOSTILE if isinstance(value, str) else value


def test_whatever_a_record_says_is_only_text(tmp_path: Path) -> None:
    """No tag, attribute, link, script or unseen character comes from a record."""
    case = A + HOSTILE
    lines = [run_line([case]), clause_line(), case_line(case, "FAIL", verdict="v", reason="r", deviation=DEVIATION)]
    made = render(runs_of(tmp_path, *(hostile(line) for line in lines)))  # type: ignore[arg-type]
    shown = Page(made)
    assert not shown.tags & {"img", "iframe", "object", "link"}
    assert made.count("<script") == 1
    assert all(link.startswith("#") for link in shown.links)
    assert "5210083" not in made
    assert "{{ 71371*73 }}" in shown.text
    assert "\\u202e\\x1b[2J\\x00\\ud800" in shown.text
    assert not set(made) & set("\u202e\x1b\x00\ud800")
    made.encode()


def test_anchors_are_unique_and_every_link_has_one(tmp_path: Path) -> None:
    """A permalink leads to its clause."""
    shown = page(tmp_path, run_line([A, B]), clause_line(), case_line(A), case_line(B))
    assert len(set(shown.ids)) == len(shown.ids)
    assert {link.removeprefix("#") for link in shown.links} <= set(shown.ids)
    assert "error.reset.established" in shown.ids


def test_a_long_text_is_cut_with_a_note() -> None:
    """In bytes, and between characters."""
    assert visible("x" * LIMIT) == "x" * LIMIT
    assert visible("x" * (LIMIT + 5)) == "x" * LIMIT + " … [cut off here: 5 bytes more]"
    assert visible("x" + "é" * LIMIT).startswith("x" + "é" * (LIMIT // 2 - 1) + " …")


def eight_targets(folder: Path) -> list[Path]:
    """Records of eight kernels, 300 clauses and 1,500 cases each, made of six real ones; in every second clause a case differs."""
    real = [json.loads(line) for line in (Path(__file__).parent / "real.jsonl").read_text().splitlines()]
    head = next(line for line in real if line["type"] == "run")
    clauses = [line for line in real if line["type"] == "clause"]
    cases = {line["clause"]: line for line in real if line["type"] == "case"}
    paths = []
    for target in range(8):
        planned, lines = [], []
        for number in range(300):
            clause = clauses[number % len(clauses)]
            name, function = f"{clause['id']}_{number}", f"test_{number}"
            source = re.sub(r"def test_\w+", f"def {function}", clause["source"])
            lines.append(clause | {"run": "r", "id": name, "source": source})
            for family in ("tcp4", "tcp6", "udp4", "udp6", "raw4"):
                line = copy.deepcopy(cases[clause["id"]])
                line |= {
                    "run": "r",
                    "clause": name,
                    "family": family,
                    "case": f"{clause['module']}::{function}[{family}]",
                }
                for step in line["observed"]["steps"]:
                    step["t_ns"] += number * 1000 + target
                if family == "raw4" and number % 2:
                    line["observed"]["steps"].append(line["observed"]["steps"][0])
                    for facts in line["observed"]["moments"].values():
                        facts["another"] = 1
                planned.append(line["case"])
                lines.append(line)
        kernel = head["kernel"] | {"release": f"6.{target}.0"}
        run = head | {"run": "r", "target": f"uml-6.{target}", "kernel": kernel, "planned": planned}
        counts = {"PASS": len(planned), "FAIL": 0, "ERROR": 0, "SKIP": 0, "MISS": 0, "DONE": 0}
        end = {"type": "end", "run": "r", "reason": "finished", "counts": counts}
        paths.append(write(folder / f"{target}.jsonl", [run, *lines, end]))
    return paths


MEASURED = """
import re, sys, time
from reports.__main__ import main
assert main(sys.argv[1:]) == 0
print(time.process_time(), re.search("VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""
"""The command, and what it took: seconds of the processor's time, and kB. ru_maxrss would be the parent's, from before exec."""


def page_of(folder: Path) -> tuple[int, float, int]:
    """The page of eight targets: its size, the seconds of the processor's time that the command took, and its memory in kB."""
    out = folder / "page.html"
    command = [sys.executable, "-c", MEASURED, "html", str(out), *map(str, eight_targets(folder))]
    seconds, memory = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    return out.stat().st_size, float(seconds), int(memory)


def test_eight_targets_stay_small(tmp_path: Path) -> None:
    """300 clauses and 1,500 cases on each: a page under 2 MB, made in 200 MB."""
    size, _, memory = page_of(tmp_path)
    assert size < 2_000_000
    assert memory < 200 * 1024


@pytest.mark.slow  # a processor that others use as well takes longer for the same
def test_eight_targets_are_rendered_at_once(tmp_path: Path) -> None:
    """In under 2 s, reading included."""
    assert page_of(tmp_path)[1] < 2


# Evidence


def test_each_form_of_expectation_marks_what_it_does_not_accept(tmp_path: Path) -> None:
    """Exactly this, one of these, a range, a relation, and what isn't judged."""
    marks = {row.name: row.mark for row in evidence_of(tmp_path).rows}
    assert marks.pop("socket.outq") == NOT_JUDGED
    assert set(marks.values()) == {SAME}

    wrong = observed(recv=1, sndbuf=5, charge=4097, **{"socket.poll": 1, "extra": 1})
    verdict_text = "at reset: sndbuf breaks sndbuf == 2 * (charge + 1)"
    found = evidence_of(tmp_path, outcome="FAIL", observed=wrong, verdict=verdict_text)
    marked = {row.name for row in found.rows if row.mark == DIFFERS}
    assert marked == {"recv", "sndbuf", "charge", "socket.poll", "extra"}


def test_a_signal_too_many_is_the_only_one_that_differs(tmp_path: Path) -> None:
    """Signals are paired in order, from both ends."""
    seen = observed()
    hangup = {"at": "reset", "signo": 40, "code": 6, "errno": 0, "band": 0x18, "fd": 9, "pid": 0, "uid": 0}
    seen["signals"].insert(0, hangup)
    found = [row for row in evidence_of(tmp_path, outcome="FAIL", observed=seen).rows if row.name.startswith("signal")]
    assert [(row.expected, row.observed, row.mark) for row in found] == [
        ("—", "the armed signal: POLL_HUP, band POLLERR|POLLHUP (0x18), fd socket", DIFFERS),
        *[("the armed signal: POLL_ERR, band POLLERR (0x8), fd socket",) * 2 + (SAME,)],
    ]


def test_of_alternative_sequences_the_nearest_is_shown(tmp_path: Path) -> None:
    """SIGPIPE comes from the process itself, whoever that was."""
    stated, seen = expected(), observed()
    pipe = {"signal": "SIGPIPE", "code": 0, "errno": 0, "band": 0, "fd": 0, "pid": "self", "uid": "self"}
    stated["moments"]["reset"]["signals"] = {"any": [[], [pipe]]}
    seen["signals"] = [
        {"at": "reset", "signo": 13, "code": 0, "errno": 0, "band": 0, "fd": 0, "pid": 4123, "uid": 1000}
    ]
    row = evidence_of(tmp_path, expected=stated, observed=seen).rows[0]
    assert (row.expected, row.observed, row.mark) == (*["SIGPIPE: SI_USER, pid self, uid self"] * 2, SAME)


def test_numbers_have_the_names_of_the_field() -> None:
    """Bits without a name stay numbers."""
    assert poll_mask(0x41) == "POLLIN|POLLRDNORM (0x41)"
    assert poll_mask(0x4001) == "POLLIN|0x4000 (0x4001)"
    assert (poll_mask(0), poll_mask(0x4000)) == ("0", "0x4000")
    assert select_sets(3) == "read|write (0x3)"
    assert [signal_name(number) for number in (29, 34, 40, 99)] == ["SIGIO", "SIGRTMIN", "SIGRTMIN+6", "signal 99"]
    assert [si_code(code) for code in (1, 0x80, 0, -1, 77)] == ["POLL_IN", "SI_KERNEL", "SI_USER", "SI_QUEUE", "77"]


def test_threads_are_told_apart_in_the_calls(tmp_path: Path) -> None:
    """By a number of their own, which doesn't change from run to run."""
    seen = observed()
    seen["steps"][1]["tid"] = 9000
    (run,) = runs_of(tmp_path, run_line([A]), case_line(A, observed=seen))
    assert run.cases[0].observed is not None
    assert strace(run.cases[0].observed.steps, whole=True).splitlines()[:2] == [
        " 1 [1] socket(AF_INET, SOCK_STREAM, 0) = 9",
        "31 [2] setsockopt(peer, SO_LINGER) = 0",
    ]


# The command


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    """Wherever they lie, and over an older page."""
    lines = [run_line([A, B]), clause_line(), case_line(A), start_line(B)]
    (tmp_path / "elsewhere").mkdir()
    one, two = write(tmp_path / "1.jsonl", lines), write(tmp_path / "elsewhere" / "2.jsonl", lines)
    for record in (one, two):
        with record.open("a") as file:
            file.write('{"type": "ca')
    assert main(["html", str(tmp_path / "1.html"), str(one)]) == 0
    (tmp_path / "2.html").write_text("<!DOCTYPE html>old")
    assert main(["html", str(tmp_path / "2.html"), str(two)]) == 0
    assert (tmp_path / "1.html").read_bytes() == (tmp_path / "2.html").read_bytes()


def test_a_warning_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, and the exit code is 0."""
    path = write(tmp_path / "r.jsonl", [run_line([A])])
    with path.open("a") as file:
        file.write('{"type": "ca')
    assert main(["totals", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == (
        "host (6.12.107+deb13-amd64): 1 case planned: 0 passed, 0 failed, 0 errors, 0 skipped, 1 missing, 0 measured\n"
    )
    assert err.count("\n") == 1
    assert err.startswith("warning: ")


def test_nothing_but_html_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record given as the page's name stays; so does everything else, and nothing is left beside it."""
    record = write(tmp_path / "r.jsonl", [run_line([A]), case_line(A)])
    before = record.read_bytes()
    for out in (record, tmp_path):
        assert main(["html", str(out), str(record)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert record.read_bytes() == before
    assert list(tmp_path.iterdir()) == [record]


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, no page, no traceback."""
    assert main(["html", str(tmp_path / "out.html"), str(tmp_path / "none")]) == 2
    assert "it can't be read: No such file or directory" in capsys.readouterr().err
    assert not (tmp_path / "out.html").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["html", "--help"], ["totals", "--help"]])
def test_every_command_explains_itself(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` exits with 0."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    assert capsys.readouterr().out
