"""`python -m reports`: a subcommand for each form that records can take.

Owns the command line and how errors are told: one sentence on standard error, exit code 2. A command is a module with
HELP, `configure(parser)`, which adds its arguments, and `run(arguments)`, which returns the exit code.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from reports import claims, diff, explain, handbook, html, junit, kcidb, ktap, paths, table, tmt, totals
from reports.output import OutputError
from reports.record import RecordError
from reports.visible import one_line

COMMANDS = {
    "claims": claims,
    "diff": diff,
    "explain": explain,
    "handbook": handbook,
    "html": html,
    "junit": junit,
    "kcidb": kcidb,
    "ktap": ktap,
    "paths": paths,
    "table": table,
    "tmt": tmt,
    "totals": totals,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code, 2 where a record or an output can't be used."""
    parser = argparse.ArgumentParser(prog="python -m reports", description="Make reports of sockwake's records.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=f"{module.HELP[0].upper()}{module.HELP[1:]}.")
        module.configure(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough, as head(1) has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (RecordError, OutputError) as error:
        print(f"python -m reports: {one_line(str(error))}", file=sys.stderr)
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
