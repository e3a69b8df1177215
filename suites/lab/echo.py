"""Document 001's server under way in the worker's network: started, asked how it does, stopped, continued, and ended."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen
from typing import NamedTuple

from native import SIGCONT, SIGSTOP, connect, read, sockaddr_in, write
from suites.lab import echo_server
from suites.lab.case import Case, Descriptor

ADDRESS = sockaddr_in("127.0.0.1", echo_server.PORT)


class Standing(NamedTuple):
    """What the server says of itself: how many clients it has, and how many of their tasks wait for room to send."""

    clients: int
    sending: int


class EchoServer:
    """The server's process. It has no descriptor of the case's, and ends with the case at the latest."""

    def __init__(self, case: Case, selector: str) -> None:
        program = [sys.executable, "-I", "-S", str(Path(echo_server.__file__)), selector]
        self._process = Popen(program, stdin=PIPE, stdout=PIPE, bufsize=0)
        case.afterwards(self.end)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions, self._answers = self._process.stdin.fileno(), self._process.stdout.fileno()
        self.greeting = read(self._answers, 64).decode().strip()
        """What it has said first: "listening"; nothing, where it couldn't."""

    def ask(self) -> Standing:
        """How it does. An answer is a turn of its loop: nothing holds up its main thread."""
        write(self._questions, b"?")
        clients, sending = read(self._answers, 64).split()
        return Standing(int(clients), int(sending))

    def threads(self) -> int:
        """How many threads the kernel counts in its process."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("\nThreads:")[2].split(None, 1)[0])

    def stop(self) -> None:
        """Have the kernel stop it, and return once it has."""
        self._process.send_signal(SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)

    def go_on(self) -> None:
        """Let it go on."""
        self._process.send_signal(SIGCONT)

    def end(self) -> None:
        """Kill it, which closes all it has, and reap it."""
        with self._process as process:
            process.kill()


def client(case: Case, role: str) -> Descriptor:
    """A fresh socket that has connected to the server, which has it in its queue at least."""
    fd = case.socket(role)
    connect(fd, ADDRESS)
    return fd
