"""The judge: does an observation agree with an expectation?

A pure function of two plain values, as they stand in a record. It opens nothing, asks no kernel and knows no clause, so an
old record can be judged again. It looks at everything that was observed: a signal too many is as wrong as one too few, and
a fact that the expectation doesn't mention is a difference unless the clause lists it as unjudged.

An expectation has, for each moment in order, the signals (exact, in order) and for each fact what is accepted:

    {"is": value}             exactly this
    {"any": [value, ...]}     one of these
    {"from": a, "to": b}      an integer in this range, both ends included
    {"holds": "expression"}   an integer that makes a relation between facts true, see `relation`
    {"measured": true}        anything: the clause is open and the value is only reported

Verdicts are one line without pids, ports, times, descriptor numbers, addresses or versions: deviations are keyed by them.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

Json = Any

MASK_BITS = {
    "IN": 0x001,
    "PRI": 0x002,
    "OUT": 0x004,
    "ERR": 0x008,
    "HUP": 0x010,
    "NVAL": 0x020,
    "RDNORM": 0x040,
    "RDBAND": 0x080,
    "WRNORM": 0x100,
    "WRBAND": 0x200,
    "MSG": 0x400,
    "RDHUP": 0x2000,
}
"""poll(2)'s event bits by name (include/uapi/asm-generic/poll.h)."""

SELECT_BITS = {"READ": 1, "WRITE": 2, "EXCEPT": 4}
"""In which of select(2)'s three sets a descriptor was found."""

REASONS = {1: "POLL_IN", 2: "POLL_OUT", 3: "POLL_MSG", 4: "POLL_ERR", 5: "POLL_PRI", 6: "POLL_HUP"}
"""si_code of a signal that tells of an event on a descriptor (fcntl(2) F_SETSIG; siginfo's NSIGPOLL codes)."""

SIGNAL_NAMES = {"SIGPIPE": 13, "SIGURG": 23, "SIGIO": 29}
"""The signals that sockets send under a number of their own (x86, ARM and RISC-V agree on them)."""

_SIGNAL_FIELDS = ("signo", "code", "errno", "band", "fd", "pid", "uid")


class Judgement(NamedTuple):
    """What the judge says: PASS or FAIL, and for FAIL the differences in one line."""

    outcome: str
    verdict: str


def judge(expected: Json, observed: Json) -> Judgement:
    """Compare all that was observed with what the clause expects of it."""
    differences: list[str] = []
    wanted = expected["moments"]
    seen = observed["moments"]
    if list(wanted) != list(seen):
        differences.append(f"moments: expected {', '.join(wanted)} but saw {', '.join(seen) or 'none'}")
    for moment, want in wanted.items():
        if moment not in seen:
            continue
        told = [signal for signal in observed["signals"] if signal["at"] == moment]
        differences += _compare_signals(moment, want["signals"], told, observed["names"])
        differences += _compare_facts(moment, want["facts"], expected, observed)
    strays = sum(signal["at"] not in wanted for signal in observed["signals"])
    if strays:
        differences.append(f"{strays} signals outside of every moment")
    return Judgement("FAIL", "; ".join(differences)) if differences else Judgement("PASS", "")


def _compare_facts(moment: str, wanted: Json, expected: Json, observed: Json) -> list[str]:
    seen = observed["moments"][moment]
    masks = expected["masks"]
    found = []
    for name, accept in wanted.items():
        if name not in seen:
            found.append(f"at {moment}: {name} was not observed")
        elif not accepts(accept, seen[name], moment, observed["moments"]):
            found.append(f"at {moment}: {name} {_difference(accept, seen[name], masks.get(name))}")
    for name in seen:
        if name not in wanted and name not in expected["unjudged"]:
            found.append(f"at {moment}: {name} was observed and the clause says nothing of it")
    return found


def accepts(accept: Mapping[str, Json], value: Json, moment: str, moments: Mapping[str, Mapping[str, Json]]) -> bool:
    """Whether one fact is what its expectation accepts; `moments` are what a relation may refer to."""
    match accept:
        case {"is": wanted}:
            return type(value) is type(wanted) and bool(value == wanted)
        case {"any": choices}:
            return any(type(value) is type(choice) and value == choice for choice in choices)
        case {"from": low, "to": high}:
            return type(value) is int and low <= value <= high
        case {"holds": text}:
            try:
                return type(value) is int and bool(relation(text)(moment, moments))
            except (KeyError, TypeError):  # a fact that the relation speaks of is missing, or isn't a number
                return False
        case {"measured": True}:
            return True
    raise ValueError(f"an expectation of unknown form: {accept!r}")


def _difference(accept: Mapping[str, Json], value: Json, kind: str | None) -> str:
    if "is" in accept and kind is not None and isinstance(value, int) and isinstance(accept["is"], int):
        names = MASK_BITS if kind == "poll" else SELECT_BITS
        lacks, extra = accept["is"] & ~value, value & ~accept["is"]
        said = [f"lacks {mask_names(lacks, names)}"] if lacks else []
        return " and ".join(said + ([f"has {mask_names(extra, names)} too"] if extra else []))
    match accept:
        case {"is": wanted}:
            return f"expected {_say(wanted, kind)}, seen {_say(value, kind)}"
        case {"any": choices}:
            return f"expected one of {', '.join(_say(choice, kind) for choice in choices)}, seen {_say(value, kind)}"
        case {"from": low, "to": high}:
            return f"expected {low} to {high}, seen {_say(value, kind)}"
        case _:
            return f"breaks {accept['holds']}"


def _say(value: Json, kind: str | None) -> str:
    if kind is None or not isinstance(value, int):
        return str(value)
    return mask_names(value, MASK_BITS if kind == "poll" else SELECT_BITS)


def mask_names(mask: int, names: Mapping[str, int]) -> str:
    """A mask in words, `IN RDNORM`; bits without a name as a number; `nothing` for an empty one."""
    words = [name for name, bit in names.items() if mask & bit]
    rest = mask & ~sum(names.values())
    return " ".join(words + ([hex(rest)] if rest else [])) or "nothing"


def _compare_signals(moment: str, wanted: Json, seen: list[Json], names: Json) -> list[str]:
    choices = wanted["any"] if isinstance(wanted, dict) else [wanted]
    exact = [[_resolve(signal, names) for signal in choice] for choice in choices]
    told = [tuple(signal[field] for field in _SIGNAL_FIELDS) for signal in seen]
    if told in exact:
        return []
    expected_words = " or ".join(_signal_list(choice, names) for choice in exact)
    seen_words = _signal_list(told, names)
    if expected_words == seen_words:
        fields = [
            field
            for want, got in zip(exact[0], told, strict=True)
            for field, a, b in zip(_SIGNAL_FIELDS, want, got, strict=True)
            if a != b
        ]
        return [f"at {moment}: signals {seen_words} with another si_{', si_'.join(dict.fromkeys(fields))}"]
    return [f"at {moment}: expected the signals {expected_words} but saw {seen_words}"]


def _resolve(signal: Json, names: Json) -> tuple[int, ...]:
    """An expected signal with the numbers that its names had in this observation."""
    signo = names["signal"] if signal["signal"] == "armed" else SIGNAL_NAMES[signal["signal"]]
    descriptor = signal["fd"] if isinstance(signal["fd"], int) else names["descriptors"][signal["fd"]]
    pid = names["pid"] if signal["pid"] == "self" else signal["pid"]
    uid = names["uid"] if signal["uid"] == "self" else signal["uid"]
    return signo, signal["code"], signal["errno"], signal["band"], descriptor, pid, uid


def _signal_list(signals: list[tuple[int, ...]], names: Json) -> str:
    return ", ".join(_signal_words(signal, names) for signal in signals) or "none"


def _signal_words(signal: tuple[int, ...], names: Json) -> str:
    signo, code, _, _, descriptor, _, _ = signal
    number = next((name for name, value in SIGNAL_NAMES.items() if value == signo), None)
    if code not in REASONS:
        return number or ("an armed signal" if signo == names["signal"] else "another signal")
    role = next((role for role, fd in names["descriptors"].items() if fd == descriptor), "an unknown descriptor")
    return f"{REASONS[code]} of {role}" + (f" as {number}" if number else "")


_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

Relation = Callable[[str, Mapping[str, Mapping[str, Json]]], Any]


@lru_cache(maxsize=512)
def relation(text: str) -> Relation:
    """A relation between facts, `sndbuf == 2 * (charge + 1)`, as a function of moment and moments.

    Integers, + - * // %, comparisons and `and` are all there is. A bare name is a fact of the subject or of the case at the
    same moment; `full.charge` is the fact at the moment called full. Raises ValueError for anything else.
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{text!r} is not a relation: {error.msg}") from None
    _check(tree, text)
    return lambda moment, moments: _evaluate(tree, moment, moments)


def _check(node: ast.AST, text: str) -> None:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            children: list[ast.expr] = parts
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _OPERATORS for op in ops):
            children = [left, *others]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            children = [left, right]
        case ast.Constant(value=int()) | ast.Name() | ast.Attribute(value=ast.Name()):
            children = []
        case _:
            raise ValueError(f"{text!r} is not a relation: {ast.unparse(node)!r} is not allowed in one")
    for child in children:
        _check(child, text)


def _evaluate(node: ast.AST, moment: str, moments: Mapping[str, Mapping[str, Json]]) -> Any:
    match node:
        case ast.BoolOp(values=parts):
            return all(_evaluate(part, moment, moments) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [_evaluate(part, moment, moments) for part in (left, *others)]
            return all(_OPERATORS[type(op)](a, b) for op, a, b in zip(ops, values, values[1:], strict=False))
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_evaluate(left, moment, moments), _evaluate(right, moment, moments))
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _fact(moments[moment], name)
        case ast.Attribute(value=ast.Name(id=other), attr=name):
            return _fact(moments[other], name)
    raise AssertionError(ast.dump(node))


def _fact(facts: Mapping[str, Json], name: str) -> Json:
    """A fact by its short name: the case's own, else the subject's."""
    return facts[name] if name in facts else facts[f"socket.{name}"]
