"""The options that a run of the suites adds to pytest's. What they ask for travels as `suites.execution.Settings`."""

from __future__ import annotations

from pathlib import Path

import pytest


def add(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("sockwake", "sockwake: conformance of Linux socket event notification")
    group.addoption("--record", type=Path, metavar="FILE", help="write the record (JSON Lines) to FILE")
    several = {"nargs": "+", "action": "extend", "default": []}
    group.addoption("--clause", metavar="ID", help="run only the cases of these clauses", **several)
    group.addoption("--family", metavar="NAME", help="run only the cases on these socket families", **several)
    group.addoption(
        "--target", default="host", metavar="NAME", help="what the kernel is called in the record (default: host)"
    )
    group.addoption(
        "--deadline", type=float, default=5.0, metavar="SECONDS", help="when a case that hangs is ended (default: 5)"
    )
    group.addoption(
        "--repeat", type=int, default=1, metavar="N", help="execute each case N times; the first that differs counts"
    )
    group.addoption("--shuffle", type=int, metavar="SEED", help="execute the cases in an order that SEED decides")
    group.addoption(
        "--as-kernel", metavar="VERSION", help="judge as if this Linux version ran (default: the one that runs)"
    )
    group.addoption(
        "--trace-path",
        action="store_true",
        help="trace each case with ftrace, and compare the functions that the kernel called with the clause's path",
    )
