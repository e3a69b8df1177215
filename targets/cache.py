"""The cache folder of the user's: where images are kept, how they appear there whole, and who may work on them at a time.

An image is a folder `images/NAME.VERSION`, and `images/NAME` a link to the one that counts. Both come into being by a
rename, so that whoever finds an image finds all of it, whatever was interrupted before.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from targets.target import Say, TargetError


def folder() -> Path:
    """`sockwake` in XDG_CACHE_HOME, or in ~/.cache where that isn't set (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "sockwake"


@contextmanager
def locked(name: str, say: Say) -> Iterator[None]:
    """Hold the lock of this name; waits for whoever holds it, and says so. It goes with the process that has it."""
    path = folder() / "locks" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise TargetError(
            f"{path}: it can't be written: {error.strerror}; set XDG_CACHE_HOME to a folder of yours"
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is fetching; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def image(name: str) -> Path | None:
    """The folder of an image; None if it hasn't been fetched."""
    link = folder() / "images" / name
    return link.resolve() if link.is_dir() else None


def use(image: Path) -> int:
    """A descriptor that keeps an image from being removed for as long as it is open."""
    fd = os.open(image, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(fd, fcntl.LOCK_SH)
    return fd


def publish(name: str, version: str, fill: Callable[[Path], None]) -> None:
    """Make a version of an image, which `fill` puts into an empty folder, the one that counts. To be called with its lock held.

    Older versions are removed, unless a run uses them.
    """
    images = folder() / "images"
    whole, part, link = images / f"{name}.{version}", images / f".{name}.part", images / f".{name}.link"
    if part.exists():
        shutil.rmtree(part)
    try:
        part.mkdir(parents=True)
        fill(part)
        if whole.exists():
            shutil.rmtree(whole)
        part.rename(whole)
        link.unlink(missing_ok=True)
        link.symlink_to(whole.name)
        link.rename(images / name)
    except OSError as error:
        raise TargetError(f"{error.filename or images}: {error.strerror}; make room, or set XDG_CACHE_HOME") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    for old in images.glob(f"{name}.*"):
        if old != whole:
            _remove_unused(old)


def _remove_unused(image: Path) -> None:
    fd = os.open(image, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(image)
    except BlockingIOError:
        pass  # a run uses it; the next fetch finds it again
    finally:
        os.close(fd)
