"""The kernel's own listener: the module in `native/listener`, built for a Debian kernel against that kernel's headers.

Compiler, headers and kbuild's programs come from the kernel's suite, and so do the libraries that they need. All of them are
unpacked into a folder that becomes make's root, in namespaces of its own (`targets.confine`), so that a module is never
built with or against anything of this host's. The folder is removed afterwards; what stays is the module, beside the kernel
that it fits. Its name has the digest of its source: with another source it isn't found, and the next fetch builds it.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from targets import cache, debian
from targets.programs import run_program
from targets.target import ROOT, Say, TargetError

MODULE = "sockwake_listener"
SOURCE = ROOT / "native" / "listener"
FILES = ("Kbuild", f"{MODULE}.c")

VARIABLE = "SOCKWAKE_LISTENER"
"""The environment variable that tells the suites where the module is."""

TOOLS = ("make", "binutils", "dash", "coreutils", "sed", "grep", "mawk", "findutils")
"""What kbuild runs beside the compiler, which the headers' package depends on: some packages that Debian takes for granted."""

LINKS = (
    *((name, f"usr/{name}") for name in ("bin", "sbin", "lib", "lib64")),
    ("bin/sh", "dash"),
    ("usr/bin/awk", "mawk"),
)
"""Links that installing makes, and unpacking doesn't in every suite."""


def built(image: Path) -> Path | None:
    """The module for the kernel of an image; None if it isn't there, or of another source."""
    module = place(image)
    return module if module.exists() else None


def refresh(name: str, suites: Sequence[str], say: Say) -> None:
    """Have the module for the kernel of a fetched image be there. Raises TargetError.

    `name` is the target's, and `suites` are those that its kernel may have come from.
    """
    with cache.locked(name, say):
        image = cache.image(name)
        if not image or built(image):
            return
        (modules,) = (image / "lib/modules").iterdir()
        kernel = debian.Package(f"linux-image-{modules.name}", image.name.removeprefix(f"{name}."))
        headers = debian.Package(f"linux-headers-{modules.name}", kernel.version)
        suite = _suite_with(headers, suites, say)
        if not suite:
            say(
                f"{' and '.join(suites)} have no {headers.name} {headers.version} any more: the kernel's own listener can't "
                "be built for this kernel, and its clauses are SKIP"
            )
            return
        say(f"building the kernel's own listener against {headers.name}")
        _build(suite, headers, kernel, image)
        say(f"ready: {built(image)}")


def place(image: Path) -> Path:
    """Where the module for the kernel of an image is kept."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update(name.encode() + b"\0" + (SOURCE / name).read_bytes())
    return image / f"{MODULE}-{digest.hexdigest()[:16]}.ko"


def _suite_with(headers: debian.Package, suites: Sequence[str], say: Say) -> debian.Suite | None:
    """The suite that has these headers, in just this version."""
    for name in suites:
        beside = "sid" if name == "experimental" else name.removesuffix("-backports")
        suite = debian.Suite(name, say, beside if beside != name else None)
        try:
            if suite.newest(headers.name) == headers:
                return suite
        except TargetError:  # it has none of this name
            continue
    return None


def _build(suite: debian.Suite, headers: debian.Package, kernel: debian.Package, image: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache.folder()) as folder:
        root = Path(folder)
        suite.unpack_system([headers, *map(suite.newest, TOOLS)], kernel, root)
        for link, to in LINKS:
            if not (root / link).exists():
                (root / link).symlink_to(to)
        for name in ("dev", "proc", "tmp"):
            (root / name).mkdir(exist_ok=True)
        work = root / "work"
        work.mkdir()
        for name in FILES:
            shutil.copy(SOURCE / name, work)
        confined = [sys.executable, "-m", "targets.confine", "--root", folder, "--memory", f"{folder}/tmp"]
        make = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "TMPDIR=/tmp", "make", "-C", f"/usr/src/{headers.name}"]
        command = [*confined, "--writable", str(work), "--", *make, "M=/work", "modules"]
        run_program(command, f"building {MODULE} for {kernel.name}", ROOT)
        part = image / f".{MODULE}.part"
        shutil.copyfile(work / f"{MODULE}.ko", part)
        part.rename(place(image))
        for old in set(image.glob(f"{MODULE}-*.ko")) - {place(image)}:
            old.unlink()
