"""What a case costs: the suites beside as many empty parametrised tests, in turn, in one command (`tox run -e bench`).

Machines are shared and noisy, so what counts is the ratio within a pair of runs; the median of all pairs is printed, and the
peak memory of the largest process. Cases that wait for a timer of the kernel's are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EMPTY = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_empty(number):
    pass
"""


def main() -> int:
    """Measure and print; exits 1 if the suites cost more than --limit times the empty tests or more than --memory."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="pairs of runs, after one that isn't counted (default: 7)")
    parser.add_argument("--limit", type=float, default=4.0, help="the largest ratio allowed (default: 4)")
    parser.add_argument(
        "--memory", type=float, default=150.0, help="the largest peak memory allowed, in MB (default: 150)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "record.jsonl")
        suites = [sys.executable, "-m", "pytest", "suites", "-q", "-m", "not timer", "--record", str(record)]
        _run(suites, ROOT)
        with record.open() as lines:
            count = len(json.loads(lines.readline())["planned"])
        Path(folder, "test_empty.py").write_text(EMPTY.format(count=count))
        empty = [sys.executable, "-m", "pytest", "-q", "test_empty.py"]
        _run(empty, Path(folder))
        pairs = [(_run(suites, ROOT), _run(empty, Path(folder))) for _ in range(options.pairs)]
    ratios = [cases / tests for cases, tests in pairs]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{count} cases: {statistics.median(cases for cases, _ in pairs):.2f} s; ", end="")
    print(f"{count} empty tests: {statistics.median(tests for _, tests in pairs):.2f} s (medians of {len(pairs)})")
    print(
        f"ratio: {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f}), at most {options.limit:g}"
    )
    print(f"peak memory: {peak:.0f} MB, at most {options.memory:g}")
    return int(statistics.median(ratios) > options.limit or peak > options.memory)


def _run(command: list[str], folder: Path) -> float:
    """Run to the end, and return the wall-clock time in seconds."""
    began = time.perf_counter()
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PY_COLORS": "0"})
    took = time.perf_counter() - began
    if result.returncode:
        sys.exit(f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return took


if __name__ == "__main__":
    sys.exit(main())
