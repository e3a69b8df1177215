"""Targets: runs that end well and badly, records that can't be trusted, the cache, confinement, and the command line.

What a target may do is done here by programs that pretend to be one; real guests are booted in `test_targets_uml.py`.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil
import pytest

from reports.record import Run, read
from targets import __main__ as command
from targets import bytecode, cache, cpus, debian, matrix, processes, running, taking, uml
from targets.progress import Progress
from targets.registry import find
from targets.running import CANT_TELL, Result, Running, exit_code
from targets.target import ROOT, Job, Target, TargetError, UsageError
from tests.records import case_line, clause_line, end_line, node, run_line, start_line, write

FIRST, SECOND = node("reset", "tcp4"), node("reset", "tcp6")


@dataclass(frozen=True, kw_only=True)
class Pretence(Target):
    """A target that executes a shell script of the test's in the shared folder, in place of the suites."""

    name: str = "pretence"
    what: str = "a script"
    script: str = ""

    def missing(self) -> str | None:
        """Nothing."""
        return None

    def start(self, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Execute the script."""
        command = ["/bin/sh", "-c", self.script]
        return subprocess.Popen(command, cwd=job.folder, stdout=console, stderr=console, start_new_session=True)


def finish(target: Target, record: Path, *arguments: str, deadline: float = 30) -> Result:
    """Run to the end."""
    with Running(target, record, arguments, deadline) as under_way:
        while under_way.result is None:
            under_way.tick()
            time.sleep(0.01)
    return under_way.result


def half_done(tmp_path: Path) -> Path:
    """A record that stops while the second of two cases runs."""
    lines = [run_line([FIRST, SECOND], target="pretence"), clause_line()]
    lines += [start_line(FIRST), case_line(FIRST), start_line(SECOND)]
    return write(tmp_path / "written", lines)


def the_run(path: Path) -> Run:
    """The only run of a record."""
    (run,) = read([path])
    return run


# How a run ends


def test_run_that_finishes_gives_its_record_as_it_is(tmp_path: Path) -> None:
    """Byte by byte, with the exit code that pytest had there."""
    lines = [run_line([FIRST], target="pretence"), clause_line(), start_line(FIRST), case_line(FIRST), end_line(PASS=1)]
    written, record = write(tmp_path / "written", lines), tmp_path / "out" / "pretence.jsonl"

    result = finish(Pretence(script=f"cp {written} record.jsonl; echo said >output.txt; echo 0 >status"), record)

    assert (result.code, result.problem) == (0, "")
    assert record.read_bytes() == written.read_bytes()
    assert record.with_name("pretence.pytest.txt").read_text() == "said\n"


def test_run_that_dies_is_completed_with_what_its_kernel_said_last(tmp_path: Path) -> None:
    """What didn't run is MISS, and says how the target died, during which case, and its last words."""
    said = "echo 'Kernel panic - not syncing: Fatal exception'; echo 'Call Trace:'"
    script = f"cp {half_done(tmp_path)} record.jsonl; {said}; kill -KILL $$"
    record = tmp_path / "pretence.jsonl"

    result = finish(Pretence(script=script), record)

    run = the_run(record)
    assert result.code == 1
    assert run.counts() == {"PASS": 1, "FAIL": 0, "ERROR": 0, "SKIP": 0, "MISS": 1, "DONE": 0}
    assert run.end is not None
    assert run.end.reason == "died"
    assert run.cases[1].reason == (
        f"the target was killed by SIGKILL while it ran {SECOND}; Kernel panic - not syncing: Fatal exception; "
        "the last line that it printed: Call Trace:"
    )
    assert run.cases[1].clause == "error.reset.established"
    assert "Kernel panic" in record.with_name("pretence.console.txt").read_text()


def test_run_that_hangs_is_ended_at_its_deadline_with_all_its_processes(tmp_path: Path) -> None:
    """Also those whose parents are gone, and those that ignore what can be ignored."""
    script = f"cp {half_done(tmp_path)} record.jsonl; : >started; trap '' TERM HUP INT; (sleep 4321 &); sleep 4321"

    result = finish(Pretence(script=script), tmp_path / "pretence.jsonl", deadline=0.5)

    end = the_run(tmp_path / "pretence.jsonl").end
    assert end is not None
    assert end.reason == "deadline"
    assert result.problem.startswith("the target was ended at its deadline")
    assert not [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "4321"]]


def test_run_that_doesnt_boot_in_time_has_all_that_was_planned_as_missing(tmp_path: Path) -> None:
    """The plan then comes from this host; the exit code lets git bisect skip the commit."""
    record = tmp_path / "pretence.jsonl"

    result = finish(Pretence(script="echo hm; sleep 4322", boot=0.3), record, "--clause", "sanity.signal.readable")

    run = the_run(record)
    assert result.code == CANT_TELL
    assert [case.outcome for case in run.cases] == ["MISS", "MISS"]
    assert (
        run.cases[0].reason == "the target was ended because it didn't boot in time; the last line that it printed: hm"
    )
    assert run.head.target == "pretence"
    assert run.head.kernel.release == "unknown"


def test_run_that_pytest_refused_leaves_no_record(tmp_path: Path) -> None:
    """pytest's exit code says why."""
    result = finish(Pretence(script=": >started; echo 4 >status"), tmp_path / "pretence.jsonl")

    assert result.code == 4
    assert result.run is None
    assert not (tmp_path / "pretence.jsonl").exists()


def test_run_whose_end_doesnt_come_after_its_job_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that can't power off; its record is whole, so nothing is wrong with the run."""
    monkeypatch.setattr(running, "PARTING", 0.3)
    lines = [run_line([FIRST], target="pretence"), start_line(FIRST), case_line(FIRST), end_line(PASS=1)]
    script = f"cp {write(tmp_path / 'written', lines)} record.jsonl; echo 0 >status; sleep 4323"

    assert finish(Pretence(script=script), tmp_path / "pretence.jsonl").code == 0


def test_run_that_writes_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its console counts."""
    monkeypatch.setattr(running, "LIMIT", 100_000)
    record = tmp_path / "pretence.jsonl"

    result = finish(Pretence(script=f"cp {half_done(tmp_path)} record.jsonl; exec yes"), record)

    assert "was ended because it left more than 100000 bytes" in result.problem
    assert the_run(record).counts()["MISS"] == 1


def test_run_that_the_user_stops_says_so(tmp_path: Path) -> None:
    """With the exit code of an interrupted pytest."""
    script = f"cp {half_done(tmp_path)} record.jsonl; : >started; sleep 4324"
    with Running(Pretence(script=script), tmp_path / "pretence.jsonl", ()) as under_way:
        while under_way.progress.planned is None:
            under_way.tick()
        under_way.stop()

    end = the_run(tmp_path / "pretence.jsonl").end
    assert under_way.result is not None
    assert under_way.result.code == 2
    assert end is not None
    assert end.reason == "interrupted"


# What a target writes is not to be trusted


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo garbage >record.jsonl", "left a record that can't be used"),
        ("head -c 300000 /dev/urandom >record.jsonl; echo >>record.jsonl", "left a record that can't be used"),
        ("sed s/pretence/host/ $WRITTEN >record.jsonl", "isn't the record of one run on pretence"),
        (
            "cat $WRITTEN >record.jsonl; sed s/r1/r2/g $WRITTEN >>record.jsonl",
            "isn't the record of one run on pretence",
        ),
        ("cat $WRITTEN $WRITTEN >record.jsonl", "left a record that can't be used"),
    ],
    ids=["garbage", "noise", "another-target", "two-runs", "twice"],
)
def test_record_that_cant_be_used_is_refused_and_kept_for_a_look(tmp_path: Path, script: str, problem: str) -> None:
    """It never takes the place of the record that was asked for."""
    record = tmp_path / "pretence.jsonl"
    lines = [run_line([FIRST], target="pretence"), start_line(FIRST), case_line(FIRST), end_line(PASS=1)]
    written = write(tmp_path / "written", lines)

    result = finish(Pretence(script=f"WRITTEN={written}; {script}; echo 0 >status"), record)

    assert problem in result.problem
    assert result.code == CANT_TELL
    assert not record.exists()
    assert record.with_name("pretence.jsonl.unchecked").exists()


@pytest.mark.parametrize(
    "script", ["ln -s /etc/passwd record.jsonl", "mkfifo record.jsonl output.txt", "mkdir record.jsonl"]
)
def test_record_that_isnt_a_file_is_not_read(tmp_path: Path, script: str) -> None:
    """A link isn't followed and a pipe not waited for: it is as if there were none."""
    record = tmp_path / "pretence.jsonl"

    result = finish(Pretence(script=f"{script}; : >started; echo 4 >status"), record)

    assert result.code == 4
    assert not record.exists()


def test_record_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is parsed."""
    monkeypatch.setattr(taking, "LIMIT", 1000)

    result = finish(Pretence(script=f"cp {half_done(tmp_path)} record.jsonl"), tmp_path / "pretence.jsonl")

    assert result.problem == "pretence wrote a record of more than 1000 bytes, which isn't taken"


def test_status_that_says_that_all_is_well_doesnt_hide_a_failure(tmp_path: Path) -> None:
    """What the record says counts, where it is worse."""
    lines = [run_line([FIRST], target="pretence"), start_line(FIRST), case_line(FIRST, "FAIL"), end_line(FAIL=1)]
    script = f"cp {write(tmp_path / 'written', lines)} record.jsonl; echo 0 >status"

    assert finish(Pretence(script=script), tmp_path / "pretence.jsonl").code == 1


def test_line_that_is_cut_off_is_dropped(tmp_path: Path) -> None:
    """As where the disk was full."""
    script = f"head -c -20 {half_done(tmp_path)} >record.jsonl"

    finish(Pretence(script=script), tmp_path / "pretence.jsonl")

    assert the_run(tmp_path / "pretence.jsonl").warnings == ()


def test_progress_takes_no_harm_from_what_it_reads() -> None:
    """What can't be understood says nothing."""
    progress = Progress()

    progress.feed(
        b'{"type":"run","planned":["a","b"]}\n[[[\n{"type":"case","outcome":[],"case":1}\n\xff\n' + b"[" * 10**5
    )
    progress.feed(
        b'\n{"type":"start","case":"a"}\n{"type":"case","case":"a","outcome":"PASS"}\n{"type":"start","case":"b"}\n{'
    )

    assert progress.in_words() == "1 of 2: 1 passed"
    assert progress.running == ["b"]


def test_progress_tells_recorded_deviations_from_failures() -> None:
    """What is known isn't news."""
    progress = Progress()

    progress.feed(
        b'{"type":"run","planned":["a","b","c"]}\n{"type":"case","case":"a","outcome":"FAIL","deviation":null}\n'
    )
    progress.feed(b'{"type":"case","case":"b","outcome":"FAIL","deviation":{"cause":"late","reason":"known"}}\n')

    assert progress.in_words() == "2 of 3: 1 failed, 1 deviating"


def test_file_that_isnt_a_record_is_not_replaced(tmp_path: Path) -> None:
    """It is said before anything is booted."""
    (tmp_path / "thesis").write_text("my thesis")

    with pytest.raises(UsageError, match="holds something that isn't a sockwake record"):
        finish(Pretence(script="touch /tmp/never"), tmp_path / "thesis")


# Exit codes


@pytest.mark.parametrize(
    ("outcomes", "status", "plain", "asked"),
    [
        ("PASS PASS", 0, 0, 0),
        ("PASS SKIP", 0, 0, 0),
        ("PASS DONE", 0, 0, 0),
        ("SKIP SKIP", 0, 0, CANT_TELL),
        ("PASS ERROR", 1, 1, CANT_TELL),
        ("PASS MISS", None, 1, CANT_TELL),
        ("FAIL MISS", None, 1, 1),
        ("FAIL ERROR", 1, 1, 1),
        ("PASS PASS", 1, 1, 1),  # a recorded deviation has vanished
    ],
)
def test_exit_code_is_what_git_bisect_understands(
    tmp_path: Path, outcomes: str, status: int | None, plain: int, asked: int
) -> None:
    """125 where a clause that was asked for can't be tried."""
    lines = [run_line([FIRST, SECOND]), clause_line()]
    lines += [case_line(case, outcome) for case, outcome in zip((FIRST, SECOND), outcomes.split(), strict=True)]
    run = the_run(write(tmp_path / "record", lines))

    assert (exit_code(run, status, asked=False), exit_code(run, status, asked=True)) == (plain, asked)


def test_process_that_does_not_end_is_named_and_the_record_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may take long to take one away; here it gets no time at all."""
    monkeypatch.setattr(processes, "SECONDS", -1.0)
    target = Pretence(script=f"cp {half_done(tmp_path)} record.jsonl; sleep 1000 & exit 3")

    result = finish(target, tmp_path / "record.jsonl")

    assert result.code != 0
    assert result.problem.startswith("the target ended with exit code 3")
    assert re.search(r"; the processes [\d, ]+ are killed and don't end; see what holds them$", result.problem)
    assert result.run is not None


# Several at once


def test_matrix_goes_on_where_a_target_dies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One page of all, and a line a target that tells how it stands."""
    lines = [run_line([FIRST], target="well"), clause_line(), start_line(FIRST), case_line(FIRST), end_line(PASS=1)]
    well = Pretence(
        name="well", script=f"cp {write(tmp_path / 'a', lines)} record.jsonl; : >started; sleep 0.5; echo 0 >status"
    )
    dead = Pretence(name="pretence", script=f"cp {half_done(tmp_path)} record.jsonl; kill -KILL $$")

    code = matrix.run([dead, well], tmp_path / "out" / "page.html", [], None)

    said = capsys.readouterr().out
    assert code == 1
    assert "well      1 case planned: 1 passed" in said
    assert "pretence  2 cases planned: 1 passed" in said
    assert "was killed by SIGKILL" in said
    page = (tmp_path / "out" / "page.html").read_text()
    assert "well · 6.12" in page
    assert "pretence · 6.12" in page


def test_matrix_starts_no_more_than_fit() -> None:
    """By cores, and one more, and by memory; one always fits."""
    small, large = Pretence(memory=100), Pretence(memory=900, cpus=2)

    assert matrix.fits(large, [], 1, 100)
    assert matrix.fits(small, [small, small], 2, 300)
    assert not matrix.fits(small, [small, small, small], 2, 1000)
    assert not matrix.fits(small, [large, small], 2, 1000)
    assert not matrix.fits(small, [large], 4, 999)


def test_targets_that_take_one_cpu_are_spread_over_all(own_cache: Path) -> None:
    """And whoever ends gives its own back."""
    everywhere = os.sched_getaffinity(0)
    claims = [cpus.claim() for _ in range(2 * len(everywhere))]

    assert {cpu for cpu, _ in claims[: len(everywhere)]} == everywhere
    assert {cpu for cpu, _ in claims[len(everywhere) :]} == everywhere
    first, fd = claims[0]
    assert fd is not None
    os.close(fd)
    claims[0] = cpus.claim()
    assert claims[0][0] == first
    for _, fd in claims:
        assert fd is not None
        os.close(fd)


def test_target_of_one_cpu_holds_it_until_all_its_processes_have_ended(own_cache: Path, tmp_path: Path) -> None:
    """Whoever starts it stays where it was."""
    everywhere = os.sched_getaffinity(0)
    with (tmp_path / "console").open("wb") as console:
        process = processes.start(["sh", "-c", "sleep 1000 & exit"], console, one_cpu=True)
    try:
        process.wait()
        (left,) = processes.members(process.pid)
        (cpu,) = os.sched_getaffinity(left)
        with (own_cache / "cpus" / f"{cpu}.0").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        processes.end_session(process.pid)

    with (own_cache / "cpus" / f"{cpu}.0").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert os.sched_getaffinity(0) == everywhere


def test_target_has_a_cpu_where_none_can_be_claimed(own_cache: Path) -> None:
    """The folder for claims is a file."""
    own_cache.mkdir(parents=True)
    (own_cache / "cpus").touch()

    assert cpus.claim() in [(cpu, None) for cpu in os.sched_getaffinity(0)]


# Images


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sockwake"


def test_image_appears_whole_or_not_at_all(own_cache: Path) -> None:
    """What fills it may fail half-way."""

    def broken(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise TargetError("the mirror has gone")

    with pytest.raises(TargetError, match="the mirror has gone"):
        cache.publish("it", "1", broken)
    assert cache.image("it") is None
    assert list((own_cache / "images").iterdir()) == []

    cache.publish("it", "1", lambda folder: _write(folder, "one"))

    image = cache.image("it")
    assert image == own_cache / "images" / "it.1"
    assert (image / "file").read_text() == "one"


def _write(folder: Path, text: str) -> None:
    (folder / "file").write_text(text)


def test_image_that_is_in_use_stays_until_the_next_fetch(own_cache: Path) -> None:
    """A run under way keeps its modules."""
    cache.publish("it", "1", lambda folder: _write(folder, "one"))
    first = cache.image("it")
    assert first
    held = cache.use(first)

    cache.publish("it", "2", lambda folder: _write(folder, "two"))
    assert first.exists()
    os.close(held)
    cache.publish("it", "3", lambda folder: _write(folder, "three"))

    assert [path.name for path in sorted((own_cache / "images").iterdir())] == ["it", "it.3"]


def test_two_fetches_wait_for_each_other(own_cache: Path) -> None:
    """The second says that it waits, and comes in when the first has gone."""
    said: list[str] = []
    with cache.locked("it", print):
        second = threading.Thread(target=fetch, args=(said,))
        second.start()
        while not said:
            time.sleep(0.01)
        assert said == ["another process is fetching; waiting for it"]
    second.join(10)

    assert said[1:] == ["in"]


def fetch(said: list[str]) -> None:
    """Take the lock."""
    with cache.locked("it", said.append):
        said.append("in")


def test_mirror_is_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """SOCKWAKE_MIRROR goes before the host's own sources."""
    monkeypatch.setenv("SOCKWAKE_MIRROR", "http://localhost:9/debian/")

    assert debian.mirror() == "http://localhost:9/debian"


@pytest.mark.skipif(debian.missing() is not None, reason=str(debian.missing()))
def test_mirror_that_doesnt_answer_is_one_sentence(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the suite and says what apt said."""
    monkeypatch.setenv("SOCKWAKE_MIRROR", "http://localhost:9/debian")

    assert command.main(["fetch", "uml-6.1"]) == 1

    error = capsys.readouterr().err
    assert error.startswith("sockwake: uml-6.1: the Debian suite bookworm: apt-get failed: Failed to fetch")
    assert error.count("\n") == 1


def test_program_gets_another_loader(tmp_path: Path) -> None:
    """It runs by way of the loader that was named, which isn't there at first."""
    program, loader = tmp_path / "true", tmp_path / ("a long name " * 8)
    shutil.copy("/bin/true", program)
    uml.set_loader(program, loader)
    with pytest.raises(FileNotFoundError):
        subprocess.run([program])

    loader.symlink_to("/lib64/ld-linux-x86-64.so.2")

    assert subprocess.run([program]).returncode == 0


# Confinement


def confine(tmp_path: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Execute a shell script that may write to tmp_path/writable only."""
    for name in ("memory", "writable"):
        (tmp_path / name).mkdir()
    folders = ["--memory", str(tmp_path / "memory"), "--writable", str(tmp_path / "writable")]
    command = [sys.executable, "-m", "targets.confine", *folders, "--", "/bin/sh", "-c", script]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    if "doesn't confine" in ran.stderr:
        pytest.skip(ran.stderr)
    return ran


def test_confined_program_writes_where_it_may_and_nowhere_else(tmp_path: Path) -> None:
    """Not to what lies above, either."""
    ran = confine(
        tmp_path, f"cd {tmp_path}; echo a >writable/a; echo b >memory/b && cat memory/b; echo c >c; echo $TMPDIR"
    )

    assert (tmp_path / "writable" / "a").read_text() == "a\n"
    assert ran.stdout == f"b\n{tmp_path}/memory\n"
    assert "c: Read-only file system" in ran.stderr
    assert list((tmp_path / "memory").iterdir()) == []


def test_confined_program_ends_as_it_ended(tmp_path: Path) -> None:
    """128 and the number, for a signal."""
    assert confine(tmp_path, "kill -SEGV $$").returncode == 128 + 11


def test_confined_programs_children_end_with_it(tmp_path: Path) -> None:
    """However they detach themselves."""
    confine(tmp_path, "setsid sh -c 'trap \"\" TERM HUP; sleep 4325' & sleep 0.2")

    assert not [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "4325"]]


def test_session_ends_with_whoever_is_in_it() -> None:
    """Its leader may be gone."""
    leader = subprocess.Popen(["/bin/sh", "-c", "sleep 4326 & sleep 4326 &"], start_new_session=True)
    leader.wait()
    assert len(list(processes.members(leader.pid))) == 2

    processes.end_session(leader.pid)

    assert list(processes.members(leader.pid)) == []


# The command line


def targets(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "targets", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_list_shows_each_target_and_what_it_lacks(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """This kernel can always be run."""
    assert command.main(["list"]) == 0

    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["host"].endswith("; can run here")
    assert "this kernel, Linux " in lines["host"]
    assert "--kernel PATH" in lines["uml"]
    assert "python -m targets fetch uml-6.1" in lines["uml-6.1"] or "is missing" in lines["uml-6.1"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "uml-6"], 4, "there is no target 'uml-6'; did you mean uml-6."),
        (["run", "host", "--kernel", "x"], 4, "host: its kernel can't be chosen"),
        (["run", "uml-6.1", "--kernel", "/bin/true"], 4, "run a kernel of yours as: uml --kernel /bin/true"),
        (["run", "uml"], CANT_TELL, "name your kernel: --kernel PATH"),
        (["run", "uml", "--kernel", "/no/such"], CANT_TELL, "/no/such: it isn't an executable file"),
        (["run", "uml-6.1"], CANT_TELL, "python -m targets fetch uml-6.1"),
        (["fetch", "nothing"], 4, "there is no target 'nothing'"),
    ],
)
def test_what_makes_no_sense_and_what_cant_boot_are_told_apart(
    own_cache: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], code: int, said: str
) -> None:
    """One sentence each; 4 is pytest's code for wrong usage, 125 lets git bisect skip the commit."""
    assert command.main(list(arguments)) == code

    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_wrong_usage_has_pytests_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Not that of an interrupted run."""
    with pytest.raises(SystemExit) as caught:
        command.main(["run"])
    assert caught.value.code == 4


def test_fetch_of_the_host_has_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """So a list of targets can be fetched whatever is in it."""
    assert command.main(["fetch", "host"]) == 0
    assert capsys.readouterr().out == "host: nothing to fetch\n"


def test_case_that_is_named_is_run_alone() -> None:
    """The suites stand in for arguments that name no file."""
    case = "suites/sanity/test_sanity.py::test_x[a]"

    assert Job(target="host", folder=Path(), scratch=Path(), arguments=(case,)).paths == ()
    assert Job(target="host", folder=Path(), scratch=Path(), arguments=("-k", "x")).paths == ("suites",)


@pytest.fixture
def anew(own_cache: Path) -> Iterator[Path]:
    """Whatever bytecode was prepared before, in another cache folder, isn't."""
    bytecode.prepared.cache_clear()
    yield own_cache
    bytecode.prepared.cache_clear()


def test_guest_is_given_bytecode_of_the_suites(anew: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of cases as pytest rewrites them too, and also where Python keeps no bytecode on this host."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    place = bytecode.prepared()
    assert place == anew / "bytecode"
    suites = place / ROOT.relative_to("/") / "suites"
    assert list(suites.glob("judge.*.pyc"))
    assert list(suites.glob("sanity/test_sanity.*-pytest-*.pyc"))

    job = Job(target="host", folder=tmp_path, scratch=tmp_path, arguments=(), bytecode=place)
    job.write_script()
    assert f"PYTHONPYCACHEPREFIX={place}" in job.script.read_text()


def test_without_a_place_for_bytecode_guests_compile_for_themselves(anew: Path) -> None:
    """It is a matter of time only."""
    anew.mkdir(parents=True)
    (anew / "bytecode").touch()

    assert bytecode.prepared() is None


def test_run_on_the_host_leaves_a_record_and_a_page(tmp_path: Path) -> None:
    """It prints where they are, and the totals in words."""
    record = tmp_path / "some" / "host.jsonl"

    ran = targets("run", "host", "--record", str(record), "--", "--clause", "sanity.signal.readable")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 cases planned: 2 passed" in ran.stdout
    assert str(record) in ran.stdout
    assert str(record.with_suffix(".html")) in ran.stdout
    assert "<!doctype html>" in record.with_suffix(".html").read_text().lower()
    assert json.loads(record.read_text().splitlines()[0])["target"] == "host"


def test_run_that_is_refused_leaves_no_page(tmp_path: Path) -> None:
    """pytest has said why, and its exit code is kept."""
    record = tmp_path / "host.jsonl"

    ran = targets("run", "host", "--record", str(record), "--", "--clause", "no.such.clause")

    assert ran.returncode == 4
    assert "there is no clause 'no.such.clause'" in ran.stdout + ran.stderr
    assert not record.with_suffix(".html").exists()


def test_find_names_what_is_near() -> None:
    """A misspelt name is no other target."""
    with pytest.raises(UsageError, match="there is no target 'hots'; did you mean host"):
        find("hots")
