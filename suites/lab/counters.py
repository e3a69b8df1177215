"""What the kernel counts and lists of the calling thread's network, read from /proc/net."""

from __future__ import annotations

from pathlib import Path

NET = Path("/proc/thread-self/net")

_TABLES = {
    "tcp4": ("tcp", 9),
    "tcp6": ("tcp6", 9),
    "udp4": ("udp", 9),
    "udp6": ("udp6", 9),
    "raw4": ("raw", 9),
    "unix-stream": ("unix", 6),
    "unix-dgram": ("unix", 6),
    "unix-seqpacket": ("unix", 6),
    "packet": ("packet", 8),
    "netlink": ("netlink", 9),
}
"""Where a family's sockets are listed, and in which column their inode is."""


def sockets_in_use() -> int:
    """`sockets: used` of /proc/net/sockstat: allocated and not yet freed, in this namespace (net/socket.c socket_seq_show)."""
    return int((NET / "sockstat").read_text().split(None, 3)[2])


def listed(family: str, inode: int) -> int:
    """How many entries of the family's table have this inode."""
    table, column = _TABLES[family]
    rows = (line.split() for line in (NET / table).read_text().splitlines()[1:])
    return sum(len(row) > column and row[column] == str(inode) for row in rows)


def extended(*names: str) -> list[int]:
    """Counters of /proc/net/netstat by name, TCPAbortOnClose for one (net/ipv4/proc.c)."""
    lines = (NET / "netstat").read_text().splitlines()
    counters = dict(zip(lines[0].split(), lines[1].split(), strict=True))
    return [int(counters[name]) for name in names]
