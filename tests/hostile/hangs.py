"""A case never ends, and nothing in the guest ends it."""

from __future__ import annotations

import os
import signal


def pytest_runtest_call() -> None:
    """A stopped process doesn't give up; neither does the shell that waits for it."""
    os.kill(os.getpid(), signal.SIGSTOP)
