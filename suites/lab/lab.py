"""The lab: what a worker sets up once, and the check that each case leaves it as it was.

Owns the worker's namespace, CPU, signal mask, fence and the account of what the process holds. Knows no case by name.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from native import (
    SIG_BLOCK,
    SIGPIPE,
    AioContext,
    Census,
    Ring,
    block_signals_in_other_threads,
    census,
    fence,
    sched_getaffinity,
    sched_setaffinity,
    sigaction,
    sigprocmask,
)
from suites.lab.families import Family, Packet, Vsock
from suites.lab.fence import Fence
from suites.lab.keeper import Keeper
from suites.lab.links import HeldLink, SlowLink, SwitchedLink
from suites.lab.namespace import enter_network
from suites.lab.signals import WATCHED

WORDS = {
    "blocked": "the signal mask",
    "pending": "pending signals",
    "ignored": "ignored signals",
    "caught": "signal handlers",
    "limits": "resource limits",
    "net_namespace": "the network namespace",
    "user_namespace": "the user namespace",
    "affinity": "the CPU affinity",
}
"""What the fields of a census are called where a case has changed them; the others are called what they are."""

FIRST, NONE = os.sched_param(1), os.sched_param(0)
"""The least real-time priority, which is before all that have none."""


class Lab:
    """A worker's place of work. Making one changes the process for good; there is one in each.

    `lacking` names the observers, of io_uring and aio, that the target hasn't got; `own_queues` says that TCP has queues of its
    own. `quiescence_ms` is how long nothing must have come before a case goes on, where the fence isn't sound; 0 where it is.
    """

    def __init__(
        self, number: int = 0, lacking: Collection[str] = (), own_queues: bool = False, quiescence_ms: int = 0
    ) -> None:
        enter_network()
        self.cpus = sorted(sched_getaffinity(0))
        sched_setaffinity(0, {self.cpus[number % len(self.cpus)]})  # delivery over loopback is in order on one CPU only
        sigprocmask(SIG_BLOCK, WATCHED)
        block_signals_in_other_threads(WATCHED)
        sigaction(SIGPIPE, "default")  # Python ignores it, and what is ignored never becomes pending
        self._real_time = may_be_real_time()
        self.pid = os.getpid()
        self.uid = os.getuid()
        self.fence = Fence(own_queues)
        self.quiescence_ms = quiescence_ms
        self._held_link: HeldLink | None = None
        self._slow_link: SlowLink | None = None
        self._switched_link: SwitchedLink | None = None
        self._keeper: Keeper | None = None
        self.vsock_fence: tuple[int, int] | None = None
        self.ring = None if "io_uring" in lacking else Ring()
        self.aio = None if "aio" in lacking else AioContext()
        self._own_sockets = self.fence.sockets  # the namespace was empty before
        self.capacities: dict[str, int] = {}
        self._before: Census = census()

    @contextmanager
    def unpreempted(self) -> Iterator[None]:
        """Run before every other thread on this CPU, where that is permitted: who is woken inside runs afterwards.

        Else a tick may let a woken receiver run in the midst of the wake: between its socket's wait queue and sk_wake_async().
        """
        if not self._real_time:
            yield
            return
        os.sched_setscheduler(0, os.SCHED_FIFO, FIRST)
        try:
            yield
        finally:
            os.sched_setscheduler(0, os.SCHED_OTHER, NONE)

    def held_link(self) -> HeldLink:
        """The link whose neighbours don't answer, made when the first case asks for it."""
        if self._held_link is None:
            with self._lasting():
                self._held_link = HeldLink()
            self._own_sockets += 1  # its rtnetlink socket
        return self._held_link

    def slow_link(self) -> SlowLink:
        """The link behind a token bucket, made when the first case asks for it."""
        if self._slow_link is None:
            with self._lasting():
                self._slow_link = SlowLink()
            self._own_sockets += 2  # its rtnetlink socket, and the one that has it look at its queue
        return self._slow_link

    def switched_link(self) -> SwitchedLink:
        """The link that cases may switch off, made when the first case asks for it."""
        if self._switched_link is None:
            with self._lasting():
                self._switched_link = SwitchedLink()
            self._own_sockets += 1  # its rtnetlink socket
        return self._switched_link

    def prepare(self, family: Family) -> None:
        """Make what a family needs that stays, before a case has any descriptor whose number could be taken."""
        if isinstance(family, Packet) and self._keeper is None:
            with self._lasting():
                self._keeper = Keeper()
        if isinstance(family, Vsock) and self.vsock_fence is None:
            with self._lasting():
                self.vsock_fence = family.pair()
            self._own_sockets += 2

    def forget_neighbours(self) -> None:
        """Have the held link forget what the last case has used of it."""
        if self._held_link:
            self._held_link.forget_used()

    def discard(self, family: Family, fd: int) -> None:
        """Close what a case left open, in the way of its family."""
        if isinstance(family, Packet) and self._keeper:
            self._keeper.take(fd)
            return
        family.discard(fd)
        if self.vsock_fence and isinstance(family, Vsock):
            # Ends that are closed before either has heard of the other's wait for each other, 8 s (virtio_transport_close).
            fence(self.vsock_fence[0], 2, self.vsock_fence[1])

    def sockets(self) -> int:
        """How many sockets are in use in the worker's namespace while no case has any."""
        return self._own_sockets + (self._keeper.sockets if self._keeper else 0)

    @contextmanager
    def _lasting(self) -> Iterator[None]:
        """What is made inside stays, and isn't a leak of the case that happens to be under way."""
        before = census()
        yield
        now = census()
        made = set(now.descriptors) - set(before.descriptors)
        self._before = self._before._replace(
            descriptors=tuple(sorted({*self._before.descriptors, *made})), children=now.children
        )

    def settle(self) -> None:
        """Take what the process holds now as what it may hold: the lab itself has made something that stays."""
        self._before = census()

    def leaks(self) -> list[str]:
        """What the last case left behind, in words; whoever comes next isn't blamed for it again."""
        now, before = census(), self._before
        if now == before:
            return []
        self._before = now
        found = []
        for field, was, is_ in zip(Census._fields, before, now, strict=True):
            if was != is_:
                more = _count(field, is_) - _count(field, was)
                found.append(f"{WORDS.get(field, field)} ({f'{more:+d}' if more else 'changed'})")
        return found


def may_be_real_time() -> bool:
    """Whether the kernel lets this thread have a real-time policy (sched(7)), which takes CAP_SYS_NICE or RLIMIT_RTPRIO."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, FIRST)
    except OSError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, NONE)
    return True


def _count(field: str, held: Any) -> int:
    """How many there are of what a field of the census lists or counts; 0 for masks, inodes and texts."""
    return len(held) if field == "descriptors" else held if field in ("threads", "children") else 0
