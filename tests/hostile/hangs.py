"""A case never ends, and nothing in the guest ends it."""

from __future__ import annotations

import os
import signal

from tests.hostile import at_each_case


@at_each_case
def pytest_runtest_logreport() -> None:
    """A stopped process doesn't give up; neither does the shell that waits for it."""
    os.kill(os.getpid(), signal.SIGSTOP)
