"""The kernel's log."""

from __future__ import annotations

from native._native import ffi, lib
from native.memory import SMALL, buffers
from native.trace import done

__all__ = [
    "kernel_log",
]

SYSLOG_ACTION_READ_ALL = 3


def kernel_log() -> str:
    """syslog(2) SYSLOG_ACTION_READ_ALL: the last 64 KiB of the kernel's log. EPERM where kernel.dmesg_restrict keeps it."""
    length = done("syslog", (SYSLOG_ACTION_READ_ALL,), lib.sys_klogctl(SYSLOG_ACTION_READ_ALL, buffers.data, SMALL))
    text: bytes = ffi.unpack(buffers.data, length)
    return text.decode(errors="replace")
