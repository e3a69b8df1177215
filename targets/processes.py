"""All processes of a target, found by their session and ended together.

A target is started as the leader of a session (setsid(2)), and what it starts stays in that session, also when the process
in between is gone: User-Mode Linux has a process for each address space of its guest, and an emulator has helpers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import psutil

from targets import cache, cpus
from targets.target import ROOT

SECONDS = 60.0
"""How long the kernel is given to take away processes that were killed: it may wait for each packet socket that one had."""


def start(
    command: Sequence[str],
    console: BinaryIO,
    image: Path | None = None,
    env: Mapping[str, str] | None = None,
    one_cpu: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a target in the checkout, as the leader of a session; its image isn't removed while it runs. Raises OSError.

    With `one_cpu` it runs on one, which it shares with others that ask for that only where there are more of them than CPUs.
    """
    held = [cache.use(image)] if image else []
    where: AbstractContextManager[None] = nullcontext()
    if one_cpu:
        cpu, claimed = cpus.claim()
        held += [] if claimed is None else [claimed]
        where = cpus.inherited(cpu)
    try:
        with where:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=env,
                pass_fds=held,
                start_new_session=True,
            )
    finally:
        for fd in held:
            os.close(fd)


def members(session: int) -> Iterator[int]:
    """The processes of a session that aren't zombies."""
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                yield process.pid
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue


def end_session(session: int) -> None:
    """Kill until nobody is left: who is being started while others are killed is killed next time."""
    deadline = time.monotonic() + SECONDS
    while left := list(members(session)):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"the processes {', '.join(map(str, left))} are killed and don't end; see what holds them"
            )
        time.sleep(0.01)
