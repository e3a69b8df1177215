"""The kernel's modules: loading and unloading one, and what the kernel says of those that are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from native._native import lib
from native.constants import O_CLOEXEC, O_NONBLOCK, O_RDONLY
from native.descriptors import close
from native.files import openat
from native.trace import done

__all__ = [
    "Module",
    "load_module",
    "module",
    "modules",
    "tainted",
    "unload_module",
]

_AT_ROOT = -1
"""No directory: the path begins at the root."""


class Module(NamedTuple):
    """A line of /proc/modules (kernel/module/procfs.c m_show).

    `size` is in bytes. `references` counts all that hold it, those modules included that use its symbols, which are
    `users`; None where modules can't be unloaded. `state` is Live, Loading or Unloading. `taint` has a letter for each
    reason for which it taints the kernel, O for one from out of tree.
    """

    name: str
    size: int
    references: int | None
    users: tuple[str, ...]
    state: str
    taint: str


def load_module(path: str | Path, parameters: str = "") -> None:
    """finit_module(2) of a file that isn't compressed; parameters are "name=value" with blanks between.

    Returns once its init has; what this returns is raised too. EPERM without CAP_SYS_MODULE in the initial user
    namespace, EEXIST where it is loaded, ENOEXEC where it was built for another kernel, ENOENT where it needs a symbol
    that is not there.
    """
    fd = openat(_AT_ROOT, str(Path(path).absolute()), O_RDONLY | O_CLOEXEC)
    try:
        done("finit_module", (str(path), parameters), lib.sys_finit_module(fd, parameters.encode(), 0))
    finally:
        close(fd)


def unload_module(name: str) -> None:
    """delete_module(2) with O_NONBLOCK; returns once its exit has.

    EWOULDBLOCK where something holds a reference to it or another module uses it, ENOENT where it isn't loaded, EPERM
    without CAP_SYS_MODULE in the initial user namespace, EBUSY where it is being loaded or has no exit.
    """
    done("delete_module", (name, "O_NONBLOCK"), lib.sys_delete_module(name.encode(), O_NONBLOCK))


def modules() -> dict[str, Module]:
    """/proc/modules by name, empty where the kernel has none of them; what is built in isn't among them. Never traced."""
    try:
        lines = Path("/proc/modules").read_text().splitlines()
    except FileNotFoundError:  # a kernel without CONFIG_MODULES
        return {}
    found = (_read(line) for line in lines)
    return {each.name: each for each in found}


def module(name: str) -> Module | None:
    """The module of this name, or None while it isn't loaded. Never traced."""
    return modules().get(name)


def tainted() -> int:
    """/proc/sys/kernel/tainted: a bit for each reason (Documentation/admin-guide/tainted-kernels.rst), 1 << 12 a module
    from out of tree. It stays until the next boot."""
    return int(Path("/proc/sys/kernel/tainted").read_text())


def _read(line: str) -> Module:
    """A line: name, size, references, users with a comma after each ("-" for none), state, address, and (taint) if any.

    A module that comes or goes has a + or - beside its taint.
    """
    name, size, references, users, state, _, *taint = line.split()
    return Module(
        name=name,
        size=int(size),
        references=None if references == "-" else int(references),
        users=tuple(user for user in users.split(",") if user not in ("", "-", "[permanent]")),
        state=state,
        taint="".join(taint).strip("()+-"),
    )
