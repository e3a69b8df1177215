"""gVisor and qemu-user: what they are told, what they refuse, and, where their images were fetched, a run for real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reports.record import read
from targets import cache, gvisor, qemu_user
from targets.registry import find
from targets.target import Job, TargetError, UsageError
from tests.conftest import ROOT

NAMES = ("gvisor", "qemu-user")


def job(folder: Path, *arguments: str) -> Job:
    """A job whose folders are there."""
    shared, scratch = folder / "shared", folder / "scratch"
    shared.mkdir()
    scratch.mkdir()
    return Job(target="gvisor", folder=shared, scratch=scratch, arguments=arguments)


@pytest.fixture
def without_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def with_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is something that is taken for qemu-user's image."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache/sockwake/images/qemu-user").mkdir(parents=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("without_images")
def test_target_without_its_image_says_how_to_fetch_it(name: str, tmp_path: Path) -> None:
    """One sentence, and nothing is started."""
    target = find(name)
    said = target.missing()
    assert said
    with (tmp_path / "console").open("wb") as console, pytest.raises(TargetError, match=said[:20]):
        target.start(job(tmp_path), console)


def test_sandbox_can_write_to_the_shared_folder_only(tmp_path: Path) -> None:
    """Of what is the host's."""
    asked = job(tmp_path)

    said = gvisor.configuration(asked, asked.script)

    assert said["root"] == {"path": "/", "readonly": True}
    mounts = said["mounts"]
    assert isinstance(mounts, list)
    assert [mount["destination"] for mount in mounts if mount["type"] == "bind"] == [str(asked.folder)]


@pytest.mark.parametrize("argument", ["-n", "-n4", "-nauto", "--numprocesses=2", "--dist=load", "--tx"])
@pytest.mark.usefixtures("with_image")
def test_workers_that_would_run_without_emulation_are_refused(argument: str, tmp_path: Path) -> None:
    """execve(2) leaves qemu-user."""
    (target,) = qemu_user.TARGETS
    with (tmp_path / "console").open("wb") as console, pytest.raises(UsageError, match="without emulation"):
        target.start(job(tmp_path, argument), console)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_suites_run_on_it(name: str, tmp_path: Path) -> None:
    """The record says what it was made on, and whether the fence is sound there."""
    if not cache.image(name):
        pytest.skip(f"{name} isn't fetched")
    record = tmp_path / "record.jsonl"
    command = [sys.executable, "-m", "targets", "run", name, "--record", str(record)]
    command += ["--", "--clause", "sanity.signal.readable"]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    (run,) = read([record])
    counts = run.counts()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (run.head.target, counts["MISS"], counts["ERROR"]) == (name, 0, 0)
    if name == "gvisor":
        assert (run.head.kernel.implementation, counts["FAIL"]) == ("gVisor", 2)
        assert not run.head.capabilities["one_queue"].ok
    else:
        assert (run.head.capabilities["one_queue"].ok, counts["PASS"]) == (True, 2)
    assert (run.head.capabilities["fence"].ok, run.head.quiescence_ms) == (True, 0)
