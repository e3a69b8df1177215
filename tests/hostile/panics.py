"""The kernel panics while a case runs."""

from __future__ import annotations

from pathlib import Path

from tests.hostile import at_each_case


@at_each_case
def pytest_runtest_logreport() -> None:
    """sysrq's way of testing crash dumps."""
    Path("/proc/sysrq-trigger").write_text("c")
