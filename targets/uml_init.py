"""The first process of a User-Mode Linux guest, whose root is this host's, read-only: mounts, modules, the job, power off.

Its environment comes from the kernel's command line: SOCKWAKE_SHARED is the job's shared folder on the host, SOCKWAKE_SCRIPT
the job as the guest sees it, SOCKWAKE_MODULES where the kernel's lib/modules stands, or nothing, SOCKWAKE_SEED random bits. Runs
in the guest only, and imports nothing of the project. It makes its system calls itself, because mount(8) is a set-user-ID program:
an ordinary user's guest sees it as belonging to somebody who isn't root, and so it gives up the rights that it was started with.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path

SHARED = Path("/dev/shm/shared")
REAL = Path("/dev/shm/kmod")
"""Where modprobe(8) itself stands, once a program of that name knows where the kernel's modules are."""
MODULES = ("veth", "tun", "dummy", "sch_tbf", "ipv6", "af_packet", "mptcp", "vsock", "vsock_loopback", "inet_diag",
           "tcp_diag", "udp_diag", "sctp", "hmac", "md5", "sha1", "sha256")  # fmt: skip
"""What cases need that the kernel is to ask for no more, or never asks for; with the digests of sctp's cookies, which no case has
it ask for, because it can't be unloaded again."""
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_TOP_PAD_": "8000000",
}
"""mallopt(3): what a program frees stays its own. A page that it has to be given anew is a round through the host's kernel."""
CHILD_FIRST = Path("/proc/sys/kernel/sched_child_runs_first")
"""Kernels before 6.6 let a new thread wait for some ms, though its parent yields to it, as the suites do for each sleeper."""
RNDADDENTROPY = 0x40085203
MS_BIND = 0x1000
POWER_OFF = 0x4321FEDC

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Never returns where the kernel can power off; elsewhere the end of this process is the kernel's too."""
    os.environ |= KEEP_MEMORY
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", HOME="/root", TMPDIR="/dev/shm", LANG="C.UTF-8")
    mount("proc", "/proc")
    mount("sysfs", "/sys")
    if not os.path.ismount("/dev"):
        mount("devtmpfs", "/dev")
    for kind, place in (("devpts", "/dev/pts"), ("tmpfs", "/dev/shm")):
        os.makedirs(place, exist_ok=True)
        mount(kind, place)
    SHARED.mkdir()
    mount("hostfs", str(SHARED), os.environ["SOCKWAKE_SHARED"])
    add_entropy(bytes.fromhex(os.environ["SOCKWAKE_SEED"]))
    if CHILD_FIRST.exists():
        CHILD_FIRST.write_text("1")
    if modules := os.environ.get("SOCKWAKE_MODULES"):
        load(modules)
    job = subprocess.Popen(["/bin/sh", os.environ["SOCKWAKE_SCRIPT"]])
    while os.wait()[0] != job.pid:
        pass  # somebody whose parent has gone
    os.sync()
    libc.reboot(POWER_OFF)


def mount(kind: str, place: str, options: str = "", flags: int = 0) -> None:
    """Mount a file system, or with MS_BIND a file; where the kernel has none of the kind, say so and go on without."""
    if libc.mount(kind.encode(), place.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()):
        print(
            f"sockwake: {place}: {kind} can't be mounted: {os.strerror(ctypes.get_errno())}",
            file=sys.stderr,
            flush=True,
        )


def add_entropy(seed: bytes) -> None:
    """Have the kernel know enough that is random (random(4)): Linux 5.10 by itself takes ten seconds, and getrandom(2) waits."""
    with open("/dev/random", "wb") as random:
        fcntl.ioctl(random, RNDADDENTROPY, struct.pack(f"=ii{len(seed)}s", 8 * len(seed), len(seed), seed))


def load(folder: str) -> None:
    """Load the modules that the kernel won't ask for, have modprobe(8) find the others, and then the kernel ask for none.

    It would for each socket of a protocol that doesn't exist, and wait. Cases that are about modules have it ask again.
    """
    REAL.mkdir()
    shutil.copy("/sbin/modprobe", REAL / "modprobe")
    wrapper = REAL / "wrapper"
    wrapper.write_text(f'#!/bin/sh\nexec {REAL}/modprobe -d {shlex.quote(folder)} "$@"\n')
    wrapper.chmod(0o755)
    mount(str(wrapper), os.path.realpath("/sbin/modprobe"), flags=MS_BIND)
    subprocess.run(["/sbin/modprobe", "-q", "-a", *MODULES], check=False)
    Path("/proc/sys/kernel/modprobe").write_text("\n")


if __name__ == "__main__":
    main()
