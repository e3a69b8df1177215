"""Outboxes: sockets whose sent data stays charged to them until it is let go, packet by packet.

Owns how each family is kept from giving its send buffer back: a reader that doesn't read (TCP, AF_UNIX), neighbours that don't
answer (UDP, raw, ICMP echo), a token bucket (packet). Knows no threshold: those stand in the specification.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from socket import inet_pton
from typing import TYPE_CHECKING

from native import (
    AF_INET,
    IP_HDRINCL,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_HDRINCL,
    MSG_DONTWAIT,
    POLLOUT,
    SO_RCVBUF,
    SO_SNDBUF,
    SOL_SOCKET,
    TCP_MAXSEG,
    TCP_QUICKACK,
    CallError,
    accept4,
    bind,
    close,
    connect,
    getsockname,
    ioctl_outq,
    ioctl_outqnsd,
    listen,
    poll_one,
    recv,
    send,
    sendto,
    setsockopt,
    so_meminfo,
    sockaddr_in,
    sockaddr_in6,
)
from suites.clauses import SUBJECT
from suites.lab.families import EXPERIMENTAL_PROTOCOL, Packet, Ping, Raw, Tcp, Udp
from suites.lab.links import HELD_BYTES, PREFIX, SlowLink

if TYPE_CHECKING:
    from suites.lab.case import Case, Descriptor

PAYLOAD = b"x" * HELD_BYTES
ECHO = b"\x08" + bytes(7) + b"x" * (HELD_BYTES - 8)
"""An ICMP echo request (RFC 792): the only thing that an ICMP echo socket sends, and it fills in the rest (net/ipv4/ping.c)."""

SMALL = 4_608
"""What SO_SNDBUF is set to: the kernel doubles it, and a few packets fill it."""

LARGEST = 100_000
"""Where the search for a threshold begins: SO_SNDBUF that is room enough for every outbox (half of wmem_max's default)."""

SEGMENT = 1_000
"""TCP_MAXSEG in bytes: loopback's 64 KiB segments would fill these small buffers with one."""

WINDOW = 16_384
"""SO_RCVBUF of MPTCP's reader: TCP_MAXSEG can't be had, and a window smaller than a segment opens by timers only."""


class Outbox(ABC):
    """One armed or unarmed socket that is being filled; `socket` is the case's subject."""

    socket: Descriptor
    peer: Descriptor
    """Who reads what is sent, where there is such a socket."""
    payload = PAYLOAD
    """What one packet carries."""

    def __init__(self, case: Case, role: str = SUBJECT) -> None:
        self.case = case
        self.held = 0

    @abstractmethod
    def send(self, flags: int = MSG_DONTWAIT) -> int:
        """Send one packet; it stays charged. Raises CallError (EAGAIN) where there is no room."""

    def charge(self) -> int:
        """What the socket is charged by that account of SO_MEMINFO which poll looks at, in bytes."""
        return so_meminfo(self.socket).wmem_alloc

    def let_go(self) -> None:
        """Have the oldest packet's charge given back, where the family gives back packet by packet."""
        raise TypeError(f"{self.case.family.name} gives back as its peer's window opens, not packet by packet")

    def fill(self) -> None:
        """Send until a send fails for want of room."""
        while self._fits():
            pass

    def load(self) -> None:
        """Send as many packets as a socket like this one takes whole, and no more: nothing has failed when this returns.

        TCP may still take a part of one more (tcp_sendmsg_locked fills the last skb without asking for room).
        """
        capacities = self.case.lab.capacities
        if self.case.family.name not in capacities:
            twin = type(self)(self.case, role="twin")
            twin.fill()
            capacities[self.case.family.name] = twin.held
            twin.let_all_go()
            close(twin.socket)
        while self.held < capacities[self.case.family.name]:
            self.send()

    @abstractmethod
    def let_all_go(self) -> None:
        """Have all charges given back, also those of packets that the case sent by itself."""

    def room(self, size: int) -> None:
        """Set SO_SNDBUF so that the kernel's doubling makes it `size`, an even number of bytes."""
        setsockopt(self.socket, SOL_SOCKET, SO_SNDBUF, size // 2)

    def threshold(self) -> int:
        """The smallest send buffer, in bytes, at which poll finds the socket writable with what it has charged now."""
        too_small, enough = SMALL, LARGEST
        while enough - too_small > 1:
            middle = (too_small + enough) // 2
            setsockopt(self.socket, SOL_SOCKET, SO_SNDBUF, middle)
            if poll_one(self.socket, POLLOUT):
                enough = middle
            else:
                too_small = middle
        return 2 * enough

    def _fits(self) -> bool:
        try:
            self.send()
        except CallError as error:
            if error.name not in ("EAGAIN", "ENOBUFS"):
                raise
            return False
        return True


class UnixOutbox(Outbox):
    """AF_UNIX: charged to the sender until the peer has read the packet."""

    def __init__(self, case: Case, role: str = SUBJECT) -> None:
        super().__init__(case, role)
        fd, peer = case.family.pair()
        self.socket = case.own(fd, role)
        self.peer = case.own(peer, "peer" if role == SUBJECT else f"{role}_peer")
        self.room(2 * SMALL)

    def send(self, flags: int = MSG_DONTWAIT) -> int:
        sent = send(self.socket, PAYLOAD, flags)
        self.held += 1
        return sent

    def let_go(self) -> None:
        recv(self.peer, HELD_BYTES, 0)
        self.held -= 1

    def let_all_go(self) -> None:
        read_all(self.peer)
        self.held = 0


class TcpOutbox(Outbox):
    """TCP: charged until acknowledged, and what doesn't fit the peer's window isn't sent."""

    def __init__(self, case: Case, role: str = SUBJECT) -> None:
        super().__init__(case, role)
        family = case.family
        assert isinstance(family, Tcp)
        listener = family.socket()
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, 2 * SEGMENT)
        setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, SEGMENT)
        bind(listener, family.address())
        listen(listener, 1)
        fd = family.socket()
        setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, SEGMENT)
        connect(fd, getsockname(listener))
        self.peer = case.own(accept4(listener, 0), "peer" if role == SUBJECT else f"{role}_peer")
        self.socket = case.own(fd, role)
        close(listener)
        self.room(2 * SMALL)

    def send(self, flags: int = MSG_DONTWAIT) -> int:
        sent = send(self.socket, PAYLOAD, flags)
        self.held += sent == len(PAYLOAD)
        self.acknowledge()
        return sent

    def acknowledge(self) -> None:
        """Have the peer acknowledge at once what it would acknowledge later (tcp_delack_timer), until nothing is in flight.

        An acknowledgement can open the window, and what then goes out is to be acknowledged too.
        """
        while ioctl_outq(self.socket) > ioctl_outqnsd(self.socket):
            setsockopt(self.peer, IPPROTO_TCP, TCP_QUICKACK, 1)
            self.case.fence()

    def charge(self) -> int:
        return so_meminfo(self.socket).wmem_queued

    def let_go(self) -> None:
        """Have the peer read a packet's worth, which gives back what its window then takes: nothing, or several segments."""
        recv(self.peer, HELD_BYTES, 0)
        self.acknowledge()

    def let_all_go(self) -> None:
        while ioctl_outq(self.socket):
            read_all(self.peer)
            self.acknowledge()
        self.held = 0


class MptcpOutbox(Outbox):
    """MPTCP: charged until the connection has it acknowledged; what doesn't fit the peer's window stays in its own queue.

    It has no TCP_QUICKACK: giving back waits 200 ms until MPTCP sends the last data again and has it acknowledged (mptcp_worker).
    """

    def __init__(self, case: Case, role: str = SUBJECT) -> None:
        super().__init__(case, role)
        family = case.family
        assert isinstance(family, Tcp)
        listener = family.socket()
        setsockopt(listener, SOL_SOCKET, SO_RCVBUF, WINDOW)
        bind(listener, family.address())
        listen(listener, 1)
        fd = family.socket()
        connect(fd, getsockname(listener))
        self.peer = case.own(accept4(listener, 0), "peer" if role == SUBJECT else f"{role}_peer")
        self.socket = case.own(fd, role)
        close(listener)
        self.room(2 * SMALL)

    def send(self, flags: int = MSG_DONTWAIT) -> int:
        sent = send(self.socket, PAYLOAD, flags)
        self.held += sent == len(PAYLOAD)
        self.case.fence()
        return sent

    def let_all_go(self) -> None:
        while ioctl_outq(self.socket):
            read_all(self.peer)
            poll_one(self.socket, POLLOUT, 1_000)  # asleep, since a timer is waited for; mptcp_poll marks nothing
        self.held = 0


class NeighbourOutbox(Outbox):
    """UDP, raw and ICMP echo: charged while the neighbour that the packet is for hasn't answered."""

    def __init__(self, case: Case, role: str = SUBJECT) -> None:
        super().__init__(case, role)
        family = case.family
        assert isinstance(family, (Udp, Raw, Ping))
        self.link = case.lab.held_link()
        self.domain = family.domain
        self.make = sockaddr_in if self.domain == AF_INET else sockaddr_in6
        self.socket = case.own(family.socket(), role)
        bind(self.socket, self.make(PREFIX[self.domain][0], 0))
        self.room(2 * SMALL)
        self.waiting: list[str] = []
        self.connected = self._neighbour()
        self.port = 9 if isinstance(family, Udp) else 0  # what a raw IPv6 socket takes for a port is its protocol
        self.payload = ECHO if isinstance(family, Ping) else PAYLOAD
        self.writes_header = False
        connect(self.socket, self.make(self.connected, self.port))

    def _neighbour(self) -> str:
        return self.link.silent_neighbour(self.domain)

    def write_header(self) -> None:
        """Have the packets' IP headers written here and not by the kernel (raw(7) IP_HDRINCL)."""
        level, name = (IPPROTO_IP, IP_HDRINCL) if self.domain == AF_INET else (IPPROTO_IPV6, IPV6_HDRINCL)
        setsockopt(self.socket, level, name, 1)
        self.writes_header = True

    def _header(self, host: str) -> bytes:
        here, there = (inet_pton(self.domain, address) for address in (PREFIX[self.domain][0], host))
        if self.domain == AF_INET:  # RFC 791; the kernel fills in length, identification and checksum
            return struct.pack("!BxHHHBBH4s4s", 0x45, 0, 0, 0, 64, EXPERIMENTAL_PROTOCOL, 0, here, there)
        return struct.pack("!IHBB16s16s", 6 << 28, len(self.payload), EXPERIMENTAL_PROTOCOL, 64, here, there)

    def send(self, flags: int = MSG_DONTWAIT) -> int:
        host = self._neighbour()
        packet = self._header(host) + self.payload if self.writes_header else self.payload
        sent = sendto(self.socket, packet, flags, self.make(host, self.port))
        self.waiting.append(host)
        self.held += 1
        return sent

    def let_go(self) -> None:
        self.link.resolve(self.domain, self.waiting.pop(0))
        self.case.fence()
        self.held -= 1

    def let_all_go(self) -> None:
        while self.waiting:
            self.let_go()
        self.link.resolve(self.domain, self.connected)
        self.case.fence()

    def give_up(self) -> None:
        """Have the neighbours fail, as when the last question is unanswered: what waits for them is dropped (neigh_invalidate)."""
        for host in (*self.waiting, self.connected):
            self.link.forget(self.domain, host)
        self.waiting.clear()
        self.held = 0
        self.case.fence()


class PacketOutbox(Outbox):
    """Packet sockets: charged until the device has sent the packet."""

    def __init__(self, case: Case, role: str = SUBJECT) -> None:
        super().__init__(case, role)
        self.link = case.lab.slow_link()
        if role == SUBJECT:
            self.link.shape()
            case.afterwards(self.link.unshape)
        self.socket = case.own(case.family.socket(), role)
        self.room(2 * SMALL)

    def send(self, flags: int = MSG_DONTWAIT) -> int:
        sent = sendto(self.socket, PAYLOAD, flags, SlowLink.address())
        self.held += 1
        return sent

    def let_go(self) -> None:
        self.link.let_one_go()
        self.case.fence()
        self.held -= 1

    def let_all_go(self) -> None:
        while self.held:
            self.let_go()


def read_all(fd: int) -> None:
    """Read until there is nothing more."""
    try:
        while recv(fd, 1 << 16, MSG_DONTWAIT):
            pass
    except CallError as error:
        if error.name != "EAGAIN":
            raise


def outbox(case: Case) -> Outbox:
    """The outbox of the case's family."""
    match case.family:
        case Tcp(name="mptcp"):
            return MptcpOutbox(case)
        case Tcp():
            return TcpOutbox(case)
        case Udp() | Raw() | Ping():
            return NeighbourOutbox(case)
        case Packet():
            return PacketOutbox(case)
        case _:
            return UnixOutbox(case)
