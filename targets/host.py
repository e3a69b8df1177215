"""This host's own kernel: the suites run right here, in pytest."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from typing import BinaryIO

from targets import processes
from targets.target import ROOT, Job, Target


@dataclass(frozen=True, kw_only=True)
class Host(Target):
    """The kernel that runs this."""

    name: str = "host"
    what: str = f"this kernel, {platform.system()} {platform.release()} on {platform.machine()}"
    cpus: float = 0.5  # half of its time it waits for timers of the kernel's

    def missing(self) -> str | None:
        """Nothing, in a checkout."""
        suites = ROOT / "suites"
        return None if suites.is_dir() else f"{suites} is missing: the suites run from a checkout (pip install -e .)"

    def start(self, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Execute the script."""
        return processes.start(["/bin/sh", str(job.write_script())], console)
