"""The guest's root tries to write wherever it can; what it could write is told on the kernel's console."""

from __future__ import annotations

import ctypes
from pathlib import Path

from tests.hostile import at_each_case

MS_REMOUNT = 32
OUTSIDE = Path(__file__).with_name("written")


@at_each_case
def pytest_runtest_logreport() -> None:
    """Before and after it has made its root writable, and by another mount of the host's files."""
    libc = ctypes.CDLL(None)
    other = Path("/dev/shm/other")
    other.mkdir(exist_ok=True)
    attempt(OUTSIDE)
    libc.mount(b"none", b"/", b"hostfs", MS_REMOUNT, b"")
    attempt(OUTSIDE)
    libc.mount(b"none", bytes(other), b"hostfs", 0, bytes(OUTSIDE.parent))
    attempt(other / "written")
    attempt(Path("/dev/shm/shared/written"))


def attempt(path: Path) -> None:
    """Write a file, and say on the console how that went."""
    try:
        path.write_text("x")
        said = "written"
    except OSError as error:
        said = error.strerror or ""
    Path("/dev/kmsg").write_text(f"hostile: {path}: {said}\n")
