"""A plugin of pytest's that runs no case (`-p targets.plan`): the record then has what is planned, and no more.

That is how the record of a kernel that never came to its first case gets its plan: from this host.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> bool:
    """Say that all has been run."""
    return True
