"""Running a helper program to its end, with one sentence for how it failed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from targets.target import TargetError

TIMEOUT = 900
"""Seconds after which a program is given up; the longest is a download."""


def run_program(command: Sequence[str], what: str, folder: Path | None = None) -> str:
    """Run a program, in `folder` if given; returns its output. Raises TargetError: `what` failed, and the program's last words."""
    environment = os.environ | {"LC_ALL": "C.UTF-8", "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
        )
    except FileNotFoundError:
        raise TargetError(f"{what}: {command[0]} is missing; install it") from None
    except subprocess.TimeoutExpired:
        raise TargetError(f"{what}: {command[0]} didn't end within {TIMEOUT} s; see what it waits for") from None
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        problem = next((line for line in said if line.startswith("E:")), said[-1] if said else "it said nothing")
        raise TargetError(f"{what}: {command[0]} failed: {problem.removeprefix('E:').strip()}; mend that and try again")
    return done.stdout
