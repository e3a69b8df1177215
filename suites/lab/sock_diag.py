"""sock_diag(7): destroying a socket from outside, as `ss --kill` does.

Owns the one request that this takes.
"""

from __future__ import annotations

import struct

from native import (
    AF_NETLINK,
    NETLINK_SOCK_DIAG,
    SO_DOMAIN,
    SO_PROTOCOL,
    SOCK_DGRAM,
    SOL_SOCKET,
    CallError,
    bind,
    close,
    getsockname,
    getsockopt,
    recv,
    send,
    sockaddr_nl,
    socket,
)

SOCK_DESTROY = 21
REQUEST, ACK = 0x1, 0x4
ANY_STATE = 0xFFFFFFFF
NO_COOKIE = 0xFFFFFFFF


class NotDestroyed(Exception):
    """The kernel refused; the message names its errno."""


def destroy(fd: int, peer: bytes = bytes(28)) -> None:
    """Have the kernel abort an IPv4 or IPv6 socket (net/ipv4/tcp.c tcp_abort, net/ipv4/udp.c udp_abort). Raises NotDestroyed.

    It takes CAP_NET_ADMIN and CONFIG_INET_DIAG_DESTROY. `peer` is the address that the socket is connected or connecting to; a
    listener has none.
    """
    domain, protocol = (getsockopt(fd, SOL_SOCKET, name) for name in (SO_DOMAIN, SO_PROTOCOL))
    (port, host), (peer_port, peer_host) = _end(getsockname(fd)), _end(peer)
    names = port + peer_port + host.ljust(16, b"\0") + peer_host.ljust(16, b"\0")
    body = struct.pack("=BBBxI", domain, protocol, 0, ANY_STATE) + names + struct.pack("=III", 0, NO_COOKIE, NO_COOKIE)
    netlink = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG)
    bind(netlink, sockaddr_nl(0, 0))
    send(netlink, struct.pack("=IHHII", 16 + len(body), SOCK_DESTROY, REQUEST | ACK, 1, 0) + body, 0)
    (error,) = struct.unpack_from("=i", recv(netlink, 4096, 0), 16)
    close(netlink)
    if error:
        raise NotDestroyed(f"sock_diag refused to destroy the socket: {CallError('sendmsg', (), -error).name}")


def _end(address: bytes) -> tuple[bytes, bytes]:
    """The port and the host of a struct sockaddr_in or sockaddr_in6, as they stand there."""
    return address[2:4], address[4:8] if len(address) == 16 else address[8:24]
