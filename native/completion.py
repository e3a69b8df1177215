"""poll by completion: io_uring's and AIO's request that says when a descriptor is ready, asked without waiting."""

from __future__ import annotations

from native._native import ffi, lib
from native.trace import checked, done

__all__ = [
    "AioContext",
    "Ring",
]


class Ring:
    """A ring of io_uring(7) that only polls. It stays until the process ends; `fd` is its descriptor.

    Raises CallError: EPERM where io_uring is switched off (kernel.io_uring_disabled), ENOSYS where there is none.
    """

    def __init__(self) -> None:
        self._ring = ffi.new("struct ring *")
        self.fd = checked("io_uring_setup", (), lib.ring_open(self._ring))

    def poll(self, fd: int, events: int) -> int:
        """IORING_OP_POLL_ADD of one descriptor, cancelled if it doesn't complete at once: its revents, 0 for none.

        While it is pending it holds the open file (io_uring/poll.c io_poll_add), so nothing may be left pending.
        """
        return done("io_uring: poll", (fd, events), lib.ring_poll(self._ring, fd, events))


class AioContext:
    """A context of io_setup(2) that only polls. It stays until the process ends.

    Raises CallError: ENOSYS where the kernel is built without AIO.
    """

    def __init__(self) -> None:
        place = ffi.new("unsigned long *")
        checked("io_setup", (), lib.aio_open(place))
        self._context = place[0]

    def poll(self, fd: int, events: int) -> int:
        """IOCB_CMD_POLL of one descriptor, cancelled if it doesn't complete at once: its revents, 0 for none.

        Linux 4.18. Raises CallError (EINVAL) where the kernel knows no such request (fs/aio.c aio_poll).
        """
        return done("aio: poll", (fd, events), lib.aio_poll(self._context, fd, events))
