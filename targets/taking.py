"""Taking the record that a target leaves: bounded, checked, and completed where the target didn't live to do it.

What a target wrote is data. It is read once, up to a limit, into a file of this side; `reports.record.read` decides whether
it is a record; only then does it take the place of the record that was asked for, by a rename. A planned case without an
outcome becomes a MISS that says how the target ended; nothing is made up otherwise.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from reports.record import RecordError, Run, read
from targets.progress import Progress, read_regular
from targets.target import ROOT, Job, TargetError

LIMIT = 512 * 1024 * 1024
"""The largest record that is taken, in bytes. One of 7,000 cases has some 30 MB."""

PLAN_SECONDS = 120


def take(job: Job, final: Path, reason: str, how: str, last: str) -> tuple[Run, bool]:
    """Make the record of a job that is over, whole, in `final`; returns its one run, and whether the target ended it itself.

    `reason` (died, deadline, interrupted), `how` in words, and what the kernel said `last`, are for what the target's own
    record lacks. Raises TargetError.
    """
    data = read_regular(job.record, LIMIT + 1) or b""
    if len(data) > LIMIT:
        raise TargetError(f"{job.target} wrote a record of more than {LIMIT} bytes, which isn't taken")
    data = data[: data.rfind(b"\n") + 1]  # a line that is cut off says nothing
    unchecked = final.with_name(f"{final.name}.unchecked")
    try:
        run, whole = _complete(job, data, unchecked, reason, how, last)
        unchecked.replace(final)
    except OSError as error:
        unchecked.unlink(missing_ok=True)
        raise TargetError(
            f"{final}: the record can't be written: {error.strerror}; {_kept(job, data, reason, how, last)}"
        ) from None
    return replace(run, path=final), whole


def _complete(job: Job, data: bytes, path: Path, reason: str, how: str, last: str) -> tuple[Run, bool]:
    """Write the whole record to a file; returns its run, and whether nothing had to be added. Raises OSError, TargetError."""
    path.write_bytes(data or _plan(job))
    run = _the_run(job, path)
    if run.end is not None:
        return run, True
    with path.open("ab") as file:
        file.write(_completion(run, data, reason, how, last))
    return _the_run(job, path), False


def _kept(job: Job, data: bytes, reason: str, how: str, last: str) -> str:
    """Put the record where there may be room, so that no run is lost by a full disk; what to do, in words."""
    path = Path(tempfile.gettempdir(), f"{job.folder.parent.name}.jsonl")
    try:
        _complete(job, data, path, reason, how, last)
    except OSError:
        path.unlink(missing_ok=True)
        return "make room, or name another file"
    return f"it is {path} for now: make room, and move it"


def _the_run(job: Job, path: Path) -> Run:
    try:
        runs = read([path])
    except RecordError as error:
        raise TargetError(f"{job.target} left a record that can't be used: {error}") from None
    if len(runs) != 1 or runs[0].head.target != job.target:
        raise TargetError(f"{path}: it isn't the record of one run on {job.target}, though that is what was run")
    return runs[0]


def _completion(run: Run, data: bytes, reason: str, how: str, last: str) -> bytes:
    """A MISS for each case without an outcome, and the end."""
    progress = Progress()
    progress.feed(data)
    during = f" while it ran {', '.join(progress.running[:8])}" if progress.running else ""
    lines: list[dict[str, Any]] = [
        {
            "type": "case",
            "run": run.head.run,
            "worker": None,
            "clause": case.clause,
            "case": case.case,
            "family": case.family,
            "level": case.level,
            "outcome": "MISS",
            "verdict": "",
            "reason": f"the target {how}{during}{last}",
            "deviation": None,
            "expected": None,
            "observed": None,
        }
        for case in run.cases
        if case.outcome == "MISS"
    ]
    lines.append({"type": "end", "run": run.head.run, "reason": reason, "counts": run.counts()})
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


def _plan(job: Job) -> bytes:
    """The record of a target that wrote none: what would have been run, as pytest collects it on this host."""
    record = job.scratch / "plan.jsonl"
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "targets.plan"]
    command = [
        *pytest,
        "--target",
        job.target,
        "--record",
        str(record),
        *job.paths,
        *job.arguments,
        "-n",
        "0",
        "--dist",
        "no",
    ]
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PLAN_SECONDS
        )
        lines = [json.loads(line) for line in record.read_text().splitlines()]
    except subprocess.TimeoutExpired:
        raise TargetError(f"pytest on this host didn't say within {PLAN_SECONDS} s what is planned") from None
    except FileNotFoundError:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise TargetError(
            f"pytest on this host can't say what is planned: {said[-1] if said else done.returncode}"
        ) from None
    unknown = dict.fromkeys(("release", "version", "machine", "implementation"), "unknown")
    lines[0] |= {"kernel": unknown, "capabilities": {}, "sysctls": {}}
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines if line["type"] != "end")
