"""What the kernel counts and lists of the calling thread's network, read from /proc/net."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

NET = Path("/proc/thread-self/net")


class NotTold(Exception):
    """The kernel has no such table, or not this in it: what a case is about can't be seen there."""


class Table(dict[str, Any]):
    """What a table of the kernel's has under which name."""

    def __init__(self, path: Path, pairs: Iterable[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self._path = path

    def __missing__(self, name: str) -> NoReturn:
        raise NotTold(f"{name} in {self._path}: it was read, and has nothing of that name")


def lines_of(path: Path) -> list[str]:
    """The lines of a file of the kernel's. Raises NotTold where it has none."""
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        raise NotTold(f"{path}: it was looked for, and isn't there") from None


_TABLES = {
    "tcp4": ("tcp", 9),
    "tcp6": ("tcp6", 9),
    "udp4": ("udp", 9),
    "udp6": ("udp6", 9),
    "raw4": ("raw", 9),
    "raw6": ("raw6", 9),
    "ping": ("icmp", 9),
    "unix-stream": ("unix", 6),
    "unix-dgram": ("unix", 6),
    "unix-seqpacket": ("unix", 6),
    "packet": ("packet", 8),
    "netlink": ("netlink", 9),
}
"""Where a family's sockets are listed, and in which column their inode is."""


def sockets_in_use() -> int:
    """`sockets: used` of /proc/net/sockstat: allocated and not yet freed, in this namespace (net/socket.c socket_seq_show)."""
    return int(lines_of(NET / "sockstat")[0].split(None, 3)[2])


def sockstat(table: str = "sockstat", net: Path = NET) -> dict[str, dict[str, int]]:
    """/proc/net/sockstat or sockstat6: a line for each protocol by its name, with what stands there under which name."""
    found = Table(net / table, ())
    for line in lines_of(net / table):
        name, *pairs = line.split()
        found[name.rstrip(":")] = dict(zip(pairs[::2], map(int, pairs[1::2]), strict=True))
    return found


def listed(family: str, inode: int) -> int:
    """How many entries of the family's table have this inode."""
    table, column = _TABLES[family]
    rows = (line.split() for line in lines_of(NET / table)[1:])
    return sum(len(row) > column and row[column] == str(inode) for row in rows)


def tx_queue(family: str, inode: int) -> int:
    """`tx_queue` of a socket's line in its protocol's table: the bytes charged to it, or those that TCP hasn't had acknowledged."""
    table, column = _TABLES[family]
    rows = (line.split() for line in lines_of(NET / table)[1:])
    (row,) = (row for row in rows if row[column] == str(inode))
    return int(row[4].partition(":")[0], 16)


def extended(*names: str) -> list[int]:
    """Counters of /proc/net/netstat by name, TCPAbortOnClose for one (net/ipv4/proc.c)."""
    path = NET / "netstat"
    heads, values = [*lines_of(path), "", ""][:2]
    counters = Table(path, zip(heads.split(), values.split(), strict=False))  # gVisor has heads alone
    return [int(counters[name]) for name in names]


class TcpRow(NamedTuple):
    """A line of /proc/net/tcp or tcp6 (net/ipv4/tcp_ipv4.c tcp4_seq_show): a connection, a request or a listener."""

    state: int
    tx_queue: int
    rx_queue: int
    inode: int


UNLISTED = TcpRow(0, 0, 0, 0)
"""What stands for a line that isn't there; no connection has this state."""


def tcp_rows(family: str, port: int) -> list[TcpRow]:
    """The lines whose local port this is, the listener's first; they may be of earlier cases too, a minute in TIME_WAIT."""
    return [row for (local, _), row in _tcp_table(family) if local == port]


def tcp_row(family: str, port: int, peer_port: int) -> TcpRow:
    """The line of the connection between two ports; UNLISTED where there is none."""
    return next((row for ports, row in _tcp_table(family) if ports == (port, peer_port)), UNLISTED)


def _tcp_table(family: str) -> Iterator[tuple[tuple[int, int], TcpRow]]:
    table, _ = _TABLES[family]
    for row in (line.split() for line in lines_of(NET / table)[1:]):
        said = TcpRow(int(row[3], 16), int(row[4][:8], 16), int(row[4][9:], 16), int(row[9]))
        yield (_port(row[1]), _port(row[2])), said


def _port(end: str) -> int:
    return int(end.rpartition(":")[2], 16)


def protocol_counts() -> dict[str, int]:
    """The namespace's sockets of each protocol that count themselves, /proc/net/protocols (net/core/sock.c sock_prot_inuse_get)."""
    return Table(NET / "protocols", ((name, int(row["sockets"])) for name, row in protocols().items()))


def protocols() -> dict[str, dict[str, str]]:
    """/proc/net/protocols: a row for each protocol by its name, with what stands in each column."""
    path = NET / "protocols"
    head, *rows = (line.split() for line in lines_of(path) or [""])
    return Table(path, ((row[0], dict(zip(head, row, strict=True))) for row in rows))


_PROTOCOLS = {
    "tcp4": "TCP",
    "tcp6": "TCPv6",
    "mptcp": "MPTCP",
    "udp4": "UDP",
    "udp6": "UDPv6",
    "raw4": "RAW",
    "raw6": "RAWv6",
    "ping": "PING",
    "unix-stream": "UNIX-STREAM",
    "unix-dgram": "UNIX",
    "unix-seqpacket": "UNIX",
    "packet": "PACKET",
    "netlink": "NETLINK",
    "vsock": "AF_VSOCK",
    "phonet": "PHONET",
    "l2tp": "L2TP/IP",
}
"""What the protocol of a family's sockets is called in /proc/net/protocols."""


def protocol_of(family: str) -> str:
    """The name of a family's row in /proc/net/protocols; kernels before 5.15 have one for all of AF_UNIX."""
    name = _PROTOCOLS[family]
    return name if name in protocols() else name.partition("-")[0]


def active_objects(cache: str) -> int:
    """How many objects of a cache are in use, as /proc/slabinfo counts them: all of a slab that a CPU holds."""
    rows = (line.split() for line in Path("/proc/slabinfo").read_text().splitlines()[2:])
    return next(int(found[1]) for found in rows if found[0] == cache)
