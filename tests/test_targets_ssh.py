"""The target ssh:HOST against an sshd on loopback, an ordinary process with keys and a configuration of its own.

What the machine behind it has is decided by the folder `bin` that comes first in its PATH. By default its Python makes an
environment at once, out of the one that runs the tests; the whole way, by venv and pip, is marked slow.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

import native
from reports.record import Run, read
from targets import __main__ as command
from targets import ssh_carrier, ssh_there
from targets.registry import find
from targets.running import CANT_TELL, INTERRUPTED, Running
from targets.target import UsageError
from tests.conftest import Ran

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

    def processes(self) -> list[psutil.Process]:
        """All that runs there for somebody."""
        return psutil.Process(self.sshd.pid).children(recursive=True)

    def is_as_before(self) -> bool:
        """Whether nothing of a run is there any more, at once or before the deadline."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if not self.processes() and not list(self.temporary.iterdir()):
                return True
            time.sleep(0.02)
        return False


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """An sshd, and an ssh whose configuration knows it as ALIAS."""
    sshd, ssh = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin"), shutil.which("ssh")
    if not sshd or not ssh:
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
    (here / "ssh").write_text(f'#!/bin/sh\nexec {ssh} -F {tmp_path}/ssh_config "$@"\n')
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
        for left in [*psutil.Process(process.pid).children(recursive=True), process]:
            left.kill()
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
    record = tmp_path / "record.jsonl"
    with Running(find(TARGET), record, ("--family", "tcp4")) as running:
        while running.result is None:
            running.tick()
            if running.progress.counts["PASS"] > 10:
                end_early(running, how)
            time.sleep(0.01)

    run = the_run(record)
    assert run.counts()["PASS"] > 10
    assert run.counts()["MISS"] > 100
    assert running.result.code == (INTERRUPTED if how == "stopped" else 1)
    assert machine.is_as_before()


def end_early(running: Running, how: str) -> None:
    """End a run's connection."""
    carrier = psutil.Process(running._process.pid)
    if how == "stopped":
        running.stop()
    elif how == "killed":
        carrier.kill()
        carrier.wait()
    else:
        for client in carrier.children(recursive=True):
            client.kill()


def test_silence_ends_the_job_there(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that hangs: whoever gets no sign of life ends what it runs, and goes."""
    program = Path(ssh_there.__file__).read_text().replace(f"SILENCE = {ssh_there.SILENCE}", "SILENCE = 1")
    job = "sleep 4331 & setsid sleep 4331 & wait"
    load = tmp_path / "load.tar.gz"
    (tmp_path / "job.sh").write_text(job)
    subprocess.run(
        ["tar", "czf", load, "-C", tmp_path, "--transform=s,^there,checkout/native,", "job.sh", "there"], check=True
    )
    stream = b"".join(b"%d\n" % len(part) + part for part in (program.encode(), load.read_bytes()))

    with subprocess.Popen(ssh_carrier.command(ALIAS), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdin
        client.stdin.write(stream)
        client.stdin.flush()

        assert client.wait(SECONDS) == 1

    assert machine.is_as_before()
    assert not [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", "4331"]]


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (
            '"-m venv") echo "ensurepip is not available"; exit 1 ;;',
            "its Python can't make environments: install the rest of it (Debian: apt install python3-venv)",
        ),
        (
            '"-m pip") echo "  error: sockwake needs a C compiler: install gcc"; exit 1 ;;',
            "sockwake needs a C compiler: install gcc",
        ),
        (
            '"-m pip") echo "ERROR: No matching distribution found for cffi"; echo "[notice] news"; exit 1 ;;',
            "pip can't install the suites there: ERROR: No matching distribution found for cffi",
        ),
    ],
    ids=["venv", "compiler", "network"],
)
def test_what_a_machine_lacks_is_said_in_a_sentence(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str], does: str, said: str
) -> None:
    """All that was planned is MISS, the exit code that of a target that can't boot, and nothing is left there."""
    machine.has("python3", QUICK.replace('"-m venv")', f'{does}\n"-m venv")'))

    assert run_clause(tmp_path / "record.jsonl") == CANT_TELL

    assert said in capsys.readouterr().err
    assert the_run(tmp_path / "record.jsonl").counts()["MISS"] == 2
    assert machine.is_as_before()


def test_machine_without_python_says_so(machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its Pythons are too old, all of them."""
    for name in ssh_carrier.CANDIDATES.split():
        machine.has(name, "#!/bin/sh\nexit 1\n")

    assert run_clause(tmp_path / "record.jsonl") == CANT_TELL
    assert "there is no Python 3.10 or later there" in capsys.readouterr().err


def test_host_that_isnt_known_is_refused_by_ssh(
    machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its keys are the user's to accept; nothing is asked, nothing weakened."""
    (tmp_path / "known_hosts").unlink()

    assert run_clause(tmp_path / "record.jsonl") == CANT_TELL
    assert f"Host key verification failed.; see that `ssh {ALIAS} true` works" in capsys.readouterr().err


def test_what_shells_print_before_is_left_out(machine: Machine, tmp_path: Path) -> None:
    """Many a user's shell greets also those who aren't at a terminal."""
    machine.has("python3", QUICK.replace("#!/bin/sh\n", '#!/bin/sh\ntest "$2" = "${2#*exec}" || echo welcome\n'))

    assert run_clause(tmp_path / "record.jsonl") == 0
    assert "welcome" in (tmp_path / "record.console.txt").read_text()


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


@pytest.mark.parametrize("host", ["", "-oProxyCommand=true", "a b", "a\tb", "ssh://there", "a\nb"])
def test_what_is_no_host_is_refused(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one sentence, as a usage error, before ssh gets to see it."""
    with pytest.raises(UsageError, match="a host is user@host or an alias"):
        find(f"ssh:{host}")
    assert command.main(["run", f"ssh:{host}"]) == command.USAGE
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.slow
def test_all_cases_there_come_out_as_they_do_here(machine: Machine, tmp_path: Path, host_run: Ran) -> None:
    """By venv and pip, as on any machine; the environment goes with the rest."""
    (machine.bin / "python3").unlink()

    assert command.main(["run", TARGET, "--record", str(tmp_path / "record.jsonl")]) == host_run.code

    here = {line["case"]: line["outcome"] for line in host_run.of("case")}
    assert {case.case: case.outcome for case in the_run(tmp_path / "record.jsonl").cases} == here
    assert machine.is_as_before()
