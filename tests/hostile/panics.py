"""The kernel panics while a case runs."""

from __future__ import annotations

from pathlib import Path


def pytest_runtest_call() -> None:
    """sysrq's way of testing crash dumps."""
    Path("/proc/sysrq-trigger").write_text("c")
