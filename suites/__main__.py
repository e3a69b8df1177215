"""`python -m suites`: explain a clause, judge a record again under today's specification, or record a target's deviations."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from suites import deviation
from suites.catalogue import all_cases
from suites.clauses import Specification, SpecificationError, load
from suites.execution import lacking_observers, running_version
from suites.judge import judge
from suites.tracing import Interest, compared


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code: 0, and 2 for what can't be used."""
    parser = argparse.ArgumentParser(prog="python -m suites", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    explained = commands.add_parser(
        "explain", help="print what a clause says, what it expects, and the case that drives it"
    )
    explained.add_argument("clause", help="the clause's id")
    judged = commands.add_parser("judge", help="judge recorded observations again under today's specification")
    judged.add_argument("records", nargs="+", type=Path, metavar="FILE", help="records")
    judged.add_argument("-o", dest="out", required=True, type=Path, metavar="NEW", help="where the new record goes")
    deviating = commands.add_parser(
        "deviations",
        help="write a target's deviations anew after runs on it; what no cause explains is told, and left out",
    )
    deviating.add_argument("records", nargs="+", type=Path, metavar="FILE", help="records of runs on one target")
    deviating.add_argument("-o", dest="out", type=Path, metavar="NEW", help="default: suites/deviations/TARGET.toml")
    options = parser.parse_args(argv)
    try:
        specification = load()
        if options.command == "explain":
            print(explain(specification, options.clause))
        elif options.command == "deviations":
            record_deviations(options.records, options.out)
        else:
            judge_again(specification, options.records, options.out)
    except (SpecificationError, OSError) as error:
        print(f"sockwake: {error}", file=sys.stderr)
        return 2
    return 0


def explain(specification: Specification, name: str) -> str:
    """A clause in words, as it stands in the specification."""
    clause = specification.clause(name)
    said = [f"{clause.id} ({clause.level}): {clause.title}", "", textwrap.fill(clause.text, 100), ""]
    for word, values in (
        ("claims", clause.claims),
        ("covers", clause.covers),
        ("references", clause.refs),
        ("kernel path", clause.path),
        ("families", clause.families),
        ("variants", clause.variants),
        ("needs", clause.needs),
    ):
        if values:
            said.append(textwrap.fill(f"{word}: {', '.join(values)}", 100, subsequent_indent="  "))
    for moment, stated in clause.expect.items():
        said += ["", f"at {moment}:", *(f"  {key} = {json.dumps(value)}" for key, value in stated.items())]
    for change in clause.changes:
        said += ["", f"from {' or '.join(change.since)} on: {change.why}"]
        said += [f"  at {moment}: {json.dumps(stated)}" for moment, stated in change.expect.items()]
    said += [f"\n{source.module}:\n\n{source.text}" for source in all_cases() if source.clause == name]
    return "\n".join(said)


def judge_again(specification: Specification, records: list[Path], out: Path) -> None:
    """Write a new record in which every recorded observation has today's outcome and verdict."""
    if out.exists() and not _is_record(out):
        raise SpecificationError(f"{out} isn't a sockwake record and is left as it is: name another file")
    lines = [line for path in records for line in _judged(specification, path)]
    out.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def record_deviations(records: list[Path], out: Path | None) -> None:
    """Write the deviations that are the same in all records and that causes explain; print what is left out."""
    runs = [list(_lines(path)) for path in records]
    targets = {line["target"] for lines in runs for line in lines if line["type"] == "run"}
    if len(targets) != 1:
        raise SpecificationError(f"the records are of {len(targets)} targets: name those of one")
    (target,) = targets
    cases = [[line for line in lines if line["type"] == "case" and line["outcome"] != "MISS"] for lines in runs]
    text, unexplained, unsteady = deviation.propose(target, cases)
    (out or deviation.FOLDER / f"{target}.toml").write_text(text)
    for case, verdicts in unsteady.items():
        print(f"differs from run to run, and is left out: {case}")
        print("".join(f"    {_plain(verdict) or 'PASS'}\n" for verdict in verdicts), end="")
    for difference, count in unexplained.most_common():
        print(f"no cause explains it, in {count}: {_plain(difference)}")


def _plain(text: str) -> str:
    """A verdict for the terminal: it may be of any bytes."""
    return text.encode("unicode_escape").decode()


def _judged(specification: Specification, path: Path) -> Iterator[dict[str, Any]]:
    kernel: tuple[int, ...] | None = None
    lacking: frozenset[str] = frozenset()
    planned = 0
    counts: Counter[str] = Counter()
    interest: Interest | None = None
    found: dict[str, str] = {}
    told = False
    for line in _lines(path):
        match line.get("type"):
            case "run":
                kernel = running_version(line["kernel"])
                lacking = lacking_observers(line["capabilities"])
                planned = len(line["planned"])
                line = line | {"specification": specification.sha256}
                interest, found, told = Interest(specification, kernel), {}, False
            case "function":
                found |= line["found"]
                continue  # all are told anew
            case "clause":
                if found and interest and not told:
                    yield from interest.lines(line["run"], found)
                    told = True
                line = line | {"path": list(specification.clause(line["id"]).path)}
            case "path" if interest:
                clause, variant = specification.clause(line["clause"]), _variant(line)
                drawn = interest.path(clause, line["family"], variant, found)
                line = line | compared(drawn, line["tasks"], whole=not line["lost"] + line["omitted"])
            case "case":
                line = _judged_case(specification, line, kernel, lacking)
                counts[line["outcome"]] += 1
            case "end":
                counts["MISS"] = planned - sum(counts.values())
                line = line | {"counts": {outcome: counts[outcome] for outcome in line["counts"]}}
        yield line


def _judged_case(
    specification: Specification, line: dict[str, Any], kernel: tuple[int, ...] | None, lacking: frozenset[str]
) -> dict[str, Any]:
    if line["outcome"] not in ("PASS", "FAIL") or not line["observed"] or line["verdict"].startswith("hung"):
        return line
    clause = specification.clause(line["clause"])
    expected = specification.expectation(clause, line["family"], _variant(line), kernel, lacking)
    outcome, verdict = judge(expected, line["observed"])
    return line | {"expected": expected, "outcome": outcome, "verdict": verdict, "level": clause.level}


def _variant(line: dict[str, Any]) -> str | None:
    """Which of its clause's variants a case is, by its name."""
    return line["case"].rpartition("[")[2].removesuffix("]").removeprefix(line["family"]).removeprefix("-") or None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for number, text in enumerate(path.read_text().splitlines(), 1):
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            print(f"sockwake: {path}: line {number} isn't whole and is left out", file=sys.stderr)
            continue
        yield line


def _is_record(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline().startswith(b'{"type":"run"') or path.stat().st_size == 0


if __name__ == "__main__":
    sys.exit(main())
