"""What a case expected beside what it observed, as rows of text that every form of a report can show.

Owns the words for facts and signals and the pairing of the two sides. It marks which rows differ, so that a reader
finds them; the outcome is the judge's, and stands in the record. Knows no file format and no kernel.
"""

from __future__ import annotations

import json
import marshal
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import NamedTuple

from reports.decode import poll_mask, select_sets, si_code, signal_name, signal_number
from reports.fields import Json, Object
from reports.lines import Case, Expected, ExpectedSignal, Observed, Signal

SAME, DIFFERS, MEASURED, NOT_JUDGED, NOT_SEEN = "same", "differs", "measured", "not judged", "not seen"
"""What a row says of its two sides. "not seen": the case ended before it was asked."""

ROWS = 256
"""How many signals of a moment are shown on each side."""

NOTHING = "—"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fact or signal at one moment: what the clause accepts, what was seen, and how they stand to each other."""

    moment: str
    name: str
    expected: str
    observed: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a case has to show, without times and numbers that differ from run to run: equal evidence is equal.

    `unjudged` are the facts that were seen and aren't judged, with the clause's reason.
    """

    rows: tuple[Row, ...]
    unjudged: tuple[tuple[str, str], ...]


def sameness(case: Case) -> Hashable:
    """What is equal for cases of one clause and verdict whose evidence is equal; worked out in a tenth of the time."""
    expected = case.expected.packed if case.expected else None
    if not case.observed:
        return expected
    seen = case.observed
    signals = tuple((signal.at, _named(_seen(signal), seen)) for signal in seen.signals)
    return expected, marshal.dumps(dict(seen.moments), 2), signals


def folded(rows: Iterable[Row]) -> list[Row]:
    """The rows with those of one moment and object that say the same in one, "socket.poll, ppoll, epoll"."""
    found: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        role, dot, name = row.name.rpartition(".")
        apart = () if dot else (name,)
        found.setdefault((row.moment, role, row.expected, row.observed, row.mark, *apart), []).append(name)
    return [
        Row(
            moment=moment,
            name=f"{role}.{', '.join(names)}" if role else names[0],
            expected=expected,
            observed=observed,
            mark=mark,
        )
        for (moment, role, expected, observed, mark, *_), names in found.items()
    ]


def evidence(case: Case) -> Evidence:
    """The evidence of a case; no rows if neither side is in the record."""
    expected, observed = case.expected, case.observed
    moments = dict.fromkeys([*(expected.moments if expected else ()), *(observed.moments if observed else ())])
    if observed:
        moments |= dict.fromkeys(signal.at for signal in observed.signals)
    rows = tuple(row for moment in moments for row in _moment(moment, case))
    reasons = expected.unjudged if expected else {}
    seen = dict.fromkeys(row.name for row in rows if row.mark == NOT_JUDGED)
    return Evidence(rows=rows, unjudged=tuple((name, reasons[name]) for name in seen if name in reasons))


def _moment(moment: str, case: Case) -> Iterator[Row]:
    yield from _signals(moment, case.expected, case.observed)
    stated = case.expected.moments[moment].facts if case.expected and moment in case.expected.moments else {}
    seen = case.observed.moments.get(moment) if case.observed else None
    masks = case.expected.masks if case.expected else {}
    unjudged = case.expected.unjudged if case.expected else {}
    for fact in dict.fromkeys([*stated, *(seen or ())]):
        accept, kind = stated.get(fact), masks.get(fact)
        if seen is None or fact not in seen:
            mark = NOT_SEEN if seen is None else DIFFERS
        elif accept is None:
            mark = NOT_JUDGED if fact in unjudged or case.expected is None else DIFFERS
        elif "measured" in accept:
            mark = MEASURED
        else:
            broken = f"at {moment}: {fact} breaks " in case.verdict
            mark = SAME if _accepts(accept, seen[fact], broken) else DIFFERS
        yield Row(
            moment=moment,
            name=fact,
            expected=_accept_in_words(accept, kind) if accept is not None else NOTHING,
            observed=say(seen[fact], kind) if seen and fact in seen else NOTHING,
            mark=mark,
        )


def _accepts(accept: Object, value: Json, broken: bool) -> bool:
    """Whether a fact is what its expectation accepts. A relation between facts is the judge's to work out: `broken`."""
    match accept:
        case {"is": wanted}:
            return type(value) is type(wanted) and bool(value == wanted)
        case {"any": [*choices]}:
            return any(type(value) is type(choice) and value == choice for choice in choices)
        case {"from": int(low), "to": int(high)}:
            return type(value) is int and low <= value <= high
        case _:
            return not broken


def _accept_in_words(accept: Object, kind: str | None) -> str:
    match accept:
        case {"is": wanted}:
            return say(wanted, kind)
        case {"any": [*choices]}:
            return " or ".join(say(choice, kind) for choice in choices)
        case {"from": low, "to": high}:
            return f"{say(low)} to {say(high)}"
        case {"holds": str(relation)}:
            return relation
        case {"measured": _}:
            return "measured, not judged"
    return say(accept)


def say(value: Json, kind: str | None = None) -> str:
    """A fact in words; `kind` says that it is a "poll" or a "select" mask."""
    if type(value) is int:
        return {"poll": poll_mask, "select": select_sets}.get(kind or "", str)(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# Signals


class _Siginfo(NamedTuple):
    """A siginfo's fields: numbers where they are known, else the names that the clause uses for them."""

    signo: str | int
    code: int
    errno: int
    band: int
    fd: str | int
    pid: str | int
    uid: str | int


def _signals(moment: str, expected: Expected | None, observed: Observed | None) -> Iterator[Row]:
    """Both sequences in order, paired so that one signal too many doesn't make all that follow it differ."""
    seen = [_seen(signal) for signal in observed.signals if signal.at == moment] if observed else []
    stated = expected.moments[moment].signals if expected and moment in expected.moments else ((),)
    choices = [[_wanted(signal, observed) for signal in choice][:ROWS] for choice in stated]
    wanted = max(choices, key=lambda choice: _matcher(choice, seen[:ROWS]).ratio(), default=[])
    came_to = observed is not None and moment in observed.moments
    for number, (want, got) in enumerate(_paired(wanted, seen[:ROWS]), 1):
        if want == got:
            mark = SAME
        elif expected is None:
            mark = NOT_JUDGED
        else:
            mark = DIFFERS if got or came_to else NOT_SEEN
        yield Row(
            moment=moment,
            name=f"signal {number}",
            expected=_in_words(want, observed) if want else NOTHING,
            observed=_in_words(got, observed) if got else NOTHING,
            mark=mark,
        )
    if len(seen) > ROWS:
        said = f"{len(seen) - ROWS} more, not shown"
        yield Row(moment=moment, name="signals", expected=NOTHING, observed=said, mark=NOT_JUDGED)


def _seen(signal: Signal) -> _Siginfo:
    return _Siginfo(*(getattr(signal, field) for field in _Siginfo._fields))


def _wanted(signal: ExpectedSignal, observed: Observed | None) -> _Siginfo:
    """An expected signal with the numbers that its names had in this observation."""
    known: dict[str, int | None] = {}
    roles: Mapping[str, int] = {}
    if observed:
        known = {"armed": observed.signal, "pid": observed.pid, "uid": observed.uid}
        roles = observed.descriptors
    signo = known.get("armed") if signal.signal == "armed" else signal_number(signal.signal)
    pid = known.get("pid") if signal.pid == "self" else None
    uid = known.get("uid") if signal.uid == "self" else None
    return _Siginfo(
        signo=signal.signal if signo is None else signo,
        code=signal.code,
        errno=signal.errno,
        band=signal.band,
        fd=roles.get(signal.fd, signal.fd) if isinstance(signal.fd, str) else signal.fd,
        pid=signal.pid if pid is None else pid,
        uid=signal.uid if uid is None else uid,
    )


def _matcher(wanted: Sequence[_Siginfo], seen: Sequence[_Siginfo]) -> SequenceMatcher[_Siginfo]:
    return SequenceMatcher(None, wanted, seen, autojunk=False)


def _paired(wanted: Sequence[_Siginfo], seen: Sequence[_Siginfo]) -> Iterator[tuple[_Siginfo | None, _Siginfo | None]]:
    for _, a, a_end, b, b_end in _matcher(wanted, seen).get_opcodes():
        yield from zip_longest(wanted[a:a_end], seen[b:b_end])


def _named(signal: _Siginfo, observed: Observed) -> _Siginfo:
    """A siginfo with the names that its numbers had in an observation."""
    roles = observed.roles
    return signal._replace(
        signo="armed" if signal.signo == observed.signal else signal.signo,
        fd=roles.get(signal.fd, signal.fd) if isinstance(signal.fd, int) and signal.fd else signal.fd,
        pid="self" if signal.pid and signal.pid == observed.pid else signal.pid,
        uid="self" if signal.uid and signal.uid == observed.uid else signal.uid,
    )


def _in_words(signal: _Siginfo, observed: Observed | None) -> str:
    """A siginfo with names for its numbers; fields that say nothing (0) are left out, the code never."""
    signal = _named(signal, observed) if observed else signal
    name = signal.signo if isinstance(signal.signo, str) else signal_name(signal.signo)
    said = [si_code(signal.code)]
    said += [f"band {poll_mask(signal.band)}"] if signal.band else []
    said += [f"{field} {value}" for field in ("fd", "errno", "pid", "uid") if (value := getattr(signal, field))]
    return f"{'the armed signal' if name == 'armed' else name}: {', '.join(said)}"


def parameters(case: Case) -> str:
    """What tells a case from its siblings: the part in brackets of its node id, else its family, else the id."""
    match = re.search(r"\[(.+)\]$", case.case, re.DOTALL)
    return match[1] if match else case.family or case.case
