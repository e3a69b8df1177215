"""What the numbers in a record are called: poll masks, select's sets, signals and the fields of siginfo.

Owns the tables that every form of a report decodes with. They are the kernel's ABI as x86, ARM and RISC-V share it,
and not the constants of the machine that renders, so that the same record gives the same text everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

POLL_BITS = {
    "POLLIN": 0x0001,
    "POLLPRI": 0x0002,
    "POLLOUT": 0x0004,
    "POLLERR": 0x0008,
    "POLLHUP": 0x0010,
    "POLLNVAL": 0x0020,
    "POLLRDNORM": 0x0040,
    "POLLRDBAND": 0x0080,
    "POLLWRNORM": 0x0100,
    "POLLWRBAND": 0x0200,
    "POLLMSG": 0x0400,
    "POLLRDHUP": 0x2000,
}
"""poll(2)'s event bits (include/uapi/asm-generic/poll.h). epoll's have the same values."""

SELECT_SETS = {"read": 1, "write": 2, "except": 4}
"""In which of select(2)'s sets a descriptor was found."""

SIGNALS = {
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    6: "SIGABRT",
    9: "SIGKILL",
    10: "SIGUSR1",
    11: "SIGSEGV",
    12: "SIGUSR2",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
    17: "SIGCHLD",
    23: "SIGURG",
    29: "SIGIO",
}
"""Signals that a case may meet, by number (signal(7))."""

SIGRTMIN, SIGRTMAX = 34, 64
"""The real-time signals that glibc leaves to programs (signal(7))."""

POLL_CODES = {1: "POLL_IN", 2: "POLL_OUT", 3: "POLL_MSG", 4: "POLL_ERR", 5: "POLL_PRI", 6: "POLL_HUP"}
"""si_code of a signal that tells of an event on a descriptor (siginfo.h, NSIGPOLL)."""

SENDER_CODES = {0x80: "SI_KERNEL", 0: "SI_USER", -1: "SI_QUEUE", -5: "SI_SIGIO", -6: "SI_TKILL"}
"""si_code that tells who sent a signal, for any signal (sigaction(2))."""


def poll_mask(mask: int) -> str:
    """A poll mask, "POLLIN|POLLRDNORM (0x41)"; "0" for an empty one."""
    return _mask(mask, POLL_BITS)


def select_sets(mask: int) -> str:
    """The sets of select, "read|write (0x3)"; "0" for none."""
    return _mask(mask, SELECT_SETS)


def _mask(mask: int, bits: Mapping[str, int]) -> str:
    names = mask_names(mask, bits)
    return f"{'|'.join(names)} ({mask:#x})" if mask & sum(bits.values()) else hex(mask) if mask else "0"


def mask_names(mask: int, bits: Mapping[str, int]) -> list[str]:
    """The names of a mask's bits; the rest, if there is one, as a number."""
    rest = mask & ~sum(bits.values())
    return [*(name for name, bit in bits.items() if mask & bit), *([hex(rest)] if rest else [])]


def signal_name(number: int) -> str:
    """A signal by its name, "SIGIO" or "SIGRTMIN+6"."""
    if SIGRTMIN <= number <= SIGRTMAX:
        return f"SIGRTMIN+{number - SIGRTMIN}" if number > SIGRTMIN else "SIGRTMIN"
    return SIGNALS.get(number, f"signal {number}")


def signal_number(name: str) -> int | None:
    """The number of a signal that has a name of its own; None for a name that isn't known."""
    return next((number for number, known in SIGNALS.items() if known == name), None)


def si_code(code: int) -> str:
    """An si_code by its name. POLL_* are the positive small ones, which all signals of a descriptor's events have."""
    return POLL_CODES.get(code) or SENDER_CODES.get(code) or str(code)
