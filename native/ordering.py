"""The fence: a proof of order on a loopback queue."""

from __future__ import annotations

from native._native import lib
from native.trace import done

__all__ = [
    "fence",
]


def fence(fd: int, legs: int = 1, end: int | None = None) -> None:
    """Send to oneself, and receive it, `legs` times; `fd` is a socket that is connected to itself, or else to `end`.

    What this CPU had put on its loopback queue before a leg is handled before that leg (process_backlog in
    net/core/dev.c), so an act whose packets are answered by packets needs a leg for each. vsock's loopback has a queue of its
    own, which is worked off in order as well (net/vmw_vsock/vsock_loopback.c), so its fence is a vsock connection.
    """
    done("fence", (fd, legs), lib.fence(fd, fd if end is None else end, legs))
