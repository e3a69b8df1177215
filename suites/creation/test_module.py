"""A protocol in a module, which its sockets hold: loaded for the first of them, and not unloaded before the last has gone."""

import struct
from pathlib import Path

from native import (
    AF_ALG,
    CLONE_NEWUSER,
    SOCK_DGRAM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SYS_delete_module,
    SYS_socket,
    SYS_unshare,
    accept4,
    bind,
    close,
    connect,
    dup,
    getsockname,
    socket,
    tainted,
    unload_module,
)
from suites.catalogue import clause
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.counters import protocol_of, protocols
from suites.lab.modular import borrow, close_in_time, made, module_of, references, state
from suites.lab.privileges import fill_table

KIND = "algif_hash"
"""The module for the kind of algorithm that AF_ALG calls a hash."""

FAMILY, SCTP = "can", "sctp"
"""The modules that have the family CAN, and the protocol SCTP."""

HASH = struct.pack("=H14sII64s", AF_ALG, b"hash", 0, 0, b"sha256")
"""struct sockaddr_alg (include/uapi/linux/if_alg.h)."""

REFUSED = {
    "no_default": (SOCK_STREAM, 0),
    "no_such_protocol": (SOCK_DGRAM, 200),
    "other_type": (SOCK_SEQPACKET, 1),
}
"""Types and protocols that Phonet refuses; its protocol 1 is for datagrams (net/phonet/datagram.c pn_dgram_proto)."""


# Loading.


@clause("module.loaded.first_socket")
def test_first_socket_has_its_module_loaded(case: Case) -> None:
    """Family or protocol isn't found, so the kernel asks for it and looks again."""
    borrow(case)
    before, taint = state(case), tainted()

    made(case)

    case.at("made", before=before, state=state(case), tainted=tainted() - taint)


def make_without_helper(case: Case) -> None:
    """Make a socket once the module that it needs is absent and can't be loaded."""
    borrowed = borrow(case)
    close(made(case))
    borrowed.unload()
    borrowed.forbid_loading()

    result = attempt(case.family.socket)

    case.at("refused", socket=result, state=state(case))


@clause("module.loaded.family_needs_helper")
def test_family_that_isnt_loaded_isnt_supported(case: Case) -> None:
    """Nobody has registered it."""
    make_without_helper(case)


@clause("module.loaded.protocol_needs_helper")
def test_protocol_that_isnt_loaded_isnt_supported(case: Case) -> None:
    """Nobody has registered it with its family."""
    make_without_helper(case)


# References.


def three_sockets(case: Case) -> tuple[list[Descriptor], int]:
    """Three sockets of the family, and how many references there were with the first alone."""
    borrow(case)
    first = made(case)
    one = references(case)
    return [first, made(case, "second"), made(case, "third")], one


def counted(case: Case) -> dict[str, int]:
    """The references with one socket of the family, with three, and once they are closed."""
    socks, one = three_sockets(case)
    three = references(case)
    for sock in socks:
        close(sock)
    return {"one": one, "three": three, "none": references(case)}


@clause("module.references.twice")
def test_socket_holds_its_module_twice(case: Case) -> None:
    """Its operations have an owner, and its protocol has one."""
    case.at("closed", **counted(case))


@clause("module.references.once")
def test_socket_whose_operations_have_no_owner_holds_its_module_once(case: Case) -> None:
    """Its protocol has one; the family's is held only while the socket is made."""
    socks, one = three_sockets(case)
    three, family_with_three = references(case), references(case, FAMILY)
    for sock in socks:
        close(sock)

    none, family_with_none = references(case), references(case, FAMILY)
    alone = {"family_with_three": family_with_three, "family_with_none": family_with_none}
    case.at("closed", one=one, three=three, none=none, **alone)


@clause("module.references.netlink")
def test_netlink_socket_holds_the_module_of_the_kernels_side(case: Case) -> None:
    """It is asked for when the socket is made, and might else be gone when the socket speaks to it."""
    case.at("closed", **counted(case))


@clause("module.references.copies")
def test_copy_of_a_descriptor_holds_no_module_of_its_own(case: Case) -> None:
    """The module is held by the socket, and that by the open file."""
    borrow(case)
    sock = made(case)
    duplicate = case.own(dup(sock), "copy")
    close_in_time(case, duplicate)
    child, throw_away = case.fork(), case.put_in_flight(sock)
    copied = references(case)

    close(sock)
    closed = references(case)
    close(duplicate)
    without_duplicate = references(case)
    child.exit()
    without_child = references(case)
    throw_away()

    seen = {"copied": copied, "closed": closed, "without_duplicate": without_duplicate, "without_child": without_child}
    case.at("gone", **seen, gone=references(case))


@clause("module.references.accepted")
def test_accepted_socket_holds_its_module_and_its_listeners_sock(case: Case) -> None:
    """What is accepted is a computation with the algorithm that the first socket was bound to."""
    borrow(case)
    sock = made(case)
    fresh = references(case)
    bind(sock, HASH)
    bound, bound_kind = references(case), references(case, KIND)
    peer = case.own(accept4(sock, 0), "accepted")
    close_in_time(case, peer)
    accepted = references(case)

    close(sock)
    first_closed, first_closed_kind = references(case), references(case, KIND)
    close(peer)

    case.at(
        "closed",
        made=fresh,
        bound=bound,
        bound_kind=bound_kind,
        accepted=accepted,
        first_closed=first_closed,
        first_closed_kind=first_closed_kind,
        closed=references(case),
        closed_kind=references(case, KIND),
    )


@clause("module.references.sctp")
def test_association_that_waits_holds_no_module(case: Case) -> None:
    """It belongs to the listener's sock until accept makes one for it."""
    before = references(case, SCTP)
    listener = case.listener()
    listening = references(case, SCTP) - before
    sock = case.socket()
    connecting = references(case, SCTP) - before
    connect(sock, getsockname(listener))
    waiting = references(case, SCTP) - before
    peer = case.own(accept4(listener, 0), "peer")
    accepted = references(case, SCTP) - before

    for fd in (peer, sock, listener):
        case.family.discard(fd)  # an ABORT ends both sides at once
    case.fence()

    seen = {"listening": listening, "connecting": connecting, "waiting": waiting, "accepted": accepted}
    case.at("closed", **seen, closed=references(case, SCTP) - before)


# Failures.


@clause("module.failed.no_descriptor")
def test_socket_that_gets_no_descriptor_holds_no_module(case: Case) -> None:
    """The socket was whole, and is released."""
    borrow(case)
    close(made(case))
    child = case.fork()
    fill_table(child)

    result = attempt(child.call, "socket", SYS_socket, case.family.domain, case.family.type, case.family.protocol)

    case.at("failed", socket=result, references=references(case))


@clause("module.failed.family_refuses")
def test_creation_that_the_family_refuses_leaves_its_module_unheld(case: Case) -> None:
    """The module was held to be asked."""
    borrow(case)
    before = state(case)

    results = {name: attempt(socket, case.family.domain, *refused) for name, refused in REFUSED.items()}

    case.at("failed", before=before, **results, state=state(case), references=references(case))


# Unloading.


@clause("module.unload.refused")
def test_module_is_unloaded_once_no_socket_holds_it(case: Case) -> None:
    """A reference is what delete_module looks at."""
    borrow(case)
    sock = made(case)
    module, one = module_of(case), references(case)

    refused, still = attempt(unload_module, module), state(case)
    held_more = references(case) - one
    second = made(case, "second")
    made_two = references(case) // one
    close(sock)
    refused_again = attempt(unload_module, module)
    close(second)
    unloaded, after = attempt(unload_module, module), state(case)
    again = attempt(unload_module, module)

    case.at(
        "unloaded",
        refused=refused,
        state=still,
        held_more=held_more,
        made_two=made_two,
        refused_again=refused_again,
        unloaded=unloaded,
        state_after=after,
        again=again,
    )


@clause("module.unload.used")
def test_module_that_another_uses_is_unloaded_after_it(case: Case) -> None:
    """Its user's symbols are in it."""
    borrow(case)
    close(made(case))

    used = attempt(unload_module, FAMILY)
    user = attempt(unload_module, module_of(case))
    unused = attempt(unload_module, FAMILY)

    case.at("unloaded", used=used, user=user, unused=unused)


@clause("module.unload.user_namespace")
def test_root_of_a_user_namespace_unloads_no_module(case: Case) -> None:
    """Modules are the machine's, whatever namespace asks."""
    borrow(case)
    close(made(case))
    child = case.fork(own_memory=True)
    child.call("unshare", SYS_unshare, CLONE_NEWUSER)

    result = attempt(child.call, "delete_module", SYS_delete_module, module_of(case).encode() + b"\0", 0)

    case.at("refused", unload=result, state=state(case))


@clause("module.unload.own_sockets")
def test_sctp_is_held_by_the_namespaces_own_sockets(case: Case) -> None:
    """They aren't made in the way of the kernel's listeners, which hold no module."""
    own = sum(int(row["sockets"]) for name, row in protocols().items() if name.startswith("SCTP"))

    result = attempt(unload_module, SCTP)

    case.at("refused", own_sockets=own, references=references(case, SCTP), unload=result)


# Tables.


def rows(case: Case) -> int:
    """How many protocols the family's module has in /proc/net/protocols."""
    return sum(row["module"] == module_of(case) for row in protocols().values())


@clause("module.tables.row")
def test_row_of_a_protocol_comes_and_goes_with_its_module(case: Case) -> None:
    """The module registers the protocol, and takes it back."""
    borrowed = borrow(case)
    before = rows(case)

    close(made(case))
    loaded = rows(case)
    borrowed.unload()

    case.at("unloaded", before=before, loaded=loaded, unloaded=rows(case))


def caches(case: Case) -> int:
    """How many caches /proc/slabinfo lists under the name of the family's protocol."""
    lines = Path("/proc/slabinfo").read_text().splitlines()
    return sum(line.split()[0] == protocol_of(case.family.name) for line in lines)


@clause("module.tables.cache")
def test_cache_of_a_protocol_comes_and_goes_with_its_module(case: Case) -> None:
    """It is made when the protocol is registered."""
    borrowed = borrow(case)
    before = caches(case)

    close(made(case))
    loaded, own_cache = caches(case), protocols()[protocol_of(case.family.name)]["slab"]
    borrowed.unload()

    case.at("unloaded", own_cache=own_cache, before=before, loaded=loaded, unloaded=caches(case))
