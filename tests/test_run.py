"""A run of the suites: what it records, how it fails, and what it exits with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from reports.record import read
from suites.functions import FILE
from suites.lab.case import QUIESCENCE_MS
from tests.conftest import ROOT, Ran, run_suites, suites_command

CLAUSE = """
[[clause]]
id = "mini.case.{name}"
title = "A clause of a test"
text = "What must be seen."
level = "{level}"
claims = []
refs = []
families = ["unix-stream"]
{more}
[clause.expect.now]
revents = "OUT WRNORM WRBAND"
edge = ""
{facts}
"""

CASE = """
@clause("mini.case.{name}")
def test_{name}(case: Case) -> None:
    {body}
"""

HEAD = """
import os
import native
from suites.catalogue import clause
from suites.lab.case import Case
"""

OBSERVE = "case.pair(); case.at('now')"


class Mini:
    """A checkout with a specification and cases of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        shutil.copytree(
            ROOT / "suites", self.root / "suites", ignore=shutil.ignore_patterns("test_*.py", "*.toml", "__pycache__")
        )
        for name in ("native", "reports", "conftest.py", "pyproject.toml"):
            (self.root / name).symlink_to(ROOT / name)
        self.record = folder / "record.jsonl"
        self.cases = HEAD
        self.clauses = ""

    def add(self, name: str, body: str = OBSERVE, level: str = "must", more: str = "", facts: str = "") -> None:
        """Add a clause and its case."""
        self.clauses += CLAUSE.format(name=name, level=level, more=more, facts=facts)
        self.cases += CASE.format(name=name, body=textwrap.indent(body, "    ").strip())

    def deviate(self, case: str, verdict: str) -> None:
        """Record a deviation of the host's."""
        function, _, parameter = case.removesuffix("]").partition("[")
        cause = "[[cause]]\nname = 'test'\nreason = 'a test'\ndifferences = ['.*']\n"
        recorded = f"[[deviation]]\nverdict = {json.dumps(verdict)}\ncases.{json.dumps(function)} = ['{parameter}']\n"
        text = cause + recorded
        (self.root / "suites" / "deviations" / "host.toml").write_text(text)

    def write(self) -> None:
        """Write the files."""
        (self.root / "suites" / "specification").mkdir(exist_ok=True)
        (self.root / "suites" / "specification" / "mini.toml").write_text(self.clauses)
        shutil.copy(FILE, self.root / "suites" / "specification")
        (self.root / "suites" / "mini").mkdir(exist_ok=True)
        (self.root / "suites" / "mini" / "test_mini.py").write_text(self.cases)

    def run(self, *arguments: str) -> Ran:
        """Run it with a record."""
        self.write()
        return run_suites(self.record, *arguments, root=self.root)


@pytest.fixture
def mini(tmp_path: Path) -> Mini:
    """A checkout with nothing in it yet."""
    return Mini(tmp_path)


def nodeid(name: str) -> str:
    """How pytest calls the case of that name."""
    return f"suites/mini/test_mini.py::test_{name}[unix-stream]"


def outcomes(ran: Ran) -> dict[str, str]:
    """Each case's outcome by the name of its function."""
    return {line["case"].partition("::test_")[2].partition("[")[0]: line["outcome"] for line in ran.of("case")}


def only(ran: Ran, name: str) -> dict[str, Any]:
    """The line of the case of that name."""
    (line,) = [line for line in ran.of("case") if line["case"] == nodeid(name)]
    return line


# What is recorded


def test_suites_pass_on_this_kernel(host_run: Ran) -> None:
    """Five Linux series agree with the specification, and so must this one."""
    assert {
        line["case"]: line["verdict"] or line["reason"]
        for line in host_run.of("case")
        if line["outcome"] in ("FAIL", "ERROR")
    } == {}
    assert host_run.code == 0


def test_record_says_what_was_planned_and_counts_it(host_run: Ran) -> None:
    """run, clauses, start and case of each, end; the counts are of what was planned."""
    (run,), (end,) = host_run.of("run"), host_run.of("end")

    assert host_run.lines[0] == run
    assert host_run.lines[-1] == end
    assert end["reason"] == "finished"
    assert sum(end["counts"].values()) == len(run["planned"])
    assert {line["case"] for line in host_run.of("case")} == set(run["planned"])
    assert {line["case"] for line in host_run.of("start")} == set(run["planned"])
    assert {line["id"] for line in host_run.of("clause")} == {line["clause"] for line in host_run.of("case")}


def test_sanity_case_runs_first_and_last(host_run: Ran) -> None:
    """It shows that the target itself lives."""
    cases = [line["clause"] for line in host_run.of("case")]

    assert cases[0].startswith("sanity.")
    assert cases[-1].startswith("sanity.")


def test_workers_record_the_same_outcomes(host_run: Ran, tmp_path: Path) -> None:
    """xdist changes who runs a case, and nothing else."""
    parallel = run_suites(tmp_path / "record.jsonl", "-n", "2")

    def verdicts(ran: Ran) -> dict[str, tuple[str, str]]:
        return {line["case"]: (line["outcome"], line["verdict"]) for line in ran.of("case")}

    assert verdicts(parallel) == verdicts(host_run)
    assert sorted(parallel.of("run")[0]["planned"]) == sorted(host_run.of("run")[0]["planned"])
    assert {line["worker"] for line in parallel.of("case")} == {"gw0", "gw1"}
    assert parallel.code == host_run.code


def test_each_worker_makes_a_run_of_its_own_where_xdist_has_each_run_all(tmp_path: Path) -> None:
    """They may be on other machines, so each says what it found where it is, and nothing of one is taken for another's."""
    record = tmp_path / "record.jsonl"
    ran = run_suites(record, "--dist", "each", "--tx", "2*popen", "--clause", "sanity.signal.readable")

    one, other = sorted(read([record]), key=lambda run: run.head.target)
    assert [run.head.target for run in (one, other)] == ["host-gw0", "host-gw1"]
    assert one.head.capabilities["fence"].ok
    assert [run.counts()["PASS"] for run in (one, other)] == [2, 2]
    assert [{case.worker for case in run.cases} for run in (one, other)] == [{"gw0"}, {"gw1"}]
    assert "host-gw1: 2 cases planned: 2 passed" in ran.output
    assert ran.code == 0


def test_worker_that_dies_ends_no_other_workers_run(mini: Mini) -> None:
    """The case that it ran is an error of its own run; the other's is whole, and the exit code says that one wasn't."""
    mini.add("one", f"if os.environ['PYTEST_XDIST_WORKER'] == 'gw0': os._exit(3)\n{OBSERVE}")

    ran = mini.run("--dist", "each", "--tx", "2*popen")

    found = {run.head.target: run.counts() for run in read([mini.record])}
    assert (found["host-gw0"]["ERROR"], found["host-gw1"]["PASS"]) == (1, 1)
    assert ran.code == 1


def test_where_the_fence_is_not_sound_a_case_waits_and_the_record_says_so(tmp_path: Path) -> None:
    """Longer where a thread is asleep. Both clauses are run, although each is asked for on its own."""
    chosen = ["--clause", "low_water.receiver.sleeps", "--clause", "sanity.signal.readable"]
    ran = run_suites(tmp_path / "record.jsonl", "-p", "tests.late", *chosen)

    waits = {line["clause"]: line["duration_ns"] // (QUIESCENCE_MS * 1_000_000) for line in ran.of("case")}
    assert {line["outcome"] for line in ran.of("case")} == {"PASS"}
    assert ran.of("run")[0]["quiescence_ms"] == QUIESCENCE_MS
    assert waits["sanity.signal.readable"] >= 2  # at its one moment and at its end
    assert waits["low_water.receiver.sleeps"] >= 5  # two moments, a thread asleep at both, and its end
    assert ran.code == 0


@pytest.mark.parametrize("workers", ["0", "2"])
def test_where_functions_cannot_be_traced_the_record_says_why(mini: Mini, workers: str) -> None:
    """Cases run as without; a tracer is one process's, so with workers there is none anywhere."""
    mini.add("passes")

    ran = mini.run("--trace-path", "-n", workers)

    (run,) = ran.of("run")
    assert run["trace"]["how"]
    assert run["trace"]["ok"] is (workers == "0" and can_trace())
    assert bool(ran.of("path")) is bool(ran.of("function")) is run["trace"]["ok"]
    assert outcomes(ran) == {"passes": "PASS"}
    assert ran.code == 0


def can_trace() -> bool:
    """Whether this kernel lets us use ftrace."""
    tracers = Path("/sys/kernel/tracing/available_tracers")
    return os.access(tracers, os.R_OK) and "function_graph" in tracers.read_text().split()


def test_outcome_of_each_kind_has_its_line(mini: Mini) -> None:
    """PASS, FAIL, ERROR, SKIP and DONE, and pytest fails for two of them."""
    mini.add("passes")
    mini.add("fails", facts="recv = 0", body="case.pair(); case.at('now', recv=1)")
    mini.add("breaks", body="raise KeyError('ours')")
    mini.add("measures", level="open", facts="recv = { measured = true }", body="case.pair(); case.at('now', recv=7)")

    ran = mini.run()

    assert outcomes(ran) == {"passes": "PASS", "fails": "FAIL", "breaks": "ERROR", "measures": "DONE"}
    assert only(ran, "fails")["verdict"] == "at now: recv expected 0, seen 1"
    assert "KeyError: 'ours'" in only(ran, "breaks")["reason"]
    assert ran.of("end")[0]["counts"] == {"PASS": 1, "FAIL": 1, "ERROR": 1, "SKIP": 0, "MISS": 0, "DONE": 1}
    assert ran.code == 1


def test_errno_of_a_bare_call_is_the_kernels_and_of_an_arranging_one_ours(mini: Mini) -> None:
    """A step under judgement that is refused is FAIL; a set-up that is refused is ERROR."""
    mini.add("judged", body="native.close(999)")
    mini.add("arranged", body="case.arm(999)")

    ran = mini.run()

    assert (only(ran, "judged")["outcome"], only(ran, "judged")["verdict"]) == ("FAIL", "close failed with EBADF")
    assert only(ran, "arranged")["outcome"] == "ERROR"


def test_case_that_skips_or_fails_itself_is_an_error_and_the_run_goes_on(mini: Mini) -> None:
    """Outcomes are the judge's, and a capability's probe says what is lacking."""
    mini.add("skips", "import pytest; pytest.skip('no mood')")
    mini.add("fails", "import pytest; pytest.fail('no mood')")
    mini.add("passes")

    ran = mini.run()

    assert outcomes(ran) == {"skips": "ERROR", "fails": "ERROR", "passes": "PASS"}
    assert "no mood" in only(ran, "skips")["reason"]
    assert ran.code == 1


def test_repeat_stops_at_the_first_execution_that_differs(mini: Mini) -> None:
    """--repeat counts the first outcome that isn't PASS."""
    mini.add(
        "wanes",
        facts="recv = 0",
        body="global N; N = globals().get('N', -1) + 1\ncase.pair(); case.at('now', recv=N // 3)",
    )

    assert outcomes(mini.run("--repeat", "3")) == {"wanes": "PASS"}
    assert outcomes(mini.run("--repeat", "4")) == {"wanes": "FAIL"}


# Leaks


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("native.socket(native.AF_UNIX, native.SOCK_DGRAM, 0)", "descriptors"),
        ("native.sigprocmask(native.SIG_UNBLOCK, {native.SIGUSR1})", "the signal mask"),
        ("native.sigaction(native.SIGUSR2, 'ring')", "signal handlers"),
        (
            "import threading, time; threading.Thread(target=threading.Event().wait, args=(9,), daemon=True).start()",
            "threads",
        ),
    ],
)
def test_what_a_case_leaves_behind_is_an_error_of_that_case(mini: Mini, body: str, what: str) -> None:
    """The next case isn't blamed for it."""
    mini.add("leaks", body=f"{OBSERVE}\n{body}")
    mini.add("next_one")

    ran = mini.run()

    assert outcomes(ran) == {"leaks": "ERROR", "next_one": "PASS"}
    assert f"leaves something behind: {what}" in only(ran, "leaks")["reason"]


# Hangs, deaths and interruptions


def test_hang_under_judgement_fails_and_the_run_goes_on(mini: Mini) -> None:
    """The deadline's signal ends the call, and the case says what it waited for."""
    mini.add("hangs", body="sock, _ = case.pair()\nnative.recv(sock, 1, 0)")
    mini.add("next_one")

    ran = mini.run("--deadline", "0.4")

    assert outcomes(ran) == {"hangs": "FAIL", "next_one": "PASS"}
    assert only(ran, "hangs")["verdict"] == "hung in recv"
    assert "it waited for recv(" in only(ran, "hangs")["reason"]


def test_hang_in_the_set_up_is_an_error(mini: Mini) -> None:
    """What our own arranging waits for in vain isn't the kernel's fault."""
    mini.add("hangs", body="case.pair()\nwhile True: case.deliver(b'x' * 60000)")
    mini.add("next_one")

    assert outcomes(mini.run("--deadline", "0.4")) == {"hangs": "ERROR", "next_one": "PASS"}


def test_case_that_nothing_can_end_takes_the_process_and_is_recorded(mini: Mini) -> None:
    """Past the second deadline the process writes the case, and the end, and leaves."""
    mini.add("hangs", body="while True: pass")
    mini.add("next_one")

    ran = mini.run("--deadline", "0.3")

    assert outcomes(ran) == {"hangs": "FAIL"}
    assert ran.of("end")[0]["reason"] == "deadline"
    assert ran.of("end")[0]["counts"]["MISS"] == 1
    assert ran.code == 1


def test_worker_that_a_case_takes_along_is_replaced(mini: Mini) -> None:
    """Its last words are the case's line; the other cases run."""
    mini.add("hangs", body="while True: pass")
    mini.add("next_one")
    mini.add("last_one")

    ran = mini.run("--deadline", "0.3", "-n", "1")

    assert outcomes(ran) == {"hangs": "FAIL", "next_one": "PASS", "last_one": "PASS"}
    assert ran.of("end")[0]["reason"] == "finished"


def test_worker_that_dies_leaves_a_record_that_says_so(mini: Mini) -> None:
    """The case that it ran is known from its start."""
    mini.add("dies", body="os._exit(9)")
    mini.add("next_one")

    ran = mini.run("-n", "1")

    assert outcomes(ran) == {"dies": "ERROR", "next_one": "PASS"}
    assert only(ran, "dies")["reason"] == "the worker gw0 died while it ran this case"
    assert ran.code == 1


def test_interrupt_leaves_a_valid_record_of_what_has_run(mini: Mini) -> None:
    """Ctrl-C: what hasn't run is MISS."""
    mini.add("passes")
    mini.add("waits", body="os.mkdir('waiting')\nsock, _ = case.pair()\nnative.recv(sock, 1, 0)")
    mini.add("next_one")
    mini.write()
    command = suites_command(mini.record, "--deadline", "30")
    with subprocess.Popen(command, cwd=mini.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not (mini.root / "waiting").exists():
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=30)

    lines = [json.loads(line) for line in mini.record.read_text().splitlines()]

    assert code == 2
    assert lines[-1]["reason"] == "interrupted"
    assert lines[-1]["counts"]["PASS"] == 1
    assert sum(lines[-1]["counts"].values()) == 3


def test_maximum_of_failures_leaves_the_rest_as_misses(mini: Mini) -> None:
    """-x is an interruption too."""
    mini.add("fails", facts="recv = 0")
    mini.add("next_one")

    ran = mini.run("-x")

    assert ran.of("end")[0]["counts"]["MISS"] == 1
    assert ran.of("end")[0]["reason"] == "interrupted"
    assert ran.code == 1


# Capabilities and deviations


def test_missing_capability_skips_with_how_that_was_found_out(mini: Mini) -> None:
    """A probe says no, and says why."""
    mini.add("needs", more='needs = ["impossible"]')
    mini.write()
    capabilities = mini.root / "suites" / "lab" / "capabilities.py"
    text = capabilities.read_text()
    capabilities.write_text(
        text.replace('    "siginfo": _siginfo,', '    "siginfo": _siginfo,\n    "impossible": lambda: str(close(999)),')
    )

    ran = run_suites(mini.record, root=mini.root)

    assert outcomes(ran) == {"needs": "SKIP"}
    assert only(ran, "needs")["reason"] == "needs impossible: tried, and got close(999): EBADF"
    assert ran.code == 0


def test_recorded_deviation_passes_the_run_and_is_named(mini: Mini) -> None:
    """Keyed by case and verdict."""
    mini.add("deviates", facts="recv = 0")
    mini.deviate(nodeid("deviates"), "at now: recv was not observed")

    ran = mini.run()

    assert only(ran, "deviates")["outcome"] == "FAIL"
    assert only(ran, "deviates")["deviation"] == {"cause": "test", "reason": "a test"}
    assert ran.code == 0


@pytest.mark.parametrize(("facts", "verdict"), [("", "at now: recv was not observed"), ("recv = 0", "another verdict")])
def test_deviation_that_is_gone_or_different_fails_the_run(mini: Mini, facts: str, verdict: str) -> None:
    """An unexpected pass is news, and so is another failure."""
    mini.add("deviates", facts=facts)
    mini.deviate(nodeid("deviates"), verdict)

    ran = mini.run()

    assert ran.code == 1
    assert "a recorded deviation is no longer seen" in ran.output


# Bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--clause", "reset.refused.is_an_eror"],
            "there is no clause 'reset.refused.is_an_eror'; did you mean reset.refused.is_an_error",
        ),
        (["--family", "tcp5"], "there is no family 'tcp5'; did you mean tcp6 or tcp4"),
    ],
)
def test_unknown_name_is_refused_with_what_is_near(tmp_path: Path, arguments: list[str], words: str) -> None:
    """Exit code 4, one sentence, and no record."""
    ran = run_suites(tmp_path / "record.jsonl", *arguments)

    assert ran.code == 4
    assert f"sockwake: {words}" in ran.output
    assert "Traceback" not in ran.output
    assert not (tmp_path / "record.jsonl").exists()


@pytest.mark.parametrize("text", ["import nonsense", "def test_without_a_clause():\n    assert False"])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_is_in_no_account_fails_the_run(mini: Mini, text: str, workers: str) -> None:
    """A file that can't be collected, a test that is no case: all planned cases may have passed all the same."""
    mini.add("whole")
    mini.write()
    (mini.root / "suites" / "mini" / "test_other.py").write_text(text)

    assert mini.run("-n", workers).code in (1, 2)


def test_malformed_specification_is_refused(mini: Mini) -> None:
    """Which file, which clause, which key."""
    mini.add("wrong", facts="revent = 1", more='levle = "must"')

    ran = mini.run()

    assert ran.code == 4
    assert (
        "sockwake: mini.toml: clause mini.case.wrong: levle: there is no key 'levle'; did you mean level?" in ran.output
    )
    assert "Traceback" not in ran.output


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        (
            "mini.case.passes",
            "mini.case.pases",
            "there is no clause 'mini.case.pases'; did you mean mini.case.passes?",
        ),
        (
            "(case: Case)",
            "(case: Case, tmp_path: object)",
            "test_mini.py::test_passes: a case takes `case` and nothing else: tmp_path",
        ),
    ],
    ids=["clause that doesn't exist", "fixture"],
)
def test_case_that_cannot_be_planned_is_refused(mini: Mini, right: str, wrong: str, words: str) -> None:
    """The case's own text is named. Nothing of a case is pytest's to set up."""
    mini.add("passes")
    mini.cases = mini.cases.replace(right, wrong)

    ran = mini.run()

    assert ran.code in (2, 4)
    assert words in ran.output


@pytest.mark.parametrize("kind", ["another file", "a folder"])
def test_record_that_cannot_be_written_is_refused_and_nothing_is_lost(tmp_path: Path, kind: str) -> None:
    """Only a record is ever replaced."""
    path = tmp_path / "thing"
    if kind == "a folder":
        path.mkdir()
    else:
        path.write_text("my thesis")

    ran = run_suites_without_reading(path)

    assert ran.returncode == 4
    assert "sockwake: " in ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr + ran.stdout
    assert kind == "a folder" or path.read_text() == "my thesis"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a small file system")
def test_record_that_finds_no_room_ends_the_run_and_is_kept(tmp_path: Path) -> None:
    """What was written stays and can be read, and one sentence says what to do."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(tmp_path)], check=True)
    try:
        ran = run_suites_without_reading(tmp_path / "record.jsonl")
        (run,) = read([tmp_path / "record.jsonl"])
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)

    assert ran.returncode == 1
    assert "the record can't be written: No space left on device; make room, or name another file" in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr
    assert run.counts()["PASS"] > 10
    assert run.counts()["MISS"] > 100


def run_suites_without_reading(record: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest on the suites with a record that isn't one."""
    return subprocess.run(suites_command(record), cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_forbidden_namespaces_are_told_in_one_sentence(tmp_path: Path) -> None:
    """A user who may make none is told what to do."""
    forbid = f"""
import os, native
native.unshare(native.CLONE_NEWUSER)
open("/proc/sys/user/max_user_namespaces", "w").write("0")
os.execv({sys.executable!r}, [{sys.executable!r}, "-m", "pytest", "suites", "-p", "no:cacheprovider"])
"""
    ran = subprocess.run(
        [sys.executable, "-c", forbid],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )

    assert ran.returncode == 4, ran.stdout + ran.stderr
    assert (
        "sockwake needs a network namespace of its own and this user may not make a user namespace"
        in ran.stderr + ran.stdout
    )
    assert "Traceback" not in ran.stderr + ran.stdout
