"""The same outcome every time: many whole runs, half of them with eight workers and a busy loop on each core.

`tox run -e endurance` runs it. Each run's record is compared with the first: a case whose outcome or verdict differs is named.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
"""A loop that ends with whoever started it, however that ended."""
Outcomes = dict[str, tuple[str, str]]


def main() -> int:
    """Run and compare; exits 1 if any case ever differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.endurance", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="how many whole runs (default: 200)")
    parser.add_argument("--keep", type=Path, help="a folder for the records of runs that differ")
    options = parser.parse_args()
    first: Outcomes | None = None
    differing = 0
    began = time.monotonic()
    for number in range(options.runs):
        loaded = number % 2 == 1
        outcomes, record = _outcomes(loaded)
        first = first or outcomes
        news = {case: (was, outcomes.get(case)) for case, was in first.items() if outcomes.get(case) != was}
        differing += bool(news)
        for case, (was, now) in news.items():
            print(f"\nrun {number + 1} ({'loaded' if loaded else 'quiet'}): {case}: {was} before, {now} now")
        if news and options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            (options.keep / f"run-{number + 1}.jsonl").write_text(record)
        each = (time.monotonic() - began) / (number + 1)
        left = each * (options.runs - number - 1)
        print(f"\r{number + 1} of {options.runs} runs, {differing} differ, {left:.0f} s left  ", end="", flush=True)
    print(f"\n{options.runs} runs of {len(first or {})} cases: {differing} differed")
    return int(differing > 0)


def _outcomes(loaded: bool) -> tuple[Outcomes, str]:
    """One whole run: each case's outcome and verdict, and the record."""
    cores = len(os.sched_getaffinity(0)) if loaded else 0
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(cores)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "record.jsonl")
            command = [sys.executable, "-m", "pytest", "suites", "-q", "--record", str(path), "--deadline", "30"]
            subprocess.run([*command, *(["-n", "8"] if loaded else [])], cwd=ROOT, capture_output=True)
            record = path.read_text()
    finally:
        for process in busy:
            process.kill()
            process.wait()
    lines = map(json.loads, record.splitlines())
    return {line["case"]: (line["outcome"], line["verdict"]) for line in lines if line["type"] == "case"}, record


if __name__ == "__main__":
    sys.exit(main())
