"""SELinux in a guest: the kernel's parameter for it, and the policy that is in force before the job begins.

Owns how `selinux.conf` becomes what a kernel loads. It is compiled for each run, which takes a hundredth of a second: so what is
in force is the policy of this checkout, and an image of the kernel has nothing to do with it.
"""

from __future__ import annotations

from pathlib import Path

from targets.packaged import fetch_program
from targets.programs import run_program
from targets.target import Say

PARAMETER = "security=selinux"
"""Debian's kernels have SELinux built in, and AppArmor takes its place where nothing is said."""

COMPILER = "checkpolicy"
"""The image, the package and the program."""

SUITE = "bookworm"
"""Whose compiler is taken: it needs no newer libc than the hosts have."""

SOURCE = Path(__file__).with_name("selinux.conf")
VERSION = 30
"""The format of the policy, which Linux reads since 4.3; nothing in it needs a newer one."""


def fetch(say: Say) -> None:
    """Get the compiler, or see that the newest is there."""
    fetch_program(COMPILER, SUITE, COMPILER, f"usr/bin/{COMPILER}", say)


def compile_policy(image: Path, to: Path) -> None:
    """Write the policy as a kernel loads it, by the compiler of an image. Raises TargetError."""
    command = [str(image / COMPILER), "-U", "allow", "-c", str(VERSION), "-o", str(to), str(SOURCE)]
    run_program(command, "the policy of SELinux")
