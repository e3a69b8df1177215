"""User-Mode Linux guests for real: each kernel boots, and what a hostile one does stays in it.

Each image that was fetched (`python -m targets fetch …`) is booted; the others are skipped.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psutil
import pytest

from reports.record import Run, read
from targets import cache
from targets.registry import TARGETS
from targets.running import Running
from tests.conftest import ROOT
from tests.hostile.writes import OUTSIDE

pytestmark = pytest.mark.slow

CLAUSE = "sanity.signal.readable"
KERNELS = [name for name in TARGETS if name.startswith("uml-")]
FETCHED = [name for name in KERNELS if cache.image(name)]

needs_image = pytest.mark.skipif(not FETCHED, reason="no User-Mode Linux kernel is fetched")


def run(name: str, record: Path, *arguments: str, clause: str = CLAUSE) -> tuple[int, str]:
    """Run one clause on a target, or what the arguments choose; its exit code and what was printed."""
    own, _, for_pytest = " ".join(["", *arguments]).partition(" -- ")
    command = [sys.executable, "-m", "targets", "run", name, "--record", str(record), *own.split()]
    command += ["--", *(["--clause", clause] if clause else []), *for_pytest.split()]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    return ran.returncode, ran.stdout + ran.stderr


def the_run(path: Path) -> Run:
    """The only run of a record."""
    (found,) = read([path])
    return found


def left_behind(folder: Path) -> list[str]:
    """Processes of guests whose temporary folders are below a folder, and these."""
    ours = f"uml_dir={folder}/"
    guests = [str(process) for process in psutil.process_iter(["cmdline"]) if ours in str(process.info)]
    return guests + [str(path) for path in folder.glob("tmp/*")]


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for records, with temporary files below it too."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return tmp_path


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_runs_the_suites_with_its_modules(name: str, quiet: Path) -> None:
    """It is the kernel that was asked for, and has the links and families that its modules bring."""
    if name not in FETCHED:
        pytest.skip(f"{name} isn't fetched")

    code, said = run(name, quiet / "record.jsonl")

    head = the_run(quiet / "record.jsonl").head
    assert code == 0, said
    assert "2 cases planned: 2 passed" in said
    assert head.kernel.release.startswith(f"{name.removeprefix('uml-')}.")
    assert [
        name
        for name in ("ipv6", "veth", "vsock", "tbf")
        if name in head.capabilities and not head.capabilities[name].ok
    ] == []
    assert left_behind(quiet) == []


@needs_image
@pytest.mark.parametrize("name", FETCHED)
def test_guest_writes_to_its_shared_folder_and_nowhere_else(name: str, quiet: Path) -> None:
    """Though it is root there, and makes its own root writable."""
    code, said = run(name, quiet / "record.jsonl", "-- -p tests.hostile.writes")

    console = (quiet / "record.console.txt").read_text()
    attempts = [line.partition("hostile: ")[2] for line in console.splitlines() if "hostile: " in line]
    assert code == 0, said
    assert attempts == 2 * [
        f"{OUTSIDE}: Read-only file system",
        f"{OUTSIDE}: Read-only file system",
        "/dev/shm/other/written: Read-only file system",
        "/dev/shm/shared/written: written",
    ]
    assert not OUTSIDE.exists()


@needs_image
def test_panic_while_a_case_runs_is_told_in_the_record(quiet: Path) -> None:
    """The clause that was asked for can't be told good from bad."""
    code, said = run(FETCHED[0], quiet / "record.jsonl", "-- -p tests.hostile.panics")

    found = the_run(quiet / "record.jsonl")
    assert code == 125, said
    assert found.end is not None
    assert found.end.reason == "died"
    assert found.counts()["MISS"] == 2
    assert "while it ran suites/sanity/test_sanity.py::test_armed_socket" in found.cases[0].reason
    assert "Kernel panic - not syncing: sysrq triggered crash" in found.cases[0].reason
    assert left_behind(quiet) == []


@needs_image
def test_kernel_that_doesnt_boot_is_told_in_the_record(quiet: Path) -> None:
    """All that was planned is missing."""
    code, said = run(FETCHED[0], quiet / "record.jsonl", "--append init=/no/such")

    found = the_run(quiet / "record.jsonl")
    assert code == 125, said
    assert found.counts()["MISS"] == 2
    assert "Kernel panic - not syncing: Requested init /no/such failed" in found.cases[0].reason
    assert left_behind(quiet) == []


@needs_image
def test_case_that_never_ends_is_ended_at_the_deadline(quiet: Path) -> None:
    """With the guest that it runs in. The deadline is a multiple of what this machine takes for a run that ends."""
    began = time.monotonic()
    run(FETCHED[-1], quiet / "record.jsonl")
    deadline = 5 + 2 * (time.monotonic() - began)

    code, said = run(FETCHED[-1], quiet / "record.jsonl", f"--deadline {deadline:.0f} -- -p tests.hostile.hangs")

    found = the_run(quiet / "record.jsonl")
    assert code == 125, said
    assert found.end is not None
    assert found.end.reason == "deadline"
    assert "was ended at its deadline while it ran suites/sanity" in found.cases[0].reason
    assert left_behind(quiet) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "small", str(place)], capture_output=True).returncode:
        pytest.skip("a disk that is soon full takes root, to mount it")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@needs_image
def test_full_disk_under_the_guests_folder_ends_the_run_and_spoils_no_record(
    quiet: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before it counts, and what didn't is missing."""
    monkeypatch.setenv("TMPDIR", str(small_disk))
    code, said = run(FETCHED[-1], quiet / "record.jsonl", "-- --family tcp4", clause="")

    found = the_run(quiet / "record.jsonl")
    counts = found.counts()
    assert code == 1, said
    assert counts["PASS"] > 100
    assert counts["MISS"] > 100
    missing = next(case.reason for case in found.cases if case.outcome == "MISS")
    assert f"the disk of {small_disk} was full: make room there, or set TMPDIR" in missing
    assert list(small_disk.iterdir()) == []
    assert left_behind(quiet) == []


@needs_image
def test_record_that_finds_a_full_disk_is_kept_elsewhere(quiet: Path, small_disk: Path) -> None:
    """Whole, and where it is told in one sentence."""
    code, said = run(FETCHED[-1], small_disk / "record.jsonl", "-- --family tcp4", clause="")

    kept = re.search(r"No space left on device; it is (\S+) for now: make room, and move it$", said, re.MULTILINE)
    assert code == 125, said
    assert kept, said
    assert the_run(Path(kept[1])).counts()["MISS"] == 0
    assert [path.suffix for path in small_disk.iterdir()] == [".txt", ".txt"]
    Path(kept[1]).unlink()
    assert left_behind(quiet) == []


@needs_image
def test_kernel_of_ones_own_is_a_target(quiet: Path) -> None:
    """Without modules, as it is built; here it is one of Debian's."""
    image = cache.image(FETCHED[0])

    code, said = run("uml", quiet / "record.jsonl", f"--kernel {image}/linux --append sockwake_test=1")

    assert code == 0, said
    assert the_run(quiet / "record.jsonl").head.target == "uml"
    assert "sockwake_test=1" in (quiet / "record.console.txt").read_text()


@needs_image
@pytest.mark.parametrize("moment", range(20))
def test_guest_that_is_killed_leaves_a_valid_record_and_nothing_else(moment: int, quiet: Path) -> None:
    """At a random moment, and whichever of its processes it hits."""
    random = Random(moment)
    with Running(TARGETS[FETCHED[-1]], quiet / "record.jsonl", ["--family", "tcp4"]) as under_way:
        kill_at = time.monotonic() + random.uniform(0, 4)
        while under_way.result is None:
            under_way.tick()
            if time.monotonic() > kill_at:
                kill_at += 1000
                guests = [process for process in psutil.Process().children(recursive=True) if process.pid > 0]
                random.choice(guests).kill()
            time.sleep(0.02)

    found = the_run(quiet / "record.jsonl")
    assert found.end is not None
    assert sum(found.counts().values()) == len(found.head.planned) > 100
    assert left_behind(quiet) == []
