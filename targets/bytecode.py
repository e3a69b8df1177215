"""Python's compiled code for targets that can't keep any: made on this host, and read there.

A guest sees this host's files and can't write to them. Left to itself it would compile all that it imports at each run, and
pytest would rewrite each file of cases anew, which takes an emulated machine longer than its boot.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache as once
from pathlib import Path

from targets import cache
from targets.target import ROOT, Target

COLLECT = ("-m", "pytest", "suites", "--collect-only", "--quiet", "-p", "no:cacheprovider")


def given(target: Target) -> Path | None:
    """What a job on this target is given: `prepared`, or None where the target makes its own."""
    return prepared() if target.given_bytecode else None


@once
def prepared() -> Path | None:
    """The folder that PYTHONPYCACHEPREFIX is to name, up to date; None where it can't be had, and guests compile for themselves.

    Takes about a second, since collecting is what compiles; Python itself sees what is out of date.
    """
    place = cache.folder() / "bytecode"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    collected = subprocess.run(
        [sys.executable, *COLLECT],
        cwd=ROOT,
        env=environment | {"PYTHONPYCACHEPREFIX": str(place)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return None if collected.returncode else place
