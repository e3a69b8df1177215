"""What an open file says of its signals, in words that don't change from run to run."""

from __future__ import annotations

from native import O_ASYNC, Child, get_flags, get_owner, get_signal
from suites.lab.case import Case, Plain
from suites.lab.signals import ARMED


def is_async(fd: int) -> int:
    """1 where F_GETFL shows O_ASYNC, else 0."""
    return int(bool(get_flags(fd) & O_ASYNC))


def who(case: Case, owner: int, child: Child | None = None) -> str:
    """The process or group that an owner's number stands for."""
    words = {case.lab.pid: "self", 0: "nobody"}
    if child:
        words |= {child.pid: "child", -child.pid: "the child's group"}
    return words.get(owner, "another")


def arming(case: Case, fd: int) -> dict[str, Plain]:
    """O_ASYNC, the owner and the signal ("armed" for the one that the suite asks for) as facts."""
    signal = get_signal(fd)
    return {
        "async_on": is_async(fd),
        "owner": who(case, get_owner(fd)),
        "signal": "armed" if signal == ARMED else signal,
    }
