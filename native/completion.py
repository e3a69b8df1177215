"""Requests that complete later, of io_uring and AIO: poll, asked without waiting; and requests that are left pending."""

from __future__ import annotations

from native._native import ffi, lib
from native.trace import checked, done

__all__ = [
    "AioContext",
    "Ring",
]


class Ring:
    """A ring of io_uring(7). It stays until the process ends; `fd` is its descriptor.

    Raises CallError: EPERM where io_uring is switched off (kernel.io_uring_disabled), ENOSYS where there is none.
    """

    def __init__(self) -> None:
        self._ring = ffi.new("struct ring *")
        self.fd = checked("io_uring_setup", (), lib.ring_open(self._ring))

    def poll(self, fd: int, events: int) -> int:
        """IORING_OP_POLL_ADD of one descriptor, cancelled if it doesn't complete at once: its revents, 0 for none.

        While it is pending it holds the open file (io_uring/poll.c io_poll_add), so nothing is left pending.
        """
        return done("io_uring: poll", (fd, events), lib.ring_poll(self._ring, fd, events))

    def begin_poll(self, fd: int, events: int) -> None:
        """Leave an IORING_OP_POLL_ADD pending, until `end` or `cancel`. There can be one such request at a time."""
        done("io_uring: poll", (fd, events), lib.ring_begin(self._ring, fd, events))

    def begin_recv(self, fd: int) -> None:
        """Leave an IORING_OP_RECV pending, until `end_recv` or `cancel`. There can be one such request at a time."""
        done("io_uring: recv", (fd,), lib.ring_begin(self._ring, fd, 0))

    def end(self) -> int:
        """Wait for what was left pending: revents. Raises CallError with the errno it completed with, or DeadlineExpired."""
        return done("io_uring: wait", (), lib.ring_end(self._ring, False))

    def end_recv(self) -> bytes:
        """Wait for what was left pending: the data. Raises CallError with the errno it completed with, or DeadlineExpired."""
        return bytes(ffi.unpack(self._ring.room, self.end()))

    def cancel(self) -> int:
        """IORING_OP_ASYNC_CANCEL of what was left pending, then as `end`: where it did wait, it raises CallError (ECANCELED)."""
        return done("io_uring: cancel", (), lib.ring_end(self._ring, True))


class AioContext:
    """A context of io_setup(2) that only polls. It stays until the process ends.

    Raises CallError: ENOSYS where the kernel is built without AIO.
    """

    def __init__(self) -> None:
        self._aio = ffi.new("struct aio *")
        checked("io_setup", (), lib.aio_open(self._aio))

    def poll(self, fd: int, events: int) -> int:
        """IOCB_CMD_POLL of one descriptor, cancelled if it doesn't complete at once: its revents, 0 for none.

        Linux 4.18. Raises CallError (EINVAL) where the kernel knows no such request (fs/aio.c aio_poll).
        """
        return done("aio: poll", (fd, events), lib.aio_poll(self._aio, fd, events))

    def begin_poll(self, fd: int, events: int) -> None:
        """Leave an IOCB_CMD_POLL pending, until `end` or `cancel`. There can be one such request at a time."""
        done("aio: poll", (fd, events), lib.aio_begin(self._aio, fd, events))

    def end(self) -> int:
        """Wait for what was left pending: revents. Raises DeadlineExpired."""
        return done("aio: wait", (), lib.aio_end(self._aio, False))

    def cancel(self) -> int:
        """io_cancel(2) of what was left pending, then as `end`: 0 where it did wait, for it completes without an event."""
        return done("aio: cancel", (), lib.aio_end(self._aio, True))
