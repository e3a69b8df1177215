"""A security hook that refuses to let sockets be made: what the caller is told, and that nothing is left of them."""

from native import (
    CLONE_NEWNET,
    O_PATH,
    Child,
    SYS_accept4,
    SYS_openat,
    SYS_unshare,
    connect,
    getsockname,
    if_index,
    trace,
)
from suites.catalogue import clause
from suites.lab import rtnetlink
from suites.lab.calls import made_by, pair_made_by
from suites.lab.case import Case, Plain, attempt
from suites.lab.counters import active_objects, protocol_counts, sockets_in_use
from suites.lab.domains import SOCKETLESS, TCPLESS, enter
from suites.lab.families import FAMILIES, Family
from suites.lab.links import await_end_of, lay_link
from suites.lab.modular import borrow, made, references, state
from suites.lab.privileges import fill_table

MANY = 500
SOME = 8
BAD_FLAG, BAD_TYPE, BAD_PROTOCOL = 0x10, 11, 200
FAMILY_OF_NOBODY, FAMILY_OUT_OF_RANGE = 14, 255


def socket_of(child: Child, family: Family) -> Plain:
    """What comes of a child's socket of a family."""
    return made_by(child, family.domain, family.type, family.protocol)


def pair_of(child: Child, family: Family) -> Plain:
    """What comes of a child's pair of a family."""
    return pair_made_by(child, family.domain, family.type, family.protocol)


def refused(case: Case, domain: str = SOCKETLESS) -> Child:
    """A child in a domain that a hook refuses sockets to."""
    child = case.fork()
    enter(child, domain)
    return child


@clause("security.create.refused")
def test_socket_that_the_hook_refuses_is_not_made(case: Case) -> None:
    """The hook's answer is the call's."""
    child = case.fork()
    before = socket_of(child, case.family)

    enter(child, SOCKETLESS)

    case.at("entered", before=before, socket=socket_of(child, case.family), socketpair=pair_of(child, case.family))


@clause("security.create.by_class")
def test_hook_refuses_one_kind_of_socket_and_not_the_others(case: Case) -> None:
    """It is told family, type and protocol, and SELinux makes a class of them."""
    child = refused(case, TCPLESS)

    case.at(
        "entered",
        socket=socket_of(child, case.family),
        udp=socket_of(child, FAMILIES["udp4"]),
        unix=socket_of(child, FAMILIES["unix-stream"]),
    )


@clause("security.create.of_the_caller")
def test_hook_refuses_the_caller_and_nobody_else(case: Case) -> None:
    """It judges by the caller's credentials, which nobody else has."""
    child, other = refused(case), case.fork()

    meanwhile = socket_of(child, case.family), socket_of(other, case.family)
    child.exit()

    case.at("left", refused=meanwhile[0], other=meanwhile[1], next=socket_of(case.fork(), case.family))


@clause("security.create.order")
def test_hook_is_asked_after_the_numbers_and_before_the_family(case: Case) -> None:
    """The family's own checks, and the search for it, come with the making, which the hook forbids."""
    child = refused(case)
    domain, type, protocol = case.family.domain, case.family.type, case.family.protocol

    case.at(
        "entered",
        flags=made_by(child, domain, type | BAD_FLAG, protocol),
        family=made_by(child, FAMILY_OUT_OF_RANGE, type, protocol),
        type=made_by(child, domain, BAD_TYPE, protocol),
        protocol=made_by(child, domain, type, BAD_PROTOCOL),
        family_of_nobody=made_by(child, FAMILY_OF_NOBODY, type),
    )


@clause("security.create.full_table")
def test_full_table_is_found_after_the_hook_for_a_socket_and_before_it_for_a_pair(case: Case) -> None:
    """One takes its number last, the other first."""
    child = refused(case)
    fill_table(child)

    case.at("full", socket=socket_of(child, case.family), socketpair=pair_of(child, case.family))


@clause("security.create.accept")
def test_accepting_is_not_making(case: Case) -> None:
    """Accepting has a hook of its own."""
    listener = case.listener()
    connect(case.socket(), getsockname(listener))
    case.fence()
    child = refused(case)

    accepted = attempt(child.call, "accept4", SYS_accept4, listener, 0, 0, 0)

    case.at("accepted", accept=0 if isinstance(accepted, int) else accepted, socket=socket_of(child, case.family))


# What is left of it.


def try_often(child: Child, family: Family, times: int) -> int:
    """Have a child try so often to make a socket, and a pair; returns how many of all these were refused by the hook."""
    outcomes = [outcome for _ in range(times) for outcome in (socket_of(child, family), pair_of(child, family))]
    return outcomes.count("EACCES")


def next_number(child: Child) -> int:
    """The lowest number that is free in a child's table of descriptors."""
    number = child.call("openat", SYS_openat, -1, b"/\0", O_PATH)
    child.close(number)
    return number


@clause("security.failed.counts")
def test_refused_creation_leaves_every_count_as_it_was(case: Case) -> None:
    """The hook is asked before anything is allocated; a pair's numbers are given back."""
    before, protocols = case.sockets_at_rest(), protocol_counts()
    child = refused(case)
    free = next_number(child)

    refusals = try_often(child, case.family, SOME)

    case.at(
        "refused",
        refusals=refusals,
        in_use=sockets_in_use() - before,
        protocols_changed=sum(protocol_counts()[name] != count for name, count in protocols.items()),
        numbers_taken=next_number(child) - free,
    )


@clause("security.failed.memory")
def test_refused_creation_takes_no_memory(case: Case) -> None:
    """The account is the whole machine's, so that there are many times as many refusals as others may make sockets."""
    caches = ("TCP" if case.family.name == "tcp4" else "TCPv6", "sock_inode_cache")
    child = refused(case)
    before = [active_objects(cache) for cache in caches]

    with trace.paused():
        refusals = try_often(child, case.family, MANY)

    socks, inodes = (active_objects(cache) - count for cache, count in zip(caches, before, strict=True))
    case.at("refused", refusals=refusals, socks=socks, inodes=inodes)


@clause("security.failed.namespace")
def test_refused_creation_holds_no_namespace(case: Case) -> None:
    """A sock would hold it, and none is made."""
    netlink = case.own(rtnetlink.connect(), "netlink")
    child = case.fork()
    child.call("unshare", SYS_unshare, CLONE_NEWNET)
    lay_link(netlink, "refused", child)
    enter(child, SOCKETLESS)

    refusals = try_often(child, case.family, SOME)
    child.exit()
    await_end_of("refused")

    case.at("left", refusals=refusals, link=attempt(if_index, "refused"))


@clause("security.failed.module")
def test_refused_creation_neither_loads_a_module_nor_holds_one(case: Case) -> None:
    """The hook is asked before the family is, so nobody asks for its module."""
    borrow(case)
    child = refused(case)
    case.at("refused", refusals=try_often(child, case.family, SOME), state=state(case))
    made(case)
    before = references(case)

    refusals = try_often(child, case.family, SOME)

    case.at("refused_again", refusals=refusals, state=state(case), references=references(case) - before)
