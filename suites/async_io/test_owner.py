"""The owner of the open file: who it may be, what is read back, and who gets the signal."""

from collections.abc import Callable
from pathlib import Path

from native import (
    F_OWNER_PGRP,
    F_OWNER_PID,
    F_OWNER_TID,
    F_SETOWN,
    MSG_OOB,
    SIGUSR2,
    Child,
    SYS_fcntl,
    SYS_sendto,
    SYS_setpgid,
    fork_child,
    get_owner,
    get_owner_ex,
    get_owner_uids,
    get_signal,
    ioctl_getown,
    set_owner,
    set_owner_ex,
    set_signal,
)
from suites.catalogue import clause
from suites.lab.actors import USERS, become
from suites.lab.case import Case, Plain, attempt
from suites.lab.counters import Table, lines_of
from suites.lab.signals import ARMED

INT_MIN = -(1 << 31)
NEVER = (1 << 31) - 1
"""An id far above PID_MAX_LIMIT, so that nobody ever has it."""

TYPES = {F_OWNER_TID: "thread", F_OWNER_PID: "process", F_OWNER_PGRP: "group"}
OWN, OTHER, THIRD = USERS

DENIED = {
    "other_user": ((OWN, OWN), (OTHER, OTHER, OTHER)),
    "root": ((OWN, OWN), (0, 0, 0)),
    "owner_effective": ((OWN, OWN), (OTHER, OWN, OTHER)),
    "owner_effective_root": ((OWN, OWN), (OTHER, 0, OTHER)),
    "setter_real_root": ((0, OWN), (OTHER, OTHER, OTHER)),
}
"""Who sets the owner (real, effective) and who is it (real, effective, saved)."""

GRANTED = {
    "setter_root": ((0, 0), (OTHER, OTHER, OTHER)),
    "setter_effective_root": ((OWN, 0), (OTHER, OTHER, OTHER)),
    "real_is_real": ((OWN, THIRD), (OWN, 0, 0)),
    "real_is_saved": ((OWN, THIRD), (OTHER, OTHER, OWN)),
    "effective_is_real": ((THIRD, OWN), (OWN, 0, 0)),
    "effective_is_saved": ((THIRD, OWN), (OTHER, OTHER, OWN)),
}


def named(case: Case, number: int, **ids: int) -> str:
    """Whose id a number is, with a sign for a negated one."""
    words = {0: "nobody", case.lab.pid: "self"} | {number: name for name, number in ids.items()}
    return ("-" if number < 0 else "") + words.get(abs(number), "another")


def owner(case: Case, fd: int, **ids: int) -> dict[str, Plain]:
    """What F_GETOWN and F_GETOWN_EX say, in words."""
    found = get_owner_ex(fd)
    return {
        "getown": named(case, get_owner(fd), **ids),
        "getown_ex": f"{TYPES.get(found.type, 'unknown')} {named(case, found.pid, **ids)}",
    }


def owner_is_set(child: Child, fd: int, number: int) -> None:
    """F_SETOWN, called by a child."""
    child.call("fcntl", SYS_fcntl, fd, F_SETOWN, number)


def leader(case: Case) -> Child:
    """A child that leads a group of its own."""
    child = case.fork()
    child.call("setpgid", SYS_setpgid, 0, 0)
    return child


def reaped() -> int:
    """The id of a process that is no more."""
    child = fork_child()
    child.exit()
    return child.pid


@clause("owner.fresh.nobody")
def test_fresh_socket_has_no_owner(case: Case) -> None:
    """The type is that of an owner which was never set, 0."""
    sock, _ = case.pair()

    case.at("fresh", **owner(case, sock), getsig=get_signal(sock))


@clause("owner.fresh.uids")
def test_fresh_socket_has_captured_no_ids(case: Case) -> None:
    """There has been no caller of F_SETOWN whose ids could be kept."""
    sock, _ = case.pair()

    uids = get_owner_uids(sock)

    case.at("fresh", uid=uids.uid, euid=uids.euid)


@clause("owner.process.reads_back")
def test_process_reads_back_as_process(case: Case) -> None:
    """F_SETOWN of a positive number is F_SETOWN_EX of a process."""
    sock, _ = case.pair()

    if case.variant == "setown":
        set_owner(sock, case.lab.pid)
    else:
        set_owner_ex(sock, F_OWNER_PID, case.lab.pid)

    case.at("set", **owner(case, sock))


@clause("owner.group.reads_back")
def test_group_reads_back_negated(case: Case) -> None:
    """libc takes some such answers of F_GETOWN for an errno; F_GETOWN_EX has no such ambiguity."""
    sock, _ = case.pair()
    child = leader(case)

    if case.variant == "setown":
        set_owner(sock, -child.pid)
    else:
        set_owner_ex(sock, F_OWNER_PGRP, child.pid)

    case.at("set", **owner(case, sock, child=child.pid), ioctl=named(case, ioctl_getown(sock), child=child.pid))


@clause("owner.thread.reads_back")
def test_thread_reads_back_as_thread(case: Case) -> None:
    """Only F_SETOWN_EX can name a thread."""
    sock, _ = case.pair()
    thread = case.sleep("sigtimedwait", SIGUSR2, name="thread")

    set_owner_ex(sock, F_OWNER_TID, thread.tid)

    case.at("set", **owner(case, sock, thread=thread.tid))


@clause("owner.zero.clears")
def test_owner_zero_is_nobody(case: Case) -> None:
    """O_ASYNC stays, and has nobody to tell."""
    sock, _ = case.pair()
    case.arm(sock)

    set_owner(sock, 0)
    case.at("cleared", **owner(case, sock))
    case.deliver(b"x")

    case.at("delivered")


@clause("owner.zero.keeps_the_type")
def test_owner_zero_keeps_its_type(case: Case) -> None:
    """f_setown_ex looks nobody up for id 0, and so refuses none."""
    sock, _ = case.pair()
    case.arm(sock)

    for type_, name in TYPES.items():
        set_owner_ex(sock, type_, 0)
        case.at(name, getown_ex=owner(case, sock)["getown_ex"])
    case.deliver(b"x")

    case.at("delivered")


@clause("owner.set.replaces")
def test_last_owner_gets_the_signal(case: Case) -> None:
    """There is one owner at a time."""
    sock, _ = case.pair()
    case.arm(sock)
    child = case.fork()

    for moment, number in (("child", child.pid), ("self", case.lab.pid), ("child_again", child.pid)):
        set_owner(sock, number)
        case.deliver(b"x")
        case.at(moment, child=case.got(child))


REFUSED: dict[str, Callable[[int], None]] = {
    "process": lambda fd: set_owner(fd, NEVER),
    "group": lambda fd: set_owner(fd, -NEVER),
    "reaped": lambda fd: set_owner(fd, reaped()),
    "ex_thread": lambda fd: set_owner_ex(fd, F_OWNER_TID, NEVER),
    "ex_process": lambda fd: set_owner_ex(fd, F_OWNER_PID, NEVER),
    "ex_group": lambda fd: set_owner_ex(fd, F_OWNER_PGRP, NEVER),
    "ex_negative": lambda fd: set_owner_ex(fd, F_OWNER_PID, -1),
    "int_min": lambda fd: set_owner(fd, INT_MIN),
    "type_below": lambda fd: set_owner_ex(fd, F_OWNER_TID - 1, 0),
    "type_above": lambda fd: set_owner_ex(fd, F_OWNER_PGRP + 1, 0),
}


def old_owner_stays(case: Case) -> None:
    """Try to set what can't be the owner, in the way that the variant names, and let data come."""
    sock, _ = case.pair()
    case.arm(sock)

    result = attempt(REFUSED[case.variant], sock)
    case.at("refused", result=result, getown_ex=owner(case, sock)["getown_ex"])
    case.deliver(b"x")

    case.at("delivered")


@clause("owner.refused.nobody_there")
def test_id_of_nobody_is_refused(case: Case) -> None:
    """The number is looked up before anything is changed."""
    old_owner_stays(case)


@clause("owner.refused.no_such_owner")
def test_impossible_owner_is_refused(case: Case) -> None:
    """INT_MIN can't be negated, and a type is one of three."""
    old_owner_stays(case)


@clause("owner.dead.is_nobody")
def test_owner_that_has_exited_is_nobody_once_reaped(case: Case) -> None:
    """The file holds the kernel's struct pid, not the number."""
    sock, _ = case.pair()
    case.arm(sock)
    child = case.fork()
    set_owner(sock, child.pid)

    child.end()
    case.deliver(b"x")
    case.at("zombie", **owner(case, sock, child=child.pid))
    child.exit()
    case.deliver(b"y")

    case.at("reaped", **owner(case, sock, child=child.pid))


@clause("owner.thread_id.is_the_process")
def test_id_of_a_thread_makes_its_process_the_owner(case: Case) -> None:
    """pid_task finds the thread for the signal, and no process for what is read back."""
    sock, _ = case.pair()
    case.arm(sock)
    thread = case.sleep("sigtimedwait", SIGUSR2, name="thread")

    result = attempt(set_owner, sock, thread.tid)
    case.deliver(b"x")

    case.at("delivered", result=result, **owner(case, sock, thread=thread.tid))


@clause("owner.group.without_members")
def test_group_without_members_is_accepted_and_tells_nobody(case: Case) -> None:
    """The child is a member of its parent's group and leads none."""
    sock, _ = case.pair()
    case.arm(sock)
    child = case.fork()

    result = attempt(set_owner, sock, -child.pid)
    case.deliver(b"x")

    case.at("delivered", result=result, child=case.got(child), **owner(case, sock, child=child.pid))


@clause("owner.process.receives")
def test_owner_alone_gets_the_signal(case: Case) -> None:
    """The owner needn't be the one who armed the socket."""
    sock, _ = case.pair()
    case.arm(sock)
    child = case.fork()
    set_owner(sock, child.pid)

    case.deliver(b"x")

    case.at("delivered", owner=case.got(child))


@clause("owner.process.any_thread")
def test_any_thread_may_take_a_process_signal(case: Case) -> None:
    """complete_signal looks for a thread that doesn't block it."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep("sigtimedwait", ARMED, name="waiter")

    case.deliver(b"x")

    case.at("delivered")


@clause("owner.group.all_receive")
def test_every_member_of_the_group_gets_the_signal(case: Case) -> None:
    """A socket has one subscriber at most; only its owner being a group makes several signals of one event."""
    sock, _ = case.pair()
    case.arm(sock)
    first, second, outsider = leader(case), case.fork(), case.fork()
    second.call("setpgid", SYS_setpgid, 0, first.pid)
    set_owner(sock, -first.pid)

    case.deliver(b"x")

    case.at("delivered", leader=case.got(first), member=case.got(second), outsider=case.got(outsider))


@clause("owner.thread.receives")
def test_owner_thread_gets_the_signal_until_it_exits(case: Case) -> None:
    """Its first signal ends the thread."""
    sock, _ = case.pair()
    case.arm(sock)
    thread = case.sleep("sigtimedwait", ARMED, name="owner")
    set_owner_ex(sock, F_OWNER_TID, thread.tid)

    case.deliver(b"x")
    case.at("delivered")
    case.deliver(b"y")

    case.at("exited", **owner(case, sock, thread=thread.tid))


@clause("owner.thread.alone")
def test_no_other_thread_gets_the_owner_threads_signal(case: Case) -> None:
    """It is queued to the thread, as proc(5) SigPnd shows, and not to the process."""
    sock, _ = case.pair()
    case.arm(sock)
    thread = case.sleep("sigtimedwait", SIGUSR2, name="owner")
    case.sleep("sigtimedwait", ARMED, name="waiter")
    set_owner_ex(sock, F_OWNER_TID, thread.tid)

    case.deliver(b"x")
    case.fence()

    case.at("delivered", pending=pending_for(thread.tid, ARMED))


def pending_for(tid: int, signo: int) -> int:
    """1 where a signal is pending for one thread alone."""
    path = Path(f"/proc/self/task/{tid}/status")
    parts = (line.partition(":") for line in lines_of(path))
    status = Table(path, ((name, said) for name, _, said in parts))
    return int(status["SigPnd"], 16) >> (signo - 1) & 1


@clause("owner.uids.captured")
def test_owner_carries_the_ids_of_who_set_it(case: Case) -> None:
    """The ids are those of F_SETOWN's caller, and change with its next one only."""
    sock, _ = case.pair()
    setter = case.fork()
    become(setter, OWN, OTHER, OTHER)

    owner_is_set(setter, sock, setter.pid)
    case.at("set", **uids(case, sock))
    set_signal(sock, ARMED)
    case.at("signal_set", **uids(case, sock))
    set_owner(sock, 0)
    case.at("cleared", **uids(case, sock))
    set_owner(sock, case.lab.pid)

    case.at("set_again", **uids(case, sock))


def uids(case: Case, fd: int) -> dict[str, Plain]:
    """F_GETOWNER_UIDS, in words."""
    words = {OWN: "setter's", OTHER: "setter's effective", case.lab.uid: "own"}
    found = get_owner_uids(fd)
    return {"uid": words.get(found.uid, "another"), "euid": words.get(found.euid, "another")}


def owner_is_set_by_another(case: Case, setter_ids: tuple[int, int], owner_ids: tuple[int, int, int]) -> None:
    """Have one child make another one the owner, let data come and see who is told."""
    sock, _ = case.pair()
    case.arm(sock)
    setter, child = case.fork(), case.fork()
    real, effective = setter_ids
    become(setter, real, effective, effective)
    become(child, *owner_ids)

    result = attempt(owner_is_set, setter, sock, child.pid)
    case.deliver(b"x")

    case.at("delivered", result=result, owner=case.got(child))


@clause("owner.permission.denied")
def test_owner_of_another_user_gets_nothing(case: Case) -> None:
    """sigio_perm asks at delivery, and has nobody to answer to."""
    owner_is_set_by_another(case, *DENIED[case.variant])


@clause("owner.permission.granted")
def test_owner_whom_the_setter_may_signal_gets_it(case: Case) -> None:
    """sigio_perm compares two ids of the setter with two of the owner."""
    owner_is_set_by_another(case, *GRANTED[case.variant])


@clause("owner.permission.at_delivery")
def test_permission_is_asked_for_at_delivery(case: Case) -> None:
    """The setter's ids were captured, the owner's are looked at."""
    sock, _ = case.pair()
    case.arm(sock)
    setter, child = case.fork(), case.fork()
    become(setter, OTHER, OWN, OWN)
    become(child, OWN, 0, 0)
    owner_is_set(setter, sock, child.pid)

    become(setter, OTHER, OTHER, OTHER)
    case.deliver(b"x")
    case.at("setter_changed", owner=case.got(child))
    become(child, THIRD, THIRD, THIRD)
    case.deliver(b"y")

    case.at("owner_changed", owner=case.got(child))


@clause("owner.permission.each_member")
def test_each_member_of_the_group_is_asked_for(case: Case) -> None:
    """The setter leads the group, and may signal itself but not the other."""
    sock, _ = case.pair()
    case.arm(sock)
    setter, other = leader(case), case.fork()
    other.call("setpgid", SYS_setpgid, 0, setter.pid)
    become(setter, OWN, OWN, OWN)
    become(other, OTHER, OTHER, OTHER)
    owner_is_set(setter, sock, -setter.pid)

    case.deliver(b"x")

    case.at("delivered", own_user=case.got(setter), other_user=case.got(other))


@clause("owner.permission.not_the_senders")
def test_any_user_may_cause_the_event(case: Case) -> None:
    """The sender's ids are asked for nowhere on the way."""
    sock, peer = case.pair()
    case.arm(sock)
    sender = case.fork()
    become(sender, OTHER, OTHER, OTHER)

    result = attempt(sender.call, "sendto", SYS_sendto, peer, b"x", 1, 0, 0, 0)

    case.at("delivered", result=result)


@clause("owner.permission.sigurg")
def test_sigurg_is_not_for_another_user(case: Case) -> None:
    """send_sigurg_to_task asks sigio_perm too."""
    sock, _ = case.pair()
    case.arm(sock)
    setter, child = case.fork(), case.fork()
    become(setter, OWN, OWN, OWN)
    become(child, OTHER, OTHER, OTHER)

    owner_is_set(setter, sock, child.pid)
    case.deliver(b"x", MSG_OOB)
    case.at("denied", owner=case.got(child))
    owner_is_set(child, sock, child.pid)
    case.deliver(b"y", MSG_OOB)

    case.at("granted", owner=case.got(child))
