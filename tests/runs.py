"""A run with every way in which a case can count, and text that would break out of a form if it could."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.records import Line, case_line, clause_line, end_line, expected, node, observed, run_line, write

VERDICT = "at reset: socket.so_error is EPIPE, not ECONNRESET"
DEVIATION = {"cause": "late-delivery", "reason": "signals are delivered by another thread, later"}

HOSTILE = (
    "SKIP # SKIP\nok 99 forged\nKTAP version 1\n1..9\r\x1b[2J\x00\x85\u2028\u202e\ud800\ufffe"
    "</failure></testcase><x a='\"'>]]>&amp; {{ 7 * 7 }}"
)
"""Lines and directives of KTAP, markup, terminal commands, and characters that neither XML nor UTF-8 has."""


def measured() -> Line:
    """What an open clause expects."""
    return {"moments": {"raced": {"signals": [], "facts": {"rounds": {"measured": True}}}}, "masks": {}, "unjudged": {}}


def every_rank(run: str = "r1", **head: Any) -> list[Line]:
    """A run of two clauses: on the families of the first, each outcome that has one; the second is open."""
    otherwise: dict[str, Any] = {"socket.so_error": "EPIPE"}
    verdict = {"verdict": VERDICT, "observed": observed(**otherwise)}
    cases: dict[str, Line] = {
        "tcp4": {"outcome": "PASS"},
        "tcp6": {"outcome": "FAIL"} | verdict,
        "mptcp": {"outcome": "FAIL", "deviation": DEVIATION} | verdict,
        "udp4": {"outcome": "ERROR", "reason": "Traceback (most recent call last):\n  frame\nOSError: no room"},
        "vsock": {"outcome": "SKIP", "reason": "needs vsock: there is no device"},
        "udp6": {"outcome": "PASS"},
    }
    missing, open_case = node("reset", "unix-stream"), node("race", "unix-stream")
    planned = [*(node("reset", family) for family in cases), missing, open_case]
    seen = observed() | {"moments": {"raced": {"rounds": 32}}, "signals": []}
    gone = {"case": node("reset", "udp6"), "verdict": "at reset: a signal too many"}
    end = end_line(run, "died", PASS=2, FAIL=2, ERROR=1, SKIP=1, MISS=1, DONE=1) | {"vanished": [gone]}
    return [
        run_line(planned, run, **head),
        clause_line(run=run, families=[*cases, "unix-stream"]),
        clause_line("race.open", "race", run, level="open", title="How often it is late", families=["unix-stream"]),
        *(case_line(node("reset", family), run=run, **changes) for family, changes in cases.items()),
        case_line(open_case, "DONE", run, clause="race.open", level="open", expected=measured(), observed=seen),
        end,
    ]


def hostile(run: str = "r1") -> list[Line]:
    """A run in which all text is hostile."""
    ids = [f"{HOSTILE}::{HOSTILE}[{HOSTILE}{number}]" for number in range(4)]
    outcomes = ("FAIL", "ERROR", "SKIP", "PASS")
    said = {"verdict": HOSTILE, "reason": HOSTILE, "clause": HOSTILE, "family": HOSTILE}
    deviations: list[Line | None] = [{"cause": HOSTILE, "reason": HOSTILE}, None, None, None]
    facts: dict[str, Any] = {HOSTILE: HOSTILE}
    kernel = dict.fromkeys(("release", "version", "machine", "implementation"), HOSTILE)
    head = {"target": HOSTILE, "kernel": kernel, "started": HOSTILE, "sysctls": {HOSTILE: HOSTILE}}
    return [
        run_line(ids, run, **head),
        clause_line(HOSTILE, run=run, title=HOSTILE, text=HOSTILE, module=HOSTILE),
        *(
            case_line(case, outcome, run, deviation=deviation, expected=expected(), observed=observed(**facts), **said)
            for case, outcome, deviation in zip(ids, outcomes, deviations, strict=True)
        ),
        end_line(run, HOSTILE),
    ]


def record(path: Path, *runs: list[Line]) -> Path:
    """Write runs as one record; returns the path."""
    return write(path, [line for run in runs for line in run])
