"""Clients and a listener: how cases of the accept queue connect, knock and take, each by the bare calls.

Owns no expectation. What goes wrong in here is the kernel's doing: connecting and accepting are what these cases are about.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from native import O_NONBLOCK, CallError, accept4, attach_filter, connect, get_flags, getsockname, set_flags
from suites.clauses import SUBJECT
from suites.lab.case import Case, Descriptor, Plain, attempt
from suites.lab.counters import lines_of


def connected(case: Case, listener: int, role: str = SUBJECT) -> Descriptor:
    """A fresh socket that has connected to the listener, which nobody needs to serve."""
    client = case.socket(role)
    connect(client, getsockname(listener))
    return client


def knock(case: Case, listener: int, role: str = SUBJECT) -> tuple[Descriptor, Plain]:
    """A fresh non-blocking socket that has tried to connect to the listener, and what that came to."""
    client = case.socket(role)
    unblock(client)
    outcome = attempt(connect, client, getsockname(listener))
    case.fence()
    return client, outcome


def unanswered(case: Case) -> tuple[Descriptor, bytes]:
    """A listener that hears nothing: a filter drops what comes for it (net/ipv4/tcp_ipv4.c tcp_filter). And its address."""
    listener = case.listener()
    attach_filter(listener, 0)
    return listener, getsockname(listener)


def taken(case: Case, listener: int, role: str = "accepted") -> Descriptor:
    """The next connection of the queue."""
    return case.own(accept4(listener, 0), role)


def take_all(case: Case, listener: int) -> int:
    """Take connections until the queue is empty; returns how many there were."""
    unblock(listener)
    count = 0
    try:
        while True:
            taken(case, listener, f"accepted_{count}")
            count += 1
    except CallError as error:
        if error.name != "EAGAIN":
            raise
    return count


def unblock(fd: int, on: bool = True) -> None:
    """Set O_NONBLOCK, or take it away."""
    set_flags(fd, get_flags(fd) | O_NONBLOCK if on else get_flags(fd) & ~O_NONBLOCK)


def counting(count: Callable[..., list[int]], *names: str) -> Callable[[], dict[str, int]]:
    """Note what counters stand at; what is returned says by how much each has risen since."""
    before = count(*names)
    return lambda: {name: now - was for name, now, was in zip(names, count(*names), before, strict=True)}


def with_sysctl(case: Case, name: str, value: int) -> None:
    """Set a sysctl of the worker's own network, `ipv4/tcp_syncookies` for one, until the case is over."""
    path = Path("/proc/sys/net", name)
    (before,) = lines_of(path)
    case.afterwards(lambda: none(path.write_text(before)))
    path.write_text(str(value))


def none(_: object) -> None:
    """Nothing, whatever a call has returned."""
