"""What becomes of signals when no more may be pending: RLIMIT_SIGPENDING, whose account is the user's."""

import native
from native import MSG_OOB, SIGIO, SIGUSR1, Child, SYS_setpgid, set_owner, set_signal
from suites.catalogue import clause
from suites.lab.actors import become, child_with_account, limit_pending, own_user
from suites.lab.case import Case, Descriptor
from suites.lab.signals import ARMED, WATCHED

EVENTS = 6
LIMIT = 3


def limited_owner(case: Case, limit: int = 0) -> tuple[Descriptor, Child]:
    """An armed socket, and a child that owns it and may have so many signals pending.

    With a limit of 0 nobody else's signals matter, so no account of its own is needed.
    """
    sock, _ = case.pair()
    case.arm(sock)
    if limit:
        child = child_with_account(case.fork, limit)
    else:
        child = case.fork()
        limit_pending(child, limit)
    set_owner(sock, child.pid)
    return sock, child


@clause("overflow.queue.falls_back")
def test_events_beyond_the_limit_become_one_sigio(case: Case) -> None:
    """send_sigio_to_task falls back on SIGIO where the signal can't be queued."""
    _, child = limited_owner(case, LIMIT)

    for _ in range(EVENTS):
        case.deliver(b"x")
    case.at("overflowed", owner=case.got(child))
    case.deliver(b"y")

    case.at("room_again", owner=case.got(child))


@clause("overflow.queue.curve")
def test_events_are_told_in_full_up_to_the_limit(case: Case) -> None:
    """A signal that was fetched has left its place in the queue."""
    limit, numbers = 8, list(range(1, 14))
    _, child = limited_owner(case, limit)

    in_full, sigio = [], []
    for number in numbers:
        for _ in range(number):
            case.deliver(b"x")
        case.fence()
        told = [info.signo for info in child.drain_signals(WATCHED)]
        in_full.append(told.count(ARMED))
        sigio.append(told.count(SIGIO))

    lost = sum(sent > got for sent, got in zip(numbers[:limit], in_full, strict=False))
    first = next((number for number, count in zip(numbers, sigio, strict=True) if count), 0)
    found = {"lost_too_early": lost, "most_in_full": max(in_full), "first_sigio": first, "most_sigio": max(sigio)}
    case.at("sent", limit=limit, events=numbers, in_full=in_full, sigio=sigio, **found)


@clause("overflow.none_allowed.falls_back")
def test_every_event_is_sigio_where_nothing_may_be_pending(case: Case) -> None:
    """Not even the first has a place in the queue."""
    _, child = limited_owner(case)

    case.deliver(b"x")
    case.at("first", owner=case.got(child))
    case.deliver(b"y")

    case.at("second", owner=case.got(child))


@clause("overflow.standard.keeps_all")
def test_standard_signal_keeps_its_information(case: Case) -> None:
    """A signal below SIGRTMIN whose code isn't below 0 overrides the limit."""
    sock, child = limited_owner(case)

    for moment, signal in (("sigusr1", SIGUSR1), ("sigio", SIGIO)):
        set_signal(sock, signal)
        case.deliver(b"x")
        case.at(moment, owner=case.got(child))


@clause("overflow.ambiguous.loses_all")
def test_signal_with_codes_of_its_own_loses_its_information(case: Case) -> None:
    """It stays pending as one bit, from which collect_signal can make no more than SI_USER."""
    sock, child = limited_owner(case)
    signal: int = getattr(native, case.variant)
    child.set_mask({*WATCHED, signal})
    set_signal(sock, signal)

    case.deliver(b"x")
    case.fence()

    infos = child.drain_signals({signal})
    fields = {name: getattr(info, name) for info in infos for name in ("code", "band", "fd")}
    case.at("delivered", count=len(infos), **fields, others=case.got(child))


@clause("overflow.account.is_the_users")
def test_processes_of_one_user_share_an_account(case: Case) -> None:
    """The limit is the receiver's own, the account that it is compared with its user's."""
    sock, _ = case.pair()
    case.arm(sock)
    first, same, other = case.fork(), case.fork(), case.fork()
    for child, user in ((first, own_user(first)), (same, own_user(first)), (other, own_user(other))):
        limit_pending(child, 2)
        become(child, user, user, user)

    for child in (first, first, same, other):
        set_owner(sock, child.pid)
        case.deliver(b"x")
        case.fence()

    case.at("delivered", same_user=case.got(same), other_user=case.got(other), first=case.got(first))


@clause("overflow.group.each_its_own")
def test_each_member_of_a_group_falls_back_by_itself(case: Case) -> None:
    """The signal is queued to each member, or isn't."""
    sock, limited = limited_owner(case)
    limited.call("setpgid", SYS_setpgid, 0, 0)
    free = case.fork()
    free.call("setpgid", SYS_setpgid, 0, limited.pid)
    set_owner(sock, -limited.pid)

    case.deliver(b"x")

    case.at("delivered", free=case.got(free), limited=case.got(limited))


@clause("overflow.urgent.sigurg_comes")
def test_sigurg_comes_whatever_the_limit(case: Case) -> None:
    """SIGURG is a standard signal of the kernel's; POLL_PRI is as any other event."""
    _, child = limited_owner(case)

    case.deliver(b"x", MSG_OOB)

    case.at("urgent", owner=case.got(child))
