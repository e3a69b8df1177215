"""User-Mode Linux: a kernel that runs as an ordinary process of this host, with the host's files as its root, read-only.

Debian has a kernel of this kind in each suite, with its modules; a kernel that somebody built (`make ARCH=um`) is the target
`uml`. The guest's first process is `uml_init.py`. The one folder that it can write to is the shared one of its job.
"""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from targets import cache, debian, images, processes
from targets.programs import run_program
from targets.target import Job, Say, Target, TargetError, UsageError

INIT = Path(__file__).with_name("uml_init.py")
LOADER = Path("libc/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
"""The dynamic loader of a C library that came with an image; the library stands beside it."""
PT_INTERP = 3
MEMORY = 768
"""What a guest gets, in MB. It takes as much of this host's only where it uses it."""


@dataclass(frozen=True, kw_only=True)
class Uml(Target):
    """A User-Mode Linux kernel that somebody built."""

    cpus: float = 0.75  # the rest of its time it waits for timers, and for the host's disk
    memory: int = MEMORY
    given_bytecode: bool = True
    boot: float = 90.0
    kernel: Path | None = None
    append: str = ""

    def missing(self) -> str | None:
        """The kernel, where none was named."""
        return _missing_here() or (None if self.kernel else "name your kernel: --kernel PATH, built with make ARCH=um")

    def with_kernel(self, kernel: Path | None, append: str | None) -> Target:
        """Another kernel, further parameters."""
        if kernel and not (kernel.is_file() and os.access(kernel, os.X_OK)):
            raise TargetError(
                f"{kernel}: it isn't an executable file; name the program `linux` that make ARCH=um leaves"
            )
        return replace(self, kernel=kernel.absolute() if kernel else self.kernel, append=append or self.append)

    def start(self, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Boot the kernel that was named."""
        problem = self.missing()
        if problem or not self.kernel:
            raise TargetError(str(problem))
        return self._boot(self.kernel, None, job, console)

    def _boot(self, kernel: Path, image: Path | None, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Start a kernel; `image` is where it comes from, with its lib/modules, and stays for as long as the guest runs."""
        script = job.write_script(Path("/dev/shm/shared"))
        memory, sockets = job.scratch / "memory", job.scratch / "uml"
        memory.mkdir()
        sockets.mkdir()
        # What the kernel doesn't know as a parameter becomes the environment of init (kernel-parameters.rst).
        given = {"SHARED": job.folder, "MODULES": image or "", "SCRIPT": script, "SEED": os.urandom(32).hex()}
        command = [
            *(sys.executable, "-m", "targets.confine", "--memory", str(memory)),
            *("--writable", str(job.folder), "--writable", str(sockets), "--"),
            *(["env", f"LD_LIBRARY_PATH={(image / LOADER).parent}"] if image and (image / LOADER).exists() else []),
            str(kernel),
            f"mem={MEMORY}M",
            f"uml_dir={sockets}",
            "seccomp=auto",  # from 6.16 on: a system call of the guest's then costs a third of what it does with ptrace
            *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"),
            *("con=null", "con0=null,fd:1"),
            *(f"SOCKWAKE_{name}={value}" for name, value in given.items()),
            f"init={sys.executable}",
            *self.append.split(),
            *("--", "-I", "-B", str(INIT)),  # what init is called with
        ]
        return processes.start(command, console, image, one_cpu=True)


@dataclass(frozen=True, kw_only=True)
class DebianUml(Uml):
    """The User-Mode Linux kernel of a Debian suite."""

    suite: str

    def missing(self) -> str | None:
        """The image, or what it takes to fetch it."""
        return _missing_here() or images.missing(self.name)

    def with_kernel(self, kernel: Path | None, append: str | None) -> Target:
        """Further parameters; another kernel isn't this target any more."""
        if kernel:
            raise UsageError(f"{self.name}: its kernel is Debian's; run a kernel of yours as: uml --kernel {kernel}")
        return super().with_kernel(None, append)

    def fetch(self, say: Say) -> None:
        """Get the suite's newest kernel and modules, and its C library where this host's is too old for it."""
        images.refresh(self.name, self.suite, self._newest, self._fill, say)

    def _newest(self, say: Say) -> tuple[debian.Suite, debian.Package]:
        suite = debian.Suite(self.suite, say)
        return suite, suite.newest("user-mode-linux")

    def _fill(self, suite: debian.Suite, package: debian.Package, image: Path) -> None:
        unpacked = image / "unpacked"
        suite.unpack([package], unpacked)
        kernel = image / "linux"
        (unpacked / "usr/bin/linux.uml").rename(kernel)
        (image / "lib").mkdir()
        (unpacked / "usr/lib/uml/modules").rename(image / "lib/modules")
        shutil.rmtree(unpacked)
        if not _runs(kernel):
            suite.unpack([suite.newest("libc6")], image / "libc")
            set_loader(kernel, cache.folder() / "images" / f"{self.name}.{package.version}" / LOADER)
        for version in (image / "lib/modules").iterdir():
            run_program(["depmod", "-b", str(image), version.name], f"the modules of {self.name}")

    def start(self, job: Job, console: BinaryIO) -> subprocess.Popen[bytes]:
        """Boot the image."""
        image = images.required(self)
        return self._boot(image / "linux", image, job, console)


def _missing_here() -> str | None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "User-Mode Linux needs a Linux host on x86-64"
    return None


def _runs(kernel: Path) -> bool:
    """Whether this host's C library will do."""
    return subprocess.run([kernel, "--version"], capture_output=True, timeout=60).returncode == 0


def set_loader(kernel: Path, loader: Path) -> None:
    """Make a program start by way of another dynamic loader (elf(5)): PT_INTERP names one that is appended to the file.

    Started as `ld.so KERNEL` instead, User-Mode Linux miscounts its memory.
    """
    name = bytes(loader) + b"\0"
    with kernel.open("r+b") as file:
        head = file.read(64)
        (table,), (size, number) = struct.unpack_from("<Q", head, 32), struct.unpack_from("<HH", head, 54)
        end = file.seek(0, os.SEEK_END)
        file.write(name)
        for at in range(table, table + size * number, size):
            file.seek(at)
            entry = bytearray(file.read(size))
            if struct.unpack_from("<I", entry)[0] == PT_INTERP:
                struct.pack_into("<Q", entry, 8, end)  # p_offset
                struct.pack_into("<QQ", entry, 32, len(name), len(name))  # p_filesz, p_memsz
                file.seek(at)
                file.write(entry)


TARGETS = (
    *(
        DebianUml(
            name=f"uml-{series}", what=f"Linux {series} as a process (Debian {suite}'s User-Mode Linux)", suite=suite
        )
        for series, suite in (("5.10", "bullseye"), ("6.1", "bookworm"), ("6.12", "trixie"), ("7.2", "forky"))
    ),
    Uml(name="uml", what="a User-Mode Linux kernel that you built, named by --kernel"),
)
