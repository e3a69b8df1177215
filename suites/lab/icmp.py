"""ICMP errors of a case's own making: what a host on the way would say of a packet that a socket has sent.

Owns how such a message is put together (RFC 792, RFC 4443) and sent over loopback; it takes a raw socket. Knows nothing of what the
socket makes of it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from native import (
    AF_INET,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_UDP,
    SO_DOMAIN,
    SO_PROTOCOL,
    SOCK_RAW,
    SOL_SOCKET,
    getsockname,
    getsockopt,
    sendto,
    sockaddr_in,
    sockaddr_in6,
    socket,
)

if TYPE_CHECKING:
    from suites.lab.case import Case

_MESSAGES = {
    "port unreachable": ((3, 3), (1, 4)),
    "host unreachable": ((3, 1), (1, 3)),
}
"""Type and code of each, in ICMP and in ICMPv6."""


def complain(case: Case, what: str, sender: int, peer: int) -> None:
    """Have the sender told that a packet of its own to the peer didn't arrive: "port unreachable", for one."""
    domain = getsockopt(sender, SOL_SOCKET, SO_DOMAIN)
    version_4 = domain == AF_INET
    (kind, code), quoted = _MESSAGES[what][not version_4], _sent_by(sender, peer, version_4)
    message = struct.pack("!BBHI", kind, code, 0, 0) + quoted
    if version_4:  # the kernel computes the checksum of ICMPv6 only
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    router = case.own(socket(domain, SOCK_RAW, IPPROTO_ICMP if version_4 else IPPROTO_ICMPV6), "router")
    sendto(router, message, 0, sockaddr_in("127.0.0.1", 0) if version_4 else sockaddr_in6("::1", 0))


def checksum(message: bytes) -> int:
    """The Internet checksum, RFC 1071."""
    padded = message + bytes(len(message) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _sent_by(sender: int, peer: int, version_4: bool) -> bytes:
    """The IP header and the first eight bytes of a packet from one to the other, as an error quotes them."""
    own, other = getsockname(sender), getsockname(peer)
    protocol = getsockopt(sender, SOL_SOCKET, SO_PROTOCOL)
    match protocol:
        case _ if protocol == IPPROTO_UDP:
            transport = own[2:4] + other[2:4] + struct.pack("!HH", 8, 0)
        case _ if protocol == IPPROTO_ICMP:
            transport = struct.pack("!BBH", 8, 0, 0) + own[2:4] + struct.pack("!H", 1)
        case _:
            transport = bytes(8)
    if version_4:
        return struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, protocol, 0) + own[4:8] + other[4:8] + transport
    return struct.pack("!IHBB", 6 << 28, 8, protocol, 64) + own[8:24] + other[8:24] + transport
