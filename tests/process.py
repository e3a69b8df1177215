"""What the tests of `native` share: each leaves the process as it was, which the census says."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from native import (
    AF_UNIX,
    SIG_BLOCK,
    SIG_SETMASK,
    SOCK_STREAM,
    CallError,
    Census,
    census,
    close,
    deadline_start,
    deadline_stop,
    sigprocmask,
    socketpair,
)

PATIENCE_NS = 20_000_000_000
"""A test that hangs in a call is ended after this long."""


@pytest.fixture(autouse=True)
def leaves_nothing_behind() -> Iterator[None]:
    """Compare what the process holds before and after; the mask is put back, so that a failure causes no others."""
    before = census()
    deadline_start(PATIENCE_NS)
    mask = sigprocmask(SIG_BLOCK, [])
    yield
    deadline_stop()
    sigprocmask(SIG_SETMASK, mask)
    after = census()
    changed = {name: (was, now) for name, was, now in zip(Census._fields, before, after, strict=True) if was != now}
    assert not changed


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """Two connected AF_UNIX stream sockets, closed afterwards if the test hasn't."""
    ends = socketpair(AF_UNIX, SOCK_STREAM)
    yield ends
    for end in ends:
        close_if_open(end)


def end(thread: threading.Thread) -> None:
    """Join a thread of Python's, and wait until the kernel has forgotten it too, which is later."""
    thread.join()
    while Path(f"/proc/self/task/{thread.native_id}").exists():
        os.sched_yield()


def close_if_open(fd: int) -> None:
    """Close a descriptor that the test may have closed itself."""
    try:
        close(fd)
    except CallError as error:
        if error.name != "EBADF":
            raise
