"""Where packet sockets go when a case is over: to a process that keeps them.

The last close of a packet socket waits for an RCU grace period (net/packet/af_packet.c packet_release, synchronize_net), a
hundred times as long as a whole case takes. So the lab doesn't close them: a child takes a copy of the descriptor first
(pidfd_getfd(2), Linux 5.6). They are closed when that child dies, after the run, and nobody waits. Where the kernel has no such
call, they are closed as any other is.

A socket that is kept still has its hook, which the kernel asks about each packet: after thousands of cases that would take longer
than all else. So those that hear the same join one fanout group (packet(7)), which has one hook for all.
"""

from __future__ import annotations

import os
import resource
import struct
from collections import Counter
from contextlib import suppress

from native import (
    AF_PACKET,
    O_ASYNC,
    PACKET_FANOUT,
    RLIMIT_NOFILE,
    SO_DOMAIN,
    SO_RCVBUF,
    SOL_PACKET,
    SOL_SOCKET,
    CallError,
    Child,
    SYS_pidfd_getfd,
    SYS_pidfd_open,
    SYS_prlimit64,
    census,
    close,
    fork_child,
    fstat,
    get_flags,
    getsockname,
    getsockopt,
    set_flags,
    setsockopt,
)

GROUP = 256
"""How many sockets a fanout group takes (PACKET_FANOUT_MAX, before 5.12)."""

HEARD = slice(2, 8)
"""What a packet socket hears, in its struct sockaddr_ll: Ethernet type and device."""


class Keeper:
    """The child, and what it has taken. `sockets` is how many the namespace counts on its account."""

    def __init__(self) -> None:
        self._inodes: set[int] = set()
        self._child: Child | None = None
        self._hearing: Counter[bytes] = Counter()
        self._groups: dict[tuple[bytes, int], int] = {}
        child = fork_child()
        for fd in census().descriptors:  # the child must hold nothing that somebody waits for the end of
            self._let_go(child, fd)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        child.call("prlimit64", SYS_prlimit64, 0, RLIMIT_NOFILE, struct.pack("=QQ", most, most), 0)
        try:
            self._from = child.call("pidfd_open", SYS_pidfd_open, os.getpid(), 0)
            self._child = child
        except CallError as error:
            child.exit()
            if error.name != "ENOSYS":
                raise

    @property
    def sockets(self) -> int:
        """Those that it keeps."""
        return len(self._inodes)

    def take(self, fd: int) -> None:
        """Close a descriptor; the last one of a packet socket without waiting for the kernel to let go of it."""
        if self._child and _domain(fd) == AF_PACKET:
            inode = fstat(fd).ino
            set_flags(fd, get_flags(fd) & ~O_ASYNC)  # it goes on hearing its Ethernet type: it shall not tell of it,
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, 0)  # nor keep what it hears
            self._share_hook(fd)
            try:
                self._child.call("pidfd_getfd", SYS_pidfd_getfd, self._from, fd, 0)
                self._inodes.add(inode)
            except CallError as error:
                if error.name not in ("EPERM", "ENOSYS", "EMFILE"):  # not to be had: then this one is waited for
                    raise
        close(fd)

    def _share_hook(self, fd: int) -> None:
        """Have it join the others that hear the same (fanout_add, which takes its hook away without waiting)."""
        heard = getsockname(fd)[HEARD]
        key = heard, self._hearing[heard] // GROUP
        group = self._groups.setdefault(key, len(self._groups))
        with suppress(CallError):  # EINVAL: it isn't bound, and has none
            setsockopt(fd, SOL_PACKET, PACKET_FANOUT, group)  # in the low half; the high one, 0, is PACKET_FANOUT_HASH
            self._hearing[heard] += 1

    @staticmethod
    def _let_go(child: Child, fd: int) -> None:
        try:
            child.close(fd)
        except CallError as error:
            if error.name != "EBADF":  # its own pipe's other ends, which it never had
                raise


def _domain(fd: int) -> int:
    try:
        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN)
    except CallError:
        return -1  # not a socket
