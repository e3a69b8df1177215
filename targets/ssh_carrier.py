"""This side of a run over ssh: carries the suites to the other machine, and writes what comes back into the job's folder.

    python -m targets.ssh_carrier HOST LOAD FOLDER

One connection does all. Its input is the program `targets.ssh_there`, the load, and then a byte now and then as a sign of
life: when they stop, or the input ends, whatever runs there is ended. So nothing has to be done here when this is killed.
Its output is frames, `NAME SIZE` in a line and then SIZE bytes to be added to the file of that name. Each is written as it
comes, so what has arrived stays when the connection breaks.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from io import BufferedReader
from pathlib import Path
from typing import IO

FILES = ("started", "record.jsonl", "output.txt", "status")
"""What the other machine may add to, in the job's folder; `console` besides goes where this prints."""

READY = b"sockwake is ready\n"
"""What comes before the first frame; what shells of the user's print comes before it."""

HEADER = 64
FRAME = 1024 * 1024
"""The longest first line of a frame, and the largest frame, in bytes."""

LIFE = 5.0
"""Seconds between two signs of life."""

OPTIONS = (
    *("-T", "-a", "-x"),  # nothing of this host's is forwarded
    *("-o", "BatchMode=yes"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "ControlMaster=no"),  # one that is there is used; this ssh is killed at times, and with it who shares it
    *("-o", "RemoteCommand=none"),
    *("-o", "ServerAliveInterval=15"),
)

NEWEST, OLDEST = 15, 10
CANDIDATES = " ".join(["python3", *(f"python3.{minor}" for minor in range(NEWEST, OLDEST - 1, -1))])
FIND = f"import sys; sys.exit(sys.version_info < (3, {OLDEST}))"
LOAD = "import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"
LAUNCH = (
    f'for python in {CANDIDATES}; do "$python" -c "{FIND}" </dev/null 2>/dev/null && exec "$python" -c "{LOAD}" "$python"; done; '
    f'echo "there is no Python 3.{OLDEST} or later there: install it with its venv and headers" >&2; exit 1'
)
"""A line for whatever shell the user has there."""


class Broken(Exception):
    """What came isn't what `ssh_there` says."""


def command(host: str) -> list[str]:
    """How the other machine's Python is started."""
    return ["ssh", *OPTIONS, "--", host, f"exec /bin/sh -c {shlex.quote(LAUNCH)}"]


def main(host: str, load: Path, folder: Path) -> int:
    """Carry, and receive until the status has come; returns 0 then, else 1, with the reason as the last line printed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ssh = subprocess.Popen(command(host), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert ssh.stdin
    assert ssh.stderr
    assert isinstance(ssh.stdout, BufferedReader)
    program = Path(__file__).with_name("ssh_there.py").read_bytes()
    parts = [b"%d\n" % len(part) + part for part in (program, load.read_bytes())]
    said: list[str] = []
    threading.Thread(target=_send, args=(ssh.stdin, b"".join(parts)), daemon=True).start()
    errors = threading.Thread(target=_echo, args=(ssh.stderr, said), daemon=True)
    errors.start()
    try:
        done = receive(ssh.stdout, folder)
    except Broken as error:
        ssh.kill()
        print(f"{host}: {error}", file=sys.stderr)
        return 1
    if done:
        return 0
    code = ssh.wait()
    errors.join(LIFE)
    if code < 0 or code == 255:  # ssh's own; any other is the other machine's, which has said why
        last = said[-1] if said else f"ssh ended with {code}"
        print(
            f"no connection to {host}, or none any more: {last}; see that `ssh -o BatchMode=yes {host} true` works",
            file=sys.stderr,
        )
    return 1


def _send(stdin: IO[bytes], load: bytes) -> None:
    """Send the load, then signs of life for as long as someone reads them."""
    pause = threading.Event()
    try:
        stdin.write(load)
        stdin.flush()
        while not pause.wait(LIFE):
            stdin.write(b"\n")
            stdin.flush()
    except BrokenPipeError:
        return


def _echo(stderr: IO[bytes], said: list[str]) -> None:
    """Print what ssh and the other machine complain of; keeps the last line in `said`."""
    while line := stderr.readline(FRAME).decode(errors="replace"):
        print(line, end="", file=sys.stderr, flush=True)
        if line.strip():
            said[:] = [line.strip()]


def receive(stream: BufferedReader, folder: Path) -> bool:
    """Write frames until the status or the end has come; returns whether it was the status. Raises Broken."""
    while (line := stream.readline(FRAME)) != READY:
        if not line:
            return False
        _write(sys.stdout.buffer, line)
    while (header := stream.readline(HEADER)).endswith(b"\n"):
        name, _, size = header.decode(errors="replace").strip().partition(" ")
        if name not in (*FILES, "console") or not (size.isascii() and size.isdecimal()) or int(size) > FRAME:
            raise Broken("what it sends can't be understood")
        with nullcontext(sys.stdout.buffer) if name == "console" else (folder / name).open("ab") as file:
            missing = int(size)
            while missing and (data := stream.read1(missing)):  # what is there, though more is to come
                _write(file, data)
                missing -= len(data)
        if name == "status":
            return True
    if len(header) == HEADER:
        raise Broken("what it sends can't be understood")
    return False


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
