"""Plugins of pytest's that make a guest do what it shouldn't, at its first case (`-p tests.hostile.panics`)."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def at_each_case(act: Callable[[], None]) -> Callable[[pytest.TestReport], None]:
    """A hook that acts when a case has begun: its start is in the record, and nothing else of it."""

    @pytest.hookimpl(trylast=True)
    def begun(report: pytest.TestReport) -> None:
        if report.when == "setup":
            act()

    return begun
