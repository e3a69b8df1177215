"""Targets that are one program of a Debian package, which needs nothing of its suite beside it."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from targets import cache, debian
from targets.target import Say, Target, TargetError


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
        if cache.image(self.name):
            return None
        return debian.missing() or f"its image isn't fetched: python -m targets fetch {self.name}"

    def image(self) -> Path:
        """The image's folder. Raises TargetError if there is none."""
        image = cache.image(self.name)
        problem = self.missing()
        if problem or not image:
            raise TargetError(str(problem))
        return image

    def executable(self, image: Path) -> Path:
        """The program in an image."""
        return image / Path(self.program).name

    def fetch(self, say: Say) -> None:
        """Get the program from the suite's newest package."""
        with cache.locked(self.name, say):
            suite = debian.Suite(self.suite)
            package = suite.newest(self.package)
            present = cache.image(self.name)
            if present and present.name == f"{self.name}.{package.version}":
                say(f"{package.name} {package.version} is there, and {self.suite} has no newer one")
                return
            say(f"fetching {package.name} {package.version} from {self.suite}")
            cache.publish(self.name, package.version, partial(self._fill, suite, package))
            say(f"ready: {cache.image(self.name)}")

    def _fill(self, suite: debian.Suite, package: debian.Package, image: Path) -> None:
        unpacked = image / "unpacked"
        suite.unpack([package], unpacked)
        os.rename(unpacked / self.program, self.executable(image))
        shutil.rmtree(unpacked)
