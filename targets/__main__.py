"""`python -m targets`: list the targets, fetch their images, run the suites on one, or on several side by side.

Owns the command line and how errors are told. Exit codes are pytest's (0, 1, 2 interrupted, 4 usage), and 125 where a
target can't boot, or where the clause that was asked for can't be tried: `git bisect run` skips such a commit.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from reports.__main__ import main as reports
from reports.status import Status, wanted
from reports.visible import visible
from targets import matrix
from targets.registry import TARGETS, find
from targets.running import CANT_TELL, INTERRUPTED, Running
from targets.target import ROOT, Target, TargetError, UsageError

OUT = ROOT / "reports" / "out"
USAGE = 4
TICK = 0.1
"""Seconds between two looks at a run."""


class Parser(argparse.ArgumentParser):
    """Says that it was misused with the exit code that pytest has for it."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error."""
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: error: {message}\n")


def parser() -> Parser:
    """The command line."""
    parser = Parser(prog="python -m targets", description="Run the suites on this host and on other kernels.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="show all targets, and what keeps any from running here")
    fetch = commands.add_parser("fetch", help="get the images of targets, or see that the newest are there")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    epilog = "what stands after -- goes to pytest: python -m targets run uml-6.1 -- --clause reset.refused.is_an_error"
    run = commands.add_parser("run", help="run the suites on a target; leaves a record and a page", epilog=epilog)
    run.add_argument("name", metavar="NAME")
    run.add_argument("--kernel", type=Path, metavar="PATH", help="the kernel to boot, for the targets uml and vm")
    run.add_argument("--append", metavar="TEXT", help="parameters to add to the kernel's command line")
    run.add_argument(
        "--record", type=Path, metavar="FILE", help="where the record goes (default: reports/out/NAME.jsonl)"
    )
    row = commands.add_parser(
        "matrix", help="run the suites on several targets at once; one page of all", epilog=epilog
    )
    row.add_argument("names", nargs="+", metavar="NAME")
    row.add_argument(
        "--out", type=Path, metavar="FILE.html", default=OUT / "matrix.html", help="the page (default: %(default)s)"
    )
    for command in (run, row):
        command.add_argument(
            "--deadline", type=float, metavar="SECONDS", help="when a target is ended, counted from its start"
        )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    own, for_pytest = _split(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(own)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what is under way is ended either way
    try:
        match options.command:
            case "list":
                return _list()
            case "fetch":
                return _fetch(options.names)
            case "run":
                target = find(options.name).with_kernel(options.kernel, options.append)
                return _run(
                    target, (options.record or OUT / f"{options.name}.jsonl").absolute(), for_pytest, options.deadline
                )
            case _:
                return matrix.run([find(name) for name in options.names], options.out, for_pytest, options.deadline)
    except UsageError as error:
        print(f"sockwake: {error}", file=sys.stderr)
        return USAGE
    except TargetError as error:
        print(f"sockwake: {options.name if options.command == 'run' else 'matrix'}: {error}", file=sys.stderr)
        return CANT_TELL
    except KeyboardInterrupt:
        return INTERRUPTED


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What stands before the first --, and what stands after it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def _list() -> int:
    width = max(map(len, TARGETS))
    for target in TARGETS.values():
        print(f"{target.name:{width}}  {target.what}; {target.missing() or 'can run here'}")
    return 0


def _fetch(names: list[str]) -> int:
    """Fetch all that can be had, so that one that can't doesn't keep the others away."""
    failed = 0
    for target in [find(name) for name in dict.fromkeys(names)]:
        try:
            target.fetch(lambda line, name=target.name: print(f"{name}: {line}", flush=True))  # type: ignore[misc]
        except TargetError as error:
            print(f"sockwake: {target.name}: {error}", file=sys.stderr)
            failed = 1
    return failed


def _run(target: Target, record: Path, arguments: list[str], deadline: float | None) -> int:
    """Show what pytest prints on the target as it comes, on a terminal also how far it is, and then what came of it."""
    line = Status(_write) if wanted(sys.stdout.isatty()) else None
    whole = True  # a line that pytest hasn't ended isn't written over
    with Running(target, record, arguments, deadline) as running:
        try:
            while running.result is None:
                if printed := running.tick():
                    if line:
                        line.clear()
                    _show(printed)
                    whole = printed.endswith(b"\n")
                if line and whole and running.result is None:
                    line.show(lambda _: f"{target.name}: {running.state}")
                time.sleep(TICK)
        except KeyboardInterrupt:
            running.stop()
        result = running.result
    if line:
        line.clear()
    assert result
    if result.problem:
        print(f"sockwake: {target.name}: {result.problem}", file=sys.stderr)
    if result.run:
        page = record.with_suffix(".html")
        rendered = reports(["html", str(page), str(record)])
        print(f"\n{target.name}: {page}\n{' ' * len(target.name)}  {record}")
        return result.code or rendered
    return result.code


def _show(printed: bytes) -> None:
    _write("".join(map(visible, printed.decode(errors="replace").splitlines(keepends=True))))


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
