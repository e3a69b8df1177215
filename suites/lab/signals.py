"""Which signals the suite uses, and what for."""

from __future__ import annotations

from native import SIGIO, SIGPIPE, SIGRTMIN, SIGURG, SIGUSR1, SIGUSR2

ARMED = SIGRTMIN + 6
"""What F_SETSIG asks for: a real-time signal, because those queue one for each event, in order, where SIGIO coalesces."""

WATCHED = frozenset({SIGIO, SIGURG, SIGPIPE, SIGUSR1, SIGUSR2, *range(SIGRTMIN, SIGRTMIN + 16)})
"""Blocked in every thread, so that they stay pending and are fetched with all of their siginfo."""
