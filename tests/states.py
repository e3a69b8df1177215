"""Records of socket states built by hand, for the tests of what tells of them: the terminal's table and the handbook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.records import Line, case_line, clause_line, node, observed, run_line, write

OUT, IN, RDHUP = 0x4 | 0x100, 0x1 | 0x40, 0x2000
TITLE = "A TCP stream that the peer has ended is readable, and our direction stays open"
KERNEL = {"version": "#1", "machine": "x86_64", "implementation": "Linux"}


def signal(code: int, at: str = "state", signo: int = 40, fd: int = 9) -> Line:
    """One siginfo; 40 is the armed signal and 9 the subject."""
    return {"at": at, "signo": signo, "code": code, "errno": 0, "band": 0, "fd": fd, "pid": 0, "uid": 0}


def said(poll: int, select: int = 2, edge: int | None = None, *, so_error: int | str = 0) -> Line:
    """What the observers of the subject say; epoll says what poll does."""
    masks = {"socket.poll": poll, "socket.select": select, "socket.epoll": poll}
    return masks | {"socket.edge": poll if edge is None else edge, "socket.so_error": so_error}


def seen(state: Line, *signals: Line, read: int | str = "EAGAIN", wrote: int | str = 1) -> Line:
    """An observation of a state."""
    moments = {"state": state, "asked": {"read": read, "write": wrote}}
    return observed() | {"moments": moments, "signals": list(signals)}


HALF_CLOSED = seen(said(IN | OUT | RDHUP, 3), signal(1), signal(1), read=0)


def record(
    path: Path,
    states: dict[tuple[str, str], Line],
    run: str = "r1",
    release: str = "6.18.1",
    target: str = "host",
    **case: Any,
) -> Path:
    """A record of states, by the last part of the clause's id and the family."""
    planned = [node(state, family) for state, family in states]
    lines = [run_line(planned, run, kernel=KERNEL | {"release": release}, target=target)]
    for state in dict.fromkeys(state for state, _ in states):
        lines.append(clause_line(f"state.tcp.{state}", state, run, title=TITLE))
    lines += [
        case_line(node(state, family), run=run, clause=f"state.tcp.{state}", observed=showed, **case)
        for (state, family), showed in states.items()
    ]
    return write(path, lines)
