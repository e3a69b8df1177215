"""A CPU of its own for a target of which only one process runs at a time, while others may use the rest.

User-Mode Linux's kernel and its guest's processes are processes of this host's that hand over to each other at each system call,
and so are gVisor's. On one CPU that is a switch; between two it is a wake-up of the other each time, and a call takes four to
six times as long.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from targets import cache


def claim() -> tuple[int, int | None]:
    """The CPU that fewest of this user's targets have claimed, and a descriptor that claims it for as long as it is open.

    Where the cache folder can't be written, nothing can be claimed, and it is any CPU.
    """
    places = cache.folder() / "cpus"
    usable = sorted(os.sched_getaffinity(0), reverse=True)  # the first CPU gets most of a machine's interrupts
    with suppress(OSError):
        places.mkdir(parents=True, exist_ok=True)
        for number, cpu in ((number, cpu) for number in count() for cpu in usable):
            fd = os.open(places / f"{cpu}.{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
            else:
                return cpu, fd
    return usable[os.getpid() % len(usable)], None


@contextmanager
def inherited(cpu: int) -> Iterator[None]:
    """What is started inside runs on this CPU, and so does whatever that starts (sched_setaffinity(2))."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
