"""gVisor: another implementation of Linux's interface, a program between the suites and this host's kernel.

`runsc run` executes the job in a sandbox of its own whose root is this host's, read-only, and whose network is a loopback that
gVisor itself implements. The one folder of the host that can be written to is the job's shared one. Root isn't needed: an
ordinary user's sandbox is root in a user namespace. All processes of the sandbox end with the process namespace that they are in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from targets import images, processes
from targets.packaged import Packaged
from targets.target import Job, TargetError

ALONE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
"""unshare(1): what starts after it ends with it, whatever session it has put itself into, and runsc's processes do."""

AS_ROOT = ("--user", "--map-root-user")

OPTIONS = ("--platform=ptrace", "--network=none", "--net-raw", "--ignore-cgroups")
"""ptrace needs neither KVM nor privileges; without raw sockets whoever is root in the sandbox lacks CAP_NET_RAW."""

CAPABILITIES = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID"),
    *("CAP_SETUID", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW"),
    *("CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_SYS_NICE"),
    *("CAP_SYS_RESOURCE", "CAP_MKNOD"),
)
"""What root has in the sandbox."""

MOUNTS = (
    ("/proc", "proc"),
    ("/sys", "sysfs"),
    ("/dev", "tmpfs"),
    ("/dev/pts", "devpts"),
    ("/dev/shm", "tmpfs"),
)
"""Where the sandbox has file systems of its own."""


@dataclass(frozen=True, kw_only=True)
class GVisor(Packaged):
    """gVisor as Debian has it."""

    def missing(self) -> str | None:
        """unshare, or the image."""
        if not shutil.which("unshare"):
            return "unshare is missing: install the package util-linux"
        return super().missing()

    def start(self, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Start a sandbox with the job's script in it."""
        image = images.required(self)
        bundle = job.scratch / "bundle"
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(configuration(job, job.write_script())))
        rootless = os.geteuid() != 0
        runsc = [str(self.executable(image)), f"--root={job.scratch / 'state'}", *OPTIONS]
        command = [
            *ALONE,
            *(AS_ROOT if rootless else ()),
            *("--", *runsc, *(["--rootless"] if rootless else [])),
            *("run", f"--bundle={bundle}", f"sockwake-{os.getpid()}"),
        ]
        try:
            return processes.start(command, console, image, one_cpu=True)
        except OSError as error:
            raise TargetError(f"{command[0]}: it can't be started: {error.strerror}; install it anew") from None


def configuration(job: Job, script: Path) -> dict[str, object]:
    """What the sandbox is, as the OCI's runtime specification has it."""
    own = [{"destination": place, "type": kind, "source": kind} for place, kind in MOUNTS]
    folder = str(job.folder)
    shared = {"destination": folder, "type": "bind", "source": folder, "options": ["bind", "rw"]}
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sh", str(script)],
            "env": [f"PATH={os.environ.get('PATH', os.defpath)}", "TMPDIR=/dev/shm", "HOME=/dev/shm"],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted", "inheritable"), CAPABILITIES),
        },
        "root": {"path": "/", "readonly": True},
        "mounts": [*own, shared],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }


TARGETS = (
    GVisor(
        name="gvisor",
        cpus=0.75,
        what="gVisor, another implementation of Linux's interface (Debian trixie's runsc)",
        memory=512,
        deadline=3600.0,
        suite="trixie",
        package="runsc",
        program="usr/bin/runsc",
    ),
)
