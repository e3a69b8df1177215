"""A plugin of pytest's that has the fence found unsound, as if the kernel delivered late (`-p tests.late`)."""

from __future__ import annotations

from suites.lab.capabilities import PROBES, Late


def late() -> str:
    """The answer of a probe that has seen it."""
    raise Late("one segment came late")


PROBES |= {"one_queue": late, "fence": late}
