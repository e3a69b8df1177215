"""Socket addresses as the kernel reads them, bytes, made of and taken apart into what people write. Makes no call."""

from __future__ import annotations

import struct
from socket import inet_ntop, inet_pton

from native.constants import AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, AF_UNSPEC, AF_VSOCK

__all__ = [
    "parse_sockaddr",
    "sockaddr_in",
    "sockaddr_in6",
    "sockaddr_ll",
    "sockaddr_nl",
    "sockaddr_un",
    "sockaddr_unspec",
    "sockaddr_vm",
]

_ETHERNET = 6


def sockaddr_in(host: str, port: int) -> bytes:
    """struct sockaddr_in, ip(7). Raises OSError for a host that isn't an IPv4 address in dotted form."""
    return struct.pack("=H", AF_INET) + struct.pack("!H", port) + inet_pton(AF_INET, host) + bytes(8)


def sockaddr_in6(host: str, port: int, flow: int = 0, scope: int = 0) -> bytes:
    """struct sockaddr_in6, ipv6(7); `scope` is the device's index for a link-local address."""
    head = struct.pack("=H", AF_INET6) + struct.pack("!HI", port, flow)
    return head + inet_pton(AF_INET6, host) + struct.pack("=I", scope)


def sockaddr_un(path: bytes) -> bytes:
    """struct sockaddr_un, unix(7). A leading zero byte makes it an abstract name; an empty path asks for one."""
    end = b"\0" if path and path[0] else b""
    return struct.pack("=H", AF_UNIX) + path + end


def sockaddr_ll(index: int, protocol: int, address: bytes = b"", packet_type: int = 0, hardware_type: int = 0) -> bytes:
    """struct sockaddr_ll, packet(7): `protocol` is an Ethernet type in host order, `address` a link-layer address."""
    head = struct.pack("=H", AF_PACKET) + struct.pack("!H", protocol)
    length = len(address) or _ETHERNET
    return head + struct.pack("=iHBB8s", index, hardware_type, packet_type, length, address)


def sockaddr_nl(port: int, groups: int) -> bytes:
    """struct sockaddr_nl, netlink(7); port 0 asks the kernel to choose."""
    return struct.pack("=HHII", AF_NETLINK, 0, port, groups)


def sockaddr_vm(cid: int, port: int) -> bytes:
    """struct sockaddr_vm, vsock(7)."""
    return struct.pack("=HHIIB3x", AF_VSOCK, 0, port, cid, 0)


def sockaddr_unspec() -> bytes:
    """An address without a family, which connect(2) takes as the end of a connection."""
    return struct.pack("=H", AF_UNSPEC) + bytes(14)


def parse_sockaddr(address: bytes) -> tuple[int | str | bytes, ...]:
    """An address taken apart, its family first; of a family that isn't known here, the bytes after it.

    (AF_INET, host, port), (AF_INET6, host, port, flow, scope), (AF_UNIX, path), (AF_PACKET, index, protocol, address,
    packet_type, hardware_type), (AF_NETLINK, port, groups), (AF_VSOCK, cid, port). No bytes at all are ().
    """
    if len(address) < 2:
        return ()
    (family,) = struct.unpack_from("=H", address)
    try:
        return _parse(family, address)
    except struct.error:
        raise ValueError(f"{len(address)} bytes are too few for a socket address of family {family}") from None


def _parse(family: int, address: bytes) -> tuple[int | str | bytes, ...]:
    if family == AF_INET:
        port, host = struct.unpack_from("!H4s", address, 2)
        return family, inet_ntop(AF_INET, host), port
    if family == AF_INET6:
        port, flow, host = struct.unpack_from("!HI16s", address, 2)
        (scope,) = struct.unpack_from("=I", address, 24)
        return family, inet_ntop(AF_INET6, host), port, flow, scope
    if family == AF_UNIX:
        path = address[2:]
        return family, path if path[:1] == b"\0" else path.partition(b"\0")[0]
    if family == AF_PACKET:
        (protocol,) = struct.unpack_from("!H", address, 2)
        index, hardware_type, packet_type, length, link = struct.unpack_from("=iHBB8s", address.ljust(20, b"\0"), 4)
        return family, index, protocol, link[:length], packet_type, hardware_type
    if family == AF_NETLINK:
        port, groups = struct.unpack_from("=II", address, 4)
        return family, port, groups
    if family == AF_VSOCK:
        port, cid = struct.unpack_from("=II", address, 4)
        return family, cid, port
    return family, address[2:]
