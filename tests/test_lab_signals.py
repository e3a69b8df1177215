"""Signals in the words of a clause."""

from __future__ import annotations

import pytest

from native import POLL_IN, SI_KERNEL, SI_USER, SIGIO, SIGSEGV, SIGURG, SIGUSR1, Siginfo
from suites.lab.signals import ARMED, in_words

ROLES = {5: "socket", 6: "peer"}
BAND = 0x41


def siginfo(signo: int, code: int, band: int = 0, fd: int = 0, pid: int = 0) -> Siginfo:
    """A siginfo with these fields and no others."""
    return Siginfo(
        signo=signo,
        errno=0,
        code=code,
        pid=pid,
        uid=0,
        band=band,
        fd=fd,
        status=0,
        value=0,
        layout="poll" if band else "kill",
        raw=bytes(128),
    )


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (siginfo(ARMED, POLL_IN, BAND, 5), "POLL_IN"),
        (siginfo(ARMED, POLL_IN, BAND, 6), "POLL_IN peer"),
        (siginfo(ARMED, POLL_IN, BAND, 7), "POLL_IN an unknown descriptor"),
        (siginfo(SIGUSR1, POLL_IN, BAND, 5), "POLL_IN socket SIGUSR1"),
        (siginfo(SIGURG, SI_KERNEL), "SIGURG"),
        (siginfo(SIGIO, SI_KERNEL), "SIGIO"),
        (siginfo(ARMED, POLL_IN, BAND | 0x8, 5), "armed code 1 band 0x49 of socket"),
        (siginfo(SIGSEGV, SI_USER), "SIGSEGV code 0 band 0x0"),
        (siginfo(SIGIO, SI_KERNEL, pid=1), "SIGIO code 128 band 0x0"),
    ],
)
def test_signal_is_told_as_a_clause_writes_it(info: Siginfo, words: str) -> None:
    """What no clause can write is told field by field."""
    assert in_words(info, ROLES) == words
