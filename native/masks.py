"""Sets of signals as the kernel has them: 64 bits, signal 1 the lowest."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache


def mask_of(signals: Iterable[int]) -> int:
    """The bits of a set of signals. Raises ValueError for a number that no signal has."""
    return _mask_of(frozenset(signals))


@lru_cache(maxsize=64)
def _mask_of(signals: frozenset[int]) -> int:
    mask = 0
    for signo in signals:
        if not 1 <= signo <= 64:
            raise ValueError(f"there is no signal {signo}: Linux numbers them from 1 to 64")
        mask |= 1 << (signo - 1)
    return mask


def signals_of(mask: int) -> frozenset[int]:
    """The signals whose bits are set."""
    return frozenset(signo for signo in range(1, 65) if mask >> (signo - 1) & 1)
