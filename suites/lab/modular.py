"""Protocols that the kernel has in modules: loaded for a case by a first socket, and unloaded after it.

Modules are the machine's. So they are borrowed: only those that aren't loaded, by one borrower at a time of all that run on
the machine, and given back as they were.
"""

from __future__ import annotations

from contextlib import suppress
from errno import ENOENT
from pathlib import Path

from native import (
    LOCK_EX,
    O_CLOEXEC,
    O_RDONLY,
    CallError,
    close,
    flock,
    module,
    openat,
    unload_module,
)
from suites.clauses import SUBJECT
from suites.lab.case import Case, Descriptor, LabError
from suites.lab.counters import NotTold
from suites.lab.families import Modular

MODULES = Path("/proc/modules")
"""What is locked: there is one of it wherever the same modules are."""

HELPER = Path("/proc/sys/kernel/modprobe")
"""The program that loads what the kernel asks for, proc_sys_kernel(5)."""

USUAL_HELPER = "/sbin/modprobe"
"""What it is unless somebody says otherwise (CONFIG_MODPROBE_PATH)."""

ABSENT = "absent"

NOBODYS = "sockwake_none"
"""A module that there isn't."""


def lock_modules() -> int:
    """Wait until nobody else has the machine's modules; closing the descriptor lets the next one have them."""
    lock = openat(-1, str(MODULES), O_RDONLY | O_CLOEXEC)
    try:
        flock(lock, LOCK_EX)
    except BaseException:
        close(lock)
        raise
    return lock


class Borrowed:
    """The modules of a family, absent at first, which nobody else borrows before they are given back.

    A target may have switched the helper off, because the kernel asks it at every unknown protocol; here it is on.
    Raises NotTold where the modules are loaded already: they may be somebody's.
    """

    def __init__(self, family: Modular) -> None:
        self._modules = family.modules
        self._lock = lock_modules()
        self._helper = HELPER.read_text()  # now that nobody else has changed it for a while
        if module(family.module):
            close(self._lock)
            raise NotTold(f"the module {family.module} to be absent: it is loaded, and may be somebody's")
        self._others = [name for name in self._modules if module(name)]
        self.let_load()

    def let_load(self) -> None:
        """Have the kernel load what it needs."""
        if not self._helper.strip():
            HELPER.write_text(USUAL_HELPER)

    def forbid_loading(self) -> None:
        """Have the kernel load nothing."""
        HELPER.write_text("\n")

    def unload(self) -> None:
        """Unload those that were loaded meanwhile. Raises CallError: EAGAIN where something holds one."""
        for name in self._modules:
            if name not in self._others and module(name):
                unload_module(name)

    def give_back(self) -> None:
        """Leave all as it was."""
        HELPER.write_text(self._helper)
        try:
            self.unload()
        finally:
            close(self._lock)


def may_unload() -> None:
    """Raises CallError where the caller may not unload modules, or there are none."""
    try:
        unload_module(NOBODYS)
    except CallError as error:
        if error.errno != ENOENT:
            raise


def borrow(case: Case) -> Borrowed:
    """Borrow the modules of the case's family until it is over."""
    borrowed = Borrowed(_family(case))
    case.afterwards(borrowed.give_back)
    return borrowed


def made(case: Case, role: str = SUBJECT) -> Descriptor:
    """A socket of the case's family, which has the kernel load its module; closed before the module is given back.

    Raises NotTold where it loads none: the kernel may have the protocol built in, or not at all.
    """
    try:
        fd = case.own(case.family.socket(), role)
    except CallError as error:
        if state(case) != ABSENT:
            raise
        raise NotTold(f"the module {module_of(case)}: a socket of its was asked for, and got {error.name}") from None
    close_in_time(case, fd)
    if state(case) == ABSENT:
        raise NotTold(f"the module {module_of(case)}: a socket was made without it")
    return fd


def close_in_time(case: Case, fd: int) -> None:
    """Have a socket closed before modules are given back; what a case leaves open is else closed after that."""

    def closed() -> None:
        with suppress(CallError):  # EBADF: the case has closed it itself
            close(fd)

    case.afterwards(closed)


def references(case: Case, name: str = "") -> int:
    """How many references there are to a module, by default the one that has the protocol of the case's family."""
    name = name or module_of(case)
    found = module(name)
    if found is None or found.references is None:
        raise NotTold(f"the references of the module {name}: /proc/modules was read, and doesn't say")
    return found.references


def state(case: Case) -> str:
    """Whether the module that has the protocol is Live, or absent."""
    found = module(module_of(case))
    return found.state if found else ABSENT


def module_of(case: Case) -> str:
    """The module that has the protocol of the case's family."""
    return _family(case).module


def _family(case: Case) -> Modular:
    if not isinstance(case.family, Modular):
        raise LabError(f"{case.family.name} isn't known to be in a module")
    return case.family
