"""Virtual machines: which kernels are taken for them, when KVM is, and what a guest can do and can't."""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from reports.record import read
from targets import cache, tsc, vm
from targets.__main__ import main as targets
from targets.processes import end_session
from targets.registry import find
from targets.target import ROOT, Job, TargetError, UsageError

NAME = "vm-6.12"


@pytest.mark.parametrize(
    ("package", "series", "plain"),
    [
        ("linux-image-5.10.0-32-amd64", "5.10", True),
        ("linux-image-6.12.107+deb13-amd64", "6.12", True),
        ("linux-image-7.3-amd64", "7.3", True),
        ("linux-image-6.1.0-50-amd64", "6.12", False),
        ("linux-image-6.12.107+deb13-amd64", "6.1", False),
        ("linux-image-6.12.107+deb13-cloud-amd64", "6.12", False),
        ("linux-image-6.12.107+deb13-rt-amd64", "6.12", False),
        ("linux-image-6.12.107+deb13-amd64-unsigned", "6.12", False),
        ("linux-image-6.12.107+deb13-amd64-dbg", "6.12", False),
        ("linux-image-6.12.107+deb13-arm64", "6.12", False),
    ],
)
def test_only_plain_kernels_of_the_series_are_taken(package: str, series: str, plain: bool) -> None:
    """The other flavours are other kernels, or can't mount the host's root."""
    assert vm.is_plain(package, series) == plain


@pytest.mark.skipif(not shutil.which("dpkg"), reason="dpkg compares the versions, and isn't here")
def test_a_release_is_newer_than_its_candidates_and_backports() -> None:
    """Debian's order, in which ~ comes before everything."""
    assert vm.is_newer("7.3.4-1~bpo13+1", "7.3~rc7-1~exp1")
    assert vm.is_newer("7.2.12-1", "7.2.12-1~bpo13+1")
    assert not vm.is_newer("6.12.94-1", "6.12.107-1")


def prints(script: str, within: float) -> bool:
    """Whether a program prints "Linux version" within so many seconds."""
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout
        return vm.comes(process.stdout, b"Linux version", time.monotonic() + within)
    finally:
        end_session(process.pid)
        process.communicate()


def test_kvm_is_used_where_a_kernel_prints_under_it() -> None:
    """Also where the words come in two pieces."""
    assert prints("printf 'Linux '; sleep 0.05; printf 'version 6.12'; sleep 60", within=30)


@pytest.mark.parametrize("script", ["echo Probing EDD; sleep 60", "echo Aborted; exit 134"])
def test_kvm_isnt_used_where_a_kernel_hangs_or_the_emulator_ends(script: str) -> None:
    """The device may be there without being of use; a kernel that never prints is given up at the deadline."""
    assert not prints(script, within=0.5)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the counter is read by x86-64's own instruction")
def test_emulated_kernel_is_told_how_fast_its_clock_counts() -> None:
    """Two measurements agree to a thousandth, however busy this machine is."""
    khz = tsc.frequency_khz()

    assert khz
    *_, told = vm.emulated_parameters()
    assert int(told.removeprefix("tsc_early_khz=")) == pytest.approx(khz, rel=1e-3)


def test_emulated_kernel_measures_by_itself_where_the_host_forbids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some hosts let no process execute what it wrote."""

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("mmap.mmap", forbidden)

    assert vm.emulated_parameters() == ("idle=halt", "mitigations=off", "tsc=reliable")


def test_missing_programs_are_all_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line to type for each package manager."""
    monkeypatch.setattr(vm, "PATH", str(tmp_path))

    missing = find(NAME).missing()

    assert missing == (
        "programs are missing: apt install qemu-system-x86 busybox-static kmod file, pip install virtme-ng"
    )


def test_a_debian_kernel_isnt_exchanged() -> None:
    """It would be another target under the same name."""
    with pytest.raises(UsageError, match="run a kernel of yours as: vm --kernel bzImage"):
        find(NAME).with_kernel(Path("bzImage"), None)


def test_a_kernel_that_isnt_there_is_named(tmp_path: Path) -> None:
    """With what to name instead."""
    with pytest.raises(TargetError, match=r"bzImage: it isn't a file that can be read; name the bzImage or vmlinuz"):
        find("vm").with_kernel(tmp_path / "bzImage", None)


@pytest.fixture
def kernel() -> Path:
    """A kernel that boots here; fetched if need be."""
    target = find(NAME)
    if not cache.image(NAME):
        target.fetch(print)
    if problem := target.missing():
        pytest.skip(problem)
    image = cache.image(NAME)
    assert image
    return image / "vmlinuz"


class Probe(Job):
    """A job that looks around instead of running pytest."""

    def write_script(self, *_: object, **__: object) -> Path:
        """Each line of `seen` is the answer to one question."""
        seen = shlex.quote(str(self.folder / "seen"))
        questions = (
            "nproc",
            "grep -ow function_graph /sys/kernel/tracing/available_tracers",
            "ls -d /sys/module/vsock_loopback",
            f"(echo harm >{shlex.quote(str(ROOT / 'harm'))}) 2>/dev/null || true",
        )
        self.script.write_text("".join(f"{{ {question}; }} >>{seen}\n" for question in questions))
        return self.script


@pytest.mark.slow
def test_guest_has_two_cpus_and_ftrace_and_leaves_the_host_as_it_was(kernel: Path, tmp_path: Path) -> None:
    """What it writes in the checkout stays in the guest's memory."""
    for name in ("shared", "scratch"):
        (tmp_path / name).mkdir()
    job = Probe(target=NAME, folder=tmp_path / "shared", scratch=tmp_path / "scratch", arguments=())
    with (tmp_path / "console").open("wb") as console:
        process = find(NAME).start(job, console)
        try:
            process.wait(timeout=300)
        finally:
            end_session(process.pid)

    seen = (tmp_path / "shared" / "seen").read_text().splitlines()
    assert seen == ["2", "function_graph", "/sys/module/vsock_loopback"]
    assert not (ROOT / "harm").exists()


@pytest.mark.slow
def test_kernel_of_ones_own_runs_a_clause(kernel: Path, tmp_path: Path) -> None:
    """The record says which kernel it was."""
    record = tmp_path / "vm.jsonl"

    code = targets(
        ["run", "vm", "--kernel", str(kernel), "--record", str(record), "--", "--clause", "reset.refused.is_an_error"]
    )

    assert code == 0
    (run,) = read([record])
    assert run.head.kernel.release.startswith("6.12.")
    assert run.counts()["PASS"] == len(run.cases) > 0


@pytest.mark.slow
def test_cases_are_traced_and_take_the_path_that_their_clause_draws(kernel: Path, tmp_path: Path) -> None:
    """Each case that ran has its calls beside it, and comes out as without."""
    record = tmp_path / "vm.jsonl"

    code = targets(
        ["run", NAME, "--record", str(record), "--", "--trace-path", "--clause", "reset.refused.is_an_error"]
    )

    assert code == 0
    (run,) = read([record])
    assert run.counts()["PASS"] == len(run.cases) == len(run.paths) > 0
    for path in run.paths.values():
        assert path.as_stated
        assert path.lost == 0
        assert {"tcp_reset", "sock_def_error_report"} <= set(path.names)
    assert run.functions["sock_aio_read"].now == ("sock_read_iter",)
    assert run.functions["sock_aio_read"].found == {"sock_read_iter": "traceable"}


@pytest.mark.slow
def test_kernel_that_panics_is_skipped_by_bisect_and_says_why(
    kernel: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without its initramfs it has no root; all that was planned is MISS."""
    record = tmp_path / "vm.jsonl"
    arguments = ["--append", "rdinit=/nonexistent", "--record", str(record)]

    code = targets(["run", NAME, *arguments, "--", "--clause", "reset.refused.is_an_error"])

    assert code == 125
    assert "Kernel panic - not syncing: VFS: Unable to mount root fs" in capfd.readouterr().err
    (run,) = read([record])
    assert run.counts()["MISS"] == len(run.cases) > 0
