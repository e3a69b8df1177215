"""This host's own kernel: the suites run right here, in pytest."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class TargetError(Exception):
    """A target can't be run as asked; the message says what to do."""


def run(record: Path, arguments: list[str]) -> int:
    """Run the suites on this kernel and write their record; returns pytest's exit code.

    Ctrl-C reaches pytest too, which then ends the record; so it is waited for, not killed.
    """
    suites = ROOT / "suites"
    if not suites.is_dir():
        raise TargetError(f"the suites aren't beside the package ({suites} is missing): install with pip install -e .")
    command = [sys.executable, "-m", "pytest", str(suites), "--target", "host", "--record", str(record), *arguments]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with subprocess.Popen(command, cwd=ROOT, preexec_fn=_heed_interrupts) as process:
            return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
