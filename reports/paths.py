"""Paths through the kernel in the terminal: which functions were seen on which kernel, and a clause's path beside what was called.

Owns how they are printed. What came of functions is `reports.courses` and `reports.coverage`; the page is the other form of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence

from reports.commandline import add_records, read_records
from reports.courses import WORDS, Column, Comparison, comparisons, name_of, named_way, on, tree
from reports.coverage import Alike, Covered, by_document, cost, coverage, titles, traced
from reports.matrix import Row, labels, ordered, rows, statements
from reports.record import RecordError, Run
from reports.terminal import Paint, Style, coloured, fold, width
from reports.traces import PathStep
from reports.visible import one_line

HELP = "print which of the kernel's functions were seen, or a clause's path beside what each kernel called"

UNTRACED = (
    "the records have no traces: run the suites with --record and --trace-path, on a target whose kernel has ftrace"
)
NAMES = 30
"""Columns for functions' names."""

WHOLE = 4_000
"""How many lines of a tree of calls are printed."""

COLOURS: dict[str, Style] = {"elsewhere": "red", "not called": "red", "replaced": "yellow", "gone": "yellow"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--clause", action="append", metavar="ID", help="this clause's path instead; may be given again"
    )
    parser.add_argument("--calls", action="store_true", help="with --clause: also all calls of one case of each kind")
    add_records(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print them; 0. Raises RecordError, also where no record has the clause."""
    runs, columns, paint = ordered(read_records(arguments)), width(), Paint(coloured())
    lines = [
        line
        for name in arguments.clause or ()
        for line in ("", paint(one_line(name), "bold"), *_of_clause(name, runs, columns, paint, arguments.calls))
    ][1:]
    for line in lines or seen(runs, columns, paint):
        print(line)
    return 0


def _short(runs: Sequence[Run]) -> list[str]:
    """What runs are called in few words: as their targets, where that is enough."""
    targets = [one.head.target for one in runs]
    return targets if len(set(targets)) == len(targets) else labels(runs)


# One clause


def _of_clause(name: str, runs: Sequence[Run], columns: int, paint: Paint, calls: bool) -> Iterator[str]:
    matrix = {row.id: row for row in rows(runs)}
    if name not in matrix:
        raise RecordError(f"there is no clause {name!r} in the records; they have {len(matrix)} others")
    lines = list(taken(matrix[name], runs, columns, paint, calls))
    yield from lines or ["no case of it was traced, or it draws no path"]


def taken(row: Row, runs: Sequence[Run], columns: int, paint: Paint, calls: bool = False) -> Iterator[str]:
    """A clause's path beside what kernels called, those that called the same together; nothing where it wasn't traced."""
    names = {place: name for place, name in enumerate(_short(runs)) if runs[place].paths}
    for comparison in comparisons(row, runs):
        for course in comparison.courses:
            for column in course.columns:
                heading = f"{', '.join(course.cases)}, on {on(column.places, names)}"
                yield from ("", *fold(one_line(heading), columns, "  ", "  "))
                yield from _steps(column, columns, paint)
                if calls:
                    yield ""
                    for line in tree(column.example, WHOLE):
                        text = f"      {'>' if line.marked else ' '} {line.text}"
                        yield paint(text, "bold") if line.marked else text
        yield from _notes(comparison, names, columns)


def _steps(column: Column, columns: int, paint: Paint) -> Iterator[str]:
    wide = max(len(name_of(step.function)) for step in column.steps)
    for step, changed in zip(column.steps, column.changed, strict=True):
        mark = "Δ" if changed else " "
        text = f"{mark} {name_of(step.function):{min(wide, columns // 2)}}  {_state(step)}"
        styles = [COLOURS[step.state]] if step.state in COLOURS else []
        yield from (paint(line, *styles) for line in fold(text, columns, "    ", "        "))
        if step.between:
            yield from fold(f"by way of {named_way(step.between)}", columns, " " * 10)


def _state(step: PathStep) -> str:
    symbol, word, _ = WORDS[step.state]
    name = f"{'' if step.state == 'replaced' else ':'} {name_of(step.as_)}" if step.as_ else ""
    return f"{symbol} {word}{name}"


def _notes(comparison: Comparison, names: Mapping[int, str], columns: int) -> Iterator[str]:
    if comparison.left_out:
        yield from ("", *fold(f"{comparison.left_out} more took other ways, which aren't shown", columns, "  "))
    if comparison.notes:
        yield ""
    for note in comparison.notes:
        yield from fold(one_line(f"{note.words} ({on(note.places, names)})"), columns, "  ", "    ")


# All functions


def seen(runs: Sequence[Run], columns: int, paint: Paint) -> Iterator[str]:
    """Document by document which functions were seen, those of which only clauses know last, and what tracing each run cost."""
    if not traced(runs):
        yield UNTRACED
        return
    tracing = [one for one in runs if one.functions or one.paths]
    names = dict(enumerate(_short(tracing)))
    functions = coverage(tracing)
    called = titles(statements(runs))
    for document, group in by_document(functions):
        title = called.get(document, f"Document {document}") if document else "Functions that only clauses name"
        yield from (paint(line, "bold") for line in fold(one_line(title), columns))
        for function in group:
            yield from _covered(function, names, columns, paint)
        yield ""
    named = [function for function in functions if function.documents]
    never = [name_of(function.name) for function in named if not function.seen]
    reached = f"{len(named)} functions of documents: {len(named) - len(never)} seen, or what does their work"
    yield from fold(f"{reached}; {len(never)} never{': ' if never else ''}{', '.join(never)}", columns, rest="  ")
    for label, one in zip(labels(runs), runs, strict=True):
        if spent := cost(one):
            yield from fold(one_line(f"{label}: {spent.words}"), columns, rest="  ")


def _covered(function: Covered, names: Mapping[int, str], columns: int, paint: Paint) -> Iterator[str]:
    first, rest = f"  {name_of(function.name):{NAMES}} ", " " * (NAMES + 3)
    for alike in function.together():
        styles = [COLOURS[alike.state]] if alike.state in COLOURS else []
        words = one_line(f"{_word(alike)}: {on(alike.places, names)}{_count(alike)}")
        yield from (paint(line, *styles) for line in fold(words, columns, first, f"{rest}  "))
        first = rest
    if function.plainest:
        yield from fold(one_line(f"under {', '.join(function.plainest)}"), columns, f"{rest}  ")
    for reason in function.reasons:
        yield from fold(one_line(reason.told(list(names.values()))), columns, f"{rest}  ")


def _word(alike: Alike) -> str:
    if alike.state not in WORDS:
        return alike.state
    symbol, word, _ = WORDS[alike.state]
    return f"{symbol} {word}" + (f" {', '.join(map(name_of, alike.names))}" if alike.state == "replaced" else "")


def _count(alike: Alike) -> str:
    if not alike.most:
        return ""
    number = f"{alike.least}" if alike.least == alike.most else f"{alike.least} to {alike.most}"
    return f", in {number} clause{'s' if alike.most > 1 else ''}"
