"""Children that may do less than the process they come from.

Owns how a right is given up; never gives one.
"""

from __future__ import annotations

import struct

from native import RLIMIT_NOFILE, Child, SYS_capset, getrlimit, prlimit

LINUX_CAPABILITY_VERSION_3 = 0x20080522
_NO_CAPABILITIES = bytes(2 * 3 * 4)  # effective, permitted and inheritable, 64 bits each in two halves


def drop_capabilities(child: Child) -> None:
    """Have a child give up all its capabilities, capset(2), which it may whoever it is."""
    child.call("capset", SYS_capset, struct.pack("=Ii", LINUX_CAPABILITY_VERSION_3, 0), _NO_CAPABILITIES)


def fill_table(child: Child) -> None:
    """Leave a child no room for another descriptor: the limit is on their numbers, not on how many are open."""
    prlimit(RLIMIT_NOFILE, 0, getrlimit(RLIMIT_NOFILE, child.pid)[1], child.pid)
