"""The target ssh:HOST against an sshd on loopback, an ordinary process with keys and a configuration of its own.

What the machine behind it has is decided by the folder `bin` that comes first in its PATH. By default its Python makes an
environment at once, out of the one that runs the tests; the whole way, by venv and pip, is marked slow.
"""

from __future__ import annotations

import contextlib
import getpass
import io
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import native
from reports.record import Run, read
from targets import __main__ as command
from targets import ssh, ssh_carrier, ssh_there
from targets.registry import find
from targets.running import CANT_TELL, INTERRUPTED, Running
from targets.target import UsageError
from tests.conftest import ROOT, Ran
from tests.records import case_line, clause_line, node, run_line, start_line, write

SECONDS = 20.0
ALIAS = "there"
TARGET = f"ssh:{ALIAS}"
CLAUSE = "sanity.signal.readable"

EXTENSION = next(Path(native.__file__).parent.glob("_native*.so"))
QUICK = f"""#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip") cp {shlex.quote(str(EXTENSION))} checkout/native/ ;;
*) exec {shlex.quote(sys.executable)} "$@" ;;
esac
"""
"""A Python whose environments have all that this one has."""

FIRST, SECOND = node("reset", "tcp4"), node("reset", "tcp6")
HALF_DONE = [
    run_line([FIRST, SECOND], target=TARGET),
    clause_line(),
    start_line(FIRST),
    case_line(FIRST),
    start_line(SECOND),
]

ORPHAN = "(setsid sleep 4331 &)"
"""A process whose parent is gone and that has left its session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine that the alias leads to: its sshd, its PATH's first folder, and where its temporary files are."""

    sshd: subprocess.Popen[bytes]
    bin: Path
    temporary: Path

    def has(self, name: str, script: str) -> None:
        """Put a program first in its PATH."""
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def does(self, command: str, script: str) -> None:
        """Let its Python's `-m command` be a script."""
        self.has("python3", QUICK.replace("in\n", f'in\n"-m {command}") {script} ;;\n', 1))

    def is_idle(self) -> bool:
        """Whether nothing of a run is there any more, at once or before the deadline, but for its connection."""
        return comes_true(lambda: not list(self._at_work()) and not list(self.temporary.iterdir()))

    def is_as_before(self) -> bool:
        """Whether nothing of a run is there any more, at once or before the deadline."""
        return self.is_idle() and comes_true(lambda: not self._connections())

    def _connections(self) -> list[psutil.Process]:
        return psutil.Process(self.sshd.pid).children(recursive=True)

    def _at_work(self) -> Iterator[psutil.Process]:
        """Processes in a run's folder, also where it is removed."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cwd().startswith(str(self.temporary)):
                    yield process


def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether a condition holds, at once or before the deadline."""
    deadline = time.monotonic() + SECONDS
    while not (true := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return true


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """An sshd, and an ssh whose configuration knows it as ALIAS."""
    sshd, client = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"), shutil.which("ssh")
    if not sshd or not client:
        pytest.skip("there is no sshd or no ssh here: install the packages openssh-server and openssh-client")
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / key], check=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    here, there = tmp_path / "here", tmp_path / "there"
    temporary = tmp_path / "t"
    for folder in (here, there, temporary):
        folder.mkdir()
    enter = f'PATH={there}:$PATH TMPDIR={temporary} exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"'
    (tmp_path / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {tmp_path}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path}/user_key.pub\nPasswordAuthentication no\nForceCommand {enter}\n"
    )
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host_key.pub').read_text()}")
    (tmp_path / "ssh_config").write_text(
        f"Host {ALIAS}\nHostName 127.0.0.1\nPort {port}\nUser {getpass.getuser()}\nIdentityFile {tmp_path}/user_key\n"
        f"IdentitiesOnly yes\nUserKnownHostsFile {tmp_path}/known_hosts\nGlobalKnownHostsFile none\n"
    )
    (here / "ssh").write_text(f'#!/bin/sh\nexec {client} -F {tmp_path}/ssh_config "$@"\n')
    (here / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")
    log = tmp_path / "sshd.log"
    process = subprocess.Popen([*privileged(), sshd, "-D", "-f", tmp_path / "sshd_config", "-E", log])
    try:
        await_port(process, port, log)
        machine = Machine(sshd=process, bin=there, temporary=temporary)
        machine.has("python3", QUICK)
        yield machine
    finally:
        for left in psutil.Process(process.pid).children(recursive=True):
            left.kill()
        process.kill()
        process.wait()


def privileged() -> list[str]:
    """What goes before an sshd of root's, which wants a folder of the system's that only its service makes."""
    if os.geteuid() or Path("/run/sshd").is_dir():
        return []
    return ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec "$@"', "sh"]


def await_port(sshd: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until it listens; skips where it can't run."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and sshd.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    pytest.skip(f"sshd doesn't run here: {log.read_text() if log.exists() else 'it said nothing'}")


def the_run(path: Path) -> Run:
    """The only run of a record."""
    (run,) = read([path])
    return run


def run_clause(record: Path) -> int:
    """Run one clause there by the command line; returns its exit code."""
    return command.main(["run", TARGET, "--record", str(record), "--", "--clause", CLAUSE])


def test_clause_is_run_there_and_its_record_brought_back(machine: Machine, tmp_path: Path) -> None:
    """Nothing of the run is left there."""
    record = tmp_path / "record.jsonl"

    assert run_clause(record) == 0

    run = the_run(record)
    assert run.head.target == TARGET
    assert [case.outcome for case in run.cases] == ["PASS", "PASS"]
    assert run.end is not None
    assert run.end.reason == "finished"
    assert "2 passed" in record.with_name("record.pytest.txt").read_text()
    assert machine.is_as_before()


@pytest.mark.parametrize("how", ["broken", "killed", "stopped"])
def test_connection_that_ends_early_costs_only_what_hadnt_run(machine: Machine, tmp_path: Path, how: str) -> None:
    """Its client dies, or what watches it, or the user stops it: cases that had run stay; there, all is ended and removed."""
    machine.does("pytest", f"cp {write(tmp_path / 'written', HALF_DONE)} ../record.jsonl; {ORPHAN}; sleep 4331")
    record = tmp_path / "record.jsonl"
    with Running(find(TARGET), record, ()) as running:
        while not running.progress.running:
            running.tick()
            assert running.result is None
        end_early(running, how)
        while running.result is None:
            running.tick()

    run = the_run(record)
    assert [case.outcome for case in run.cases] == ["PASS", "MISS"]
    assert f"while it ran {SECOND}" in run.cases[1].reason
    assert running.result.code == (INTERRUPTED if how == "stopped" else 1)
    assert machine.is_as_before()


def end_early(running: Running, how: str) -> None:
    """End a run's connection."""
    carrier = psutil.Process(running._process.pid)
    if how == "stopped":
        running.stop()
    elif how == "killed":
        carrier.kill()
    else:
        for client in carrier.children(recursive=True):
            client.kill()


def test_silence_ends_the_job_there(machine: Machine, tmp_path: Path) -> None:
    """A connection that hangs both ways: whoever gets no sign of life ends what it runs, and goes."""
    (tmp_path / "job.sh").write_text(f": >started; {ORPHAN}; exec yes >output.txt")
    machine.does("pip", "true")
    program = Path(ssh_there.__file__).read_text().replace(f"SILENCE = {ssh_there.SILENCE}", "SILENCE = 1")
    stream = b"".join(b"%d\n" % len(part) + part for part in (program.encode(), ssh.pack(tmp_path / "job.sh")))

    with subprocess.Popen(ssh_carrier.command(ALIAS), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdin
        assert client.stdout
        client.stdin.write(stream)
        client.stdin.flush()
        assert any(line.startswith(b"started ") for line in client.stdout)

        assert machine.is_idle()
        client.kill()

    assert machine.is_as_before()


def carry(tmp_path: Path) -> tuple[int, str]:
    """Carry a job that does nothing; returns the carrier's exit code and the last line that it printed."""
    (tmp_path / "job.sh").write_text("echo 0 >status")
    (tmp_path / "load").write_bytes(ssh.pack(tmp_path / "job.sh"))
    (tmp_path / "shared").mkdir()
    carrier = [sys.executable, "-m", "targets.ssh_carrier", ALIAS, str(tmp_path / "load"), str(tmp_path / "shared")]
    done = subprocess.run(carrier, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    return done.returncode, (done.stdout + done.stderr).splitlines()[-1]


@pytest.mark.parametrize(
    ("command", "script", "said"),
    [
        (
            "venv",
            'echo "ensurepip is not available"; exit 1',
            "its Python can't make environments: install the rest of it (Debian: apt install python3-venv)",
        ),
        (
            "pip",
            'echo "  error: sockwake needs a C compiler: install gcc"; echo "ERROR: failed"; exit 1',
            "sockwake needs a C compiler: install gcc",
        ),
        (
            "pip",
            'echo "  ERROR: No matching distribution found for cffi"; echo "See above for output."; exit 1',
            "pip can't install the suites there: ERROR: No matching distribution found for cffi; "
            "all that it said is in the console",
        ),
    ],
    ids=["venv", "compiler", "network"],
)
def test_what_a_machine_lacks_is_said_in_a_sentence(
    machine: Machine, tmp_path: Path, command: str, script: str, said: str
) -> None:
    """Nothing is left there."""
    machine.does(command, script)

    assert carry(tmp_path) == (1, said)
    assert machine.is_as_before()


def test_machine_without_python_says_so(machine: Machine, tmp_path: Path) -> None:
    """Its Pythons are too old, all of them."""
    for name in ssh_carrier.CANDIDATES.split():
        machine.has(name, "#!/bin/sh\nexit 1\n")

    assert carry(tmp_path) == (1, "there is no Python 3.10 or later there: install it with its venv and headers")


def test_what_shells_print_before_is_left_out(machine: Machine, tmp_path: Path) -> None:
    """Many a user's shell greets also those who aren't at a terminal."""
    machine.has("python3", QUICK.replace("*) exec", "*) echo welcome; exec"))

    assert carry(tmp_path)[0] == 0
    assert (tmp_path / "shared" / "status").read_text() == "0\n"


def test_host_that_isnt_known_is_a_target_that_cant_boot(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its keys are the user's to accept: nothing is asked, nothing weakened, and all that was planned is MISS."""
    (tmp_path / "known_hosts").unlink()

    assert run_clause(tmp_path / "record.jsonl") == CANT_TELL
    assert (
        f"Host key verification failed.; see that `ssh -o BatchMode=yes {ALIAS} true` works" in capsys.readouterr().err
    )
    assert the_run(tmp_path / "record.jsonl").counts()["MISS"] == 2


@pytest.mark.parametrize(
    "sent",
    [b"passwd 3\nabc", b"../record 3\nabc", b"status 99999999999\n", b"x" * 100],
    ids=["name", "path", "size", "noise"],
)
def test_what_doesnt_keep_to_the_frames_is_refused(machine: Machine, tmp_path: Path, sent: bytes) -> None:
    """The other machine can write to no file but the job's, and not more at once than a frame."""
    (tmp_path / "sent").write_bytes(ssh_carrier.READY + sent)
    with (tmp_path / "sent").open("rb") as stream, pytest.raises(ssh_carrier.Broken):
        ssh_carrier.receive(stream, machine.temporary)
    assert not list(machine.temporary.iterdir())


def test_frame_that_is_cut_off_is_kept_as_far_as_it_came(tmp_path: Path) -> None:
    """What has arrived of a record isn't lost with the rest of its frame."""
    (tmp_path / "sent").write_bytes(ssh_carrier.READY + b"started 0\nrecord.jsonl 100\nline\nli")
    with (tmp_path / "sent").open("rb") as stream:
        assert not ssh_carrier.receive(stream, tmp_path)

    assert (tmp_path / "record.jsonl").read_bytes() == b"line\nli"
    assert (tmp_path / "started").read_bytes() == b""


def test_files_are_carried_as_they_are_in_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changed ones as changed, untracked and deleted ones not at all; whatever repository a hook of git's names."""
    for name in ("kept", "changed", "deleted"):
        (tmp_path / name).write_text("as committed")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    (tmp_path / "changed").write_text("as changed")
    (tmp_path / "deleted").unlink()
    (tmp_path / "untracked").touch()
    monkeypatch.setattr(ssh, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))

    with tarfile.open(fileobj=io.BytesIO(ssh.pack(tmp_path / "kept"))) as tar:
        carried = {member.name: (file.read(), member.uid) for member in tar if (file := tar.extractfile(member))}

    assert carried == {
        "kept": (b"as committed", 0),
        "checkout/kept": (b"as committed", 0),
        "checkout/changed": (b"as changed", 0),
    }


@pytest.mark.parametrize("host", ["", "-oProxyCommand=true", "a b", "a\tb", "ssh://there", "a\nb"])
def test_what_is_no_host_is_refused(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one sentence, as a usage error, before ssh gets to see it."""
    with pytest.raises(UsageError, match="a host is user@host or an alias"):
        find(f"ssh:{host}")
    assert command.main(["run", f"ssh:{host}"]) == command.USAGE
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_list_says_what_a_host_is_and_what_is_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line stands for all hosts."""
    monkeypatch.setenv("PATH", str(tmp_path))

    assert command.main(["list"]) == 0

    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ssh:")]
    assert line.startswith("ssh:HOST ")
    assert "user@host, or an alias of ssh's configuration; ssh is missing: install the package openssh-client" in line


@pytest.mark.slow
def test_all_cases_there_come_out_as_they_do_here(machine: Machine, tmp_path: Path, host_run: Ran) -> None:
    """By venv and pip, as on any machine; the environment goes with the rest."""
    (machine.bin / "python3").unlink()

    assert command.main(["run", TARGET, "--record", str(tmp_path / "record.jsonl")]) == host_run.code

    here = {line["case"]: line["outcome"] for line in host_run.of("case")}
    assert {case.case: case.outcome for case in the_run(tmp_path / "record.jsonl").cases} == here
    assert machine.is_as_before()


def test_xdist_runs_all_here_and_on_a_machine_that_ssh_reaches(machine: Machine, tmp_path: Path) -> None:
    """Without a target: xdist 3 carries the checkout by rsync, and each side makes a run of its own in the one record."""
    record = tmp_path / "record.jsonl"
    folder = machine.temporary / "checkout"
    there = f"ssh={ALIAS}//id=there//python={sys.executable}//chdir={folder}"
    parts = ("suites", "native", "reports", "conftest.py", "pyproject.toml")
    carried = [f"--rsyncdir={ROOT / part}" for part in parts]
    command = [sys.executable, "-m", "pytest", str(ROOT / "suites"), "--clause", CLAUSE, "--record", str(record)]
    command += ["--dist", "each", "--tx", "popen//id=here", "--tx", there, *carried, "-W", "ignore:The --rsyncdir"]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    shutil.rmtree(folder, ignore_errors=True)

    assert record.exists(), ran.stdout + ran.stderr
    found = {run.head.target: run.counts()["PASS"] for run in read([record])}
    assert found == {"host-here": 2, "host-there": 2}, ran.stdout
    assert ran.returncode == 0
