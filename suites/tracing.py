"""`--trace-path`: the path that the kernel took through each case, as lines of the record beside the case's own.

Owns what is traced (every function that a path or a document names), what is kept of it, and the cost. Where functions can't be
traced the run's line says why, and cases run as without. Nothing here changes a case's outcome.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from suites import functions as kernel_functions
from suites.clauses import Clause, Specification, element
from suites.lab.ftrace import OWN, CannotTrace, Traced, Tracer
from suites.paths import UNSEEN, Call, Stage, calls_of, compare, recorded, shorten, stages

KEPT = 5_000
"""How many calls a record keeps of a case, the first ones, after equal ones in a row are counted as one."""


class Interest:
    """The functions that a path or a document names, as they are called on a kernel (6, 12, 107); None is the newest."""

    def __init__(self, specification: Specification, kernel: tuple[int, ...] | None) -> None:
        self._functions = kernel_functions.load()
        self._kernel = kernel
        named = dict.fromkeys(self._functions.known)
        for clause in specification.clauses.values():
            named |= dict.fromkeys(name for text in clause.path for name in element(text).names)
        self._resolved = {name: self._functions.resolve(name, kernel) for name in named}
        self.names = {now for resolved in self._resolved.values() for now in resolved.now}
        self.common = {
            now
            for name, resolved in self._resolved.items()
            if self._functions.function(name).common
            for now in resolved.now
        }
        """Those that are called all the time."""

    def lines(self, run: str, found: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """A line of the record for each function; `found` is what `Tracer.found` says."""
        for name, resolved in self._resolved.items():
            function = self._functions.function(name)
            yield {
                "type": "function",
                "run": run,
                "name": name,
                "documents": list(function.documents),
                "is": resolved.is_,
                "now": list(resolved.now),
                "since": list(resolved.since) if resolved.since else None,
                "why": resolved.why,
                "unreached": function.unreached,
                "found": {now: found[now] for now in resolved.now if now in found},
            }

    def path(self, clause: Clause, family: str, variant: str | None, found: Mapping[str, str]) -> list[Stage]:
        """What to look for in the calls of a case of a clause."""
        return stages(clause.path, self._functions, self._kernel, found, (family, variant) if variant else (family,))


def compared(path: Sequence[Stage], tasks: Sequence[Mapping[str, Any]], whole: bool) -> dict[str, Any]:
    """What a record says of a path beside calls, which are the `whole` or what was left of it."""
    steps = compare(path, calls_of(tasks), whole)
    return {"as_stated": not any(step["state"] in UNSEEN for step in steps), "steps": steps}


class Tracing:
    """The tracing of one run, in the process that executes its cases, `alone` or as one of pytest's workers."""

    def __init__(self, specification: Specification, kernel: tuple[int, ...] | None, alone: bool) -> None:
        self._interest = Interest(specification, kernel)
        self._tracer: Tracer | None = None
        self._traced: Traced | None = None
        self._reading = 0
        try:
            if not alone:
                raise CannotTrace("the kernel has one function-graph tracer, and pytest has workers: run without -n")
            self._tracer = Tracer(self._interest.names)
            self.how = "calls of functions of interest were traced by ftrace's function_graph"
        except CannotTrace as error:
            self.how = str(error)

    @property
    def ok(self) -> bool:
        """Whether functions are traced."""
        return self._tracer is not None

    def function_lines(self, run: str) -> Iterator[dict[str, Any]]:
        """What each function of interest is on this kernel, where it can be told."""
        if self._tracer:
            yield from self._interest.lines(run, self._tracer.found)

    @contextmanager
    def case(self) -> Iterator[None]:
        """Trace what is called inside, which is one execution of a case."""
        if self._tracer is None:
            yield
            return
        self._tracer.begin()
        try:
            yield
        finally:
            began = time.monotonic_ns()
            self._traced = self._tracer.end()
            self._reading = time.monotonic_ns() - began

    def path_line(self, line: Mapping[str, Any], clause: Clause, variant: str | None) -> dict[str, Any] | None:
        """What the kernel did in the case whose line this is, beside its clause's path; None if it wasn't traced."""
        if self._tracer is None or self._traced is None:
            return None
        began = time.monotonic_ns()
        traced, self._traced = self._traced, None
        path = self._interest.path(clause, line["family"], variant, self._tracer.found)
        names = _Names(self._tracer, {step["tid"] for step in line["observed"]["steps"]})
        wanted = {name for stage in path for name in stage.names}
        tasks = recorded(_concerned(traced.calls, names, wanted), names, self._interest.common - wanted)
        said = compared(path, tasks, not traced.lost)
        omitted = shorten(tasks, KEPT)
        return {
            "type": "path",
            **{key: line[key] for key in ("run", "case", "clause", "family")},
            **said,
            "tasks": tasks,
            "omitted": omitted,
            "lost": traced.lost,
            "cost_ns": self._reading + time.monotonic_ns() - began,
        }

    def close(self) -> None:
        """Leave the kernel's tracer as it was."""
        if self._tracer:
            self._tracer.close()
            self._tracer = None


def _concerned(calls: Sequence[Call], names: _Names, wanted: Collection[str]) -> list[Call]:
    """The calls of the case's own tasks, and those of the kernel's that call a function of its path; the rest is housekeeping."""
    own = {task for task in {call.task for call in calls} if names.own(task)}
    tasks = own | {call.task for call in calls if call.name in wanted}
    return [call for call in calls if call.task in tasks]


class _Names:
    """What tasks are called in one case: by their kind, and from the second of a kind on by their number."""

    def __init__(self, tracer: Tracer, threads: Collection[int]) -> None:
        self._tracer = tracer
        self._threads = threads
        self._given: dict[int | str, str] = {}
        self._kinds: Counter[str] = Counter()

    def own(self, task: int | str) -> bool:
        """Whether a task is the case's, or a thread or child of it."""
        return self._tracer.task(int(task), self._threads) in OWN

    def __call__(self, task: int | str) -> str:
        if task not in self._given:
            kind = self._tracer.task(int(task), self._threads)
            self._kinds[kind] += 1
            number = self._kinds[kind]
            self._given[task] = f"{kind} {number}" if number > 1 else kind
        return self._given[task]
