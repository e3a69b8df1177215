"""Which signals the suite uses, and what for."""

from __future__ import annotations

from collections.abc import Mapping
from signal import Signals

from native import SI_KERNEL, SIGIO, SIGPIPE, SIGRTMIN, SIGURG, SIGUSR1, SIGUSR2, Siginfo
from suites.clauses import BANDS, SUBJECT
from suites.judge import REASONS

ARMED = SIGRTMIN + 6
"""What F_SETSIG asks for: a real-time signal, because those queue one for each event, in order, where SIGIO coalesces."""

WATCHED = frozenset({SIGIO, SIGURG, SIGPIPE, SIGUSR1, SIGUSR2, *range(SIGRTMIN, SIGRTMIN + 16)})
"""Blocked in every thread, so that they stay pending and are fetched with all of their siginfo."""


def in_words(info: Siginfo, roles: Mapping[int, str]) -> str:
    """A signal as a clause writes it: "POLL_IN", "POLL_IN peer", "POLL_IN socket SIGUSR1", "SIGURG", "SIGIO".

    `roles` are names of descriptors. What no clause can write, a band that isn't its code's, say, is told field by field.
    """
    name = "armed" if info.signo == ARMED else Signals(info.signo).name
    role = roles.get(info.fd, "an unknown descriptor")
    plain = info.errno == info.pid == info.uid == 0
    if plain and info.code in REASONS and info.band == BANDS[info.code]:
        words = [REASONS[info.code], role, name]
        return " ".join(words[:1] if words[1:] == [SUBJECT, "armed"] else words[:2] if name == "armed" else words)
    if plain and info.code == SI_KERNEL and name != "armed":
        return name
    band = f"{info.band:#x}" if info.band < 1 << 32 else "beyond 32 bits"  # an emulator may have a descriptor there
    return f"{name} code {info.code} band {band}" + (f" of {role}" if info.layout == "poll" else "")
