"""Images that are one program of a Debian package, which needs nothing of its suite beside it, and the targets that are such."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from targets import debian, images
from targets.target import Say, Target


@dataclass(frozen=True, kw_only=True)
class Packaged(Target):
    """A program that is kept as an image: `program` is the file of `package`, as `suite` has it, statically linked."""

    given_bytecode: bool = True
    suite: str
    package: str
    program: str

    def missing(self) -> str | None:
        """The image, or what it takes to fetch it."""
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            return f"{self.name} needs a Linux host on x86-64"
        return images.missing(self.name)

    def executable(self, image: Path) -> Path:
        """The program in an image."""
        return image / Path(self.program).name

    def fetch(self, say: Say) -> None:
        """Get the program from the suite's newest package."""
        fetch_program(self.name, self.suite, self.package, self.program, say)


def fetch_program(name: str, suite: str, package: str, program: str, say: Say) -> None:
    """Have the image of this name be the newest of a suite's program, and nothing but that file. Raises TargetError."""

    def newest(say: Say) -> tuple[debian.Suite, debian.Package]:
        found = debian.Suite(suite, say)
        return found, found.newest(package)

    def fill(suite: debian.Suite, package: debian.Package, image: Path) -> None:
        unpacked = image / "unpacked"
        suite.unpack([package], unpacked)
        (unpacked / program).rename(image / Path(program).name)
        shutil.rmtree(unpacked)

    images.refresh(name, suite, newest, fill, say)
