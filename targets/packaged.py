"""Targets that are one program of a Debian package, which needs nothing of its suite beside it."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from targets import debian, images
from targets.target import Say, Target


@dataclass(frozen=True, kw_only=True)
class Packaged(Target):
    """A program that is kept as an image: `program` is the file of `package`, as `suite` has it, statically linked."""

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
        images.refresh(self.name, self.suite, self._newest, self._fill, say)

    def _newest(self, say: Say) -> tuple[debian.Suite, debian.Package]:
        suite = debian.Suite(self.suite, say)
        return suite, suite.newest(self.package)

    def _fill(self, suite: debian.Suite, package: debian.Package, image: Path) -> None:
        unpacked = image / "unpacked"
        suite.unpack([package], unpacked)
        os.rename(unpacked / self.program, self.executable(image))
        shutil.rmtree(unpacked)
