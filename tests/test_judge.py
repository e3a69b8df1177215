"""The judge can fail: every observation of every case, changed in every way that its clause speaks of, one at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from suites.judge import MASK_BITS, SIGNAL_NAMES, accepts, judge, relation

Json = Any


def changed_signals(observed: Json, expected: Json) -> Iterator[str]:
    """Drop each signal, add one at each moment, double each, change each field of each; undone after each step."""
    signals = observed["signals"]
    for index, signal in enumerate(list(signals)):
        signals.pop(index)
        yield f"signal {index} dropped"
        signals.insert(index, signal)
        signals.insert(index, dict(signal))
        yield f"signal {index} doubled"
        signals.pop(index)
        for field in ("signo", "code", "errno", "band", "fd", "pid", "uid"):
            for change in (1, -1, 1 << 20):
                signal[field] += change
                yield f"signal {index}'s {field} changed by {change}"
                signal[field] -= change
    for moment in expected["moments"]:
        code = {
            "at": moment,
            "signo": observed["names"]["signal"],
            "code": 1,
            "errno": 0,
            "band": 0x41,
            "fd": 0,
            "pid": 0,
            "uid": 0,
        }
        signals.append(code)
        yield f"a signal added at {moment}"
        signals.pop()


def changed_facts(observed: Json, expected: Json) -> Iterator[str]:
    """Flip each bit of each mask, change each result and counter; undone after each step."""
    for moment, facts in observed["moments"].items():
        for name, value in list(facts.items()):
            for other in variations(value, expected["masks"].get(name)):
                facts[name] = other
                yield f"{name} at {moment} is {other!r} in place of {value!r}"
            facts[name] = value


def variations(value: Json, kind: str | None) -> Iterator[Json]:
    """Other values of a fact: each bit of a mask flipped; a result one more, one less, an errno, a string."""
    if kind is not None and isinstance(value, int):
        bits = MASK_BITS.values() if kind == "poll" else (1, 2, 4)
        yield from (value ^ bit for bit in bits)
    elif isinstance(value, int):
        yield from (value + 1, value - 1, value + (1 << 20))
    yield from (other for other in ("EAGAIN", "asleep", "data:y", None) if other != value)


def accepted(expected: Json, observed: Json) -> bool:
    """Whether an observation is inside what the expectation accepts, found out without the judge's comparing code."""
    for where, facts in expected["moments"].items():
        for fact, accept in facts["facts"].items():
            value = observed["moments"][where][fact]
            match accept:
                case {"is": wanted}:
                    inside = (type(value), value) == (type(wanted), wanted)
                case {"any": choices}:
                    inside = (type(value), value) in [(type(choice), choice) for choice in choices]
                case {"from": low, "to": high}:
                    inside = type(value) is int and low <= value <= high
                case {"holds": text}:
                    inside = type(value) is int and by_python(text, where, observed["moments"])
                case _:
                    inside = True
            if not inside:
                return False
    return True


def told_as_accepted(expected: Json, observed: Json) -> bool:
    """Whether the signals of each moment are a sequence that the expectation accepts, without the judge's comparing code."""
    names = observed["names"]

    def plain(signal: Json) -> Json:
        own = {"pid": names["pid"], "uid": names["uid"]}
        by_name = {field: own[field] if signal[field] == "self" else signal[field] for field in own}
        number = {"armed": names["signal"], **SIGNAL_NAMES}[signal["signal"]]
        fd = names["descriptors"][signal["fd"]] if isinstance(signal["fd"], str) else signal["fd"]
        return {"signo": number, "fd": fd} | by_name | {field: signal[field] for field in ("code", "errno", "band")}

    for moment, stated in expected["moments"].items():
        choices = stated["signals"]["any"] if isinstance(stated["signals"], dict) else [stated["signals"]]
        seen = [{**signal, "at": moment} for signal in observed["signals"] if signal["at"] == moment]
        if seen not in [[{**plain(signal), "at": moment} for signal in choice] for choice in choices]:
            return False
    return True


def by_python(text: str, moment: str, moments: Json) -> bool:
    """A relation as Python itself reads it."""

    class Facts(dict[str, Any]):
        def __getattr__(self, name: str) -> Any:
            return self[name] if name in self else self[f"socket.{name}"]

    names: dict[str, Any] = {where: Facts(facts) for where, facts in moments.items()}
    facts = moments[moment]
    names |= {name.removeprefix("socket."): value for name, value in facts.items() if name.count(".") < 2}
    try:
        return bool(eval(text, {"__builtins__": {}}, names))
    except TypeError:
        return False


def test_every_changed_observation_is_judged_as_its_expectation_says(host_cases: list[Json]) -> None:
    """Outside of what is expected: FAIL. Inside: PASS. Nothing that was observed is without a say."""
    judged = 0
    for case in host_cases:
        if case["outcome"] != "PASS":
            continue
        expected, observed = case["expected"], copy.deepcopy(case["observed"])
        assert judge(expected, observed).outcome == "PASS", case["case"]
        for what in changed_signals(observed, expected):
            inside = told_as_accepted(expected, observed)
            assert judge(expected, observed).outcome == ("PASS" if inside else "FAIL"), f"{case['case']}: {what}"
            judged += 1
        for what in changed_facts(observed, expected):
            inside = accepted(expected, observed)
            assert judge(expected, observed).outcome == ("PASS" if inside else "FAIL"), f"{case['case']}: {what}"
            judged += 1
        assert judge(expected, observed).outcome == "PASS", f"{case['case']}: not undone"
    assert judged > 1000


def test_all_that_is_observed_is_expected_or_listed_as_unjudged(host_cases: list[Json]) -> None:
    """A fact that no clause speaks of would be a fact that nobody judges."""
    for case in host_cases:
        if case["outcome"] != "PASS":
            continue
        for moment, facts in case["observed"]["moments"].items():
            spoken = set(case["expected"]["moments"][moment]["facts"]) | set(case["expected"]["unjudged"])
            assert set(facts) <= spoken, case["case"]


def observation(**facts: Json) -> Json:
    """An observation of one moment."""
    names = {"descriptors": {"socket": 5}, "signal": 40, "pid": 1, "uid": 0}
    return {"names": names, "signals": [], "moments": {"now": facts}}


def expectation(**facts: Json) -> Json:
    """What is expected at that moment."""
    return {"moments": {"now": {"signals": [], "facts": facts}}, "masks": {"socket.poll": "poll"}, "unjudged": {}}


def test_verdict_names_the_bits_that_differ() -> None:
    """A verdict says what lacks and what is too much, and no number that changes from run to run."""
    verdict = judge(expectation(**{"socket.poll": {"is": 0x45}}), observation(**{"socket.poll": 0x55 & ~0x40})).verdict

    assert verdict == "at now: socket.poll lacks RDNORM and has HUP too"


def test_fact_that_no_expectation_mentions_fails() -> None:
    """What a clause doesn't speak of can't be passed over."""
    assert judge(expectation(), observation(recv=0)).verdict == (
        "at now: recv was observed and the clause says nothing of it"
    )


def test_missing_fact_fails() -> None:
    """An expectation that nothing was observed for isn't met."""
    assert judge(expectation(recv={"is": 0}), observation()).verdict == "at now: recv was not observed"


def test_moments_must_come_in_the_order_of_the_clause() -> None:
    """A moment that is missing, or another one, is a difference."""
    seen = observation()
    seen["moments"] = {"later": {}}

    assert judge(expectation(), seen).outcome == "FAIL"


def test_true_is_not_one() -> None:
    """Facts keep their types."""
    assert judge(expectation(recv={"is": 1}), observation(recv=True)).outcome == "FAIL"


@pytest.mark.parametrize(
    ("text", "value"),
    [("charge + 1", 4), ("2 * charge == total", True), ("charge < 2 and total > 1", False), ("total // 4 % 2", 1)],
)
def test_relation_is_arithmetic_between_facts(text: str, value: int) -> None:
    """Bare names are the case's own facts, then the subject's."""
    assert relation(text)("now", {"now": {"socket.charge": 3, "total": 6}}) == value


@pytest.mark.parametrize("text", ["__import__('os')", "charge.__class__.x", "[1]", "f(1)", "a if b else c", "1 +"])
def test_relation_refuses_what_is_not_arithmetic(text: str) -> None:
    """A specification is data: nothing in it runs."""
    with pytest.raises(ValueError, match="not a relation"):
        relation(text)


def test_relation_with_a_missing_fact_does_not_hold() -> None:
    """What wasn't observed can't make a relation true."""
    assert not accepts({"holds": "charge == other"}, 1, "now", {"now": {"charge": 1}})
