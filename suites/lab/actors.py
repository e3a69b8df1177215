"""Children that act as other users, or with an account of pending signals that is theirs alone."""

from __future__ import annotations

import struct
from collections.abc import Callable

from native import (
    CLONE_NEWUSER,
    RLIMIT_SIGPENDING,
    CallError,
    Child,
    SYS_prlimit64,
    SYS_setresuid,
    SYS_unshare,
    getrlimit,
)

USERS = (60_001, 60_002, 60_003)
"""User ids that are nobody's, and not the suite's."""

ACCOUNTS = 1_000_000_000
"""User ids from here on are each for one child, by its pid: pending signals are counted by user."""


def own_user(child: Child) -> int:
    """A user id that no other child has."""
    return ACCOUNTS + child.pid


def become(child: Child, real: int, effective: int, saved: int) -> None:
    """setresuid(2), called by the child."""
    child.call("setresuid", SYS_setresuid, real, effective, saved)


def child_with_account(fork: Callable[[bool], Child], limit: int) -> Child:
    """A child of which so many signals at most may be pending, and nobody else's are counted with them.

    The account is that of a user id of its own, or else of a user namespace of its own, which counts apart since 5.14
    (kernel/user_namespace.c create_user_ns, kernel/ucount.c inc_rlimit_get_ucounts), and which only a child can make that has
    memory of its own. `fork` makes a child, with memory of its own or without.
    """
    child = fork(False)
    own = own_user(child)
    try:
        become(child, own, own, own)
    except CallError:
        child.exit()
        child = fork(True)
        child.call("unshare", SYS_unshare, CLONE_NEWUSER)
    limit_pending(child, limit)  # not before: what holds when a namespace is made holds for all who own it
    return child


def limit_pending(child: Child, limit: int) -> None:
    """RLIMIT_SIGPENDING of a child, which lowers it itself: for others it would take a capability once it is another user."""
    limits = struct.pack("=QQ", limit, getrlimit(RLIMIT_SIGPENDING)[1])
    child.call("prlimit", SYS_prlimit64, 0, RLIMIT_SIGPENDING, limits, 0)
