"""The frequency of this machine's time stamp counter, measured, since no file of Linux's says it for certain.

An emulated machine has the counter of the machine that emulates it. A guest finds out how fast it counts by watching it for some
milliseconds beside another clock, and where the host is busy it can be wrong by a factor of four; all its time is wrong then.
"""

from __future__ import annotations

import ctypes
import mmap
import time
from collections.abc import Callable

READ = bytes.fromhex("0f31 48c1e220 4809d0 c3")
"""rdtsc; shl rdx, 32; or rax, rdx; ret."""

APART = 0.05
"""How far the two looks at the counter are apart, in seconds: a look takes less than a microsecond, if it isn't interrupted."""

LOOKS = 20
"""How often each is tried; the one that took least time counts."""


def frequency_khz() -> int | None:
    """How often the counter counts in a millisecond; None where this process may not execute what it wrote. x86-64 only."""
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return None
    page.write(READ)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    first_ns, first = _look(read)
    time.sleep(APART)
    second_ns, second = _look(read)
    return round((second - first) * 1e6 / (second_ns - first_ns))


def _look(read: Callable[[], int]) -> tuple[int, int]:
    """The time in ns, and the counter at that time."""
    looks = []
    for _ in range(LOOKS):
        before, count, after = time.monotonic_ns(), read(), time.monotonic_ns()
        looks.append((after - before, (before + after) // 2, count))
    return min(looks)[1:]
