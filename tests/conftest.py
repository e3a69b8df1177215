"""What the tests share: one run of the suites on this kernel, and a way to run pytest on a folder of cases."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run of the suites came to: exit code, what it printed, and its record's lines."""

    code: int
    output: str
    lines: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The lines of one type."""
        return [line for line in self.lines if line["type"] == kind]


def suites_command(record: Path, *arguments: str) -> list[str]:
    """pytest on the suites of the working directory, with a record and nothing cached."""
    return [sys.executable, "-m", "pytest", "suites", "--record", str(record), "-p", "no:cacheprovider", *arguments]


def run_suites(record: Path, *arguments: str, root: Path = ROOT, timeout: float = 300) -> Ran:
    """Run pytest on the suites of a checkout, with a record."""
    result = subprocess.run(
        suites_command(record, *arguments), cwd=root, capture_output=True, text=True, timeout=timeout
    )
    lines = [json.loads(line) for line in record.read_text().splitlines()] if record.is_file() else []
    return Ran(code=result.returncode, output=result.stdout + result.stderr, lines=lines)


@pytest.fixture(scope="session")
def host_run(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The suites on this host's kernel, run once for all tests."""
    return run_suites(tmp_path_factory.mktemp("host") / "host.jsonl")


@pytest.fixture(scope="session")
def host_cases(host_run: Ran) -> list[dict[str, Any]]:
    """The case lines of that run."""
    return host_run.of("case")
