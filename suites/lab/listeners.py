"""Document 004's listener under way: the kernel's own, which is a module, and one in user space that does the same.

Both are started, asked and stopped alike, so that one case speaks of both. Each is a thread that binds and listens with address
reuse, sleeps until its accept queue has a connection or it is told to stop, accepts, and closes what it has accepted.

There is one module of a name, so whoever loads it has all other workers wait until it is unloaded.
"""

from __future__ import annotations

import errno
import os
import select
import socket as sockets
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from native import (
    AF_INET6,
    CLONE_NEWNET,
    O_CLOEXEC,
    O_RDONLY,
    TCP_LISTEN,
    CallError,
    Child,
    close,
    kernel_log,
    load_module,
    openat,
    sched_getaffinity,
    sched_setaffinity,
    sched_yield,
    setns,
    unload_module,
)
from suites.lab.case import Case
from suites.lab.counters import UNLISTED, NotTold, TcpRow, tcp_rows
from suites.lab.modular import lock_modules
from suites.lab.rtnetlink import Refused

MODULE = "sockwake_listener"

FILE = os.environ.get("SOCKWAKE_LISTENER", "")
"""The module, built for the kernel that runs; whoever starts the suites on it says where. Nothing where there is none."""

PORT, BACKLOG = 8888, 1024
"""Those of document 004."""

FOREVER_MS = 600_000
"""A delay that no case outlives."""

_OF_ITS_CLOCK = ("hrtimer: interrupt took", "clocksource: ")
"""How lines of the kernel's begin that speak of a machine that was held up: an emulated one is, while its host is busy."""

_TOLD = Path("/sys/module", MODULE, "parameters")


class Listener(ABC):
    """A listener, from the moment at which it listens or has failed to.

    It accepts connections `delay_ms` after they have come, and none unless `accepting`. `thread` is the id of its thread.
    """

    thread: int
    _threads = Path("/proc/self/task")
    _ended = False

    def stop(self) -> None:
        """Have it end, which closes its socket, unless it has been stopped; returns once its thread is gone."""
        if not self._ended:
            self._ended = True
            self._end()

    @abstractmethod
    def _end(self) -> None:
        """Stop it."""

    @abstractmethod
    def accepted(self) -> int:
        """How many connections it has accepted; each counts before it is closed."""

    @abstractmethod
    def failed(self) -> tuple[str, str]:
        """The step that has failed, create, bind, listen or accept, and its errno; nothing, and "0", while none has."""

    def await_asleep(self) -> int:
        """Wait until its thread is asleep; the deadline ends the wait. Returns how often it has gone to sleep."""
        while self._status("State")[:1] != "S":
            sched_yield()
        return int(self._status("voluntary_ctxt_switches"))

    def await_end(self) -> int:
        """Wait until its thread is gone, without telling it to end; the deadline ends the wait."""
        while self.is_there():
            sched_yield()
        return 1

    def is_there(self) -> bool:
        """Whether the kernel has its thread."""
        return self._threads.joinpath(str(self.thread)).exists()

    def _status(self, field: str) -> str:
        lines = self._threads.joinpath(str(self.thread), "status").read_text().splitlines()
        for name, _, value in (line.partition(":") for line in lines):
            if name == field:
                return value.strip()
        raise NotTold(f"{field} in /proc/TID/status: it was read, and has nothing of that name")


class KernelListener(Listener):
    """The module, loaded by the calling thread, in whose network it listens; its thread runs where the caller may."""

    _threads = Path("/proc")

    def __init__(self, address: str, port: int, backlog: int, accepting: bool, delay_ms: int) -> None:
        self._lock = lock_modules()
        try:
            load_module(
                FILE,
                f"address={address} port={port} backlog={backlog} accepting={int(accepting)} delay_ms={delay_ms}",
            )
        except BaseException:
            close(self._lock)
            raise
        self.thread = int(self._told("thread"))
        with suppress(CallError):  # it may have ended already
            sched_setaffinity(self.thread, sched_getaffinity(0))

    def accepted(self) -> int:
        return int(self._told("accepted"))

    def failed(self) -> tuple[str, str]:
        return self._told("failed"), errno.errorcode.get(int(self._told("error")), "0")

    def _end(self) -> None:
        unload_module(MODULE)
        close(self._lock)

    @staticmethod
    def _told(name: str) -> str:
        return (_TOLD / name).read_text().strip()


class UserListener(Listener):
    """A thread of this process, which does by system calls what the module's does by calls inside the kernel."""

    def __init__(self, address: str, port: int, backlog: int, accepting: bool, delay_ms: int) -> None:
        self._accepted, self._failed = 0, ("", "0")
        self._accepting, self._delay_ms = accepting, delay_ms
        self._told_to_stop, self._stopper = os.pipe()
        begun = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address, port, backlog, begun))
        self._thread.start()
        begun.wait()
        self.thread = self._thread.native_id or 0

    def accepted(self) -> int:
        return self._accepted

    def failed(self) -> tuple[str, str]:
        return self._failed

    def _end(self) -> None:
        os.close(self._stopper)
        self._thread.join()
        self.await_end()  # the interpreter is done with it before the kernel is
        os.close(self._told_to_stop)

    def _run(self, address: str, port: int, backlog: int, begun: threading.Event) -> None:
        listener = self._open(address, port, backlog)
        begun.set()
        if listener:
            with listener:
                self._serve(listener)

    def _open(self, address: str, port: int, backlog: int) -> sockets.socket | None:
        listener = sockets.socket(sockets.AF_INET6 if ":" in address else sockets.AF_INET)
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        listener.setblocking(False)
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("bind", lambda: listener.bind((address, port))),
            ("listen", lambda: listener.listen(backlog)),
        )
        for step, act in steps:
            try:
                act()
            except OSError as error:
                self._failed = step, errno.errorcode[error.errno or 0]
                listener.close()
                return None
        return listener

    def _serve(self, listener: sockets.socket) -> None:
        waiting, stopping = select.poll(), select.poll()
        for poller in (waiting, stopping):
            poller.register(self._told_to_stop, 0)  # the end of the pipe is told whatever one asks for
        if self._accepting:
            waiting.register(listener, select.POLLIN)
        while True:
            waiting.poll()
            if stopping.poll(self._delay_ms):
                return
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                continue
            self._accepted += 1
            connection.close()


_KINDS: dict[str, type[KernelListener] | type[UserListener]] = {"kernel": KernelListener, "user": UserListener}


def listening(
    case: Case,
    *,
    kind: str | None = None,
    backlog: int = BACKLOG,
    accepting: bool = True,
    delay_ms: int = 0,
) -> Listener:
    """Start the listener that the case's variant names, or `kind`, on any address; it ends with the case at the latest."""
    address = "::" if case.family.domain == AF_INET6 else "0.0.0.0"
    listener = _KINDS[kind or case.variant](address, PORT, backlog, accepting, delay_ms)
    case.afterwards(listener.stop)
    return listener


def row_of(case: Case) -> TcpRow:
    """The line of /proc/net/tcp or tcp6 of who listens on the document's port; UNLISTED where nobody does."""
    rows = tcp_rows(case.family.name, PORT)
    return next((row for row in rows if row.state == TCP_LISTEN), UNLISTED)


@contextmanager
def network_of(child: Child) -> Iterator[None]:
    """Be in the network of a child's for a while."""
    here = openat(-1, "/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    there = openat(-1, f"/proc/{child.pid}/ns/net", O_RDONLY | O_CLOEXEC)
    try:
        setns(there, CLONE_NEWNET)
        yield
    finally:
        setns(here, CLONE_NEWNET)
        close(there)
        close(here)


def said_since(before: str) -> list[str]:
    """The lines of the kernel's log since it was as `before`, without their times, and without what it says of its clock."""
    *_, last = before.splitlines() or [""]
    new = (line.partition("] ")[2] for line in kernel_log().rpartition(last)[2].splitlines() if line)
    return [line for line in new if not line.startswith(_OF_ITS_CLOCK)]


def holders_of(inode: int) -> int:
    """How many descriptors of all processes that one may look at are the socket with this inode."""
    wanted, found = f"socket:[{inode}]", 0
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):  # it isn't ours to see, or has ended
                found += sum(_link(fd) == wanted for fd in (process / "fd").iterdir())
    return found


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:  # closed since
        return ""


def try_kernel_listener() -> str:
    """Load the module and unload it again; returns what was seen. Raises Refused or CallError."""
    if not FILE:
        raise Refused(
            "SOCKWAKE_LISTENER names no module that is built for this kernel, as `python -m targets fetch` does"
        )
    KernelListener("0.0.0.0", PORT, BACKLOG, True, 0).stop()
    return "the module of a listener was loaded and unloaded"


def try_user_listener() -> str:
    """Start the listener in user space and stop it; returns what was seen."""
    UserListener("0.0.0.0", PORT, BACKLOG, True, 0).stop()
    return "a thread listened and was stopped"
