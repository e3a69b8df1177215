"""What the lines of a record mean: one immutable value for each type of line, built from parsed JSON.

Owns the fields of a record, their types and their defaults. Whoever holds one of these values may rely on its types:
nothing that a file says is trusted before it has been checked here. Opens no file, and judges nothing.

Unknown keys are ignored, so that a newer suite may say more. A key that the record's format promises and that isn't
there is an error; a key that only helps to explain (a signal's moment, a step's arguments) has a default.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

RECORD_VERSION = 1
"""The version of the format that this module reads and that a run line must state."""

OUTCOMES = ("PASS", "FAIL", "ERROR", "SKIP", "MISS", "DONE")
"""How a case can come out: as specified; the kernel did otherwise; our set-up broke; a capability is missing; it was
planned and never ended; it was measured and isn't judged."""

LEVELS = ("must", "should", "observed", "open")
"""What a clause rests on: POSIX or a manual page; the kernel's documentation; its source alone; nothing (measured)."""

Json = Any
Object = Mapping[str, Json]


class LineError(ValueError):
    """A line isn't what the format says; the message says which key is wrong and why, without file or line number."""


class _Kind(NamedTuple):
    """A type of JSON value, with the words that name it in an error."""

    words: str
    accepts: Callable[[Json], bool]


def _is_scalar(value: Json) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _is_texts(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_TEXT = _Kind("a string", lambda value: isinstance(value, str))
_NAME = _Kind("a string or null", lambda value: value is None or isinstance(value, str))
_FLAG = _Kind("true or false", lambda value: isinstance(value, bool))
_INTEGER = _Kind("an integer of 64 bits", lambda value: type(value) is int and -(2**63) <= value < 2**64)
_INTEGER_OR_NULL = _Kind("an integer or null", lambda value: value is None or _INTEGER.accepts(value))
_SCALAR = _Kind("a number, a string or null", _is_scalar)
_FACT = _Kind(
    "a number, a string, null or a list of those",
    lambda value: _is_scalar(value) or (isinstance(value, list) and all(map(_is_scalar, value))),
)
_LIST = _Kind("a list", lambda value: isinstance(value, list))
_TEXTS = _Kind("a list of strings", _is_texts)
_OBJECT = _Kind("an object", lambda value: isinstance(value, dict))
_OBJECT_OR_NULL = _Kind("an object or null", lambda value: value is None or isinstance(value, dict))
_TEXT_BY_NAME = _Kind(
    "an object of strings",
    lambda value: isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
)
_INTEGER_BY_NAME = _Kind(
    "an object of integers", lambda value: isinstance(value, dict) and all(map(_INTEGER.accepts, value.values()))
)
_OUTCOME = _Kind(f"one of {', '.join(OUTCOMES)}", lambda value: isinstance(value, str) and value in OUTCOMES)
_LEVEL = _Kind(f"one of {', '.join(LEVELS)}", lambda value: isinstance(value, str) and value in LEVELS)
_NEEDED: Any = object()


def _get(line: Object, key: str, kind: _Kind, default: Any = _NEEDED) -> Any:
    """The value of a key, checked; `default` if the key isn't there, else LineError."""
    if key not in line:
        if default is _NEEDED:
            raise LineError(f'it has no "{key}"')
        return default
    if not kind.accepts(line[key]):
        raise LineError(f'its "{key}" must be {kind.words}')
    return line[key]


def _each(line: Object, key: str) -> Iterator[Object]:
    """The objects of a list, none if the key isn't there."""
    for item in _get(line, key, _LIST, []):
        if not isinstance(item, dict):
            raise LineError(f'its "{key}" must be a list of objects')
        yield item


def _named(line: Object, key: str) -> Iterator[tuple[str, Object]]:
    """The objects of an object with their names, none if the key isn't there."""
    for name, item in _get(line, key, _OBJECT, {}).items():
        if not isinstance(item, dict):
            raise LineError(f'its "{key}" must be an object of objects')
        yield name, item


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


Line = Head | Statement | Clause | Start | Case | End


def parse(line: Object) -> Line | None:
    """The value of one line; None for a type that this version doesn't know. Raises LineError."""
    make = _MAKERS.get(_get(line, "type", _TEXT))
    return make(line) if make else None


def _head(line: Object) -> Head:
    version = _get(line, "record", _INTEGER)
    if version != RECORD_VERSION:
        raise LineError(f'its "record" is {version}, and only version {RECORD_VERSION} is understood')
    kernel = _get(line, "kernel", _OBJECT)
    machine = _get(line, "machine", _OBJECT, {})
    planned = tuple(_get(line, "planned", _TEXTS))
    if len(set(planned)) < len(planned):
        raise LineError('its "planned" names a case twice')
    return Head(
        run=_get(line, "run", _TEXT),
        target=_get(line, "target", _TEXT),
        kernel=Kernel(**{key: _get(kernel, key, _TEXT) for key in Kernel.__slots__}),
        specification=_get(line, "specification", _TEXT),
        capabilities={
            name: Capability(ok=_get(found, "ok", _FLAG), how=_get(found, "how", _TEXT))
            for name, found in _named(line, "capabilities")
        },
        sysctls=_get(line, "sysctls", _TEXT_BY_NAME),
        quiescence_ms=_get(line, "quiescence_ms", _INTEGER, 0),
        versions=_get(line, "versions", _TEXT_BY_NAME),
        cpus=_get(machine, "cpus", _INTEGER_OR_NULL, None),
        memory=_get(machine, "memory", _INTEGER_OR_NULL, None),
        argv=tuple(_get(line, "argv", _TEXTS)),
        started=_get(line, "started", _TEXT),
        planned=planned,
    )


def _statement(line: Object) -> Statement:
    return Statement(
        run=_get(line, "run", _TEXT, None),
        id=_get(line, "id", _TEXT),
        says=_get(line, "says", _TEXT),
        document=_get(line, "document", _NAME, None),
        left_out=_get(line, "left_out", _NAME, None),
        target=_get(line, "target", _NAME, None),
    )


def _clause(line: Object) -> Clause:
    return Clause(
        run=_get(line, "run", _TEXT, None),
        id=_get(line, "id", _TEXT),
        title=_get(line, "title", _TEXT),
        text=_get(line, "text", _TEXT),
        level=_get(line, "level", _LEVEL),
        covers=tuple(_get(line, "covers", _TEXTS)),
        refs=tuple(_get(line, "refs", _TEXTS)),
        path=tuple(_get(line, "path", _TEXTS)),
        source=_get(line, "source", _TEXT),
        claims=tuple(_get(line, "claims", _TEXTS, [])),
        families=tuple(_get(line, "families", _TEXTS, [])),
        needs=tuple(_get(line, "needs", _TEXTS, [])),
        unjudged=_get(line, "unjudged", _TEXT_BY_NAME, {}),
        module=_get(line, "module", _TEXT, ""),
    )


def _start(line: Object) -> Start:
    return Start(run=_get(line, "run", _TEXT), case=_get(line, "case", _TEXT))


def _case(line: Object) -> Case:
    expected = _get(line, "expected", _OBJECT_OR_NULL)
    observed = _get(line, "observed", _OBJECT_OR_NULL)
    return Case(
        run=_get(line, "run", _TEXT),
        case=_get(line, "case", _TEXT),
        worker=_get(line, "worker", _NAME, None),
        clause=_get(line, "clause", _NAME),
        family=_get(line, "family", _NAME),
        level=_get(line, "level", _NAME),
        outcome=_get(line, "outcome", _OUTCOME),
        verdict=_get(line, "verdict", _NAME) or "",
        reason=_get(line, "reason", _NAME) or "",
        deviation=_deviation(line),
        expected=None if expected is None else _expected(marshal.dumps(expected, 2)),
        observed=None if observed is None else _observed(observed),
        duration_ns=_get(line, "duration_ns", _INTEGER, None),
    )


def _deviation(line: Object) -> Deviation | None:
    deviation = _get(line, "deviation", _OBJECT_OR_NULL)
    if deviation is None:
        return None
    return Deviation(cause=_get(deviation, "cause", _TEXT), reason=_get(deviation, "reason", _TEXT))


def _observed(line: Object) -> Observed:
    names = _get(line, "names", _OBJECT, {})
    return Observed(
        descriptors=_get(names, "descriptors", _INTEGER_BY_NAME, {}),
        signal=_get(names, "signal", _INTEGER, None),
        pid=_get(names, "pid", _INTEGER, None),
        uid=_get(names, "uid", _INTEGER, None),
        moments={moment: _facts(facts) for moment, facts in _named(line, "moments")},
        signals=tuple(_signal(signal) for signal in _each(line, "signals")),
        packed=marshal.dumps([_step(step) for step in _each(line, "steps")]),
    )


def _facts(line: Object) -> Object:
    for fact, value in line.items():
        if type(value) is not int and type(value) is not str:
            _get(line, fact, _FACT)
    return line


def _signal(line: Object) -> Signal:
    fields = {key: _get(line, key, _INTEGER) for key in ("signo", "code", "errno", "band", "fd", "pid", "uid")}
    return Signal(at=_get(line, "at", _TEXT, ""), **fields)


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
        _get(line, "t_ns", _INTEGER),
        _get(line, "tid", _INTEGER),
        _get(line, "call", _TEXT),
        _get(line, "arguments", _TEXT, ""),
        _get(line, "result", _FACT),
        _get(line, "errno", _SCALAR),
    )


@lru_cache(maxsize=4096)
def _expected(packed: bytes) -> Expected:
    """An expectation. It stands in the line of every case of its clause, in every run: equal ones are one object."""
    line = marshal.loads(packed)
    return Expected(
        packed=packed,
        moments={
            moment: ExpectedMoment(signals=_alternatives(stated), facts=dict(_named(stated, "facts")))
            for moment, stated in _named(line, "moments")
        },
        masks=_get(line, "masks", _TEXT_BY_NAME, {}),
        unjudged=_get(line, "unjudged", _TEXT_BY_NAME, {}),
    )


def _alternatives(stated: Object) -> tuple[tuple[ExpectedSignal, ...], ...]:
    """Expected signals are written as one sequence, or as {"any": [sequence, ...]}."""
    signals = stated.get("signals", [])
    choices = _get(signals, "any", _LIST) if isinstance(signals, dict) else [signals]
    return tuple(tuple(map(_expected_signal, _each({"signals": choice}, "signals"))) for choice in choices)


def _expected_signal(line: Object) -> ExpectedSignal:
    numbers = {key: _get(line, key, _INTEGER) for key in ("code", "errno", "band")}
    names = {key: _get(line, key, _NAME_OR_NUMBER) for key in ("fd", "pid", "uid")}
    return ExpectedSignal(signal=_get(line, "signal", _TEXT), **numbers, **names)


_NAME_OR_NUMBER = _Kind("a name or an integer", lambda value: isinstance(value, str) or _INTEGER.accepts(value))


def _end(line: Object) -> End:
    return End(
        run=_get(line, "run", _TEXT),
        reason=_get(line, "reason", _TEXT),
        counts=_get(line, "counts", _INTEGER_BY_NAME),
        vanished={_get(gone, "case", _TEXT): _get(gone, "verdict", _TEXT) for gone in _each(line, "vanished")},
    )


_MAKERS: dict[str, Callable[[Object], Line]] = {
    "run": _head,
    "statement": _statement,
    "clause": _clause,
    "start": _start,
    "case": _case,
    "end": _end,
}
