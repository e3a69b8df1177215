"""The measure of what a case costs: what it has a target do."""

from __future__ import annotations

import pytest

from targets.registry import find
from targets.target import Job, TargetError
from tests import bench


def test_bare_boot_plans_no_case() -> None:
    """Nothing but the target's start and end is measured."""
    seconds, cases = bench._run_on(find("host"), bench.Idle)

    assert seconds > 0
    assert cases == 0


def test_empty_tests_run_without_the_suites() -> None:
    """Arguments that only the suites know mean nothing to them."""
    seconds, cases = bench._run_on(find("host"), bench.EmptyTests, count=3, arguments=("--deadline", "60"))

    assert seconds > 0
    assert cases == 0


def test_run_that_fails_says_what_was_printed() -> None:
    """A time that came of a broken run is no measure."""
    with pytest.raises(TargetError, match=r"(?s)host: it didn't end well:.*unrecognized arguments: --no-such-option"):
        bench._run_on(find("host"), Job, arguments=("--no-such-option",))
