"""Load and unload the kernel's own listener while clients connect on every CPU: python -m tests.listener_load ROUNDS

Runs on a kernel that one can lose. What it prints is JSON: what was done, what the kernel's log got meanwhile, and what is left.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path

from native import kernel_log, module, sched_yield, tainted
from suites.lab.counters import protocol_counts
from suites.lab.listeners import BACKLOG, MODULE, PORT, KernelListener, said_since
from suites.lab.namespace import enter_network

ADDRESS = "127.0.0.1"
CACHES = ("TCP", "sock_inode_cache", "task_struct")
"""Slab caches of what a round makes: none may keep an object of each."""


def listener() -> KernelListener:
    """The module, loaded."""
    return KernelListener("0.0.0.0", PORT, BACKLOG, True, 0)


def client(cpu: int) -> int:
    """A child that connects on one CPU, again and again, until it is killed; what it leaves is no TIME_WAIT."""
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {cpu})
        while True:
            with socket.socket() as sock, suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
                sock.connect((ADDRESS, PORT))
                sock.recv(1)
    return pid


def kept() -> dict[str, int]:
    """How many objects of each cache are in use."""
    rows = (line.split() for line in Path("/proc/slabinfo").read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if row[0] in CACHES}


def main(rounds: int) -> None:
    """Do it, and print what was seen."""
    enter_network()
    listener().stop()  # the first one tells the log that the kernel is tainted
    before, kept_before, began = kernel_log(), kept(), time.monotonic()
    clients = [client(cpu) for cpu in sorted(os.sched_getaffinity(0))]
    accepted = 0
    for _ in range(rounds):
        loaded = listener()
        while not (count := loaded.accepted()):
            sched_yield()
        accepted += count
        loaded.stop()
    seconds = time.monotonic() - began
    for pid in clients:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    seen = {
        "rounds": rounds,
        "cpus": len(clients),
        "accepted": accepted,
        "seconds": round(seconds, 1),
        "said": said_since(before),
        "tainted": tainted(),
        "loaded": module(MODULE) is not None,
        "sockets": protocol_counts()["TCP"],
        "kept": {name: count - kept_before[name] for name, count in kept().items()},
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main(int(sys.argv[1]))
