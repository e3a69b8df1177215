"""The fence: a proof of order on one CPU's loopback."""

from __future__ import annotations

from native._native import lib
from native.trace import done

__all__ = [
    "fence",
]


def fence(fd: int, legs: int = 1) -> None:
    """Send to oneself, and receive it, `legs` times; `fd` is a socket that is connected to itself.

    What this CPU had put on its loopback queue before a leg is handled before that leg (process_backlog in
    net/core/dev.c), so an act whose packets are answered by packets needs a leg for each.
    """
    done("fence", (fd, legs), lib.fence(fd, legs))
