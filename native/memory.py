"""Memory for calls to write to: buffers that each thread has for good, and memory of its own for what outgrows them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from native._native import ffi

SMALL = 65_536
ADDRESS_SIZE = 128
"""Bytes of a struct sockaddr_storage."""

SIGNALS = 1024
"""How many signals are fetched at once."""

EVENTS = 256
"""How many epoll events a buffer has room for."""


class _Buffers(threading.local):
    def __init__(self) -> None:
        self.data = ffi.new("char[]", SMALL)
        self.address = ffi.new("char[]", ADDRESS_SIZE)
        self.ints = ffi.new("int[4]")
        self.words = ffi.new("uint64_t[4]")
        self.pairs = ffi.new("uint64_t[]", 2 * EVENTS)
        self.signals = ffi.new("struct signal_record[]", SIGNALS)
        self.census = ffi.new("struct census *")


buffers = _Buffers()
"""This thread's."""


def room(size: int) -> Any:
    """Memory for `size` bytes that is good until this thread's next call."""
    return buffers.data if size <= SMALL else ffi.new("char[]", size)


def parts_of(data: Sequence[bytes]) -> tuple[Any, list[Any]]:
    """A struct iovec[] over pieces of data, and what must be kept alive with it."""
    kept = [ffi.from_buffer("char[]", piece) for piece in data]
    return ffi.new("struct iovec[]", [(piece, len(piece)) for piece in kept]), kept


def parts_for(sizes: Sequence[int]) -> tuple[Any, list[Any]]:
    """A struct iovec[] over empty buffers of these sizes, and the buffers."""
    kept = [ffi.new("char[]", size) for size in sizes]
    return ffi.new("struct iovec[]", [(buffer, size) for buffer, size in zip(kept, sizes, strict=True)]), kept


def gathered(parts: Sequence[Any], sizes: Sequence[int], length: int) -> bytes:
    """The first `length` bytes of buffers that a call filled one after the other."""
    found = b""
    for part, size in zip(parts, sizes, strict=True):
        found += ffi.unpack(part, min(size, length - len(found)))
    return found
