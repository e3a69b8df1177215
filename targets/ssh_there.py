"""The other side of a run over ssh: makes an environment, runs the job in it, and sends what it writes while it writes it.

Sent as text and executed by the other machine's Python, so it imports the standard library only. It has one folder, and is the
subreaper of all that it starts; both go when the job is over, when the connection is, or when no sign of life has come.
"""

from __future__ import annotations

import ctypes
import io
import os
import select
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

CHECKOUT, ENVIRONMENT = "checkout", "environment"
READY = b"sockwake is ready\n"
FRAME = 1024 * 1024

SILENCE = 60
"""Seconds without a sign of life after which the other side is held to be gone; it gives one every five."""

TICK = 0.02
"""Seconds between two looks at what is written: what was written in between is lost when the connection breaks."""

PATIENCE = 10.0
"""Seconds that the kernel is given to take away processes that were killed."""

RELAYED = ("started", "record.jsonl", "output.txt", "console")

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): orphans become children of this process, so that all can be found."""


class Refused(Exception):
    """The suites can't be run here; the message is one sentence: what is missing, and how to get it."""


class Folder:
    """The job's folder, and how much of each of its files has been sent."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._sent = dict.fromkeys(RELAYED, -1)

    def name(self, *parts: str) -> str:
        """The path of something in it."""
        return os.path.join(self.path, *parts)

    def relay(self) -> bool:
        """Send what has been added to its files, a frame of each at most; returns whether anything was."""
        before = dict(self._sent)
        for name in RELAYED:
            if os.path.exists(self.name(name)):
                with open(self.name(name), "rb") as file:
                    at = file.seek(max(0, self._sent[name]))
                    data = file.read(FRAME)
                if data or self._sent[name] < 0:  # that it is there is news too
                    send(name, data)
                    self._sent[name] = at + len(data)
        return self._sent != before

    def call(self, *command: str, relay: bool = False) -> tuple[int, str]:
        """Run a program to its end; returns its exit code, and what it printed if it isn't relayed."""
        printed = self.name("console" if relay else "printed")
        environment = os.environ | {"TMPDIR": self.name("tmp"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        with open(printed, "wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        ended = False
        while (relay and self.relay()) or not ended:
            listen()
            ended = process.poll() is not None  # what it wrote before its end is sent above
        if relay:
            return process.returncode, ""
        with open(printed, errors="replace") as file:
            return process.returncode, file.read()


def send(name: str, data: bytes) -> None:
    """One frame."""
    write(b"%s %d\n" % (name.encode(), len(data)) + data)


def write(data: bytes) -> None:
    """Write at once: what a buffer held when the connection hangs would be written, and waited for, at the exit."""
    while data:
        data = data[os.write(1, data) :]


def listen() -> None:
    """Wait for a tick or a sign of life."""
    if select.select([0], [], [], TICK)[0]:
        if not os.read(0, 4096):
            leave()
        signal.alarm(SILENCE)


def leave(*_: int | FrameType | None) -> None:
    """End this, and with it all that it has started: nobody is there any more."""
    on_end(signal.SIG_IGN)
    raise SystemExit(1)


def on_end(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """What the signals do that say that this is to end."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, handler)


def receive() -> bytes:
    """The load: a line with its size, and as many bytes."""
    stream = sys.stdin.buffer
    missing, parts = int(stream.readline()), []
    while missing:
        part = stream.read(min(missing, FRAME))
        if not part:
            leave()
        signal.alarm(SILENCE)
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def prepare(folder: Folder, interpreter: str) -> None:
    """Make an environment with the suites in it. Raises Refused."""
    code, said = folder.call(interpreter, "-m", "venv", ENVIRONMENT)
    if code:
        send("console", said.encode())
        if "ensurepip" in said or "No module named venv" in said:
            raise Refused(
                "its Python can't make environments: install the rest of it (Debian: apt install python3-venv)"
            )
        raise Refused(f"its Python can't make an environment: {last(said)}")
    python = folder.name(ENVIRONMENT, "bin", "python")
    code, said = folder.call(python, "-m", "pip", "install", "--quiet", "--editable", CHECKOUT)
    if code:
        send("console", said.encode())
        needs = [line[line.index("sockwake needs") :] for line in said.splitlines() if "sockwake needs" in line]
        errors = [line for line in said.splitlines() if line.strip().startswith("ERROR:")]
        why = last(errors[-1] if errors else said)
        raise Refused(
            needs[0] if needs else f"pip can't install the suites there: {why}; all that it said is in the console"
        )


def last(said: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it doesn't say why")


def run(folder: Folder, interpreter: str, load: bytes) -> bytes:
    """Do the job; returns pytest's exit code, as the job's script wrote it. Raises Refused."""
    with tarfile.open(fileobj=io.BytesIO(load)) as tar:
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder.path, filter="data")
        else:
            tar.extractall(folder.path)
    os.mkdir(folder.name("tmp"))
    send("console", f"{folder.path}: making an environment with {interpreter}\n".encode())
    prepare(folder, interpreter)
    code, _ = folder.call("/bin/sh", "job.sh", relay=True)
    try:
        with open(folder.name("status"), "rb") as file:
            return file.read(8)
    except FileNotFoundError:
        raise Refused(f"the job's shell ended with {code} before pytest did") from None


def children() -> Iterator[int]:
    """All processes below this one that aren't zombies."""
    parents = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]  # a name may have parentheses
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(name)] = int(parent), state
    below: Sequence[int] = [os.getpid()]
    while below:
        below = [pid for pid, (parent, _) in parents.items() if parent in below]
        yield from (pid for pid in below if parents[pid][1] != b"Z")


def end_children() -> None:
    """Kill until nobody is left: who is being started while others are killed is killed next time. Raises Refused."""
    deadline = time.monotonic() + PATIENCE
    while left := list(children()):
        if time.monotonic() > deadline:
            raise Refused(
                f"the processes {', '.join(map(str, left))} are killed there and don't end; see what holds them"
            )
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        select.select([], [], [], TICK / 2)


def main(interpreter: str) -> None:
    """From the load to the status, which is sent when nothing is left here."""
    on_end(leave)
    signal.alarm(SILENCE)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    write(READY)
    load = receive()
    try:
        with tempfile.TemporaryDirectory(prefix="sockwake-") as path:
            try:
                status = run(Folder(path), interpreter, load)
            finally:
                on_end(signal.SIG_IGN)  # from here on nothing is left half done
                end_children()
        send("status", status)
    except Refused as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{error.filename or 'the connection'}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1])
