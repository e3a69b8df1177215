"""rtnetlink(7): the few requests that make links, addresses, neighbours, routes and queues.

Owns how a request is put together and answered. They are spoken here, not through a library: the import of pyroute2 alone takes
longer than three hundred cases, and each of its requests a hundred times as long as a packet.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from native import AF_NETLINK, NETLINK_ROUTE, SOCK_RAW, CallError, bind, recv, send, sockaddr_nl, socket

REQUEST, ACK, REPLACE, CREATE = 0x1, 0x4, 0x100, 0x400
NLMSG_ERROR = 2
RTA_DST = 1


class Kind(IntEnum):
    """What is asked for (linux/rtnetlink.h)."""

    NEWLINK = 16
    DELLINK = 17
    NEWADDR = 20
    NEWROUTE = 24
    DELROUTE = 25
    GETROUTE = 26
    NEWNEIGH = 28
    DELNEIGH = 29
    NEWQDISC = 36
    DELQDISC = 37
    SETNEIGHTBL = 67


class Refused(Exception):
    """The kernel refused a request; the message names request and errno."""


def connect() -> int:
    """A socket for requests in the calling thread's network."""
    fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)
    bind(fd, sockaddr_nl(0, 0))
    return fd


def ask(fd: int, kind: Kind, flags: int, body: bytes, what: str) -> None:
    """Send a request and wait for its answer, which the kernel gives before send returns. Raises Refused."""
    _answer(fd, kind, flags | ACK, body, what)


def route_type(fd: int, family: int, host: bytes) -> int:
    """What kind of route leads to an address: RTN_UNICAST, RTN_LOCAL and so on. Raises Refused where none does."""
    head = struct.pack("=BBBBBBBBI", family, 8 * len(host), 0, 0, 0, 0, 0, 0, 0)
    answer = _answer(fd, Kind.GETROUTE, 0, head + attribute(RTA_DST, host), "find a route")
    return answer[23]


def _answer(fd: int, kind: Kind, flags: int, body: bytes, what: str) -> bytes:
    header = struct.pack("=IHHII", 16 + len(body), kind, flags | REQUEST, 1, 0)
    send(fd, header + body, 0)
    answer = recv(fd, 4096, 0)
    (answer_kind,) = struct.unpack_from("=H", answer, 4)
    (error,) = struct.unpack_from("=i", answer, 16) if answer_kind == NLMSG_ERROR else (0,)
    if error:
        raise Refused(f"rtnetlink refused to {what}: {CallError('sendmsg', (), -error).name}")
    return answer


def attribute(kind: int, payload: bytes) -> bytes:
    """A struct rtattr with its payload, padded."""
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)
