"""What the lines of a record mean: one immutable value for each type of line, built from parsed JSON.

Owns the fields of a record, their types and their defaults; those of a trace's lines are `reports.traces`. Whoever holds one of
these values may rely on its types: nothing that a file says is trusted before it has been checked here. Opens no file, and
judges nothing.

Unknown keys are ignored, so that a newer suite may say more. A key that the record's format promises and that isn't
there is an error; a key that only helps to explain (a signal's moment, a step's arguments) has a default.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from reports import traces
from reports.fields import (
    FACT,
    FLAG,
    INTEGER,
    INTEGER_BY_NAME,
    INTEGER_OR_NULL,
    LIST,
    NAME,
    OBJECT,
    OBJECT_OR_NULL,
    SCALAR,
    TEXT,
    TEXT_BY_NAME,
    TEXTS,
    Json,
    Kind,
    LineError,
    Object,
    each,
    get,
    named,
)

RECORD_VERSION = 1
"""The version of the format that this module reads and that a run line must state."""

OUTCOMES = ("PASS", "FAIL", "ERROR", "SKIP", "MISS", "DONE")
"""How a case can come out: as specified; the kernel did otherwise; our set-up broke; a capability is missing; it was
planned and never ended; it was measured and isn't judged."""

LEVELS = ("must", "should", "observed", "open")
"""What a clause rests on: POSIX or a manual page; the kernel's documentation; its source alone; nothing (measured)."""

_OUTCOME = Kind(f"one of {', '.join(OUTCOMES)}", lambda value: isinstance(value, str) and value in OUTCOMES)
_LEVEL = Kind(f"one of {', '.join(LEVELS)}", lambda value: isinstance(value, str) and value in LEVELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What a run was made on, as it calls itself (uname(2)); `implementation` is Linux, or what isn't Linux."""

    release: str
    version: str
    machine: str
    implementation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Whether a target can do something, and how that was found out."""

    ok: bool
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A run line: where, with what and how a run was made, and which cases were planned.

    Where `quiescence_ms` isn't 0, what a case didn't see isn't proved not to have happened: nothing came for so long.
    `cpus`, and `memory` in bytes, are what the kernel says that it has; None where the record doesn't say it.
    `trace` says whether paths could be traced; None where that wasn't asked for.
    """

    run: str
    target: str
    kernel: Kernel
    specification: str
    capabilities: Mapping[str, Capability]
    sysctls: Mapping[str, str]
    quiescence_ms: int
    versions: Mapping[str, str]
    cpus: int | None
    memory: int | None
    argv: tuple[str, ...]
    started: str
    planned: tuple[str, ...]
    trace: Capability | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement line: what clauses name in `covers`, a document's claim for one; `left_out` says why none stands for it."""

    run: str | None
    id: str
    says: str
    document: str | None
    left_out: str | None
    target: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """A clause line: what the specification said when the run was made, and the case that puts it before a kernel."""

    run: str | None
    id: str
    title: str
    text: str
    level: str
    claims: tuple[str, ...]
    covers: tuple[str, ...]
    refs: tuple[str, ...]
    path: tuple[str, ...]
    families: tuple[str, ...]
    needs: tuple[str, ...]
    unjudged: Mapping[str, str]
    source: str
    module: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A start line: a case began. Without a case line after it, the run ended with it."""

    run: str
    case: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One siginfo as it was fetched, and the moment `at` which it was (sigaction(2))."""

    at: str
    signo: int
    code: int
    errno: int
    band: int
    fd: int
    pid: int
    uid: int


class Step(NamedTuple):
    """One system call that returned at `t_ns`, monotonic time since the case began, in ns; `errno` is null where it succeeded.

    A call that a thread sleeps in has two steps: `result` is null in the first, when it began.
    """

    t_ns: int
    tid: int
    call: str
    arguments: str
    result: Json
    errno: str | int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything that was seen: facts by moment, signals and steps, all in order, and what its numbers stand for."""

    descriptors: Mapping[str, int]
    signal: int | None
    pid: int | None
    uid: int | None
    moments: Mapping[str, Mapping[str, Json]]
    signals: tuple[Signal, ...]
    packed: bytes

    @property
    def roles(self) -> dict[int, str]:
        """The roles of its descriptors by their numbers."""
        return {number: role for role, number in self.descriptors.items()}

    @property
    def steps(self) -> tuple[Step, ...]:
        """The system calls. They are kept packed: a record has hundreds of thousands of them, and few are looked at."""
        return tuple(Step(*fields) for fields in marshal.loads(self.packed))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedSignal:
    """A signal as a clause states it: a signal by name ("armed": the one set by F_SETSIG), a descriptor by its role."""

    signal: str
    code: int
    errno: int
    band: int
    fd: str | int
    pid: str | int
    uid: str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedMoment:
    """What is accepted at one moment: `signals` are alternatives, each a sequence; facts are forms that accept."""

    signals: tuple[tuple[ExpectedSignal, ...], ...]
    facts: Mapping[str, Object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is compared: moments in order, which facts are masks ("poll" or "select"), and what isn't judged and why.

    `packed` is all of it: what is equal there is equal.
    """

    packed: bytes
    moments: Mapping[str, ExpectedMoment]
    masks: Mapping[str, str]
    unjudged: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A recorded deviation of a target: it is known, has a cause, and doesn't fail the run."""

    cause: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case line: what came of one case. `duration_ns` runs from set-up to leak check; None if it never ended."""

    run: str
    case: str
    worker: str | None
    clause: str | None
    family: str | None
    level: str | None
    outcome: str
    verdict: str
    reason: str
    deviation: Deviation | None
    expected: Expected | None
    observed: Observed | None
    duration_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """An end line: why a run ended (finished, interrupted, died, deadline), and its own account of the outcomes.

    `vanished` are recorded deviations that weren't seen though their case was selected: the verdict of each, by case.
    """

    run: str
    reason: str
    counts: Mapping[str, int]
    vanished: Mapping[str, str]


Line = Head | Statement | Clause | Start | Case | End | traces.Function | traces.Path


def parse(line: Object) -> Line | None:
    """The value of one line; None for a type that this version doesn't know. Raises LineError."""
    make = _MAKERS.get(get(line, "type", TEXT))
    return make(line) if make else None


def _head(line: Object) -> Head:
    version = get(line, "record", INTEGER)
    if version != RECORD_VERSION:
        raise LineError(f'its "record" is {version}, and only version {RECORD_VERSION} is understood')
    kernel = get(line, "kernel", OBJECT)
    machine = get(line, "machine", OBJECT, {})
    trace = get(line, "trace", OBJECT_OR_NULL, None)
    planned = tuple(get(line, "planned", TEXTS))
    if len(set(planned)) < len(planned):
        raise LineError('its "planned" names a case twice')
    return Head(
        run=get(line, "run", TEXT),
        target=get(line, "target", TEXT),
        kernel=Kernel(**{key: get(kernel, key, TEXT) for key in Kernel.__slots__}),
        specification=get(line, "specification", TEXT),
        capabilities={name: _capability(found) for name, found in named(line, "capabilities")},
        sysctls=get(line, "sysctls", TEXT_BY_NAME),
        quiescence_ms=get(line, "quiescence_ms", INTEGER, 0),
        versions=get(line, "versions", TEXT_BY_NAME),
        cpus=get(machine, "cpus", INTEGER_OR_NULL, None),
        memory=get(machine, "memory", INTEGER_OR_NULL, None),
        argv=tuple(get(line, "argv", TEXTS)),
        started=get(line, "started", TEXT),
        planned=planned,
        trace=None if trace is None else _capability(trace),
    )


def _capability(found: Object) -> Capability:
    return Capability(ok=get(found, "ok", FLAG), how=get(found, "how", TEXT))


def _statement(line: Object) -> Statement:
    return Statement(
        run=get(line, "run", TEXT, None),
        id=get(line, "id", TEXT),
        says=get(line, "says", TEXT),
        document=get(line, "document", NAME, None),
        left_out=get(line, "left_out", NAME, None),
        target=get(line, "target", NAME, None),
    )


def _clause(line: Object) -> Clause:
    return Clause(
        run=get(line, "run", TEXT, None),
        id=get(line, "id", TEXT),
        title=get(line, "title", TEXT),
        text=get(line, "text", TEXT),
        level=get(line, "level", _LEVEL),
        covers=tuple(get(line, "covers", TEXTS)),
        refs=tuple(get(line, "refs", TEXTS)),
        path=tuple(get(line, "path", TEXTS)),
        source=get(line, "source", TEXT),
        claims=tuple(get(line, "claims", TEXTS, [])),
        families=tuple(get(line, "families", TEXTS, [])),
        needs=tuple(get(line, "needs", TEXTS, [])),
        unjudged=get(line, "unjudged", TEXT_BY_NAME, {}),
        module=get(line, "module", TEXT, ""),
    )


def _start(line: Object) -> Start:
    return Start(run=get(line, "run", TEXT), case=get(line, "case", TEXT))


def _case(line: Object) -> Case:
    expected = get(line, "expected", OBJECT_OR_NULL)
    observed = get(line, "observed", OBJECT_OR_NULL)
    return Case(
        run=get(line, "run", TEXT),
        case=get(line, "case", TEXT),
        worker=get(line, "worker", NAME, None),
        clause=get(line, "clause", NAME),
        family=get(line, "family", NAME),
        level=get(line, "level", NAME),
        outcome=get(line, "outcome", _OUTCOME),
        verdict=get(line, "verdict", NAME) or "",
        reason=get(line, "reason", NAME) or "",
        deviation=_deviation(line),
        expected=None if expected is None else _expected(marshal.dumps(expected, 2)),
        observed=None if observed is None else _observed(observed),
        duration_ns=get(line, "duration_ns", INTEGER, None),
    )


def _deviation(line: Object) -> Deviation | None:
    deviation = get(line, "deviation", OBJECT_OR_NULL)
    if deviation is None:
        return None
    return Deviation(cause=get(deviation, "cause", TEXT), reason=get(deviation, "reason", TEXT))


def _observed(line: Object) -> Observed:
    names = get(line, "names", OBJECT, {})
    return Observed(
        descriptors=get(names, "descriptors", INTEGER_BY_NAME, {}),
        signal=get(names, "signal", INTEGER, None),
        pid=get(names, "pid", INTEGER, None),
        uid=get(names, "uid", INTEGER, None),
        moments={moment: _facts(facts) for moment, facts in named(line, "moments")},
        signals=tuple(_signal(signal) for signal in each(line, "signals")),
        packed=marshal.dumps([_step(step) for step in each(line, "steps")]),
    )


def _facts(line: Object) -> Object:
    for fact, value in line.items():
        if type(value) is not int and type(value) is not str:
            get(line, fact, FACT)
    return line


def _signal(line: Object) -> Signal:
    fields = {key: get(line, key, INTEGER) for key in ("signo", "code", "errno", "band", "fd", "pid", "uid")}
    return Signal(at=get(line, "at", TEXT, ""), **fields)


_LARGE = 2**63


def _step(line: Object) -> tuple[Json, ...]:
    step = t_ns, tid, call, arguments, result, errno = tuple(map(line.get, Step._fields))
    if (
        type(t_ns) is type(tid) is type(result) is int
        and type(call) is type(arguments) is str
        and errno is None
        and 0 <= t_ns < _LARGE
        and 0 <= tid < _LARGE
        and 0 <= result < _LARGE
    ):
        return step  # as nearly all are: what follows says the same, key by key, and takes six times as long
    return (
        get(line, "t_ns", INTEGER),
        get(line, "tid", INTEGER),
        get(line, "call", TEXT),
        get(line, "arguments", TEXT, ""),
        get(line, "result", FACT),
        get(line, "errno", SCALAR),
    )


@lru_cache(maxsize=4096)
def _expected(packed: bytes) -> Expected:
    """An expectation. It stands in the line of every case of its clause, in every run: equal ones are one object."""
    line = marshal.loads(packed)
    return Expected(
        packed=packed,
        moments={
            moment: ExpectedMoment(signals=_alternatives(stated), facts=dict(named(stated, "facts")))
            for moment, stated in named(line, "moments")
        },
        masks=get(line, "masks", TEXT_BY_NAME, {}),
        unjudged=get(line, "unjudged", TEXT_BY_NAME, {}),
    )


def _alternatives(stated: Object) -> tuple[tuple[ExpectedSignal, ...], ...]:
    """Expected signals are written as one sequence, or as {"any": [sequence, ...]}."""
    signals = stated.get("signals", [])
    choices = get(signals, "any", LIST) if isinstance(signals, dict) else [signals]
    return tuple(tuple(map(_expected_signal, each({"signals": choice}, "signals"))) for choice in choices)


def _expected_signal(line: Object) -> ExpectedSignal:
    numbers = {key: get(line, key, INTEGER) for key in ("code", "errno", "band")}
    names = {key: get(line, key, _NAME_OR_NUMBER) for key in ("fd", "pid", "uid")}
    return ExpectedSignal(signal=get(line, "signal", TEXT), **numbers, **names)


_NAME_OR_NUMBER = Kind("a name or an integer", lambda value: isinstance(value, str) or INTEGER.accepts(value))


def _end(line: Object) -> End:
    return End(
        run=get(line, "run", TEXT),
        reason=get(line, "reason", TEXT),
        counts=get(line, "counts", INTEGER_BY_NAME),
        vanished={get(gone, "case", TEXT): get(gone, "verdict", TEXT) for gone in each(line, "vanished")},
    )


_MAKERS: dict[str, Callable[[Object], Line]] = {
    "run": _head,
    "statement": _statement,
    "clause": _clause,
    "start": _start,
    "case": _case,
    "end": _end,
    "function": traces.function,
    "path": traces.path,
}
