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

_LIMITS = 32
"""Soft and hard limits of 16 resources, in the order of their numbers."""


class Census(NamedTuple):
    """All that a case could leave behind.

    `children` are the calling thread's, where the kernel lists them, else 1 for any number. `blocked` and `pending` are
    bits, signal 1 the lowest. `dispositions` is handler and flags of signals 1 to 64, zeros for libc's own (32 and 33).
    `limits` are soft and hard of each resource, namespaces inode numbers, `affinity` a bit for each processor.
    """

    descriptors: tuple[int, ...]
    threads: int
    children: int
    blocked: int
    pending: int
    dispositions: bytes
    limits: tuple[int, ...]
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
        dispositions=bytes(ffi.buffer(held.actions)),
        limits=tuple(ffi.unpack(held.limits, _LIMITS)),
        net_namespace=held.net_namespace,
        user_namespace=held.user_namespace,
        affinity=int.from_bytes(ffi.unpack(held.cpus, 128), "little"),
    )
