"""Records that something went wrong with end in a report that is whole, or in one clear sentence: 10,000 of them, by number."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from traceback import format_exc
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from reports.__main__ import COMMANDS, main
from reports.visible import visible
from tests.markup import Page
from tests.mutants import Line, mutant
from tests.records import (
    case_line,
    clause_line,
    end_line,
    expected,
    function_line,
    node,
    observed,
    path_line,
    run_line,
    start_line,
    write,
)

MANY, SOME = 10_000, 200
HERE = Path(__file__).parent
ERROR, WARNING = "python -m reports: ", "warning: "


def whole_record() -> list[Line]:
    """A small record with every type of line, every outcome, and all that a case can have; two runs in one file."""
    tcp4, tcp6, udp4, udp6, state = (
        node("reset", family) for family in ("tcp4", "tcp6", "udp4", "udp6", "unix-stream-x")
    )
    seen, two = observed(charge=[1, 2]), expected()
    two["moments"]["reset"]["signals"] = {"any": [[], two["moments"]["reset"]["signals"]]}
    two["moments"]["reset"]["facts"]["recv"] = {"measured": True}
    lines = [
        run_line([tcp4, tcp6, udp4, udp6, state], quiescence_ms=20, trace={"ok": True, "how": "function_graph"}),
        {"type": "statement", "run": "r1", "id": "E10", "says": "A reset wakes.", "document": "000", "target": None},
        {"type": "statement", "run": "r1", "id": "E99", "says": "Nothing.", "left_out": "no socket shows it"},
        clause_line(),
        clause_line("state.unix.closed", "state", level="open"),
        function_line(
            "tcp_reset", documents=["000"], now=["tcp_rst"], since=["5.18"], why="w", found={"tcp_rst": "no symbol"}
        ),
        function_line("send_sigio", documents=["000", "001"], unreached="no case sleeps so long"),
        function_line("sk_wake_async", **{"is": "inline"}),
        start_line(tcp4),
        case_line(tcp4, "FAIL", verdict="at reset: socket.poll lacks RDHUP", observed=observed(recv=0)),
        path_line(tcp4, lost=3, as_stated=False),
        start_line(tcp6),
        case_line(tcp6, "FAIL", verdict="v", deviation={"cause": "tracker#1", "reason": "why"}, observed=seen),
        case_line(udp4, "ERROR", reason="Traceback\n  File\nOSError: no"),
        case_line(state, "DONE", clause="state.unix.closed", expected=two),
        end_line(FAIL=2, ERROR=1, DONE=1, MISS=1) | {"vanished": [{"case": tcp4, "verdict": "v"}]},
        run_line([tcp4, udp6], "r2", target="gvisor", kernel={**run_line([])["kernel"], "implementation": "gVisor"}),
        clause_line(run="r2"),
        function_line("send_sigio", "r2", now=[], found={}),
        case_line(tcp4, run="r2"),
        path_line(tcp4, "r2"),
        case_line(udp6, "SKIP", "r2", reason="ipv6 is missing"),
        end_line("r2", "died", PASS=1, SKIP=1),
    ]
    return lines


def real_record() -> list[Line]:
    """Cases of a run on a real kernel."""
    return [json.loads(line) for line in (HERE / "real.jsonl").read_text(encoding="utf-8").splitlines()]


def is_text(text: str) -> None:
    """What a terminal is shown commands nothing and hides nothing."""
    assert text == visible(text, len(text) * 4)


def is_page(text: str) -> None:
    """The tags of a page are balanced, and an element that a record names is none of them."""
    assert not Page(text).tags & {"img", "iframe"}


def is_ktap(text: str) -> None:
    """It has its head, and its lines are KTAP's."""
    head, *lines = text.splitlines()
    assert head == "KTAP version 1"
    assert all(re.match(r" *(KTAP version 1$|1\.\.\d+$|ok \d|not ok \d|# )", line) for line in lines)


def is_junit(text: str) -> None:
    """It is XML."""
    assert ElementTree.fromstring(text).tag == "testsuites"


def is_json(text: str) -> None:
    """It is JSON, without NaN or anything else of Python's own."""
    json.loads(text, parse_constant=pytest.fail)


class Form(NamedTuple):
    """A command with its arguments, MUTANT, WHOLE and OUT standing for files, and what has to hold of what it makes."""

    arguments: tuple[str, ...]
    check: Callable[[str], None]


FORMS = {
    "claims": Form(("claims", "MUTANT", "WHOLE"), is_text),
    "diff": Form(("diff", "WHOLE", "MUTANT", "--html", "OUT"), is_page),
    "explain": Form(("explain", "error.reset.established", "WHOLE", "MUTANT"), is_text),
    "handbook": Form(("handbook", "OUT", "MUTANT"), is_page),
    "html": Form(("html", "OUT", "WHOLE", "MUTANT"), is_page),
    "junit": Form(("junit", "MUTANT"), is_junit),
    "kcidb": Form(("kcidb", "MUTANT"), is_json),
    "ktap": Form(("ktap", "MUTANT"), is_ktap),
    "paths": Form(("paths", "MUTANT", "WHOLE"), is_text),
    "table": Form(("table", "MUTANT"), is_text),
    "tmt": Form(("tmt", "MUTANT"), is_json),
    "totals": Form(("totals", "MUTANT"), is_text),
}


class Told(NamedTuple):
    """What a command came to: exit code, and what it printed."""

    code: int
    output: str
    errors: str


def tell(arguments: Sequence[str]) -> Told:
    """Run a command of `python -m reports` here; what it prints must be UTF-8."""
    output, errors = (TextIOWrapper(BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with redirect_stdout(output), redirect_stderr(errors):
        code = main(arguments)
    return Told(code, output.buffer.getvalue().decode(), errors.buffer.getvalue().decode())


def check(command: str, files: Mapping[str, Path]) -> int:
    """Run a command on a mutant; its exit code. Fails unless it ends in a form that is whole, or in one sentence."""
    out, form = files["OUT"], FORMS[command]
    out.unlink(missing_ok=True)
    told = tell([str(files.get(argument, argument)) for argument in form.arguments])
    *warnings, last = ["", *told.errors.splitlines()]
    is_text(told.errors)
    if told.code == 2:
        assert last.startswith(ERROR)
        assert (told.output, out.exists()) == ("", False)
    else:
        assert told.code in ((0, 1) if command == "diff" else (0,))
        warnings.append(last)
        form.check(out.read_text(encoding="utf-8") if "OUT" in form.arguments else told.output)
    assert all(line.startswith(WARNING) for line in warnings[1:])
    return told.code


def tried(numbers: range, folder: Path) -> Counter[int]:
    """All commands on the mutants of these numbers: how often each exit code came. Fails with the numbers that went wrong."""
    records = (whole_record(), real_record())
    files = {
        "MUTANT": folder / "mutant.jsonl",
        "WHOLE": write(folder / "whole.jsonl", whole_record()),
        "OUT": folder / "out",
    }
    codes: Counter[int] = Counter()
    wrong = []
    for number in numbers:
        files["MUTANT"].write_bytes(mutant(number, records))
        for command in FORMS:
            try:
                codes[check(command, files)] += 1
            except Exception:
                wrong.append(f"mutant {number}, {command}:\n{format_exc(limit=-4)}")
    assert not wrong, f"{len(wrong)} went wrong, the first of them:\n" + "\n".join(wrong[:5])
    return codes


def test_every_command_is_tried() -> None:
    """A new one too."""
    assert set(FORMS) == set(COMMANDS)


def test_the_records_that_mutants_are_made_of_are_whole(tmp_path: Path) -> None:
    """Nothing is said of them; so what is said of a mutant is due to what went wrong with it."""
    for record in (whole_record(), real_record()):
        path = write(tmp_path / "record.jsonl", record)
        assert tell(["totals", str(path)])[::2] == (0, "")


def test_mutants_end_in_a_form_or_in_one_sentence(tmp_path: Path) -> None:
    """Some of them, with every command; enough of them can be read, and enough can't."""
    codes = tried(range(SOME), tmp_path)
    assert min(codes[0], codes[2]) > SOME


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, MANY, MANY // 10))
def test_ten_thousand_mutants_end_in_a_form_or_in_one_sentence(first: int, tmp_path: Path) -> None:
    """All of them, with every command; says how many reports were made in which time."""
    began = time.process_time()
    codes = tried(range(first, first + MANY // 10), tmp_path)
    print(
        f"{MANY // 10} mutants, {codes.total()} reports, {time.process_time() - began:.0f} s; exit codes {dict(codes)}"
    )
