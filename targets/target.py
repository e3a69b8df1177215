"""What a target is, and what a run on one needs: the frame that every kind of target fills in.

A target is a place where the suites run on some kernel: this host, a guest, another machine. It is told where a folder is
that both sides see, and a shell script in it; whoever runs on the target executes the script, and all that comes back
stands in that folder. Owns the folder's layout and the script. How a run is watched and ended is `targets.running`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parent.parent
"""The checkout; guests see it under the same name."""

Say = Callable[[str], None]
"""Where a line for the user goes."""


class TargetError(Exception):
    """A target can't be run, or its image not be had; the message is one sentence: what, where, and what to do."""


class UsageError(TargetError):
    """What was asked for makes no sense, on whatever kernel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of the suites on a target: what pytest is told, and the folder that the target shares.

    `scratch` is a folder of this side for what an emulator needs; both go when the run is over. The shared folder's files, as
    this side sees them: `script` is executed by the target; `started` appears when it begins, `record` and `output` (what
    pytest prints) grow, and `status` holds pytest's exit code at the end. Only the script comes from this side. All else is
    the target's word, to be checked like anything that comes from elsewhere. `bytecode` is where Python's compiled code
    is, for a target that can't keep any.
    """

    target: str
    folder: Path
    scratch: Path
    arguments: tuple[str, ...]
    bytecode: Path | None = None

    @property
    def script(self) -> Path:
        return self.folder / "job.sh"

    @property
    def started(self) -> Path:
        return self.folder / "started"

    @property
    def record(self) -> Path:
        return self.folder / "record.jsonl"

    @property
    def output(self) -> Path:
        return self.folder / "output.txt"

    @property
    def status(self) -> Path:
        return self.folder / "status"

    @property
    def paths(self) -> tuple[str, ...]:
        """The suites, unless the arguments name a file or a case by themselves."""
        named = any((ROOT / argument.partition("::")[0]).exists() for argument in self.arguments if argument[:1] != "-")
        return () if named else ("suites",)

    @property
    def chosen(self) -> bool:
        """Whether the arguments choose clauses."""
        return any(argument.partition("=")[0] == "--clause" for argument in self.arguments)

    @property
    def parallel(self) -> str | None:
        """The argument that asks for workers of pytest's, if one does."""
        return next((argument for argument in self.arguments if _PARALLEL.match(argument)), None)

    @property
    def environment(self) -> str:
        """The script's line that says how Python is to run."""
        prefix = f" PYTHONPYCACHEPREFIX={shlex.quote(str(self.bytecode))}" if self.bytecode else ""
        return f"export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1{prefix}"

    def write_script(self, folder: Path | None = None, python: str = sys.executable, root: Path = ROOT) -> Path:
        """Write the script; returns its path as the target sees it.

        `folder`, `python` and `root` are the shared folder, the interpreter and the checkout as the target sees them.
        """
        folder = folder or self.folder
        pytest = [python, "-m", "pytest", "-p", "no:cacheprovider", "--target", self.target]
        record = str(folder / self.record.name)
        command = shlex.join([*pytest, "--record", record, *self.paths, *self.arguments])
        shared = shlex.quote(str(folder))
        self.script.write_text(
            f"cd {shlex.quote(str(root))} || exit\n"
            f"{self.environment}\n"
            f": >{shared}/{self.started.name}\n"
            f"{command} >{shared}/{self.output.name} 2>&1 </dev/null\n"
            f"echo $? >{shared}/{self.status.name}\n"
        )
        return folder / self.script.name


_PARALLEL = re.compile(r"(-n|--numprocesses|--dist|--tx|-d)(=|$)|-n\w+$")
"""pytest-xdist's options that make workers."""


@dataclass(frozen=True, kw_only=True)
class Target(ABC):
    """A place where the suites run.

    `what` says what it is in one phrase. `cpus` and `memory` (in MB) are what a run takes of this machine, so that a matrix
    starts no more than fit. `given_bytecode` says that Python's compiled code is made for it on this host, since it can't keep
    any, or is slow to make it. `boot` and `deadline` are seconds: a run whose script hasn't begun after `boot`, or that hasn't
    ended `deadline` after its start, is ended.
    """

    name: str
    what: str
    cpus: float = 1
    memory: int = 256
    given_bytecode: bool = False
    boot: float = 60.0
    deadline: float = 900.0

    @abstractmethod
    def missing(self) -> str | None:
        """What keeps it from running here and how to get it, in one sentence; None if it can run."""

    def fetch(self, say: Say) -> None:
        """Get the images that it needs, if any, or see that the newest are there. Raises TargetError."""
        say("nothing to fetch")

    def with_kernel(self, kernel: Path | None, append: str | None) -> Target:
        """The same target with another kernel, or with parameters added to its command line. Raises TargetError."""
        if kernel or append:
            raise UsageError(
                f"{self.name}: its kernel can't be chosen; --kernel and --append are for uml and vm targets"
            )
        return self

    @abstractmethod
    def start(self, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Start the run in a session of its own (setsid(2)), so that all its processes can be found; returns at once.

        `console` takes what the target's kernel and its emulator print. Raises TargetError.
        """
