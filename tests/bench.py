"""What a case costs: the suites beside as many empty parametrised tests, in turn, in one command (`tox run -e bench`).

Machines are shared and noisy, so what counts is the ratio within a pair of runs; the median of all pairs is printed, and the
peak memory of the largest process. Cases that wait for a timer of the kernel's are left out.

With --target it is the same on other kernels, where the empty tests run on the target too. A target has to boot first; so it
is also booted to do nothing, and what that takes is printed, and taken from both before they are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from targets import bytecode, processes
from targets.registry import find
from targets.target import ROOT, Job, Target, TargetError

EMPTY = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_empty(number):
    pass
"""
SELECTED = ("-q", "-m", "not timer")


def main() -> int:
    """Measure and print; exits 1 if the suites cost more than --limit times the empty tests or more than --memory."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--pairs", type=int, help="pairs of runs: here 7, after one that isn't counted; on a target 1 (default)"
    )
    parser.add_argument("--limit", type=float, default=4.0, help="the largest ratio allowed (default: 4)")
    parser.add_argument(
        "--memory", type=float, default=150.0, help="the largest peak memory allowed here, in MB (default: 150)"
    )
    parser.add_argument("--target", nargs="+", metavar="NAME", help="measure on these targets instead of here")
    options = parser.parse_args()
    if not options.target:
        return _measure_here(options.pairs or 7, options.limit, options.memory)
    try:
        targets = [find(name) for name in options.target]
        return max(_measure_on(target, options.pairs or 1, options.limit) for target in targets)
    except TargetError as error:
        sys.exit(str(error))


def _measure_here(count: int, limit: float, memory: float) -> int:
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "record.jsonl")
        suites = [sys.executable, "-m", "pytest", "suites", *SELECTED, "--record", str(record)]
        _run(suites, ROOT)
        cases = _planned(record)
        Path(folder, "test_empty.py").write_text(EMPTY.format(count=cases))
        empty = [sys.executable, "-m", "pytest", "-q", "test_empty.py"]
        _run(empty, Path(folder))
        pairs = [(_run(suites, ROOT), _run(empty, Path(folder))) for _ in range(count)]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    ratio = _print_ratio(cases, pairs, limit)
    print(f"peak memory: {peak:.0f} MB, at most {memory:g}")
    return int(ratio > limit or peak > memory)


def _measure_on(target: Target, count: int, limit: float) -> int:
    boots, pairs = [], []
    for _ in range(count):
        boots.append(_run_on(target, Idle)[0])
        suites, cases = _run_on(target, Job, arguments=SELECTED)
        empty, _ = _run_on(target, EmptyTests, count=cases)
        pairs.append((suites, empty))
    boot = statistics.median(boots)
    print(f"{target.name}: bare boot: {boot:.2f} s, taken from what follows")
    return int(_print_ratio(cases, [(suites - boot, empty - boot) for suites, empty in pairs], limit) > limit)


def _print_ratio(count: int, pairs: Sequence[tuple[float, float]], limit: float) -> float:
    """Print times and ratio of the suites and as many empty tests; returns the median ratio."""
    ratios = [cases / tests for cases, tests in pairs]
    print(f"{count} cases: {statistics.median(cases for cases, _ in pairs):.2f} s; ", end="")
    print(f"{count} empty tests: {statistics.median(tests for _, tests in pairs):.2f} s (medians of {len(pairs)})")
    ratio = statistics.median(ratios)
    print(f"ratio: {ratio:.2f} (from {min(ratios):.2f} to {max(ratios):.2f}), at most {limit:g}", flush=True)
    return ratio


def _run(command: list[str], folder: Path) -> float:
    """Run to the end, and return the wall-clock time in seconds."""
    began = time.perf_counter()
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PY_COLORS": "0"})
    took = time.perf_counter() - began
    if result.returncode:
        sys.exit(f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return took


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle(Job):
    """Nothing to do: what is left is the boot."""

    def write_script(self, folder: Path | None = None, python: str = sys.executable, root: Path = ROOT) -> Path:
        """A script that says that it ran."""
        folder = folder or self.folder
        self.script.write_text(f"echo 0 >{shlex.quote(str(folder / self.status.name))}\n")
        return folder / self.script.name


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyTests(Job):
    """As many empty tests as there are cases, executed as a job executes those."""

    count: int

    def write_script(self, folder: Path | None = None, python: str = sys.executable, root: Path = ROOT) -> Path:
        """A script that knows no suites."""
        folder = folder or self.folder
        (self.folder / "test_empty.py").write_text(EMPTY.format(count=self.count))
        shared = shlex.quote(str(folder))
        self.script.write_text(
            f"cd {shared} || exit\n"
            f"{self.environment}\n"
            f"{shlex.quote(python)} -m pytest -q -p no:cacheprovider test_empty.py >{self.output.name} 2>&1 </dev/null\n"
            f"echo $? >{self.status.name}\n"
        )
        return folder / self.script.name


def _run_on(target: Target, kind: type[Job], **more: Any) -> tuple[float, int]:
    """Run a job on a target, and return the wall-clock time in seconds, and how many cases it planned. Raises TargetError."""
    with tempfile.TemporaryDirectory(prefix="sockwake-") as folder:
        shared, scratch = Path(folder, "shared"), Path(folder, "scratch")
        shared.mkdir()
        scratch.mkdir()
        more = {"arguments": (), "bytecode": bytecode.given(target), **more}
        job = kind(target=target.name, folder=shared, scratch=scratch, **more)
        with Path(folder, "console").open("wb") as console:
            began = time.perf_counter()
            process = target.start(job, console)
            try:
                process.wait(target.deadline)
            except subprocess.TimeoutExpired:
                raise TargetError(f"{target.name}: it hadn't ended after {target.deadline:g} s") from None
            finally:
                processes.end_session(process.pid)
            took = time.perf_counter() - began
        if not job.status.exists() or job.status.read_text().strip() != "0":
            said = job.output if job.output.exists() else Path(folder, "console")
            raise TargetError(f"{target.name}: it didn't end well:\n{said.read_text(errors='replace')[-2000:]}")
        return took, _planned(job.record) if job.record.exists() else 0


def _planned(record: Path) -> int:
    with record.open() as lines:
        return len(json.loads(lines.readline())["planned"])


if __name__ == "__main__":
    sys.exit(main())
