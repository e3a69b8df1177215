"""The kernel's own listener as a module: how it is found, what is said where it can't be built, what loading it often leaves."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from targets import cache, debian, module
from targets.processes import end_session
from targets.registry import find
from targets.target import ROOT, Job, TargetError

ROUNDS = 200
FEW = 20
"""Objects that may be in use more afterwards, some of them other processes': far fewer than one for each round."""

OUT_OF_TREE, UNSIGNED = 1 << 12, 1 << 13


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The image of a target vm-1.0 in a cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.publish("vm-1.0", "1.0.2-1", lambda part: (part / "lib/modules/1.0.0-2-amd64").mkdir(parents=True))
    found = cache.image("vm-1.0")
    assert found
    return found


def test_module_of_another_source_isnt_taken(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name has the digest of its source."""
    assert module.built(image) is None
    source = tmp_path / "source"
    shutil.copytree(module.SOURCE, source)
    monkeypatch.setattr(module, "SOURCE", source)
    place = module.place(image)
    place.touch()
    assert module.built(image) == place

    (source / "sockwake_listener.c").write_text("/* another */")

    assert module.built(image) is None


class Elsewhen:
    """A Debian suite that has the headers of another kernel only, or none."""

    version: str | None = "1.0.3-1"

    def __init__(self, name: str, say: object, beside: str | None = None) -> None:
        self.name = name

    def newest(self, package: str) -> debian.Package:
        """What it has."""
        if not self.version:
            raise TargetError("none")
        return debian.Package(package, self.version)


@pytest.mark.parametrize("version", ["1.0.3-1", None])
def test_headers_that_are_gone_are_told_and_are_no_failure(
    image: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """The kernel can be run all the same."""
    monkeypatch.setattr(debian, "Suite", Elsewhen)
    monkeypatch.setattr(Elsewhen, "version", version)
    said: list[str] = []

    module.refresh("vm-1.0", ("sarge", "etch"), said.append)

    assert said == [
        "sarge and etch have no linux-headers-1.0.0-2-amd64 1.0.2-1 any more: the kernel's own listener can't be built "
        "for this kernel, and its clauses are SKIP"
    ]
    assert module.built(image) is None


def test_module_that_is_there_isnt_built_again(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked for anything."""
    module.place(image).touch()
    monkeypatch.setattr(debian, "Suite", None)
    said: list[str] = []

    module.refresh("vm-1.0", ("sarge",), said.append)

    assert said == []


def test_confined_program_has_a_root_of_its_own(tmp_path: Path) -> None:
    """With the host's devices and processes, and its temporary files in its own memory."""
    busybox = shutil.which("busybox", path="/bin:/usr/bin")
    if not busybox:
        pytest.skip("busybox isn't here, the one program that needs no libraries")
    for name in ("bin", "dev", "proc", "tmp", "work"):
        (tmp_path / name).mkdir()
    shutil.copy(busybox, tmp_path / "bin" / "busybox")
    script = "cd /; echo *; echo a >/work/a; echo b >/dev/null; echo c >/c; echo $TMPDIR; read _ </proc/self/stat"
    confined = ["--root", str(tmp_path), "--memory", str(tmp_path / "tmp"), "--writable", str(tmp_path / "work")]

    ran = subprocess.run(
        [sys.executable, "-m", "targets.confine", *confined, "--", "/bin/busybox", "sh", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )

    if "a root of their own" in ran.stderr:
        pytest.skip(ran.stderr)
    assert (ran.stdout, ran.returncode) == ("bin dev proc tmp work\n/tmp\n", 0)
    assert "c: Read-only file system" in ran.stderr
    assert (tmp_path / "work" / "a").read_text() == "a\n"


class Rounds(Job):
    """A job that loads and unloads the module under load instead of running pytest."""

    def write_script(self, *_: object, **__: object) -> Path:
        """What it prints goes to `seen`, and what it complains of to the console."""
        program = shlex.join([sys.executable, "-m", "tests.listener_load", str(ROUNDS)])
        seen = shlex.quote(str(self.folder / "seen"))
        self.script.write_text(f"cd {shlex.quote(str(ROOT))} && PYTHONDONTWRITEBYTECODE=1 {program} >{seen}\n")
        return self.script


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vm-5.10", "vm-6.1", "vm-6.12", "vm-7.2"])
def test_loading_two_hundred_times_under_load_leaves_the_log_clean(name: str, tmp_path: Path) -> None:
    """Clients connect on both CPUs all the while; nothing is kept, and nothing is said."""
    target = find(name)
    if not (fetched := cache.image(name)) or not module.built(fetched):
        target.fetch(print)
    if problem := target.missing():
        pytest.skip(problem)
    for folder in ("shared", "scratch"):
        (tmp_path / folder).mkdir()
    job = Rounds(target=name, folder=tmp_path / "shared", scratch=tmp_path / "scratch", arguments=())
    with (tmp_path / "console").open("wb") as console:
        process = target.start(job, console)
        try:
            process.wait(timeout=1500)
        finally:
            end_session(process.pid)

    seen = json.loads((tmp_path / "shared" / "seen").read_text())
    print(seen)
    accepted, kept = seen.pop("accepted"), seen.pop("kept")
    del seen["seconds"]
    assert seen == {
        "rounds": ROUNDS,
        "cpus": 2,
        "unanswered": 0,
        "said": [],
        "tainted": OUT_OF_TREE | UNSIGNED,
        "loaded": False,
        "sockets": 0,
    }
    assert accepted >= ROUNDS
    assert kept
    assert all(more < FEW for more in kept.values()), kept
