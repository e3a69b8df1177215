"""The totals of each run in words, a line each: for terminals, and for whoever started the run."""

from __future__ import annotations

import argparse

from reports.commandline import add_records, read_records
from reports.visible import visible

HELP = "print each run's totals in words"

configure = add_records


def run(arguments: argparse.Namespace) -> int:
    """Print the totals; 0."""
    for one in read_records(arguments):
        print(visible(f"{one.head.target} ({one.head.kernel.release}): {one.in_words()}"))
    return 0
