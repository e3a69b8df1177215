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
PATIENCE = 30
"""Seconds after which a client is held to have got no answer, and what is still in use to be kept."""

CACHES = ("TCP", "sock_inode_cache", "task_struct")
"""Slab caches of what each round makes."""


def listener() -> KernelListener:
    """The module, loaded."""
    return KernelListener("0.0.0.0", PORT, BACKLOG, True, 0)


def client(cpu: int, unanswered: int) -> int:
    """A child that connects on one CPU, again and again, until it is killed; what it leaves is no TIME_WAIT.

    It sends a byte each time: a handshake that ends while its listener is being closed can leave the client connected to nobody
    (net/ipv4/inet_hashtables.c __inet_inherit_port), who learns of it only then. Where neither an end nor a reset comes, it
    writes a byte to the pipe `unanswered` and goes on.
    """
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {cpu})
        while True:
            with socket.socket() as sock, suppress(ConnectionError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
                sock.settimeout(PATIENCE)
                try:
                    sock.connect((ADDRESS, PORT))
                    sock.send(b"x")
                    sock.recv(1)
                except TimeoutError:
                    os.write(unanswered, b"x")
    return pid


def in_use() -> dict[str, int]:
    """How many objects of each cache are in use: once each is shrunk, the kernel counts objects, and not whole slabs."""
    for name in CACHES:
        Path("/sys/kernel/slab", name, "shrink").write_text("1")
    rows = (line.split() for line in Path("/proc/slabinfo").read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if row[0] in CACHES}


def kept_since(before: dict[str, int]) -> dict[str, int]:
    """How many objects more are in use; waits for what the kernel frees after a grace period."""
    deadline = time.monotonic() + PATIENCE
    while True:
        kept = {name: count - before[name] for name, count in in_use().items()}
        if max(kept.values()) <= 0 or time.monotonic() > deadline:
            return kept
        sched_yield()


def main(rounds: int) -> None:
    """Do it, and print what was seen."""
    enter_network()
    listener().stop()  # the first one tells the log that the kernel is tainted
    before, used, began = kernel_log(), in_use(), time.monotonic()
    unanswered, writer = os.pipe()
    clients = [client(cpu, writer) for cpu in sorted(os.sched_getaffinity(0))]
    os.close(writer)
    accepted = 0
    for number in range(rounds):
        loaded = listener()
        while not (count := loaded.accepted()):
            sched_yield()
        accepted += count
        loaded.stop()
        print(
            f"sockwake: round {number + 1}, {accepted} connections, {time.monotonic() - began:.0f} s", file=sys.stderr
        )
    seconds = time.monotonic() - began
    for pid in clients:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    seen = {
        "rounds": rounds,
        "cpus": len(clients),
        "accepted": accepted,
        "unanswered": len(os.read(unanswered, rounds)),
        "seconds": round(seconds, 1),
        "said": said_since(before),
        "tainted": tainted(),
        "loaded": module(MODULE) is not None,
        "sockets": protocol_counts()["TCP"],
        "kept": kept_since(used),
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main(int(sys.argv[1]))
