"""Records built by hand, for the tests of what reads and renders them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Line = dict[str, Any]

MODULE = "suites/notification/test_error.py"
POLL_AFTER_RESET = 0x2000 | 0x10 | 0x8 | 0x4 | 0x1 | 0x40 | 0x100


def node(function: str, family: str, module: str = MODULE) -> str:
    """The id of a case."""
    return f"{module}::test_{function}[{family}]"


def run_line(planned: Iterable[str], run: str = "r1", **changes: Any) -> Line:
    """A run line of a host with everything."""
    return {
        "type": "run",
        "record": 1,
        "run": run,
        "target": "host",
        "kernel": {
            "release": "6.12.107+deb13-amd64",
            "version": "#1 SMP PREEMPT_DYNAMIC Debian 6.12.107-1 (2026-10-02)",
            "machine": "x86_64",
            "implementation": "Linux",
        },
        "specification": "5f3a" * 16,
        "capabilities": {
            "ipv6": {"ok": True, "how": "a datagram to ::1 came back"},
            "sctp": {"ok": False, "how": "socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP) failed with EPROTONOSUPPORT"},
        },
        "sysctls": {"net.ipv4.tcp_rmem": "4096 131072 6291456", "net.core.wmem_default": "212992"},
        "versions": {"python": "3.13.5", "pytest": "9.2.0"},
        "argv": ["pytest", "suites", "-n", "2", "--record", "host.jsonl"],
        "started": "2026-11-21T07:30:00+00:00",
        "planned": list(planned),
    } | changes


def clause_line(
    name: str = "error.reset.established", function: str = "reset", run: str = "r1", **changes: Any
) -> Line:
    """A clause line whose case is `test_FUNCTION` of MODULE."""
    return {
        "type": "clause",
        "run": run,
        "id": name,
        "title": "A reset of an established connection is one error event",
        "text": "The peer's RST wakes every sleeper with POLLERR and queues one POLL_ERR signal.",
        "level": "must",
        "claims": ["E10", "E11"],
        "covers": ["E10", "E11", "fact:reset"],
        "refs": ["fcntl(2) F_SETSIG", "net/ipv4/tcp_input.c tcp_reset"],
        "path": ["tcp_reset", "sk_error_report", "sock_def_error_report", "sk_wake_async", "send_sigio"],
        "families": ["tcp4", "tcp6"],
        "needs": [],
        "unjudged": {"socket.outq": "how much is unsent depends on when the RST comes"},
        "source": f'''@clause("{name}")
def test_{function}(case: Case) -> None:
    """A reset is one error event."""
    fd, peer = case.pair()
    case.arm(fd)
    reset(peer)

    case.at("reset", recv=attempt(recv, fd, 1))
''',
        "module": MODULE,
    } | changes


def start_line(case: str, run: str = "r1") -> Line:
    """A case begins."""
    return {"type": "start", "run": run, "case": case, "worker": "gw0", "t_ns": 1}


def expected() -> Line:
    """What a reset is to show."""
    return {
        "moments": {
            "reset": {
                "signals": [{"signal": "armed", "code": 4, "band": 8, "fd": "socket", "errno": 0, "pid": 0, "uid": 0}],
                "facts": {
                    "recv": {"any": [0, "ECONNRESET"]},
                    "sndbuf": {"holds": "sndbuf == 2 * (charge + 1)"},
                    "charge": {"from": 0, "to": 4096},
                    "socket.poll": {"is": POLL_AFTER_RESET},
                    "socket.select": {"is": 3},
                    "socket.so_error": {"is": "ECONNRESET"},
                },
            }
        },
        "masks": {"socket.poll": "poll", "socket.select": "select"},
        "unjudged": {"socket.outq": "how much is unsent depends on when the RST comes"},
    }


def observed(fd: int = 9, **facts: Any) -> Line:
    """What a reset showed, as expected but for `facts`."""
    return {
        "names": {"descriptors": {"socket": fd, "peer": fd + 1}, "signal": 40, "pid": 4123, "uid": 1000},
        "signals": [{"at": "reset", "signo": 40, "code": 4, "errno": 0, "band": 8, "fd": fd, "pid": 0, "uid": 0}],
        "moments": {
            "reset": {
                "recv": "ECONNRESET",
                "sndbuf": 4610,
                "charge": 2304,
                "socket.outq": 17,
                "socket.poll": POLL_AFTER_RESET,
                "socket.select": 3,
                "socket.so_error": "ECONNRESET",
            }
            | facts
        },
        "steps": [
            {"t_ns": 1200, "tid": 77, "call": "socket", "arguments": "2, 1, 0", "result": fd, "errno": None},
            {
                "t_ns": 31750,
                "tid": 77,
                "call": "setsockopt",
                "arguments": "peer, SO_LINGER",
                "result": 0,
                "errno": None,
            },
            {"t_ns": 48000, "tid": 77, "call": "close", "arguments": "peer", "result": 0, "errno": None},
            {"t_ns": 61325, "tid": 77, "call": "recv", "arguments": "socket, 1", "result": -1, "errno": "ECONNRESET"},
        ],
    }


def case_line(case: str, outcome: str = "PASS", run: str = "r1", **changes: Any) -> Line:
    """What came of a case; one that didn't run has nothing to show."""
    ran = outcome not in ("SKIP", "MISS")
    return {
        "type": "case",
        "run": run,
        "worker": "gw0",
        "clause": "error.reset.established",
        "case": case,
        "family": case.partition("[")[2].rstrip("]"),
        "level": "must",
        "outcome": outcome,
        "verdict": "",
        "reason": "",
        "deviation": None,
        "expected": expected() if ran else None,
        "observed": observed() if ran else None,
        "duration_ns": 812_345,
    } | changes


def function_line(name: str, run: str = "r1", **changes: Any) -> Line:
    """A function that is called as ever, and that the tracer sees."""
    return {
        "type": "function",
        "run": run,
        "name": name,
        "documents": [],
        "is": "function",
        "now": [name],
        "since": None,
        "why": None,
        "unreached": None,
        "found": {name: "traceable"},
    } | changes


def step(function: str, state: str = "ran", as_: str | None = None, between: Iterable[str] = ()) -> Line:
    """A step of a path."""
    return {"function": function, "state": state, "as": as_, "between": list(between)}


def path_line(case: str, run: str = "r1", **changes: Any) -> Line:
    """What was traced of a reset: the peer closes, and the softirq of the same task works for the one who is reset."""
    return {
        "type": "path",
        "run": run,
        "case": case,
        "clause": "error.reset.established",
        "family": case.partition("[")[2].rstrip("]"),
        "as_stated": True,
        "steps": [
            step("tcp_reset", between=["__x64_sys_close", "tcp_close", "tcp_send_active_reset", "tcp_v4_rcv"]),
            step("sk_error_report", "inlined"),
            step("sock_def_error_report"),
            step("sk_wake_async", "inlined"),
            step("send_sigio", between=["sock_wake_async", "kill_fasync"]),
        ],
        "tasks": [
            {
                "task": "case",
                "calls": [
                    [0, "__x64_sys_close", 1],
                    [1, "tcp_close", 1],
                    [2, "tcp_send_active_reset", 1],
                    [0, "tcp_v4_rcv", 1],
                    [1, "tcp_reset", 1],
                    [2, "sock_def_error_report", 1],
                    [3, "sock_wake_async", 1],
                    [4, "kill_fasync", 1],
                    [5, "send_sigio", 1],
                    [2, "tcp_done", 1],
                ],
            },
            {"task": "thread", "calls": [[0, "__x64_sys_read", 2], [1, "sock_def_readable", 3]]},
        ],
        "lost": 0,
        "cost_ns": 51_200,
    } | changes


def end_line(run: str = "r1", reason: str = "finished", **counts: int) -> Line:
    """The end of a run."""
    zero = dict.fromkeys(("PASS", "FAIL", "ERROR", "SKIP", "MISS", "DONE"), 0)
    return {"type": "end", "run": run, "reason": reason, "counts": zero | counts}


def write(path: Path, lines: Iterable[Mapping[str, Any]]) -> Path:
    """Write lines as a record; returns the path."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path
