"""Packages of any Debian suite, verified by apt, without root and without a trace on the system.

Each suite has an apt root of its own in the cache folder: lists, archives and an empty package database. apt checks the
signatures against Debian's own keys, and goes on with a download that was interrupted. The mirror is SOCKWAKE_MIRROR,
else the one that this host's own apt sources name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from targets.cache import folder, locked
from targets.programs import run_program
from targets.target import Say, TargetError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
CODENAMES = ("bullseye", "bookworm", "trixie", "forky", "duke", "sid", "oldstable", "stable", "testing", "unstable")
CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "amd64";
#clear APT::Architectures;
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "0";
Dir "{root}";
Dir::State "state";
Dir::State::status "{root}/state/status";
Dir::Cache "cache";
Dir::Etc "etc";
Dir::Etc::SourceList "{root}/etc/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::Log "log";
"""
"""What apt is told beyond the host's own configuration, which stays in force: a proxy stands there."""

INSTALLED = """\
Package: {installed.name}
Status: install ok installed
Version: {installed.version}
Architecture: amd64
Maintainer: nobody <nobody>
Description: what is there already

"""
"""A package database in which one package is installed (deb-control(5))."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package as a suite has it."""

    name: str
    version: str


def missing() -> str | None:
    """What keeps packages from being fetched here, and how to get it; None if nothing does."""
    for program, package in (("apt-get", "apt"), ("dpkg-deb", "dpkg")):
        if not shutil.which(program):
            return f"{program} is missing: install the package {package}"
    if not KEYRING.exists():
        return f"{KEYRING} is missing: apt install debian-archive-keyring"
    return None


def mirror() -> str:
    """The mirror to fetch from. Raises TargetError where none is named."""
    if named := os.environ.get("SOCKWAKE_MIRROR"):
        return named.rstrip("/")
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    for line in run_program(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"], "this host"
    ).splitlines():
        uri, release, component = line.split(" ")
        if release in CODENAMES and component == "main" and uri.rstrip("/").endswith("/debian"):
            return uri.rstrip("/")
    raise TargetError("this host's apt sources name no Debian mirror; set SOCKWAKE_MIRROR to the address of one")


class Suite:
    """One Debian suite ("bookworm") and its packages. Whoever else uses it at the same time is waited for, which `say` is told."""

    def __init__(self, name: str, say: Say, beside: str | None = None) -> None:
        """`beside` is a suite whose packages complete this one, as trixie's do those of trixie-backports."""
        problem = missing()
        if problem:
            raise TargetError(problem)
        self.name = name
        self._names = [name, *([beside] if beside else [])]
        self._root = folder() / "apt" / "+".join(self._names)
        self._configuration = self._root / "etc" / "apt.conf"
        self._say = say
        with self._locked():
            for part in ("state/lists/partial", "cache/archives/partial", "etc", "log"):
                (self._root / part).mkdir(parents=True, exist_ok=True)
            (self._root / "state" / "status").touch()
            sources = (f"deb [signed-by={KEYRING}] {mirror()} {each} main\n" for each in self._names)
            (self._root / "etc" / "sources.list").write_text("".join(sources))
            self._configuration.write_text(CONFIGURATION.format(root=self._root))
            self._call("apt-get", "-q", "update", "--error-on=any")

    def newest(self, package: str) -> Package:
        """The newest version that the suite has. Raises TargetError if it has none."""
        for line in self._call("apt-cache", "policy", package).splitlines():
            key, _, value = line.strip().partition(": ")
            if key == "Candidate" and value != "(none)":
                return Package(package, value)
        raise TargetError(
            f"the Debian suite {self.name} has no package {package}; see whether the mirror has that suite"
        )

    def unpack(self, packages: Sequence[Package], into: Path) -> None:
        """Download and check packages, and unpack them into a folder. A download that broke off before goes on."""
        archives = self._root / "cache" / "archives"
        with self._locked():
            for package in packages:
                self._call("apt-get", "-q", "download", f"{package.name}={package.version}", folder=archives)
                version = package.version.replace(":", "%3a")
                found = [
                    path
                    for path in archives.glob(f"{package.name}_*.deb")
                    if f"_{unquote(version)}_" in unquote(path.name)
                ]
                if len(found) != 1:
                    raise TargetError(
                        f"{archives}: apt has left no archive of {package.name} {package.version}; fetch again"
                    )
                _take_out(found[0], into)

    def unpack_system(self, packages: Sequence[Package], installed: Package, into: Path) -> None:
        """Like `unpack`, with all that the packages depend on, but for one that is taken to be `installed`."""
        archives, status = self._root / "cache" / "archives", self._root / "state" / "installed"
        named = [f"{package.name}={package.version}" for package in packages]
        install = ("apt-get", "-q", "-y", "-o", f"Dir::State::status={status}", "install", *named)
        with self._locked():
            status.write_text(INSTALLED.format(installed=installed))
            uris = self._call(*install, "--print-uris").splitlines()
            self._call(*install, "--download-only")
            for file in (line.split()[1] for line in uris if line.startswith("'")):
                _take_out(archives / file, into)

    def _locked(self) -> AbstractContextManager[None]:
        return locked(f"apt-{self._root.name}", self._say)

    def _call(self, program: str, *arguments: str, folder: Path | None = None) -> str:
        return run_program(
            [program, "-c", str(self._configuration), *arguments], f"the Debian suite {self.name}", folder
        )


def _take_out(archive: Path, into: Path) -> None:
    """Unpack a package's archive, which isn't needed any more then."""
    run_program(["dpkg-deb", "-x", str(archive), str(into)], f"unpacking {archive.name}")
    archive.unlink()
