"""What the lines of a trace mean: the kernel's functions by their names, and the calls that a case's clause led to.

Owns the fields of a record's `function` and `path` lines, as `reports.lines` owns those of all others. A trace is of the
function-graph tracer's; how it was taken is the suites' part. Call trees are kept packed: a record has thousands of them, and few
are looked at.
"""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from reports.fields import (
    FLAG,
    INTEGER,
    LIST,
    NAME,
    TEXT,
    TEXT_BY_NAME,
    TEXTS,
    Json,
    Kind,
    LineError,
    Object,
    each,
    get,
)

STATES = ("ran", "replaced", "inlined", "untraceable", "gone", "elsewhere", "not called", "not traced")
"""What can come of a function of a path: it ran; it ran under another name; it has no symbol of its own in this build; it has one,
and the tracer can't see it; nothing has its place any more; it ran, but not in this order; it didn't run; nobody knows."""

FOUND = ("traceable", "untraceable", "no symbol")
"""How a kernel has a name: as a function that the tracer sees, as one that it can't see, or not as a symbol."""

MANY = 2**63 - 1
"""What calls are counted up to."""

_STATE = Kind(f"one of {', '.join(STATES)}", lambda value: isinstance(value, str) and value in STATES)
_NO_CALL = 'its "calls" must be lists of depth, name and count'
_SINCE = Kind("a list of strings or null", lambda value: value is None or TEXTS.accepts(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function line: what the documents or clauses call it, what does its work on this kernel `now`, and how these were `found`.

    `is_` says how it exists (function, inline, syscall); `since` and `why` that others do its work, and `unreached` why no case
    calls it.
    """

    run: str
    name: str
    documents: tuple[str, ...]
    is_: str
    now: tuple[str, ...]
    since: tuple[str, ...] | None
    why: str | None
    unreached: str | None
    found: Mapping[str, str]


class PathStep(NamedTuple):
    """A function of a clause's path, what came of it, the name `as_` which it ran, and the calls of interest before it."""

    function: str
    state: str
    as_: str | None
    between: tuple[str, ...]


class Call(NamedTuple):
    """A call in preorder; `times` equal ones in a row, with all that they called, are told once."""

    depth: int
    name: str
    times: int


class Task(NamedTuple):
    """Who called: the case, a thread or child of it, or a task of the kernel's that worked for it."""

    name: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A path line: what came of the functions of a clause's path in one case, and all calls of interest.

    `calls` is how many there were, each counted; `lost` how many events the tracer dropped; `cost_ns` what tracing took.
    """

    run: str
    case: str
    clause: str
    family: str | None
    as_stated: bool
    steps: tuple[PathStep, ...]
    calls: int
    lost: int
    cost_ns: int
    packed: bytes
    packed_names: bytes

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The call trees."""
        unpacked = marshal.loads(zlib.decompress(self.packed))
        return tuple(Task(name, tuple(Call(*call) for call in calls)) for name, calls in unpacked)

    @property
    def names(self) -> tuple[str, ...]:
        """The functions in the call trees, each once, sorted."""
        return tuple(marshal.loads(zlib.decompress(self.packed_names)))


def function(line: Object) -> Function:
    """The value of a function line. Raises LineError."""
    since = get(line, "since", _SINCE, None)
    return Function(
        run=get(line, "run", TEXT),
        name=get(line, "name", TEXT),
        documents=tuple(get(line, "documents", TEXTS, [])),
        is_=get(line, "is", TEXT),
        now=tuple(get(line, "now", TEXTS)),
        since=None if since is None else tuple(since),
        why=get(line, "why", NAME, None),
        unreached=get(line, "unreached", NAME, None),
        found=get(line, "found", TEXT_BY_NAME, {}),
    )


def path(line: Object) -> Path:
    """The value of a path line. Raises LineError."""
    tasks, calls = [], 0
    names: set[str] = set()
    for task in each(line, "tasks"):
        made = get(task, "calls", LIST)
        calls = min(calls + _counted(made), MANY)
        names.update(call[1] for call in made)
        tasks.append((get(task, "task", TEXT), made))
    return Path(
        run=get(line, "run", TEXT),
        case=get(line, "case", TEXT),
        clause=get(line, "clause", TEXT),
        family=get(line, "family", NAME, None),
        as_stated=get(line, "as_stated", FLAG),
        steps=_steps(marshal.dumps([_step(step) for step in each(line, "steps")], 2)),
        calls=calls,
        lost=get(line, "lost", INTEGER, 0),
        cost_ns=get(line, "cost_ns", INTEGER, 0),
        packed=_packed(tasks),
        packed_names=_packed(sorted(names)),
    )


def _step(line: Object) -> tuple[Json, ...]:
    return (
        get(line, "function", TEXT),
        get(line, "state", _STATE),
        get(line, "as", NAME, None),
        tuple(get(line, "between", TEXTS, [])),
    )


@lru_cache(maxsize=4096)
def _steps(packed: bytes) -> tuple[PathStep, ...]:
    """Steps. Most cases of a clause have the same: equal ones are one object."""
    return tuple(PathStep(*step) for step in marshal.loads(packed))


def _counted(calls: Sequence[Json]) -> int:
    """How many calls a tree stands for. Raises LineError where a call isn't [depth, name, count]."""
    total, around = 0, [1]
    for call in calls:
        if type(call) is not list or len(call) != 3:
            raise LineError(_NO_CALL)
        depth, name, count = call
        if not (type(depth) is type(count) is int and 0 <= depth < MANY and 0 < count < MANY):  # as nearly none are
            if not INTEGER.accepts(depth) or not INTEGER.accepts(count):
                raise LineError(_NO_CALL)
            depth, count = max(depth, 0), max(count, 1)
        if type(name) is not str:
            raise LineError(_NO_CALL)
        del around[depth + 1 :]
        times = around[-1] * count
        if times > MANY:
            times = MANY
        around.append(times)
        total += times
    return min(total, MANY)


def _packed(value: Json) -> bytes:
    return zlib.compress(marshal.dumps(value, 2), 1)
