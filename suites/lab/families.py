"""Socket families: makers of connected pairs, each as the kernel gives it, with nothing set but what connecting needs.

A family knows how its sockets are made and addressed. It doesn't know what is expected of them: that stands in the
specification.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field

from native import (
    AF_ALG,
    AF_CAN,
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_PACKET,
    AF_PHONET,
    AF_UNIX,
    AF_VSOCK,
    IPPROTO_ICMP,
    IPPROTO_MPTCP,
    IPPROTO_SCTP,
    NETLINK_NETFILTER,
    NETLINK_USERSOCK,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    VMADDR_CID_LOCAL,
    VMADDR_PORT_ANY,
    CallError,
    accept4,
    bind,
    close,
    connect,
    getsockname,
    if_index,
    linger,
    listen,
    parse_sockaddr,
    send,
    sendto,
    sockaddr_in,
    sockaddr_in6,
    sockaddr_ll,
    sockaddr_nl,
    sockaddr_un,
    sockaddr_vm,
    socket,
    socketpair,
)
from suites.lab.icmp import checksum

EXPERIMENTAL_PROTOCOL = 253
"""An IP protocol number that is nobody's (RFC 3692)."""

SECOND_HOST6 = "fd77:1::2"
"""An address of loopback's beside ::1, which the lab gives it: IPv4 has 127.0.0.2 by itself."""

CAN_RAW, IPPROTO_L2TP = 1, 115
"""include/uapi/linux/can.h, in.h."""

EXPERIMENTAL_ETHERTYPES = (0x88B5, 0x88B6)
"""Two Ethernet types that are nobody's (IEEE 802)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family(ABC):
    """How one kind of socket is made. `needs` are the capabilities without which there is none.

    `legs` is how many packets may follow one act, each the answer to the one before: an error of ICMP's answers a datagram.
    """

    name: str
    domain: int
    type: int
    protocol: int = 0
    legs: int = 2
    needs: tuple[str, ...] = field(default=())

    def socket(self) -> int:
        """A fresh socket of this family."""
        return socket(self.domain, self.type, self.protocol)

    @abstractmethod
    def pair(self) -> tuple[int, int]:
        """Two connected sockets: the subject and its peer."""

    def deliver(self, fd: int, peer: int, data: bytes, flags: int) -> None:
        """Have the peer send to the subject, so that the subject receives `data`."""
        send(peer, data, flags)

    def discard(self, fd: int) -> None:
        """Close what a case left open, leaving nothing in the namespace behind."""
        close(fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcp(Family):
    """TCP over loopback, or MPTCP. The subject is the side that connected, the peer the one that was accepted."""

    host: str
    legs: int = 4  # a SYN, its SYN-ACK, the ACK, and what that lets go

    def address(self, port: int = 0) -> bytes:
        """This family's loopback address."""
        return sockaddr_in(self.host, port) if self.domain == AF_INET else sockaddr_in6(self.host, port)

    def listener(self, backlog: int = 16) -> tuple[int, bytes]:
        """A listening socket on a port of the kernel's choice, and its address."""
        fd = self.socket()
        bind(fd, self.address())
        listen(fd, backlog)
        return fd, getsockname(fd)

    def pair(self) -> tuple[int, int]:
        listener, address = self.listener()
        fd = self.socket()
        connect(fd, address)
        peer = accept4(listener, 0)
        close(listener)
        return fd, peer

    def discard(self, fd: int) -> None:
        with suppress(CallError):  # what a case owns needn't be a socket
            linger(fd, 1, 0)  # an RST ends both sides at once: no TIME_WAIT, no orphan is left to be counted later
        close(fd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Udp(Family):
    """UDP over loopback, each side connected to the other."""

    host: str

    def address(self, port: int = 0) -> bytes:
        """This family's loopback address."""
        return sockaddr_in(self.host, port) if self.domain == AF_INET else sockaddr_in6(self.host, port)

    def pair(self) -> tuple[int, int]:
        fd, peer = self.socket(), self.socket()
        bind(fd, self.address())
        bind(peer, self.address())
        connect(fd, getsockname(peer))
        connect(peer, getsockname(fd))
        return fd, peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw(Family):
    """Raw IP over loopback, under a protocol number of nobody's; each side hears the other's address only."""

    hosts: tuple[str, str]

    def pair(self) -> tuple[int, int]:
        make = sockaddr_in if self.domain == AF_INET else sockaddr_in6
        here, there = (make(host, 0) for host in self.hosts)
        fd, peer = self.socket(), self.socket()
        bind(fd, here)
        bind(peer, there)
        connect(fd, there)
        connect(peer, here)
        return fd, peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Unix(Family):
    """AF_UNIX, as socketpair(2) makes it."""

    def listener(self, backlog: int = 16) -> tuple[int, bytes]:
        """A listening socket under an abstract name of the kernel's choice, and its address (unix(7) Autobind)."""
        fd = self.socket()
        bind(fd, sockaddr_un(b""))
        listen(fd, backlog)
        return fd, getsockname(fd)

    def pair(self) -> tuple[int, int]:
        return socketpair(self.domain, self.type, self.protocol)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet(Family):
    """Packet sockets on the loopback device; each side hears the Ethernet type that the other one sends."""

    def pair(self) -> tuple[int, int]:
        device = if_index("lo")
        fd, peer = self.socket(), self.socket()
        for own, ethertype in ((fd, EXPERIMENTAL_ETHERTYPES[0]), (peer, EXPERIMENTAL_ETHERTYPES[1])):
            bind(own, sockaddr_ll(device, ethertype))
        return fd, peer

    def deliver(self, fd: int, peer: int, data: bytes, flags: int) -> None:
        sendto(peer, data, flags, self.address_of(0))

    def address_of(self, side: int) -> bytes:
        """Where to send so that side 0 (the subject) or side 1 (the peer) hears it."""
        return sockaddr_ll(if_index("lo"), EXPERIMENTAL_ETHERTYPES[side])


@dataclass(frozen=True, slots=True, kw_only=True)
class Netlink(Family):
    """Netlink between two user sockets, each connected to the other's port."""

    def pair(self) -> tuple[int, int]:
        fd, peer = self.socket(), self.socket()
        bind(fd, sockaddr_nl(0, 0))
        bind(peer, sockaddr_nl(0, 0))
        connect(fd, getsockname(peer))
        connect(peer, getsockname(fd))
        return fd, peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping(Family):
    """ICMP echo sockets on loopback (net/ipv4/ping.c). A raw socket answers for the peer that such a socket hears."""

    def pair(self) -> tuple[int, int]:
        fd, peer = self.socket(), socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)
        for each in (fd, peer):
            bind(each, sockaddr_in("127.0.0.1", 0))
            connect(each, sockaddr_in("127.0.0.1", 0))
        return fd, peer

    def deliver(self, fd: int, peer: int, data: bytes, flags: int) -> None:
        send(peer, self.echo_reply(parse_sockaddr(getsockname(fd))[2], data), flags)

    @staticmethod
    def echo_reply(identifier: object, data: bytes) -> bytes:
        """An ICMP echo reply (RFC 792), which the socket with this identifier receives."""
        head = struct.pack("!BBHHH", 0, 0, 0, identifier, 1)
        return head[:2] + struct.pack("!H", checksum(head + data)) + head[4:] + data


@dataclass(frozen=True, slots=True, kw_only=True)
class Vsock(Family):
    """vsock to this machine itself (VMADDR_CID_LOCAL). The subject is the side that connected."""

    legs: int = 4  # a request, its response, what that lets go, and the answer to that

    def listener(self, backlog: int = 16) -> tuple[int, bytes]:
        """A listening socket on a port of the kernel's choice, and its address."""
        fd = self.socket()
        bind(fd, sockaddr_vm(VMADDR_CID_LOCAL, VMADDR_PORT_ANY))
        listen(fd, backlog)
        return fd, getsockname(fd)

    def pair(self) -> tuple[int, int]:
        listener, address = self.listener()
        fd = self.socket()
        connect(fd, address)
        peer = accept4(listener, 0)
        close(listener)
        return fd, peer


@dataclass(frozen=True, slots=True, kw_only=True)
class Modular(Family):
    """A protocol in a module, of which sockets are only made here.

    `module` has the protocol; `modules` are all that cases have the kernel load, each before those that it needs.
    """

    module: str
    modules: tuple[str, ...]

    def pair(self) -> tuple[int, int]:
        """Two sockets that have nothing to do with each other."""
        return self.socket(), self.socket()


_ALL: tuple[Family, ...] = (
    Tcp(name="tcp4", domain=AF_INET, type=SOCK_STREAM, host="127.0.0.1"),
    Tcp(name="tcp6", domain=AF_INET6, type=SOCK_STREAM, host="::1", needs=("ipv6",)),
    Tcp(
        name="mptcp",
        domain=AF_INET,
        type=SOCK_STREAM,
        protocol=IPPROTO_MPTCP,
        host="127.0.0.1",
        needs=("mptcp",),
    ),
    Udp(name="udp4", domain=AF_INET, type=SOCK_DGRAM, host="127.0.0.1"),
    Udp(name="udp6", domain=AF_INET6, type=SOCK_DGRAM, host="::1", needs=("ipv6",)),
    Unix(name="unix-stream", domain=AF_UNIX, type=SOCK_STREAM),
    Unix(name="unix-dgram", domain=AF_UNIX, type=SOCK_DGRAM),
    Unix(name="unix-seqpacket", domain=AF_UNIX, type=SOCK_SEQPACKET),
    Raw(
        name="raw4",
        domain=AF_INET,
        type=SOCK_RAW,
        protocol=EXPERIMENTAL_PROTOCOL,
        hosts=("127.0.0.1", "127.0.0.2"),
        needs=("raw",),
    ),
    Raw(
        name="raw6",
        domain=AF_INET6,
        type=SOCK_RAW,
        protocol=EXPERIMENTAL_PROTOCOL,
        hosts=("::1", SECOND_HOST6),
        needs=("ipv6", "raw"),
    ),
    Ping(name="ping", domain=AF_INET, type=SOCK_DGRAM, protocol=IPPROTO_ICMP, needs=("ping",)),
    Packet(name="packet", domain=AF_PACKET, type=SOCK_DGRAM, needs=("packet",)),
    Netlink(name="netlink", domain=AF_NETLINK, type=SOCK_DGRAM, protocol=NETLINK_USERSOCK, needs=("netlink",)),
    Vsock(name="vsock", domain=AF_VSOCK, type=SOCK_STREAM, needs=("vsock",)),
    Tcp(name="sctp", domain=AF_INET, type=SOCK_STREAM, protocol=IPPROTO_SCTP, host="127.0.0.1", needs=("sctp",)),
    Modular(name="phonet", domain=AF_PHONET, type=SOCK_DGRAM, needs=("modules",), module="phonet", modules=("phonet",)),
    Modular(
        name="can",
        domain=AF_CAN,
        type=SOCK_RAW,
        protocol=CAN_RAW,
        needs=("modules",),
        module="can_raw",
        modules=("can_raw", "can"),
    ),
    Modular(
        name="l2tp",
        domain=AF_INET,
        type=SOCK_DGRAM,
        protocol=IPPROTO_L2TP,
        needs=("modules",),
        module="l2tp_ip",
        modules=("l2tp_ip", "l2tp_core"),
    ),
    Modular(
        name="netfilter",
        domain=AF_NETLINK,
        type=SOCK_RAW,
        protocol=NETLINK_NETFILTER,
        needs=("modules",),
        module="nfnetlink",
        modules=("nfnetlink",),
    ),
    Modular(
        name="alg",
        domain=AF_ALG,
        type=SOCK_SEQPACKET,
        needs=("modules",),
        module="af_alg",
        modules=("algif_hash", "af_alg"),
    ),
)

FAMILIES = {family.name: family for family in _ALL}
"""Every family by the name that clauses use."""
