"""What a process holds, so that two moments can be compared field by field. Asks only, and changes nothing."""

from __future__ import annotations

from typing import NamedTuple

from native._native import ffi, lib
from native.memory import buffers
from native.trace import checked

__all__ = [
    "Census",
    "census",
]


class Census(NamedTuple):
    """All that a case could leave behind.

    `children` are the calling thread's, where the kernel lists them, else 1 for any number. `blocked`, `pending`, `ignored` and
    `caught` are bits, signal 1 the lowest; which handler catches a signal isn't told, nor which ones libc catches for itself.
    `limits` is the text of /proc/self/limits, namespaces are inode numbers, 0 where those say nothing, `affinity` a bit for each
    processor.
    """

    descriptors: tuple[int, ...]
    threads: int
    children: int
    blocked: int
    pending: int
    ignored: int
    caught: int
    limits: bytes
    net_namespace: int
    user_namespace: int
    affinity: int


def census() -> Census:
    """What the process holds now, the calling thread's masks and pending signals included. Never traced."""
    held = buffers.census
    checked("census", (), lib.census(held))
    return Census(
        descriptors=tuple(sorted(ffi.unpack(held.descriptors, held.descriptor_count))),
        threads=held.threads,
        children=held.children,
        blocked=held.blocked,
        pending=held.pending,
        ignored=held.ignored,
        caught=held.caught,
        limits=ffi.unpack(held.limits, held.limits_size),
        net_namespace=held.net_namespace,
        user_namespace=held.user_namespace,
        affinity=int.from_bytes(ffi.unpack(held.cpus, 128), "little"),
    )
