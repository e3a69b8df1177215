"""Two runs compared: every case in one class, what else differs, and when what broke is called a regression."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reports.__main__ import main
from tests.records import Line, case_line, clause_line, end_line, node, observed, run_line, write
from tests.runs import DEVIATION, VERDICT, every_rank, hostile

OLDER = {"release": "6.12.107", "version": "#1 SMP", "machine": "x86_64", "implementation": "Linux"}
NEWER = OLDER | {"release": "6.13.1"}


def failed(error: str, verdict: str = VERDICT) -> Line:
    """A case whose SO_ERROR was another."""
    seen: dict[str, Any] = {"socket.so_error": error}
    return {"outcome": "FAIL", "verdict": verdict, "observed": observed(**seen)}


EPIPE = failed("EPIPE")
EIO = failed("EIO", "at reset: socket.so_error is EIO, not ECONNRESET")
PASS: dict[str, Any] = {"outcome": "PASS"}
SKIP: dict[str, Any] = {"outcome": "SKIP", "reason": "needs ipv6: there is none"}
RECORDED = EPIPE | {"deviation": DEVIATION}


def run_of(cases: dict[str, dict[str, Any]], run: str = "r1", end: bool = True, **head: Any) -> list[Line]:
    """A run of one clause on some families, each with an outcome; None: planned, and never run."""
    planned = [node("reset", family) for family in cases]
    counts: dict[str, Any] = Counter(case.get("outcome", "MISS") for case in cases.values())
    return [
        run_line(planned, run, **({"kernel": OLDER} | head)),
        clause_line(run=run),
        *(case_line(node("reset", family), run=run, **case) for family, case in cases.items() if case),
        *([end_line(run, **counts)] if end else []),
    ]


def diff(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: list[Line], now: list[Line], *arguments: str
) -> tuple[int, str]:
    """Exit code and what is printed, its lines joined where they were folded."""
    files = [str(write(tmp_path / name, lines)) for name, lines in (("a.jsonl", before), ("b.jsonl", now))]
    code = main(["diff", *files, *arguments])
    return code, capsys.readouterr().out


def counted(text: str) -> dict[str, int]:
    """The sums of the last lines."""
    joined = " ".join(text.split())
    words = re.findall(r"cases?: (\d+ broken, .*? unchanged)", joined)[-1]
    return {name: int(number) for number, name in re.findall(r"(\d+) ([a-z ]+)", words)}


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        (PASS, EPIPE, "broken"),
        (PASS, RECORDED, "broken as recorded"),
        (EPIPE, PASS, "mended"),
        (RECORDED, PASS, "mended"),
        (EPIPE, EIO, "differently wrong"),
        (RECORDED, EIO, "differently wrong"),
        (EPIPE, RECORDED, "unchanged"),
        (PASS, PASS, "unchanged"),
        (SKIP, SKIP, "unchanged"),
        (PASS, SKIP, "not comparable"),
        (PASS, {}, "not comparable"),
        (PASS, {"outcome": "ERROR", "reason": "no room"}, "not comparable"),
        (SKIP, EPIPE, "not comparable"),
        ({}, PASS, "not comparable"),
    ],
)
def test_what_became_of_a_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: Line, now: Line, kind: str
) -> None:
    """Only PASS and FAIL say something of the kernel; only what broke without being recorded counts for the exit code."""
    code, text = diff(tmp_path, capsys, run_of({"tcp4": before}), run_of({"tcp4": now}, kernel=NEWER))

    assert [name for name, number in counted(text).items() if number] == [kind]
    assert code == (kind == "broken")


def test_the_sums_add_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every case that either run planned is in one class."""
    before = run_of({"tcp4": PASS, "tcp6": EPIPE, "mptcp": SKIP, "gone": PASS})
    now = run_of({"tcp4": EPIPE, "tcp6": PASS, "mptcp": PASS, "new": EPIPE}, kernel=NEWER)

    code, text = diff(tmp_path, capsys, before, now)

    assert code == 1
    assert sum(counted(text).values()) == 5
    assert "5 cases:" in text
    assert text.index("added: 1 case") < text.index("broken: 1 case") < text.index("1 regression")


def test_families_that_say_the_same_are_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Old and new verdict, and what was expected beside what each saw."""
    before = run_of({"tcp4": PASS, "tcp6": PASS, "mptcp": PASS})
    now = run_of({"tcp4": EPIPE, "tcp6": EPIPE, "mptcp": EIO}, kernel=NEWER)

    _, text = diff(tmp_path, capsys, before, now)

    assert text.count("error.reset.established: A reset") == 1
    assert "    tcp4, tcp6\n      A  PASS\n      B  FAIL: at reset: socket.so_error is EPIPE, not ECONNRESET\n" in text
    assert re.search(r"at reset, socket.so_error\n +expected +ECONNRESET\n +A saw +ECONNRESET\n +B saw +EPIPE\n", text)
    assert max(map(len, text.splitlines())) <= 80


def test_a_regression_needs_the_kernel_to_be_all_that_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the record goes and how much is printed don't count, nor does the series that a target is named after."""
    before = run_of({"tcp4": PASS}, target="uml-6.12", argv=["pytest", "suites", "--record", "a.jsonl"])
    argv = ["pytest", "suites", "-q", "--record=b.jsonl", "--target", "uml-6.13"]
    now = run_of({"tcp4": EPIPE}, kernel=NEWER, target="uml-6.13", started="2026-11-22T00:00:00+00:00", argv=argv)

    _, text = diff(tmp_path, capsys, before, now)

    assert "1 regression" in text
    assert "kernel release: 6.12.107 → 6.13.1" in text


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"kernel": NEWER | {"machine": "aarch64"}}, "machine"),
        ({"kernel": NEWER | {"implementation": "gVisor"}}, "implementation"),
        ({"specification": "00" * 32}, "specification"),
        ({"target": "vm-6.13"}, "target"),
        ({"versions": {"python": "3.14.0", "pytest": "9.2.0"}}, "versions"),
        ({"sysctls": {"net.ipv4.tcp_rmem": "4096 131072 6291456"}}, "sysctls"),
        ({"capabilities": {"ipv6": {"ok": False, "how": "no"}}}, "capabilities"),
        ({"quiescence_ms": 20}, "waiting for what comes late"),
        ({"machine": {"cpus": 8, "memory": 1 << 33}}, "processors"),
        ({"machine": {"cpus": 2, "memory": 1 << 34}}, "memory"),
        ({"argv": ["pytest", "suites", "--family", "tcp4"]}, "arguments"),
    ],
)
def test_whatever_else_differs_is_said_and_nothing_is_called_a_regression(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: Line, kind: str
) -> None:
    """It is broken, and why that can't be put down to the kernel stands beside."""
    machine = {"cpus": 2, "memory": 1 << 33}
    before = run_of({"tcp4": PASS}, machine=machine)
    head: dict[str, Any] = {"kernel": NEWER, "machine": machine} | changed
    now = run_of({"tcp4": EPIPE}, **head)

    code, text = diff(tmp_path, capsys, before, now)

    assert code == 1
    assert "regression" not in text
    assert re.search(rf"but also .*{kind}.*can't be put down to the kernel alone", " ".join(text.split()))


def test_what_broke_on_the_same_kernel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing differs, the case isn't steady; where the kernel doesn't, it isn't to blame."""
    same = diff(tmp_path, capsys, run_of({"tcp4": PASS}), run_of({"tcp4": EPIPE}))[1]
    suite = diff(tmp_path, capsys, run_of({"tcp4": PASS}), run_of({"tcp4": EPIPE}, specification="0"))[1]

    assert "isn't steady" in same
    assert "The kernel is the same in both, and specification not" in " ".join(suite.split())
    assert "regression" not in same + suite


def test_what_the_kernel_did_alike_and_is_judged_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The clause has changed, and not the kernel."""
    before = EPIPE | {"outcome": "PASS", "verdict": ""}
    wanted = case_line("x")["expected"]
    facts = wanted["moments"]["reset"]["facts"] | {"socket.so_error": {"is": "EPIPE"}}
    before |= {"expected": wanted | {"moments": {"reset": wanted["moments"]["reset"] | {"facts": facts}}}}

    _, text = diff(tmp_path, capsys, run_of({"tcp4": before}), run_of({"tcp4": EPIPE}, specification="0"))

    assert "the kernel did the same in both; what is expected of it changed" in text
    assert "ECONNRESET; in A EPIPE" in text


def test_a_run_that_died_broke_nothing_and_the_sum_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """MISS says nothing of the kernel's notification, but it isn't passed over."""
    before = run_of({"tcp4": PASS, "tcp6": PASS})
    code, text = diff(tmp_path, capsys, before, run_of({"tcp4": PASS, "tcp6": {}}, kernel=NEWER, end=False))

    assert code == 0
    assert "without an end" in text
    assert "nothing broken; but of 1 case that A judged, B says nothing" in text


def test_runs_are_paired_by_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What has no counterpart is named."""
    before = [*run_of({"tcp4": PASS}, "r1", target="host"), *run_of({"tcp4": PASS}, "r2", target="uml")]
    now = [*run_of({"tcp4": PASS}, "r3", target="gvisor"), *run_of({"tcp4": EPIPE}, "r4", target="uml", kernel=NEWER)]

    code, text = diff(tmp_path, capsys, before, now)

    assert code == 1
    assert text.count("A  ") == 2  # the runs' heading, and the case
    assert "host is in A only, and isn't compared" in text
    assert "gvisor is in B only, and isn't compared" in text


@pytest.mark.parametrize(
    ("targets", "words"),
    [(("host", "host"), "holds several runs of the target host"), (("uml", "gvisor"), "no target is in both records")],
)
def test_runs_that_cannot_be_paired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], targets: tuple[str, str], words: str
) -> None:
    """One sentence, exit code 2."""
    two = [*run_of({"tcp4": PASS}, "r1", target=targets[0]), *run_of({"tcp4": PASS}, "r2", target=targets[1])]
    files = [write(tmp_path / "a.jsonl", run_of({"tcp4": PASS}, target="host")), write(tmp_path / "b.jsonl", two)]

    assert main(["diff", *map(str, files)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_file_that_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unreadable is 2."""
    (tmp_path / "b.jsonl").write_text("no\n")

    assert main(["diff", str(write(tmp_path / "a.jsonl", every_rank())), str(tmp_path / "b.jsonl")]) == 2
    assert "line 1: it isn't JSON" in capsys.readouterr().err


def test_the_page_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each class that has cases has a section; the same records give the same bytes."""
    before, now = run_of({"tcp4": PASS, "tcp6": EPIPE}), run_of({"tcp4": EPIPE, "tcp6": PASS}, kernel=NEWER)
    pages = [tmp_path / "one.html", tmp_path / "two.html"]

    for page in pages:
        code, _ = diff(tmp_path, capsys, before, now, "--html", str(page))
        assert code == 1

    text = pages[0].read_text()
    assert text == pages[1].read_text()
    assert '<h3 id=":1-broken">Broken: 1</h3>' in text
    assert '<h3 id=":1-mended">Mended: 1</h3>' in text
    assert "1 regression</p>" in text
    assert "default-src 'none'" in text


def test_hostile_text_stays_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a terminal's command nor markup gets through, and no line is forged."""
    page = tmp_path / "page.html"
    _, text = diff(tmp_path, capsys, hostile(), every_rank(), "--html", str(page))

    for character in "\x1b\r\x00\x85\u2028\u202e\ufffe":
        assert character not in text + page.read_text()
    assert "\nok 99 forged" not in text
    assert "<x a=" not in page.read_text()


def test_colour_is_for_terminals(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """And NO_COLOR turns it off."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    with_colour = diff(tmp_path, capsys, run_of({"tcp4": PASS}), run_of({"tcp4": EPIPE}))[1]
    monkeypatch.setenv("NO_COLOR", "1")
    without = diff(tmp_path, capsys, run_of({"tcp4": PASS}), run_of({"tcp4": EPIPE}))[1]

    assert "\x1b[1;31mbroken: 1 case\x1b[0m" in with_colour
    assert re.sub(r"\x1b\[[\d;]*m", "", with_colour) == without
