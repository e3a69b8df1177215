"""A clause's path beside what kernels did: what came of each of its functions, case by case and kernel by kernel.

Owns which cases and kernels are told together, where a path changed, and how much of a tree of calls is shown. Knows no form: the
page and the terminal's account are made of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reports.evidence import parameters
from reports.matrix import Row, together
from reports.record import Run
from reports.traces import Call, Function, Path, PathStep
from reports.visible import one_line, visible

ALTERNATIVES = "|"
"""What stands in an element of a path between functions of which each family takes one."""

WORDS = {
    "ran": ("●", "ran", "was called, in its place"),
    "replaced": ("→", "replaced by", "another function did its work, and was called in its place"),
    "inlined": (
        "⊂",
        "inlined",
        "has no symbol of its own in this build: it is part of its callers, and isn't seen apart",
    ),
    "untraceable": ("?", "untraceable", "has a symbol, and the tracer can't see it"),
    "gone": ("∅", "gone", "nothing has its place on this kernel"),
    "elsewhere": ("↷", "elsewhere", "was called, but not in this place"),
    "not called": ("○", "not called", "could have been seen, and wasn't called"),
    "not traced": ("…", "not traced", "nobody knows: events were lost, or the record is older than the path"),
}
"""Symbol, word and meaning of what can come of a function."""

ASTRAY = ("elsewhere", "not called")
"""The states that say that a kernel took another path than the one that is drawn."""

LINES = 80
"""How many calls of a tree are shown."""

COLUMNS = 16
"""How many ways that cases took are shown of a clause."""

STEPS = 100
"""How many functions of a path are shown."""

WAY = 8
"""How many of the calls between two functions of a path are named."""

NAME = 100
"""How much of a function's name is shown, in bytes."""

TIMES = "\N{MULTIPLICATION SIGN}"

INDENTS = 32
"""How many levels of a tree are indented."""


class Column(NamedTuple):
    """The steps of some cases on some kernels, whose `places` are theirs among the runs; `example` is one of them, on the oldest.

    `changed` says of each step whether it is another than on the kernel before.
    """

    places: tuple[int, ...]
    steps: tuple[PathStep, ...]
    changed: tuple[bool, ...]
    example: Path


class Course(NamedTuple):
    """Cases with the same steps on each kernel, and their steps, oldest kernel first."""

    cases: tuple[str, ...]
    columns: tuple[Column, ...]


class Note(NamedTuple):
    """Why functions are others than of old: the function's name, what is in its place, since when and why, and on which kernels."""

    name: str
    now: tuple[str, ...]
    since: tuple[str, ...]
    why: str
    places: tuple[int, ...]

    @property
    def words(self) -> str:
        """The note as a sentence."""
        now = " or ".join(map(name_of, self.now)) or "gone"
        what = name_of(self.name) + (f" is {now}" if self.now != (self.name,) else "")
        since = f" since {', '.join(self.since)}" if self.since else ""
        return f"{what}{since}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A clause's path in all runs that traced it: its elements, the ways that cases took, and how many of these aren't shown."""

    elements: tuple[str, ...]
    courses: tuple[Course, ...]
    notes: tuple[Note, ...]
    left_out: int


def comparisons(row: Row, runs: Sequence[Run]) -> list[Comparison]:
    """What runs, oldest kernel first, traced of a clause: one comparison, more only where their clauses draw different paths."""
    seen: dict[str, dict[int, Path]] = {}
    for place, (run, cell) in enumerate(zip(runs, row.cells, strict=True)):
        for case in cell.cases:
            if path := run.paths.get(case.case):
                seen.setdefault(parameters(case), {})[place] = path
    drawn: dict[tuple[str, ...], list[tuple[str, dict[int, Path]]]] = {}
    for case_name, paths in seen.items():
        by_elements: dict[tuple[str, ...], dict[int, Path]] = {}
        for place, path in paths.items():
            if path.steps:
                by_elements.setdefault(tuple(step.function for step in path.steps), {})[place] = path
        for elements, part in by_elements.items():
            drawn.setdefault(elements, []).append((case_name, part))
    return [_comparison(elements, cases, runs) for elements, cases in drawn.items()]


def _comparison(
    elements: tuple[str, ...], cases: Sequence[tuple[str, dict[int, Path]]], runs: Sequence[Run]
) -> Comparison:
    groups: list[tuple[list[str], dict[int, Path]]] = []
    for name, paths in cases:
        for names, known in groups:
            if all(place in known and known[place].steps == path.steps for place, path in paths.items()):
                few = f" ({len(paths)} of {len(known)} kernels)" if len(paths) < len(known) else ""
                names.append(name + few)
                break
        else:
            groups.append(([name], paths))
    courses: list[Course] = []
    room = COLUMNS
    for names, paths in groups:
        columns = _columns(paths)
        if courses and len(columns) > room:
            break
        courses.append(Course(tuple(names), tuple(columns)))
        room -= len(columns)
    shown = {place for course in courses for column in course.columns for place in column.places}
    return Comparison(
        elements=elements[:STEPS],
        courses=tuple(courses),
        notes=tuple(_notes(elements[:STEPS], {place: runs[place].functions for place in sorted(shown)})),
        left_out=sum(len(names) for names, _ in groups[len(courses) :]),
    )


def _columns(paths: Mapping[int, Path]) -> list[Column]:
    columns: list[Column] = []
    for steps, places in together({place: paths[place].steps for place in sorted(paths)}):
        steps = steps[:STEPS]
        before = columns[-1].steps if columns else steps
        changed = tuple(step != other for step, other in zip(steps, before, strict=True))
        columns.append(Column(tuple(places), steps, changed, paths[places[0]]))
    return columns


def _notes(elements: Sequence[str], functions: Mapping[int, Mapping[str, Function]]) -> Iterator[Note]:
    found: dict[tuple[str, tuple[str, ...], tuple[str, ...], str], list[int]] = {}
    for name in dict.fromkeys(name for element in elements for name in element.split(ALTERNATIVES)[:STEPS]):
        for place, known in functions.items():
            function = known.get(name)
            if function and function.why:
                found.setdefault((name, function.now, function.since or (), function.why), []).append(place)
    for (name, now, since, why), places in found.items():
        yield Note(name, now, since, why, tuple(places))


def on(places: Sequence[int], names: Mapping[int, str]) -> str:
    """Kernels by their names, or how many they are where they are all of several."""
    return f"all {len(names)} kernels" if len(places) == len(names) > 1 else ", ".join(names[place] for place in places)


def moved(found: Sequence[Comparison]) -> dict[str, list[int]]:
    """The functions of a path of which something else became than on the kernel before, and the kernels at which it did."""
    return _of_steps(found, lambda step, changed: step.function if changed else "", whole=False)


def astray(found: Sequence[Comparison]) -> dict[str, list[int]]:
    """The functions of a path that weren't called, or not in their places, in words, and on which kernels."""
    return _of_steps(found, lambda step, _: f"{step.function} {step.state}" if step.state in ASTRAY else "", whole=True)


def _of_steps(found: Sequence[Comparison], words: Callable[[PathStep, bool], str], whole: bool) -> dict[str, list[int]]:
    told: dict[str, set[int]] = {}
    for column in (column for comparison in found for course in comparison.courses for column in course.columns):
        for step, changed in zip(column.steps, column.changed, strict=True):
            if said := words(step, changed):
                told.setdefault(said, set()).update(column.places if whole else column.places[:1])
    return {said: sorted(places) for said, places in told.items()}


def named_way(between: Sequence[str]) -> str:
    """The calls between two functions of a path."""
    more = [f"{len(between) - WAY} more"] if len(between) > WAY else []
    return " → ".join([*map(name_of, between[:WAY]), *more])


# A tree of calls


class Line(NamedTuple):
    """A call as it is shown, or what is left out; `marked` if its function is of the clause's path."""

    marked: bool
    text: str


def tree(path: Path, room: int = LINES) -> list[Line]:
    """The calls of a case, task by task: all if there is room for so many lines, else those of the path with their callers."""
    names = {step.as_ or step.function for step in path.steps if step.state in ("ran", "replaced", "elsewhere")}
    names |= {name for step in path.steps if step.state == "elsewhere" for name in step.function.split(ALTERNATIVES)}
    tasks = [task for task in path.tasks if task.calls]
    whole = sum(len(task.calls) + 1 for task in tasks) <= room
    lines: list[Line] = []
    others = 0
    for task in tasks:
        shown = range(len(task.calls)) if whole else _kept(task.calls, names)
        if not shown or len(lines) >= room:
            others += len(task.calls)
            continue
        lines.append(Line(False, f"{name_of(task.name)}:"))
        lines += _whole(task.calls, names) if whole else _folded(task.calls, shown, names, room - len(lines))
    return [*lines, *([Line(False, f"… {others} more of other tasks")] if others else [])]


def _whole(calls: Sequence[Call], names: set[str]) -> list[Line]:
    return [_line(call, names) for call in calls]


def _folded(calls: Sequence[Call], shown: Sequence[int], names: set[str], room: int) -> Iterator[Line]:
    """Some of a task's calls, and how many are left out between them; what is the same again, as a fence is, is told once."""
    before: list[tuple[int, str]] = []
    last = again = used = 0
    for block in _blocks(calls, shown):
        same = [(calls[number].depth, calls[number].name) for number in block]
        if same == before:
            again, last = again + 1, block[-1] + 1
            continue
        if used >= room:
            break
        yield from _repeated(again)
        before, again = same, 0
        for number in block[: room - used]:
            yield from _skipped(number - last)
            yield _line(calls[number], names)
            last, used = number + 1, used + 1
    yield from _repeated(again)
    yield from _skipped(len(calls) - last)


def _blocks(calls: Sequence[Call], shown: Sequence[int]) -> Iterator[list[int]]:
    """The places of the calls that are shown, those that a call led to together with it."""
    block: list[int] = []
    for number in shown:
        if block and calls[number].depth <= calls[block[0]].depth:
            yield block
            block = []
        block.append(number)
    yield block


def _repeated(times: int) -> list[Line]:
    return [Line(False, f"… {times} times the same again" if times > 1 else "… the same again")] if times else []


def _kept(calls: Sequence[Call], names: set[str]) -> list[int]:
    """The places of the calls of these functions, and of their callers."""
    kept: dict[int, None] = {}
    around: list[tuple[int, int]] = []
    for number, call in enumerate(calls):
        while around and around[-1][0] >= call.depth:
            around.pop()
        around.append((call.depth, number))
        if call.name in names:
            kept |= dict.fromkeys(place for _, place in around)
            around.clear()  # all of these are kept: each is looked at once
    return sorted(kept)


def _skipped(number: int) -> list[Line]:
    return [Line(False, f"… {number} more")] if number > 0 else []


def _line(call: Call, names: set[str]) -> Line:
    times = f" {TIMES} {call.times}" if call.times > 1 else ""
    return Line(call.name in names, f"{'  ' * min(max(call.depth, 0) + 1, INDENTS)}{name_of(call.name)}{times}")


def name_of(name: str) -> str:
    """A function's or a task's name in one line, cut off where it is longer than any name is."""
    return one_line(visible(name, NAME))
