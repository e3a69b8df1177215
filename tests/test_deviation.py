"""Recorded deviations: which files are taken, which cause a verdict has, and what is proposed from runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reports.recording import Recording
from suites import deviation
from suites.clauses import SpecificationError
from tests.records import run_line

CAUSES = """\
[[cause]]
name = "no-band"
reason = "It has no bands."
differences = ['at \\w+: socket\\.\\w+ lacks WRBAND']

[[cause]]
name = "kernel-code"
reason = "Its code is always SI_KERNEL."
differences = ['at \\w+: expected the signals .*']
cases = 'tcp4'
"""
VARIES = """\

[[cause]]
name = "late"
reason = "It delivers late."
varies = true
differences = ['at now: recv expected data:x, seen EAGAIN']
"""
LATE = "at now: recv expected data:x, seen EAGAIN"
BAND, SIGNALS = (
    "at now: socket.poll lacks WRBAND",
    "at now: expected the signals POLL_IN of socket but saw an armed signal",
)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a target whose causes are known."""
    monkeypatch.setattr(deviation, "FOLDER", tmp_path)
    path = tmp_path / "other.toml"
    path.write_text(CAUSES)
    return path


def ran(**verdicts: str) -> list[dict[str, Any]]:
    """The lines of a run's cases, by what stands in brackets; an empty verdict is a PASS."""
    return [
        {"case": f"suites/test_a.py::test_b[{name}]", "outcome": "FAIL" if verdict else "PASS", "verdict": verdict}
        for name, verdict in verdicts.items()
    ]


def record(path: Path, *runs: list[dict[str, Any]]) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Propose, and take the proposal."""
    text, unexplained, unsteady = deviation.propose("other", runs)
    path.write_text(text)
    return dict(unexplained), unsteady


def test_proposal_is_read_back_with_causes_and_reasons(target: Path) -> None:
    """A verdict of two parts has two causes."""
    assert record(target, ran(tcp4=f"{BAND}; {SIGNALS}", udp4=BAND, unix="")) == ({}, {})

    assert deviation.load("other") == {
        ("suites/test_a.py::test_b[tcp4]", f"{BAND}; {SIGNALS}"): {
            "cause": "no-band, kernel-code",
            "reason": "It has no bands. Its code is always SI_KERNEL.",
        },
        ("suites/test_a.py::test_b[udp4]", BAND): {"cause": "no-band", "reason": "It has no bands."},
    }


def test_what_no_cause_explains_or_differs_from_run_to_run_is_told_and_left_out(target: Path) -> None:
    """A cause explains whole differences, and only in its cases; the bits of a mask are differences of their own."""
    first = ran(tcp4=f"{BAND}; {SIGNALS}", udp4=SIGNALS, raw4=BAND, unix=f"{BAND} WRNORM and has ERR too")
    second = ran(tcp4=f"{BAND}; {SIGNALS}", udp4=SIGNALS, raw4="", unix=f"{BAND} WRNORM and has ERR too")

    unexplained, unsteady = record(target, first, second)

    assert unexplained == {SIGNALS: 1, "at now: socket.poll lacks WRNORM": 1, "at now: socket.poll has ERR too": 1}
    assert unsteady == {"suites/test_a.py::test_b[raw4]": ["", BAND]}
    assert [case for case, _ in deviation.load("other")] == ["suites/test_a.py::test_b[tcp4]"]


def test_case_of_a_cause_that_varies_keeps_all_its_verdicts(target: Path) -> None:
    """What is in all of them needs no such cause, and a later run that shows one of them takes none away."""
    target.write_text(CAUSES + VARIES)

    steady = f"{BAND}; {SIGNALS}"

    assert record(target, ran(tcp4=f"{steady}; {LATE}", udp4=LATE), ran(tcp4=steady, udp4="")) == ({}, {})
    record(target, ran(tcp4=steady, udp4=""))

    assert sorted((case.partition("[")[2], verdict) for case, verdict in deviation.load("other")) == [
        ("tcp4]", steady),
        ("tcp4]", f"{steady}; {LATE}"),
        ("udp4]", ""),
        ("udp4]", LATE),
    ]


def test_several_verdicts_without_a_cause_that_varies_are_refused(target: Path) -> None:
    """A file that tolerates what nobody has explained isn't taken."""
    cases = "cases.'suites/test_a.py::test_b' = ['tcp4']\n"
    target.write_text(CAUSES + f"[[deviation]]\nverdict = '{BAND}'\n{cases}[[deviation]]\nverdict = ''\n{cases}")

    with pytest.raises(SpecificationError, match=r"test_b.tcp4.: .* isn't in all of its verdicts, and no cause varies"):
        deviation.load("other")


@pytest.mark.parametrize("name", sorted(path.stem for path in deviation.FOLDER.glob("*.toml")))
def test_every_recorded_deviation_counts(name: str) -> None:
    """Shown, it is as recorded; removed from the file, what it recorded makes the run fail, and so does its absence."""
    recorded = deviation.load(name)
    by_case: dict[str, dict[deviation.Key, dict[str, str]]] = {}
    for key, found in recorded.items():
        by_case.setdefault(key[0], {})[key] = found

    wrong = []
    for key in recorded:
        of_case = by_case[key[0]]
        rest = {other: found for other, found in of_case.items() if other != key}
        if exit_code(key, of_case) or not exit_code(key, rest) or not exit_code((key[0], "another verdict"), of_case):
            wrong.append(key)
    assert recorded
    assert wrong == []


def exit_code(shown: deviation.Key, recorded: dict[deviation.Key, dict[str, str]]) -> int:
    """pytest's, of a run of one case that shows this verdict, an empty one for a PASS."""
    case, verdict = shown
    recording = Recording(None, lambda planned: [run_line(planned)], recorded)
    recording.begin([case])
    line = {"run": "r1", "case": case, "outcome": "FAIL" if verdict else "PASS", "verdict": verdict, "deviation": None}
    recording.case(line)
    session = SimpleNamespace(shouldstop=False, shouldfail=False, exitstatus=pytest.ExitCode.OK)
    ending = recording.pytest_sessionfinish(session)  # type: ignore[arg-type]
    next(ending)
    return int(session.exitstatus)


def test_proposal_keeps_causes_and_what_was_not_selected_and_drops_what_passes(target: Path) -> None:
    """A second proposal changes nothing but what was run."""
    record(target, ran(tcp4=f"{BAND}; {SIGNALS}", udp4=BAND, udp6=BAND))
    record(target, ran(udp4=""))

    assert target.read_text().startswith(CAUSES)
    assert [case.partition("[")[2] for case, _ in deviation.load("other")] == ["tcp4]", "udp6]"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[[deviation]]\nverdict = 'other'\ncases.'a::b' = ['c']\n", "other.toml: a::b[c]: no cause explains 'other'"),
        ("", "other.toml: no deviation has the cause 'no-band'; remove it"),
        ("[[deviation]]\nverdict = 'other'\n", "other.toml: deviation 1: cases is missing"),
        ("[[cause]]\nname = 'x'\n", "other.toml: cause x: differences, reason is missing"),
        ("[[cause]]\nname = 'x'\nreason = 'y'\ndifferences = ['(']\n", "other.toml: cause x: "),
    ],
)
def test_file_that_says_too_little_or_too_much_is_refused(target: Path, more: str, words: str) -> None:
    """One sentence: which file, what."""
    target.write_text(CAUSES + more)

    with pytest.raises(SpecificationError) as refused:
        deviation.load("other")

    assert words in str(refused.value)


def test_target_without_a_file_has_no_deviations(target: Path) -> None:
    """Linux has none."""
    assert deviation.load("host") == {}
