"""Start a program that can write to few folders only, and whose processes all end with it and with whoever started it.

    python -m targets.confine [--root FOLDER] --memory FOLDER --writable FOLDER -- PROGRAM [ARGUMENT…]

A guest's root is read-only because its own kernel says so; that kernel is under test. So here the host's kernel says it: the
program gets mount and process namespaces of its own (mount_namespaces(7), pid_namespaces(7); an ordinary user gets a user
namespace for them), in which all mounts are read-only (mount_setattr(2)) but for --writable, and --memory, which is a new
tmpfs and the program's TMPDIR. All of it goes with the last process, and the first process takes the others with it.

Where the host doesn't let its users do this, the program starts without, and that is said. With --root, the program sees that
folder as its root, with the host's devices and processes in it; the other folders are in there, and it never starts without.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
SYS_MOUNT_SETATTR = 442
"""The same number on every architecture."""
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 0x1
PR_SET_PDEATHSIG = 1
NEEDED = 1024 * 2**20
"""How much room for a guest's memory a folder must have to be used for it, in bytes."""

libc = ctypes.CDLL(None, use_errno=True)


def main() -> NoReturn:
    """Confine, start and wait; exits as the program does, 128 and its number for a signal."""
    parser = argparse.ArgumentParser(prog="python -m targets.confine")
    parser.add_argument("--root", type=Path, default=Path("/"))
    parser.add_argument("--memory", type=Path, required=True)
    parser.add_argument("--writable", type=Path, action="append", default=[])
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    _end_with_parent()
    try:
        _enter()
        if options.root != Path("/"):
            _furnish(options.root)
        _restrict(options.memory, options.writable)
        os.chroot(options.root)
        os.environ["TMPDIR"] = str(Path("/", options.memory.relative_to(options.root)))
    except OSError as error:
        if options.root != Path("/"):
            sys.exit(f"sockwake: this host doesn't let its users have a root of their own: {error}")
        print(f"sockwake: this host doesn't confine its users' programs ({error}): the guest's root is read-only, and "
              "only its own kernel keeps it so", file=sys.stderr, flush=True)  # fmt: skip
        if shutil.disk_usage("/dev/shm").free > NEEDED and os.access("/dev/shm", os.W_OK):
            os.environ["TMPDIR"] = "/dev/shm"
    _in_child(lambda: _in_child(lambda: _execute(options.command)))  # the first child is the namespace's first process


def _call(name: str, *arguments: object) -> None:
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _end_with_parent() -> None:
    """Die with the process that started this one (prctl(2))."""
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _enter() -> None:
    """Enter namespaces of one's own, with a user namespace where one has no rights otherwise. Raises OSError."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        _call("unshare", CLONE_NEWNS | CLONE_NEWPID)
    except PermissionError:
        _call("unshare", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _mount("none", "/", "", MS_REC | MS_PRIVATE)


def _furnish(root: Path) -> None:
    """Put into a folder what a program expects of its root beside files. Raises OSError."""
    for name in ("dev", "proc"):
        _mount(f"/{name}", str(root / name), "", MS_BIND | MS_REC)


def _restrict(memory: Path, writable: Sequence[Path]) -> None:
    """Make every mount read-only but these. Raises OSError."""
    _mount("memory", str(memory), "tmpfs", MS_NOSUID | MS_NODEV)
    for folder in writable:
        _mount(str(folder), str(folder), "", MS_BIND)
    _set_attributes("/", AT_RECURSIVE, add=MOUNT_ATTR_RDONLY)
    for folder in (memory, *writable):
        _set_attributes(str(folder), 0, clear=MOUNT_ATTR_RDONLY)


def _mount(source: str, place: str, kind: str, flags: int) -> None:
    _call("mount", source.encode(), place.encode(), kind.encode(), ctypes.c_ulong(flags), None)


def _set_attributes(place: str, flags: int, add: int = 0, clear: int = 0) -> None:
    attributes = (ctypes.c_uint64 * 4)(add, clear, 0, 0)  # struct mount_attr: set, clr, propagation, userns_fd
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    _call("syscall", SYS_MOUNT_SETATTR, AT_FDCWD, place.encode(), flags, ctypes.byref(attributes), size)


def _in_child(go_on: Callable[[], NoReturn]) -> NoReturn:
    """Go on in a child, and exit as it does."""
    child = os.fork()
    if child == 0:
        _end_with_parent()
        go_on()
    while True:
        pid, status = os.wait()  # the first process of a namespace also gets those whose parents are gone
        if pid == child:
            os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


def _execute(command: list[str]) -> NoReturn:
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"sockwake: {command[0]}: it can't be started: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


if __name__ == "__main__":
    main()
