"""The kernel's function-graph tracer: which functions of interest were entered while a case ran, task by task.

Owns what is written to tracefs and read from it (the kernel's Documentation/trace/ftrace.rst). The tracer follows this process, the
threads and children that it makes from then on, and the kernel's own threads and its idle loop, where softirqs, timers and work run
that a case has caused. What another process does isn't looked at. The kernel has one such tracer, so one process uses it at a time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from suites.paths import Call

TRACEFS = Path("/sys/kernel/tracing")
SYMBOLS = Path("/proc/kallsyms")

TRACER = "function_graph"
OPTIONS = {
    "function-fork": "1",
    "funcgraph-proc": "1",
    "funcgraph-tail": "0",
    "funcgraph-irqs": "1",
    "funcgraph-cpu": "0",
    "funcgraph-overhead": "0",
    "funcgraph-duration": "0",
    "funcgraph-abstime": "0",
}
"""The tracer's options: follow forks, look into interrupts, and say of a call its task and its name only."""

BUFFER_KB = 2048
"""Room for the calls of one case, for each CPU: some twenty thousand. What is too old for it is lost, and counted."""

PF_KTHREAD = 0x00200000
"""The flag of a task that is the kernel's own, in the ninth field of /proc/PID/stat (proc(5))."""

IDLE = 0

OWN = ("case", "thread", "child")
"""What the process that executes cases, its threads and its children are called."""

_LOST = re.compile(r"\[LOST (\d+) EVENTS\]")


class CannotTrace(Exception):
    """Functions can't be traced here; the message says what was tried and what the kernel said."""


@dataclass(frozen=True, slots=True)
class Traced:
    """The calls of a case in the order in which they were entered, and how many events the buffer had no room for."""

    calls: tuple[Call, ...]
    lost: int


class Tracer:
    """The function-graph tracer, set to functions of interest. Raises CannotTrace where it can't be had.

    `found` tells of each name whether it is `traceable`, `untraceable` (it has a symbol, and ftrace doesn't reach it) or has
    `no symbol`, because it doesn't exist or because the compiler has put it into its callers.
    """

    def __init__(self, names: Collection[str]) -> None:
        if problem := _missing():
            raise CannotTrace(problem)
        self._kept: dict[str, str] = {}
        self._kernel: dict[int, str] = kernel_threads()
        try:
            self.found = self._choose(names)
            self._keep("buffer_size_kb", str(BUFFER_KB))
            for name, value in OPTIONS.items():
                self._keep(f"options/{name}", value)
            _write("tracing_on", ["0"])
            _write("set_ftrace_pid", [str(pid) for pid in (os.getpid(), *self._kernel)])
            _write("current_tracer", [TRACER])
            self._switch = os.open(TRACEFS / "tracing_on", os.O_WRONLY | os.O_CLOEXEC)
            self._pipe = os.open(TRACEFS / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, CannotTrace) as error:
            with suppress(OSError):  # what couldn't be set can't be set back
                self._restore()
            if isinstance(error, OSError):
                raise CannotTrace(f"{error.filename or TRACEFS}: {error.strerror}") from None
            raise
        self._read()  # what was in the buffer before is nobody's

    def begin(self) -> None:
        """Trace from now on."""
        os.write(self._switch, b"1")

    def end(self) -> Traced:
        """Trace no further; returns what was traced since `begin`."""
        os.write(self._switch, b"0")
        return parse(self._read())

    def task(self, pid: int, threads: Collection[int]) -> str:
        """What a task is to the case: one of OWN, or the name of one of the kernel's."""
        if pid == os.getpid():
            return "case"
        if pid not in self._kernel:
            with suppress(OSError):  # the kernel has made another worker since, or it is gone again
                if _is_kernel_thread(pid):
                    self._kernel[pid] = _name(pid)
        return self._kernel.get(pid) or ("thread" if pid in threads else "child")

    def close(self) -> None:
        """Leave ftrace as it was found."""
        os.close(self._pipe)
        os.close(self._switch)
        self._restore()

    def _restore(self) -> None:
        _write("current_tracer", ["nop"])
        for name, value in self._kept.items():
            _write(name, [value])
        for name in ("set_ftrace_pid", "set_ftrace_filter"):
            _write(name, [])
        _write("tracing_on", ["1"])

    def _choose(self, names: Collection[str]) -> dict[str, str]:
        """Have the named functions traced; by their place in the list, since the kernel takes 60 ms to look for a name."""
        wanted = set(names)
        traceable: dict[str, list[str]] = {}
        with (TRACEFS / "available_filter_functions").open() as file:
            for place, line in enumerate(file, 1):
                name = _base(line.split(None, 1)[0])
                if name in wanted:
                    traceable.setdefault(name, []).append(str(place))
        if not traceable:
            raise CannotTrace(
                f"{TRACEFS / 'available_filter_functions'} has none of the {len(wanted)} functions of interest"
            )
        _write("set_ftrace_filter", [place for places in traceable.values() for place in places])
        chosen = {_base(line.split(None, 1)[0]) for line in (TRACEFS / "set_ftrace_filter").read_text().splitlines()}
        if chosen != set(traceable):
            raise CannotTrace(f"{TRACEFS / 'set_ftrace_filter'} has taken other functions than those asked for")
        symbols = _symbols(wanted)
        return {
            name: "traceable" if name in traceable else "untraceable" if name in symbols else "no symbol"
            for name in sorted(wanted)
        }

    def _keep(self, name: str, value: str) -> None:
        """Set one of the tracer's knobs, and know what it was."""
        path = TRACEFS / name
        if path.exists():
            self._kept[name] = path.read_text().split()[0]
            _write(name, [value])

    def _read(self) -> str:
        parts = []
        with suppress(BlockingIOError):
            while part := os.read(self._pipe, 1 << 16):
                parts.append(part)
        return b"".join(parts).decode(errors="replace")


def parse(text: str) -> Traced:
    """Read what the tracer has printed: `TASK-PID   |   name() {` where a call begins, deeper by two blanks inside of it.

    Where events were lost, nobody knows what the calls after them were made in.
    """
    calls: list[Call] = []
    within: dict[int, list[tuple[int, Call]]] = {}
    lost = 0
    for line in text.splitlines():
        task, bar, rest = line.rpartition("| ")
        if not bar or rest[-1:] not in (";", "{"):
            if gone := _LOST.search(line):
                lost += int(gone[1])
                within.clear()
            continue
        written = rest.lstrip(" ")
        depth = len(rest) - len(written)
        pid = int(task.rstrip().rpartition("-")[2])
        above = within.setdefault(pid, [])
        while above and above[-1][0] >= depth:
            above.pop()
        call = Call(_base(written.partition("(")[0].partition(" ")[0]), pid, above[-1][1] if above else None)
        calls.append(call)
        above.append((depth, call))
    return Traced(tuple(calls), lost)


def kernel_threads() -> dict[int, str]:
    """The kernel's threads that there are, and its idle loop, by pid."""
    found = {IDLE: "idle"}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended meanwhile
                pid = int(entry.name)
                if _is_kernel_thread(pid):
                    found[pid] = _name(pid)
    return found


def _missing() -> str | None:
    """What keeps the tracer from being used, by trying."""
    try:
        tracers = (TRACEFS / "available_tracers").read_text().split()
        current = (TRACEFS / "current_tracer").read_text().strip()
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    if TRACER not in tracers:
        return f"{TRACEFS / 'available_tracers'} has no {TRACER}, which needs CONFIG_FUNCTION_GRAPH_TRACER"
    if current != "nop":
        return f"{TRACEFS / 'current_tracer'} is {current}: somebody else traces, or did and left it; write nop to it"
    return None


def _symbols(wanted: Collection[str]) -> set[str]:
    """Those of the names that the kernel has a symbol for, with or without a compiler's suffix."""
    found = set()
    with SYMBOLS.open() as file:
        for line in file:
            full = line.split(None, 3)[2]
            name = _base(full)
            if name in wanted and not full.endswith(".cold"):  # the part of a function that is hardly ever run
                found.add(name)
    return found


def _base(symbol: str) -> str:
    """A function's name as its source has it: compilers call copies of theirs tcp_v4_err.isra.0, or .constprop.0."""
    return symbol.partition(".")[0]


def _is_kernel_thread(pid: int) -> bool:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return bool(int(fields[6]) & PF_KTHREAD)


def _name(pid: int) -> str:
    """What a thread of the kernel's is called, without the numbers of CPUs and workers: ksoftirqd, kworker."""
    return Path(f"/proc/{pid}/comm").read_text().strip().partition("/")[0]


def _write(name: str, words: list[str]) -> None:
    """Have a file of tracefs hold these words; it takes one with each write(2)."""
    path = TRACEFS / name
    try:
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        for word in words:
            os.write(fd, word.encode() + b"\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(fd)
