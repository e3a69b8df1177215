"""Which functions that documents and clauses name were seen, on which kernel and under which clauses, and what tracing cost.

Owns what is said of a function that no case called, and the account of a run's tracing. Knows no form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from reports.lines import Statement
from reports.matrix import executed, together
from reports.record import Run
from reports.traces import Function, Path

SEEN = ("ran", "replaced")
Called = Mapping[str, Mapping[str, tuple[bool, int]]]

UNKNOWN = "not traced"
"""What is said of a function on a kernel whose run doesn't know it, or wasn't asked for it."""


class Cell(NamedTuple):
    """A function on one kernel: its state, under which names it ran there, in how many clauses' cases, and the plainest of them."""

    state: str
    names: tuple[str, ...]
    clauses: int
    plainest: str


class Alike(NamedTuple):
    """Kernels on which a function did the same, and in how many clauses' cases it was seen there, at least and at most."""

    state: str
    names: tuple[str, ...]
    places: tuple[int, ...]
    least: int
    most: int


class Reason(NamedTuple):
    """What is to be said of a function beside its state, and on which kernels."""

    words: str
    places: tuple[int, ...]

    def told(self, names: Sequence[str]) -> str:
        """The words, with the kernels by their names where they aren't all."""
        where = f" ({', '.join(names[place] for place in self.places)})" if len(self.places) < len(names) else ""
        return self.words + where


class Covered(NamedTuple):
    """A function: a cell for each run, and reasons."""

    name: str
    documents: tuple[str, ...]
    cells: tuple[Cell, ...]
    reasons: tuple[Reason, ...]

    @property
    def seen(self) -> bool:
        """Whether it, or what does its work, ran on any kernel."""
        return any(cell.state in SEEN for cell in self.cells)

    @property
    def plainest(self) -> tuple[str, ...]:
        """The clauses under which it was seen, the plainest of each kernel, each once."""
        return tuple(dict.fromkeys(cell.plainest for cell in self.cells if cell.plainest))

    def together(self) -> Iterator[Alike]:
        """Its cells, those of kernels that did the same in one."""
        for (state, names), places in together({at: (cell.state, cell.names) for at, cell in enumerate(self.cells)}):
            clauses = [self.cells[place].clauses for place in places]
            yield Alike(state, names, tuple(places), min(clauses), max(clauses))


class Cost(NamedTuple):
    """What tracing a run came to: cases that were traced, those that took the path as their clause draws it, and those executed;
    calls and lost events; and its share of their time."""

    traced: int
    as_stated: int
    executed: int
    calls: int
    lost: int
    cost_ns: int
    duration_ns: int
    how: str
    ok: bool

    @property
    def share(self) -> str:
        """The cost as a share of the time that the traced cases took, in words."""
        return f"{self.cost_ns / self.duration_ns:.0%}" if self.duration_ns > 0 else "unknown"

    @property
    def seconds(self) -> str:
        """The cost in seconds."""
        return f"{self.cost_ns / 1e9:.1f}"

    @property
    def words(self) -> str:
        """The account as a sentence."""
        if not self.ok:
            return f"couldn't be traced: {self.how}"
        cases = f"{self.traced} of {self.executed} executed cases traced, {self.as_stated} as their clause draws it"
        cases += f", {self.calls} calls, {self.lost} events lost"
        return f"{cases}; it took {self.seconds} s, {self.share} of the time of these cases"


def traced(runs: Sequence[Run]) -> bool:
    """Whether any run was asked to trace."""
    return any(run.head.trace or run.functions or run.paths for run in runs)


def titles(said: Mapping[str, Statement]) -> dict[str, str]:
    """What documents are called, by their numbers, "001: signal-driven I/O", as far as statements say it."""
    documents = dict.fromkeys(statement.document for statement in said.values() if statement.document)
    return {document.partition(":")[0]: document for document in documents}


def by_document(functions: Sequence[Covered]) -> list[tuple[str, list[Covered]]]:
    """The functions under each document that names them, and under "" those that none names."""
    found: dict[str, list[Covered]] = {}
    for function in functions:
        for document in dict.fromkeys(function.documents or ("",)):
            found.setdefault(document, []).append(function)
    return sorted(found.items(), key=lambda item: (not item[0], item[0]))


def coverage(runs: Sequence[Run]) -> list[Covered]:
    """The functions of all runs, in the order in which the runs name them."""
    known: dict[str, dict[int, Function]] = {}
    for place, run in enumerate(runs):
        for name, function in run.functions.items():
            known.setdefault(name, {})[place] = function
    called = [_called(run) for run in runs]
    return [_covered(name, lines, called) for name, lines in known.items()]


def _called(run: Run) -> dict[str, dict[str, tuple[bool, int]]]:
    """The clauses under which each function ran; the smaller the value, the plainer: it names the function, calls few."""
    called: dict[str, dict[str, tuple[bool, int]]] = {}
    for path in run.paths.values():
        stated = {step.as_ or step.function for step in path.steps if step.state in SEEN}
        for name in stated.union(path.names):
            clauses = called.setdefault(name, {})
            plain = (name not in stated, path.calls)
            clauses[path.clause] = min(clauses.get(path.clause, plain), plain)
    return called


def _covered(name: str, lines: Mapping[int, Function], called: Sequence[Called]) -> Covered:
    names = [
        tuple(now for now in lines[place].now if now in calls) if place in lines else ()
        for place, calls in enumerate(called)
    ]
    plain: dict[str, tuple[bool, int]] = {}  # of all kernels together, so that they have the same clause if they can
    for here, calls in zip(names, called, strict=True):
        for clause, how in (item for each in here for item in calls[each].items()):
            plain[clause] = min(plain.get(clause, how), how)
    cells = []
    for place, (here, calls) in enumerate(zip(names, called, strict=True)):
        clauses = {clause for each in here for clause in calls[each]}
        state = ("ran" if here == (name,) else "replaced") if here else _unseen(lines.get(place))
        cells.append(
            Cell(state, here, len(clauses), min(clauses, key=lambda clause: (plain[clause], clause), default=""))
        )
    return Covered(
        name,
        tuple(dict.fromkeys(document for function in lines.values() for document in function.documents)),
        tuple(cells),
        tuple(_reasons(lines, cells)),
    )


def _unseen(function: Function | None) -> str:
    """What it means that none of its names was called: one that the tracer sees wasn't, of the others it isn't known."""
    if function is None:
        return UNKNOWN
    found = [function.found.get(name) for name in function.now]
    if not found:
        return "gone"
    if None in found:
        return UNKNOWN
    if function.is_ != "inline" and "traceable" in found:
        return "not called"
    return "untraceable" if function.is_ != "inline" and "untraceable" in found else "inlined"


def _reasons(lines: Mapping[int, Function], cells: Sequence[Cell]) -> Iterator[Reason]:
    """What changed and why, and why a function wasn't seen."""
    found: dict[str, list[int]] = {}
    for place, function in lines.items():
        for words in _said(function, cells[place].state):
            found.setdefault(words, []).append(place)
    for words, places in found.items():
        yield Reason(words, tuple(places))


def _said(function: Function, state: str) -> Iterator[str]:
    if function.why:
        now = f"{' or '.join(function.now) or 'nothing in its place'} " if function.now != (function.name,) else ""
        since = f"since {', '.join(function.since)}" if function.since else ""
        yield f"{now}{since}{': ' if now or since else ''}{function.why}"
    if state == "not called":
        yield function.unreached or "no case that was traced calls it, and no reason is recorded"
    elif state == "inlined":
        inline = "a static inline function or a macro: it is part of its callers"
        yield (
            inline if function.is_ == "inline" else "no symbol in this build: inlined, or in a module that isn't loaded"
        )


def cost(run: Run) -> Cost | None:
    """What tracing a run came to; None where that wasn't asked for."""
    if not traced([run]):
        return None
    paths: Sequence[Path] = list(run.paths.values())
    durations = [case.duration_ns or 0 for case in run.cases if case.case in run.paths]
    head = run.head.trace
    return Cost(
        traced=len(paths),
        as_stated=sum(path.as_stated for path in paths),
        executed=executed(run),
        calls=sum(path.calls for path in paths),
        lost=sum(max(path.lost, 0) for path in paths),
        cost_ns=sum(max(path.cost_ns, 0) for path in paths),
        duration_ns=sum(max(duration, 0) for duration in durations),
        how=head.how if head else "",
        ok=head.ok if head else True,
    )
