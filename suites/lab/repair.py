"""TCP_REPAIR: a connection that is established because we say so, to a host that has never answered.

Owns how such a socket is made. It takes CAP_NET_ADMIN.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from native import (
    AF_INET,
    IPPROTO_TCP,
    TCP_REPAIR,
    bind,
    connect,
    setsockopt,
    setsockopt_bytes,
    sockaddr_in,
    sockaddr_in6,
)
from suites.lab.links import PREFIX

if TYPE_CHECKING:
    from suites.lab.case import Case, Descriptor

TCP_REPAIR_WINDOW = 29
"""linux/tcp.h: sets what the peer would have told of its window."""

NO_PROBE = -1
"""TCP_REPAIR_OFF_NO_WP: end repairing, and send nothing."""

WINDOW = 65_535
"""Bytes."""


def connected_to(case: Case, host: str) -> Descriptor:
    """A connection of the case's family to a host on the held link, without a segment sent (net/ipv4/tcp_output.c tcp_connect).

    It ends without one too: an RST would wait for the host in the neighbour table, whose room is the machine's (gc_thresh3).
    """
    domain = case.family.domain
    make = sockaddr_in if domain == AF_INET else sockaddr_in6
    sock = case.socket()
    setsockopt(sock, IPPROTO_TCP, TCP_REPAIR, 1)
    bind(sock, make(PREFIX[domain][0], 0))
    connect(sock, make(host, 9))
    setsockopt_bytes(sock, IPPROTO_TCP, TCP_REPAIR_WINDOW, struct.pack("=5I", 0, WINDOW, WINDOW, 0, 0))
    setsockopt(sock, IPPROTO_TCP, TCP_REPAIR, NO_PROBE)
    case.afterwards(lambda: setsockopt(sock, IPPROTO_TCP, TCP_REPAIR, 1))
    return sock
