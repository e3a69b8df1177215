"""Where packet sockets go when a case is over: to a process that keeps them.

The last close of a packet socket waits for an RCU grace period (net/packet/af_packet.c packet_release, synchronize_net), ten
times as long as a whole case takes. So the lab doesn't close them: it sends them over a socket that nobody reads and whose other
end only a child has. They are closed when that child dies, after the run, and nobody waits.
"""

from __future__ import annotations

from native import (
    AF_PACKET,
    AF_UNIX,
    MSG_DONTWAIT,
    O_ASYNC,
    SO_DOMAIN,
    SO_RCVBUF,
    SOCK_STREAM,
    SOL_SOCKET,
    CallError,
    census,
    close,
    fork_child,
    fstat,
    get_flags,
    getsockopt,
    rights,
    sendmsg,
    set_flags,
    setsockopt,
    socketpair,
)


class Keeper:
    """The child, and the way to it. `sockets` is how many the namespace counts on its account."""

    def __init__(self) -> None:
        held = census().descriptors
        self._to, kept = socketpair(AF_UNIX, SOCK_STREAM, 0)
        self._child = fork_child()
        close(kept)
        for fd in held:  # the child must hold nothing that somebody waits for the end of
            self._child.close(fd)
        self._inodes: set[int] = set()

    @property
    def sockets(self) -> int:
        """Its own two, and those that it keeps."""
        return 2 + len(self._inodes)

    def take(self, fd: int) -> None:
        """Close a descriptor; the last one of a packet socket without waiting for the kernel to let go of it."""
        if _domain(fd) == AF_PACKET:
            inode = fstat(fd).ino
            set_flags(fd, get_flags(fd) & ~O_ASYNC)  # it goes on hearing its Ethernet type: it shall not tell of it,
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, 0)  # nor keep what it hears
            try:
                sendmsg(self._to, [b"x"], MSG_DONTWAIT, [rights([fd])])
                self._inodes.add(inode)
            except CallError as error:
                if error.name not in ("EAGAIN", "ETOOMANYREFS"):  # full: then this one is waited for
                    raise
        close(fd)


def _domain(fd: int) -> int:
    try:
        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN)
    except CallError:
        return -1  # not a socket
