"""Did the kernel take the path that a clause's `path` draws? A pure function of the path, what its names are here, and the calls.

Owns what is said of each function of a path:

    ran             entered, in its place of the order
    replaced        entered under another name, which does its work on this kernel
    elsewhere       entered, but not in this place of the order
    not called      could have been seen, and wasn't
    inlined         has no symbol of its own here: it is part of its callers
    untraceable     has a symbol, and ftrace doesn't reach it
    gone            nothing has its place on this kernel
    not traced      nobody knows: events were lost, or the record is older than the path

It says nothing of a case's outcome: what a kernel does is judged by what can be observed of it.

In a record the calls stand in the order in which they were entered, in pieces of one task each:

    {"task": "case", "calls": [[depth, name, count], ...]}

A call's depth is how many calls of the same task it was made in, so that a piece goes on where the task's last one broke off. Equal
calls in a row, with all that they called, stand there once, with their count.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from suites.clauses import element
from suites.functions import Functions

SEEN = ("ran", "replaced")
UNSEEN = ("elsewhere", "not called")
"""The states that say that the kernel's path is another one."""

NESTED = 1
FOUND = 100
"""How much an order of calls is worth: by far the most that many functions of the path are found, then that one calls the next."""


@dataclass(slots=True)
class Call:
    """One call of a function of interest: the task that made it, and the call of interest that it was made in."""

    name: str
    task: int | str
    parent: Call | None

    def callers(self) -> Iterator[Call]:
        """The calls of interest that it was made in, the nearest first."""
        call = self.parent
        while call:
            yield call
            call = call.parent


@dataclass(frozen=True, slots=True)
class Stage:
    """One element of a path: how it is written, and under which names its functions may be entered on this kernel."""

    text: str
    names: frozenset[str]
    own: frozenset[str]
    state: str
    """What is said of it if none of its names is entered."""


def stages(
    path: Iterable[str],
    functions: Functions,
    kernel: tuple[int, ...] | None,
    found: Mapping[str, str],
    of: Collection[str],
) -> list[Stage]:
    """A path as it is to be looked for on a kernel, in a case `of` this family and variant; `found` is what `Tracer.found` says."""
    made = []
    for written in path:
        own, only = element(written)
        if only and not only & set(of):
            continue
        resolved = [functions.resolve(name, kernel) for name in own]
        names = frozenset(name for each in resolved for name in each.now)
        kinds = [each.is_ for each in resolved]
        made.append(Stage("|".join(own), names, frozenset(own), _unseen(names, kinds, found)))
    return made


def _unseen(names: frozenset[str], kinds: Sequence[str], found: Mapping[str, str]) -> str:
    """What it means that none of these names was entered; one that can't be seen may have been."""
    if not names:
        return "gone"
    if not names <= found.keys():
        return "not traced"
    if "inline" in kinds or any(found[name] == "no symbol" for name in names):
        return "inlined"
    return "untraceable" if any(found[name] == "untraceable" for name in names) else "not called"


def compare(path: Sequence[Stage], calls: Sequence[Call], whole: bool = True) -> list[dict[str, Any]]:
    """What became of each function of a path: its state, the name that it was entered under, and what came between.

    Between are the calls of interest in which it was made, inside of the call that stands for the function before. Where the
    calls aren't the `whole`, nobody knows what else there was.
    """
    taken = _order(path, calls)
    entered = {call.name for call in calls}
    compared: list[dict[str, Any]] = []
    before: Call | None = None
    for place, stage in enumerate(path):
        step: dict[str, Any] = {"function": stage.text}
        call = taken.get(place)
        if call:
            step["state"] = "ran" if call.name in stage.own else "replaced"
            if call.name != stage.text:
                step["as"] = call.name
            step["between"] = _between(before, call)
            before = call
        else:
            seen_elsewhere = stage.state == "not called" and stage.names & entered
            step["state"] = "elsewhere" if seen_elsewhere else stage.state
            if step["state"] in UNSEEN and not whole:
                step["state"] = "not traced"
        compared.append(step)
    return compared


def _between(before: Call | None, call: Call) -> list[str]:
    """The callers of a call inside of the call before; none where it wasn't made inside of that."""
    names: list[str] = []
    for caller in call.callers():
        if caller is before:
            return names[::-1]
        names.append(caller.name)
    return []


@dataclass(frozen=True, slots=True)
class _Found:
    """An order of calls for the first elements of a path, as a chain from its last."""

    worth: int
    place: int
    call: Call
    before: _Found | None


def _order(path: Sequence[Stage], calls: Sequence[Call]) -> dict[int, Call]:
    """The calls that stand for a path's functions: the most that were entered in its order, one calling the next if possible."""
    best: list[_Found | None] = [None] * len(path)  # of those that end at each element
    at: dict[int, list[_Found]] = {}  # of those that end at each call
    for call in calls:
        new = [
            _Found(FOUND, place, call, None)
            if before is None
            else _Found(before.worth + FOUND + (NESTED if nested else 0), place, call, before)
            for place, stage in enumerate(path)
            if call.name in stage.names
            for before, nested in [_best_before(place, best, at, call)]
        ]
        for found in new:
            at.setdefault(id(call), []).append(found)
            known = best[found.place]
            if known is None or found.worth > known.worth:
                best[found.place] = found
    chain = max((found for found in best if found), key=lambda found: found.worth, default=None)
    taken: dict[int, Call] = {}
    while chain:
        taken[chain.place] = chain.call
        chain = chain.before
    return taken


def _best_before(
    place: int, best: Sequence[_Found | None], at: Mapping[int, list[_Found]], call: Call
) -> tuple[_Found | None, bool]:
    """What is best to stand before a call that is taken for this element, and whether the call was made inside of it."""
    chosen, nested = None, False
    for found in best[:place]:
        if found and (chosen is None or found.worth > chosen.worth):
            chosen = found
    for caller in call.callers():
        for found in at.get(id(caller), ()):
            if found.place < place and (
                chosen is None or found.worth + NESTED > chosen.worth + (NESTED if nested else 0)
            ):
                chosen, nested = found, True
    return chosen, nested


def recorded(
    calls: Sequence[Call], name_of: Callable[[int | str], str], common: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Calls as a record holds them, without the common ones; `name_of` says what a task is called."""
    pieces: list[dict[str, Any]] = []
    before: int | str | None = None
    for one in _folded(_kept(calls, common)):
        if not pieces or one.task != before:
            pieces.append({"task": name_of(one.task), "calls": []})
            before = one.task
        pieces[-1]["calls"].append([one.depth, one.name, one.count])
    return pieces


@dataclass(slots=True)
class _Kept:
    """A call as it is written: its place in the order, its depth, what it called, and for how many in a row it stands, or none.

    `last` is the place of the last of the calls that it was the cause of, `size` how many these are with itself. Equal calls of
    the same task have the same `shape`; one that another task breaks off has its own.
    """

    name: str
    task: int | str
    place: int
    caller: _Kept | None
    depth: int
    calls: list[_Kept] = field(default_factory=list)
    count: int = 1
    last: int = 0
    size: int = 1
    shape: object = None


def _kept(calls: Iterable[Call], common: Collection[str]) -> list[_Kept]:
    """What is written of calls. A common one isn't, and what it called stands in its place."""
    kept: list[_Kept] = []
    at: dict[int, _Kept | None] = {}
    for call in calls:
        caller = at[id(call.parent)] if call.parent else None
        if call.name in common:
            at[id(call)] = caller
            continue
        at[id(call)] = one = _Kept(call.name, call.task, len(kept), caller, caller.depth + 1 if caller else 0)
        kept.append(one)
        if caller:
            caller.calls.append(one)
    return kept


def _folded(kept: Sequence[_Kept]) -> Iterator[_Kept]:
    """Calls without those that are the same as the one before them, which has their count."""
    shapes: dict[object, int] = {}
    for one in reversed(kept):  # what is inside is folded before what it is inside of
        _fold(one.calls)
        one.last = max([one.place, *(inside.last for inside in one.calls)])
        one.size += sum(inside.size for inside in one.calls)
        if one.last - one.place + 1 == one.size:
            shape = one.task, one.name, tuple((inside.shape, inside.count) for inside in one.calls if inside.count)
            one.shape = shapes.setdefault(shape, len(shapes))
        else:
            one.shape = one
    _fold([one for one in kept if one.caller is None])
    for one in kept:
        if one.caller and not one.caller.count:
            one.count = 0
        if one.count:
            yield one


def _fold(calls: Sequence[_Kept]) -> None:
    """Have the first of equal calls in a row stand for all."""
    first: _Kept | None = None
    before: _Kept | None = None
    for one in calls:
        if first and before and one.shape == first.shape and before.last + 1 == one.place:
            first.count += 1
            one.count = 0
        else:
            first = one
        before = one


def calls_of(tasks: Iterable[Mapping[str, Any]]) -> list[Call]:
    """The calls that a record holds, each once, in the order in which they were entered."""
    calls: list[Call] = []
    above: dict[str, list[Call]] = {}
    for piece in tasks:
        stack = above.setdefault(piece["task"], [])
        for depth, name, _ in piece["calls"]:
            del stack[depth:]
            calls.append(Call(name, piece["task"], stack[-1] if stack else None))
            stack.append(calls[-1])
    return calls


def shorten(tasks: list[dict[str, Any]], limit: int) -> int:
    """Leave out, in place, what goes beyond so many calls; returns how many those were."""
    omitted = 0
    for piece in tasks:
        kept = piece["calls"][:limit]
        omitted += len(piece["calls"]) - len(kept)
        limit -= len(kept)
        piece["calls"] = kept
    tasks[:] = [piece for piece in tasks if piece["calls"]]
    return omitted
