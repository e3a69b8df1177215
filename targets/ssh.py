"""A machine of the user's that ssh reaches: the suites are carried there, run on its kernel, and leave only a record here.

Owns what is carried: the files that git tracks, as they are in the checkout, and the job's script. The connection is the
business of `targets.ssh_carrier`, which runs here for as long as the job does; what is done on the other machine is in
`targets.ssh_there`. It is this host's ssh client that connects, with its configuration, keys and known hosts.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from targets import processes
from targets.programs import run_program
from targets.target import ROOT, Job, Target, TargetError, UsageError

PREFIX = "ssh:"
ANY = "HOST"
"""What stands for the host in the list of targets."""

CHECKOUT, ENVIRONMENT = "checkout", "environment"
"""Folders of the job's temporary folder there; `ssh_there` has the same names."""

GIT = ("env", "-u", "GIT_DIR", "-u", "GIT_WORK_TREE", "-u", "GIT_INDEX_FILE", "git")
"""Under a hook, or `git bisect run` in a kernel tree, they may name another repository."""


@dataclass(frozen=True, kw_only=True)
class Ssh(Target):
    """A machine by the name that ssh knows it by. What it needs are Python, a C compiler, headers, and what pip fetches."""

    host: str
    what: str = "a machine of yours, carried there by ssh: user@host, or an alias of ssh's configuration"
    cpus: float = 0
    memory: int = 32
    boot: float = 600.0
    deadline: float = 3600.0

    def missing(self) -> str | None:
        """ssh, or what says which files are carried."""
        if not shutil.which("ssh"):
            return "ssh is missing: install the package openssh-client"
        if not shutil.which("git"):
            return "git is missing, which says what is carried there: install the package git"
        return None if (ROOT / ".git").exists() else f"{ROOT} is no clone: what is carried there is what git tracks"

    def start(self, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Start the carrier."""
        if problem := self.missing():
            raise TargetError(problem)
        job.write_script(Path(".."), f"../{ENVIRONMENT}/bin/python", Path(CHECKOUT))
        load = job.scratch / "load.tar.gz"
        load.write_bytes(pack(job.script))
        command = [sys.executable, "-m", "targets.ssh_carrier", self.host, str(load), str(job.folder)]
        return processes.start(command, console)


def pack(script: Path) -> bytes:
    """The tracked files and the job's script as a tar; who owns them here is of no use there. Raises TargetError."""
    names = run_program([*GIT, "ls-files", "-z"], f"{ROOT}: its files can't be listed", ROOT).split("\0")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as tar:
        for path, name in [(script, script.name), *((ROOT / name, f"{CHECKOUT}/{name}") for name in names if name)]:
            if path.is_file():  # git also names what was deleted
                tar.add(path, name, filter=_anonymous)
    return packed.getvalue()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def at(host: str) -> Ssh:
    """The target for a host. Raises UsageError where it can't be a host's name."""
    if not host or host.startswith("-") or "/" in host or not host.isprintable() or any(map(str.isspace, host)):
        raise UsageError(
            f"{PREFIX}{host!r}: a host is user@host or an alias of ssh's configuration, without spaces, slashes, or a dash first"
        )
    return Ssh(name=PREFIX + host, host=host)


TARGETS = (at(ANY),)
