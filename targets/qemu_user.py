"""qemu-user: this host's kernel behind an emulator that translates system calls and signals.

The interpreter that runs this executes the suites as a program of `qemu-x86_64`. What it starts by execve(2) runs without
emulation, so pytest's parallel workers would be put before the host itself, and are refused.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from typing import BinaryIO

from targets import images, processes
from targets.packaged import Packaged
from targets.target import Job, UsageError


@dataclass(frozen=True, kw_only=True)
class QemuUser(Packaged):
    """qemu-user as Debian has it."""

    def start(self, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Execute the script here, with the emulator in front of Python. Raises UsageError where workers are asked for."""
        image = images.required(self)
        if job.parallel:
            raise UsageError(f"{self.name}: the workers of {job.parallel} would run without emulation; leave it out")
        python = job.scratch / "python"
        python.write_text(f'#!/bin/sh\nexec {shlex.join([str(self.executable(image)), sys.executable])} "$@"\n')
        python.chmod(0o755)
        return processes.start(["/bin/sh", str(job.write_script(python=str(python)))], console, image)


TARGETS = (
    QemuUser(
        name="qemu-user",
        what="this kernel behind QEMU's user-mode emulation (Debian trixie's qemu-x86_64)",
        memory=1024,
        deadline=1800.0,
        suite="trixie",
        package="qemu-user",
        program="usr/bin/qemu-x86_64",
    ),
)
