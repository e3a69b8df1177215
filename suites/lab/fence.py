"""The fence: what goes through all queues of loopback, so that what hasn't been seen behind it hasn't happened.

Owns the sockets that it goes through. On Linux a CPU has one queue, so a datagram to oneself is enough. On gVisor a datagram is
handled by who sends it, while TCP's segments wait for goroutines, as many as there are CPUs, each with a queue of endpoints that it
works off in order (pkg/tcpip/transport/tcp/dispatcher.go); and who is woken looks asleep until its own goroutine has had a turn.
"""

from __future__ import annotations

import os

from native import AF_INET, SOCK_DGRAM, bind, connect, fence, getsockname, sched_yield, sockaddr_in, socket
from suites.lab.families import FAMILIES

CONNECTIONS = 16
"""Where TCP has queues of its own, and there are several CPUs: so many connections pass through most of its queues."""

TURNS = 2
"""How often to step back there: Go's scheduler prefers who steps back to who was woken at one switch in 61, and not at two on end
(runtime/proc.go findRunnable)."""


class Fence:
    """A datagram to oneself; where TCP has queues of its own (`own_queues`), segments of established connections behind it.

    With one CPU they go through the one queue that there is; with several through most, which is for the probe to judge.
    """

    def __init__(self, own_queues: bool) -> None:
        self.to_itself = socket(AF_INET, SOCK_DGRAM, 0)
        bind(self.to_itself, sockaddr_in("127.0.0.1", 0))
        connect(self.to_itself, getsockname(self.to_itself))
        needed = (1 if os.cpu_count() == 1 else CONNECTIONS) if own_queues else 0
        self.connections = [FAMILIES["tcp4"].pair() for _ in range(needed)]

    @property
    def sockets(self) -> int:
        """How many sockets it has."""
        return 1 + 2 * len(self.connections)

    def passes(self, legs: int) -> None:
        """Return once all packets that were on their way have been handled, and those that answered them: a leg for each."""
        fence(self.to_itself, legs)
        for one, other in self.connections:
            fence(one, legs, other)
        if self.connections:
            for _ in range(TURNS):
                sched_yield()
