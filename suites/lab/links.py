"""Links of the lab's own: a veth pair whose neighbours don't answer, one behind a token bucket, and one to be switched off.

Loopback gives a sender its buffer back at once, so a full UDP, raw or packet socket needs a device that keeps packets; and loopback
can't go down or away while a case runs. Owns those devices.
"""

from __future__ import annotations

import socket as addresses
import struct
from contextlib import suppress
from pathlib import Path

from native import (
    AF_INET,
    AF_INET6,
    AF_PACKET,
    MSG_DONTWAIT,
    SOCK_DGRAM,
    CallError,
    Child,
    close,
    if_index,
    if_up,
    sched_yield,
    sendto,
    sockaddr_ll,
    socket,
)
from suites.lab.rtnetlink import CREATE, REPLACE, Kind, Refused, ask, attribute, connect, route_type

IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_PID = 3, 18, 19
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL, IFA_F_NODAD = 1, 2, 2
NDA_DST, NDA_LLADDR, NUD_PERMANENT = 1, 2, 0x80
NDTA_NAME, NDTA_PARMS = 1, 6
NDTPA_IFINDEX, NDTPA_RETRANS_TIME, NDTPA_UCAST_PROBES, NDTPA_MCAST_PROBES = 1, 5, 10, 11
TCA_KIND, TCA_OPTIONS, TCA_TBF_PARMS, TCA_TBF_BURST = 1, 2, 1, 6
RTN_LOCAL = 2
TC_H_ROOT, TC_LINKLAYER_ETHERNET = 0xFFFFFFFF, 1

HELD, SLOW, SWITCHED, SHORT_LIVED = "held0", "slow0", "switched0", "short0"
IFF_UP = 1
PREFIX = {AF_INET: ("10.0.0.1", 8), AF_INET6: ("fd77::1", 64)}
SILENT_MS = 60_000
"""After how long an unresolved neighbour's packets are dropped: far past every deadline."""

BUCKET_BYTES = 1_600
"""The token bucket's depth: one packet of `HELD_BYTES`, not two."""

HELD_BYTES = 1_000
"""The payload of a packet that is held back."""

RATE = 20
"""What the token bucket gains, in bytes a second: nothing worth a packet while a case runs."""

_LIMIT = 1 << 20
_ETHERNET = b"\x02\x00\x00\x00\x00\x77"
_TABLE = {AF_INET: b"arp_cache\0", AF_INET6: b"ndisc_cache\0"}


class HeldLink:
    """A veth pair whose neighbours don't answer. It goes with the network namespace of the thread that made it."""

    def __init__(self) -> None:
        self._netlink = connect()
        self._next = 2
        self._used: list[tuple[int, str]] = []
        _make(self._netlink, HELD)
        for family, directory in ((AF_INET, "ipv4"), (AF_INET6, "ipv6")):
            if Path("/proc/sys/net", directory).exists():
                self._be_patient(family)
                self._address(family)

    def silent_neighbour(self, family: int) -> str:
        """An address on the held link that has never been used and will not answer; the end of the case forgets it."""
        number = self._next
        self._next += 1
        if family == AF_INET:
            host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        else:  # all of one solicited-node multicast address (RFC 4291), which would take a place in the table for each
            host = f"fd77:0:0:0:{number >> 16:x}:{number & 0xFFFF:x}:0:2"
        self._used.append((family, host))
        return host

    def resolve(self, family: int, host: str) -> None:
        """Tell the kernel where a neighbour is: what was held back for it goes at once (net/core/neighbour.c neigh_update)."""
        body = self._neighbour(family, host) + attribute(NDA_LLADDR, _ETHERNET)
        ask(self._netlink, Kind.NEWNEIGH, CREATE | REPLACE, body, f"resolve {host}")

    def forget(self, family: int, host: str) -> None:
        """Remove a neighbour; what was held back for it is dropped."""
        with suppress(Refused):  # it may never have been asked for
            ask(self._netlink, Kind.DELNEIGH, 0, self._neighbour(family, host), f"forget {host}")

    def forget_used(self) -> None:
        """Remove all neighbours that a case has used, once its sockets are closed: a route that one holds keeps a neighbour.

        The kernel's table has room for 1,024 on the whole machine (gc_thresh3), and looks after it only now and then.
        """
        for family, host in self._used:
            self.forget(family, host)
        self._used.clear()

    def _neighbour(self, family: int, host: str) -> bytes:
        head = struct.pack("=BxHiHBB", family, 0, if_index(HELD), NUD_PERMANENT, 0, 0)
        return head + attribute(NDA_DST, addresses.inet_pton(family, host))

    def _be_patient(self, family: int) -> None:
        """Ask for a neighbour once and wait. Not by sysctl: in a user namespace 5.10 has none of these (neigh_sysctl_register)."""
        values = (
            (NDTPA_IFINDEX, "=I", if_index(HELD)),
            (NDTPA_UCAST_PROBES, "=I", 0),
            (NDTPA_MCAST_PROBES, "=I", 1),
            (NDTPA_RETRANS_TIME, "=Q", SILENT_MS),
        )
        parameters = b"".join(attribute(kind, struct.pack(form, value)) for kind, form, value in values)
        body = struct.pack("=Bxxx", family) + attribute(NDTA_NAME, _TABLE[family]) + attribute(NDTA_PARMS, parameters)
        ask(self._netlink, Kind.SETNEIGHTBL, 0, body, f"have {HELD} wait for its neighbours")

    def _address(self, family: int) -> None:
        host, length = PREFIX[family]
        packed = addresses.inet_pton(family, host)
        head = struct.pack("=BBBBI", family, length, IFA_F_NODAD if family == AF_INET6 else 0, 0, if_index(HELD))
        body = head + attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
        ask(self._netlink, Kind.NEWADDR, CREATE, body, f"add {host}")
        # IPv6 puts the route in by a worker (addrconf_dad_work).
        while route_type(self._netlink, family, packed) != RTN_LOCAL:
            sched_yield()


class SlowLink:
    """A veth pair behind a token bucket. It goes with the network namespace of the thread that made it."""

    def __init__(self) -> None:
        self._netlink = connect()
        _make(self._netlink, SLOW, ipv6=False)
        self._kicker = socket(AF_PACKET, SOCK_DGRAM, 0)

    def shape(self) -> None:
        """Put the token bucket on the link, and take the tokens that a new one has."""
        self._bucket()
        sendto(self._kicker, b"\0" * HELD_BYTES, MSG_DONTWAIT, self.address())

    def let_one_go(self) -> None:
        """Fill the bucket for one packet, and have the device look: a small frame at the end of the queue does that."""
        self._bucket()
        sendto(self._kicker, b"\0", MSG_DONTWAIT, self.address())

    def unshape(self) -> None:
        """Remove the slow link's queue with all that is in it."""
        ask(self._netlink, Kind.DELQDISC, 0, self._queue(), "remove the token bucket")

    @staticmethod
    def address() -> bytes:
        """Where a packet socket sends to have its packet held back."""
        return sockaddr_ll(if_index(SLOW), 0x88B7)

    def _bucket(self) -> None:
        ticks = BUCKET_BYTES * 1_000_000_000 // RATE // 64  # PSCHED_TICKS: 64 ns
        rate = struct.pack("=BBHhHI", 0, TC_LINKLAYER_ETHERNET, 0, 0, 0, RATE)
        parameters = rate + bytes(12) + struct.pack("=III", _LIMIT, min(ticks, 0xFFFFFFFF), 0)
        options = attribute(TCA_TBF_PARMS, parameters) + attribute(TCA_TBF_BURST, struct.pack("=I", BUCKET_BYTES))
        body = self._queue() + attribute(TCA_KIND, b"tbf\0") + attribute(TCA_OPTIONS, options)
        ask(self._netlink, Kind.NEWQDISC, CREATE | REPLACE, body, "fill the token bucket")

    @staticmethod
    def _queue() -> bytes:
        return struct.pack("=BxHiIII", 0, 0, if_index(SLOW), 0x10000, TC_H_ROOT, 0)


class SwitchedLink:
    """A veth pair that a case may switch off. It goes with the network namespace of the thread that made it."""

    def __init__(self, name: str = SWITCHED) -> None:
        self._netlink = connect()
        self._name = name
        _make(self._netlink, name, ipv6=False)
        self._index = if_index(name)

    def address(self, ethertype: int) -> bytes:
        """Where a packet socket sends to, or binds to, for frames of this type on this link."""
        return sockaddr_ll(self._index, ethertype)

    def far_address(self, ethertype: int) -> bytes:
        """The same for the other end, where what is sent on the link comes in."""
        return sockaddr_ll(if_index(f"{self._name}p"), ethertype)

    def down(self) -> None:
        """Switch the link off; the kernel has told everybody when this returns."""
        self._set(0)

    def up(self) -> None:
        """Switch it on again."""
        self._set(IFF_UP)

    def delete(self) -> None:
        """Have it gone, with the other end. That takes the kernel twenty milliseconds (unregister_netdevice_many_notify)."""
        ask(self._netlink, Kind.DELLINK, 0, struct.pack("=BxHiII", 0, 0, self._index, 0, 0), f"delete {self._name}")

    def close(self) -> None:
        """Leave nothing behind."""
        with suppress(Refused):  # the case may have deleted it
            self.delete()
        close(self._netlink)

    def _set(self, flags: int) -> None:
        body = struct.pack("=BxHiII", 0, 0, self._index, flags, IFF_UP)
        ask(self._netlink, Kind.NEWLINK, 0, body, f"switch {self._name} {'on' if flags else 'off'}")


def _make(netlink: int, name: str, ipv6: bool = True) -> None:
    """Make a veth pair, up, on which nothing is sent but what a case sends."""
    _lay(netlink, name)
    for device in (f"{name}p", name):  # the second one up sends at once, the first when linkwatch has seen its carrier
        settings = Path("/proc/sys/net/ipv6/conf", device)
        if settings.exists():
            # No address of the kernel's own choice, so that nothing is sent there but what a case sends.
            (settings / "addr_gen_mode").write_text("1")
            (settings / "router_solicitations").write_text("0")
            (settings / "disable_ipv6").write_text("0" if ipv6 and device == name else "1")
        if_up(device)


def lay_link(netlink: int, name: str, child: Child) -> None:
    """A veth pair with one end here and the other where a child is: it goes when either network does."""
    _lay(netlink, name, attribute(IFLA_NET_NS_PID, struct.pack("=I", child.pid)))


def await_end_of(name: str) -> None:
    """Return once a device is no more. Raises DeadlineExpired."""
    with suppress(CallError):
        while if_index(name):
            sched_yield()


def _lay(netlink: int, name: str, of_the_other_end: bytes = b"") -> None:
    link = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
    peer = link + attribute(IFLA_IFNAME, f"{name}p\0".encode()) + of_the_other_end
    data = attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer))
    info = attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"veth\0") + data)
    body = link + attribute(IFLA_IFNAME, f"{name}\0".encode()) + info
    ask(netlink, Kind.NEWLINK, CREATE, body, "make a veth pair")
