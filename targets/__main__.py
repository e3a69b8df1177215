"""`python -m targets`: list what can be run here, and run it."""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

from reports.__main__ import main as reports
from targets import host
from targets.host import ROOT, TargetError

OUT = ROOT / "reports" / "out"


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code: pytest's, and 2 for bad usage."""
    parser = argparse.ArgumentParser(prog="python -m targets", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="show the targets and whether they can run here")
    run = commands.add_parser(
        "run",
        help="run the suites on a target; leaves a record and a page",
        epilog="what stands after -- goes to pytest: python -m targets run host -- -n auto --clause reset.refused.is_an_error",
    )
    run.add_argument("name", choices=["host"], help="the target")
    run.add_argument("--record", type=Path, help="where the record goes (default: reports/out/NAME.jsonl)")
    given = sys.argv[1:] if argv is None else argv
    own, for_pytest = split(given)
    options = parser.parse_args(own)
    if options.command == "list":
        print(f"host    this kernel, {platform.system()} {platform.release()} on {platform.machine()}; can run here")
        return 0
    try:
        return _run(options.name, options.record, for_pytest)
    except TargetError as error:
        print(f"sockwake: {error}", file=sys.stderr)
        return 2


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before the first --, and what stands after it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def _run(name: str, record: Path | None, arguments: list[str]) -> int:
    record = (record or OUT / f"{name}.jsonl").absolute()
    page = record.with_suffix(".html")
    before = record.stat().st_mtime_ns if record.exists() else None
    code = host.run(record, arguments)
    if not record.exists() or record.stat().st_mtime_ns == before:
        return code  # nothing was run: pytest has said why
    rendered = reports(["html", str(page), str(record)])
    if rendered == 0:
        print(f"\n{name}: {page}\n{' ' * len(name)}  {record}")
    return code or rendered


if __name__ == "__main__":
    sys.exit(main())
