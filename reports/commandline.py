"""What the commands share: the arguments that name records, and reading them with their warnings on standard error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from reports.record import Run, read
from reports.visible import one_line


def add_records(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name records."""
    parser.add_argument(
        "records", nargs="+", type=Path, metavar="FILE", help="a record; runs of all files stand side by side"
    )


def read_records(arguments: argparse.Namespace) -> list[Run]:
    """The runs of the records that are named. Raises RecordError."""
    return read_files(arguments.records)


def read_files(paths: Iterable[Path]) -> list[Run]:
    """The runs of some files. What they lack is said once, as a warning. Raises RecordError."""
    runs = read(paths)
    for run in runs:
        for warning in run.warnings:
            print(one_line(f"warning: {run.path}: run {run.head.run}: {warning}"), file=sys.stderr)
    return runs
