"""The same outcome every time: every case a thousand times, and whole runs with none, two and eight workers, all of it under load.

`tox run -e endurance` runs it. What has been run is kept in a folder, a line for each run, so that it can be interrupted, goes on
where it stopped, and adds up; it begins anew when the suites, the native code or the kernel have changed. Each run is compared
with the first: a case whose outcome or verdict differs is named, and the record of its run is kept beside the account.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from targets import bytecode

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "reports" / "out" / "endurance"
REPEAT = {"repeat": 10, "timer": 100}
"""How often each case is executed in succession before the next; the order is another one in each run."""

KINDS = ("repeat", "timer", "-n 0", "-n 2", "-n 8")
"""`repeat` executes in one process, shuffled; `timer` those cases that wait for a timer of the kernel's, eight at a time, since
they do nothing but wait; the others are whole runs. Several runs at once and a busy loop on each core are the load."""

BUSY = "import os\nos.nice(19)\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
"""A loop that ends with whoever started it, however that ended. It takes turns with the runs, and
has what they leave of a core: they are each other's load already."""

RUNNING = "running-"
"""How the name of a record begins while its run is made."""

Outcomes = dict[str, list[str]]


class Planned(NamedTuple):
    """One run: which kind, the how manieth of it, and pytest's arguments."""

    kind: str
    number: int
    arguments: tuple[str, ...]

    @property
    def executions(self) -> int:
        """How often it executes each case."""
        return REPEAT.get(self.kind, 1)


def plan(executions: int, runs: int) -> Iterator[Planned]:
    """All runs, the kinds in turn, so that an interrupted account has some of each."""
    for number in range(max(executions, runs)):
        for kind, selection in (("repeat", ["-m", "not timer"]), ("timer", ["-m", "timer", "-n", "8"])):
            if number * REPEAT[kind] < executions:
                yield Planned(kind, number, ("--shuffle", str(number), "--repeat", str(REPEAT[kind]), *selection))
        if number < runs:
            yield from (Planned(kind, number, tuple(kind.split())) for kind in KINDS if kind.startswith("-n"))


def main() -> int:
    """Run what hasn't been run, and compare; exits 1 if any case ever differed."""
    parser = argparse.ArgumentParser(prog="python -m tests.endurance", description=__doc__)
    parser.add_argument(
        "--executions", type=int, default=1000, help="how often each case is executed in one process (default: 1000)"
    )
    parser.add_argument("--runs", type=int, default=60, help="how many whole runs with each -n (default: 60)")
    parser.add_argument(
        "--only", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help=f"of {', '.join(KINDS)}"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where the account is kept (default: {FOLDER})")
    parser.add_argument(
        "--at-once", type=int, default=3, metavar="N", help="so many runs at a time, each other's load (default: 3)"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    account = Account(options.folder)
    wanted = [planned for planned in plan(options.executions, options.runs) if planned.kind in options.only]
    todo = [planned for planned in wanted if not account.has(planned)]
    bytecode.prepared()
    began = time.monotonic()
    # Those that wait for timers take long and the processor hardly at all: one at a time, beside the others.
    with busy_cores(), ThreadPoolExecutor(options.at_once) as pool, ThreadPoolExecutor(1) as waiting:
        pools = {planned: waiting if planned.kind == "timer" else pool for planned in todo}
        under_way = {pools[planned].submit(run, planned, options.folder): planned for planned in todo}
        try:
            for done, ended in enumerate(as_completed(tuple(under_way)), 1):
                account.add(under_way.pop(ended), *ended.result())
                left = (time.monotonic() - began) / done * (len(todo) - done)
                print(
                    f"\r{done} of {len(todo)} runs, {account.differing} differ, {left:.0f} s left  ", end="", flush=True
                )
        finally:
            for begun_or_not in under_way:
                begun_or_not.cancel()  # what hasn't begun when the user stops it doesn't begin
    print(f"\n{account.in_words()}")
    return int(account.differing > 0)


class Account:
    """What has been run: `account.jsonl`, whose first line says of what. A case's first outcome is what all others must be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "account.jsonl"
        self.first: Outcomes = {}
        self.runs: list[dict[str, Any]] = []
        head = {"digest": digest(), "kernel": platform.release()}
        lines = [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []
        if lines and lines[0] == head:
            for line in lines[1:]:
                line["differ"] += self._compare(line, line.pop("first"))
                self.runs.append(line)
            print(f"going on: {self.in_words()}")
        else:
            self.path.write_text(json.dumps(head) + "\n")

    def has(self, planned: Planned) -> bool:
        """Whether a run has been made."""
        return any(run["kind"] == planned.kind and run["number"] == planned.number for run in self.runs)

    def add(self, planned: Planned, outcomes: Outcomes, record: Path) -> None:
        """Compare a run with the first, and write down what came of it; its record is kept only if a case differs."""
        run = {"kind": planned.kind, "number": planned.number, "executions": planned.executions, "cases": len(outcomes)}
        first = {case: outcome for case, outcome in outcomes.items() if case not in self.first}
        run["differ"] = self._compare(run, outcomes)
        if run["differ"]:
            record.rename(record.with_name(record.name.removeprefix(RUNNING)))
        else:
            record.unlink()
        self.runs.append(run)
        self._write(run | {"first": first})

    @property
    def differing(self) -> int:
        """How many runs differed from the first."""
        return sum(bool(run["differ"]) for run in self.runs)

    def in_words(self) -> str:
        """The sum."""
        done = {kind: sum(run["executions"] for run in self.runs if run["kind"] == kind) for kind in KINDS}
        whole = ", ".join(f"{done[kind]} with {kind}" for kind in KINDS if kind.startswith("-n"))
        return (
            f"{len(self.first)} cases: {done['repeat']} executions of each in one process, shuffled ({done['timer']} of those that "
            f"wait for a timer); whole runs: {whole}; runs that differed: {self.differing}"
        )

    def _compare(self, run: dict[str, Any], outcomes: Outcomes) -> list[str]:
        """The cases of a run whose outcome isn't the first one."""
        differ = [case for case, now in outcomes.items() if self.first.setdefault(case, now) != now]
        for case in differ:
            print(f"\n{run['kind']}, run {run['number']}: {case}: {self.first[case]} before, {outcomes[case]} now")
        return differ

    def _write(self, line: object) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def digest() -> str:
    """A name for what is run: the text of the suites and of the native code."""
    kinds = {".py", ".toml", ".c", ".cdef"}
    paths = sorted(path for room in ("suites", "native") for path in (ROOT / room).rglob("*") if path.suffix in kinds)
    total = hashlib.sha256()
    for path in paths:
        # The one is made by the build, which is another one with each cffi; the others are of other kernels than this host's.
        if path.name != "_native.c" and path.parent.name != "deviations":
            total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy meanwhile."""
    loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def run(planned: Planned, folder: Path) -> tuple[Outcomes, Path]:
    """One run: each case's outcome and verdict, and where the record is."""
    path = folder / f"{RUNNING}{planned.kind.replace(' ', '')}-{planned.number}.jsonl"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "suites", "-q", "--record", str(path), "--deadline", "60"]
    place = bytecode.prepared()
    environment = os.environ | ({"PYTHONPYCACHEPREFIX": str(place)} if place else {})
    ended = subprocess.run([*command, *planned.arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    if not path.exists():
        sys.exit(f"pytest wrote no record:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    outcomes: Outcomes = {}
    with path.open() as record:
        for line in map(json.loads, record):
            if line["type"] == "run":
                outcomes |= {case: ["MISS", ""] for case in line["planned"]}
            elif line["type"] == "case":
                outcomes[line["case"]] = [line["outcome"], line["verdict"]]
    return outcomes, path


if __name__ == "__main__":
    sys.exit(main())
