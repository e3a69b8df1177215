"""What socket(2) and socketpair(2) refuse, with which errno, and in which order they look."""

from native import (
    AF_INET,
    AF_NETLINK,
    AF_PACKET,
    AF_UNIX,
    AF_VSOCK,
    CLONE_NEWNET,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_UDPLITE,
    MSG_DONTWAIT,
    NETLINK_USERSOCK,
    O_ASYNC,
    O_DIRECT,
    SOCK_DGRAM,
    SOCK_PACKET,
    SOCK_RAW,
    SOCK_RDM,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SYS_accept4,
    SYS_socket,
    SYS_socketpair,
    SYS_unshare,
    accept4,
    close,
    connect,
    getsockname,
    recv,
    send,
    socket,
    socketpair,
)
from suites.catalogue import clause
from suites.lab.calls import made, made_by, none, pair_made, pair_made_by
from suites.lab.case import Case, attempt
from suites.lab.counters import protocol_counts, sockets_in_use
from suites.lab.privileges import drop_capabilities, fill_table
from suites.lab.queueing import unblock

UNKNOWN_FAMILIES = {"negative": -1, "unspecified": 0, "without_sockets": 14, "beyond": 255}
UNKNOWN_FAMILY = UNKNOWN_FAMILIES["beyond"]
TYPES = {"zero": 0, "rdm": SOCK_RDM, "seven": 7, "ten": SOCK_PACKET, "eleven": 11, "fifteen": 15}
TYPES |= {"stream": SOCK_STREAM, "seqpacket": SOCK_SEQPACKET}
BAD_TYPE = TYPES["eleven"]
BAD_FLAGS = {"bit_4": 0x10, "bit_8": 0x100, "async": O_ASYNC, "direct": O_DIRECT}
MISMATCHES = {
    "stream_of_udp": (SOCK_STREAM, IPPROTO_UDP),
    "datagram_of_tcp": (SOCK_DGRAM, IPPROTO_TCP),
    "raw_of_none": (SOCK_RAW, 0),
    "stream_of_255": (SOCK_STREAM, 255),
}
PROTOCOLS = {"negative": -1, "one": 1, "two": 2, "max": 263, "unused": 1, "beyond": 200}


@clause("errors.flags.unknown")
def test_unknown_flag_in_the_type_is_refused(case: Case) -> None:
    """What lies above the type's four bits is SOCK_CLOEXEC and SOCK_NONBLOCK, or an error."""
    type = case.family.type | BAD_FLAGS[case.variant]

    made_as = made(case, case.family.domain, type, case.family.protocol)

    pair = pair_made(case, case.family.domain, type, case.family.protocol)
    case.at("refused", socket=made_as, socketpair=pair)


@clause("errors.family.unknown")
def test_family_that_nobody_has_registered_is_refused(case: Case) -> None:
    """The numbers are an array; where nobody stands in it, a module is asked for first."""
    case.at("refused", socket=made(case, UNKNOWN_FAMILIES[case.variant], case.family.type))


@clause("errors.type.out_of_range")
def test_type_beyond_all_types_is_refused(case: Case) -> None:
    """SOCK_MAX is 11, and four bits hold more."""
    case.at("refused", socket=made(case, case.family.domain, TYPES[case.variant], case.family.protocol))


@clause("errors.order.flags_family_type")
def test_flags_are_looked_at_first_then_the_family_then_the_type(case: Case) -> None:
    """Each mistake hides those that would be found after it."""
    case.at(
        "refused",
        all_wrong=made(case, UNKNOWN_FAMILY, BAD_TYPE | 0x10),
        family_and_type_wrong=made(case, UNKNOWN_FAMILY, BAD_TYPE),
        type_and_protocol_wrong=made(case, case.family.domain, BAD_TYPE, PROTOCOLS["beyond"]),
    )


@clause("errors.inet.type")
def test_internet_family_has_no_such_type(case: Case) -> None:
    """Protocols are listed by type, and nobody is in this list."""
    case.at("refused", socket=made(case, case.family.domain, TYPES[case.variant]))


@clause("errors.inet.protocol")
def test_protocol_that_is_not_of_the_type_is_refused(case: Case) -> None:
    """The type's list is searched for the protocol, and modules are asked for it twice."""
    case.at("refused", socket=made(case, case.family.domain, *MISMATCHES[case.variant]))


@clause("errors.inet.protocol_range")
def test_protocol_number_out_of_range_is_refused(case: Case) -> None:
    """The numbers are checked before anything is searched for, so the type doesn't matter."""
    protocol = PROTOCOLS[case.variant]

    case.at(
        "refused",
        stream=made(case, case.family.domain, SOCK_STREAM, protocol),
        bad_type=made(case, case.family.domain, SOCK_RDM, protocol),
    )


@clause("errors.inet.udplite")
def test_udplite_has_been_removed(case: Case) -> None:
    """A datagram protocol like any other while it was there."""
    case.at("asked", socket=made(case, case.family.domain, SOCK_DGRAM, IPPROTO_UDPLITE))


@clause("errors.unix.type")
def test_unix_family_has_no_such_type(case: Case) -> None:
    """There are streams, datagrams and sequenced packets."""
    case.at("refused", socket=made(case, AF_UNIX, TYPES[case.variant]))


@clause("errors.unix.protocol")
def test_unix_family_has_one_protocol(case: Case) -> None:
    """It may be named 0, or by the family's own number; it is looked at before the type."""
    case.at(
        "asked",
        own=none(attempt(lambda: close(socket(AF_UNIX, case.family.type, AF_UNIX)))),
        other=made(case, AF_UNIX, case.family.type, 2),
        negative=made(case, AF_UNIX, case.family.type, -1),
        other_with_bad_type=made(case, AF_UNIX, SOCK_RDM, 2),
    )


@clause("errors.netlink.type")
def test_netlink_has_no_such_type(case: Case) -> None:
    """Raw and datagram sockets are the same there; the type is looked at before the protocol."""
    type = TYPES[case.variant]

    case.at(
        "refused",
        known_protocol=made(case, AF_NETLINK, type, NETLINK_USERSOCK),
        unknown_protocol=made(case, AF_NETLINK, type, PROTOCOLS["beyond"]),
    )


@clause("errors.netlink.protocol")
def test_netlink_has_no_such_protocol(case: Case) -> None:
    """Its protocols are subsystems that have registered, of at most 32."""
    case.at("refused", socket=made(case, AF_NETLINK, SOCK_RAW, PROTOCOLS[case.variant]))


@clause("errors.packet.type")
def test_packet_family_has_no_such_type(case: Case) -> None:
    """There are raw packets, cooked ones, and those of Linux 2.0."""
    case.at("refused", socket=made(case, AF_PACKET, TYPES[case.variant]))


@clause("errors.vsock.refused")
def test_vsock_has_no_such_type_or_protocol(case: Case) -> None:
    """The protocol is looked at before the type."""
    case.at(
        "refused",
        protocol=made(case, AF_VSOCK, SOCK_STREAM, 1),
        type=made(case, AF_VSOCK, SOCK_RDM),
        both=made(case, AF_VSOCK, SOCK_RDM, 1),
    )


@clause("errors.vsock.seqpacket")
def test_vsock_has_sequenced_packets(case: Case) -> None:
    """It began with streams, and datagrams that one transport has."""
    case.at("asked", socket=made(case, AF_VSOCK, SOCK_SEQPACKET))


# Privilege.


@clause("errors.privilege.raw")
def test_raw_socket_needs_a_capability(case: Case) -> None:
    """The protocol is searched for before the capability is asked."""
    child = case.fork()
    domain, protocol = case.family.domain, case.family.protocol
    allowed = made_by(child, domain, SOCK_RAW, protocol)

    drop_capabilities(child)

    case.at(
        "dropped",
        before=allowed,
        after=made_by(child, domain, SOCK_RAW, protocol),
        no_protocol=made_by(child, domain, SOCK_RAW, 0),
    )


@clause("errors.privilege.packet")
def test_packet_socket_needs_a_capability(case: Case) -> None:
    """The capability is asked before anything else."""
    child = case.fork()
    allowed = made_by(child, AF_PACKET, SOCK_DGRAM)

    drop_capabilities(child)

    case.at(
        "dropped",
        before=allowed,
        after=made_by(child, AF_PACKET, SOCK_DGRAM),
        bad_type=made_by(child, AF_PACKET, SOCK_STREAM),
        by_old_name=made_by(child, AF_INET, SOCK_PACKET),
    )


@clause("errors.privilege.none_needed")
def test_other_sockets_need_no_capability(case: Case) -> None:
    """Who may do nothing may have them."""
    child = case.fork()
    drop_capabilities(child)

    case.at("dropped", socket=made_by(child, case.family.domain, case.family.type, case.family.protocol))


@clause("errors.privilege.ping")
def test_ping_socket_is_for_the_groups_that_the_namespace_names(case: Case) -> None:
    """A new namespace names an empty range of groups, and root's group isn't in it either."""
    child = case.fork()
    child.call("unshare", SYS_unshare, CLONE_NEWNET)

    protocol = {AF_INET: IPPROTO_ICMP}.get(case.family.domain, IPPROTO_ICMPV6)
    case.at("refused", socket=made_by(child, case.family.domain, SOCK_DGRAM, protocol))


# Pairs.


@clause("errors.pair.unsupported")
def test_family_without_pairs_refuses_them(case: Case) -> None:
    """Two sockets are made before the family is asked, and both are given back."""
    before = case.sockets_at_rest()

    outcome = none(attempt(socketpair, case.family.domain, case.family.type, case.family.protocol))

    case.at("refused", socketpair=outcome, in_use=sockets_in_use() - before)


@clause("errors.pair.unsupported_late")
def test_family_without_pairs_refuses_them_and_frees_later(case: Case) -> None:
    """These sockets are freed after a grace period, which isn't waited for here."""
    outcome = none(attempt(socketpair, case.family.domain, case.family.type, case.family.protocol))

    case.at("refused", socketpair=outcome)


@clause("errors.pair.fault")
def test_pair_that_cannot_be_told_is_not_made(case: Case) -> None:
    """The numbers are written before the sockets are made, and taken back where that fails."""
    child = case.fork()
    nowhere = attempt(child.call, "socketpair", SYS_socketpair, UNKNOWN_FAMILY, SOCK_STREAM, 0, 0)
    number = child.call("socket", SYS_socket, AF_UNIX, SOCK_STREAM, 0)
    child.close(number)

    outcome = attempt(child.call, "socketpair", SYS_socketpair, AF_UNIX, case.family.type, 0, 0)

    after = child.call("socket", SYS_socket, AF_UNIX, SOCK_STREAM, 0)
    case.at("refused", socketpair=outcome, unknown_family=nowhere, numbers_taken=after - number)


# A full table of descriptors.


@clause("errors.full.socket")
def test_full_table_is_found_last(case: Case) -> None:
    """The socket is made before there is a number for it."""
    child = case.fork()
    fill_table(child)
    domain, type, protocol = case.family.domain, case.family.type, case.family.protocol

    case.at(
        "full",
        socket=made_by(child, domain, type, protocol),
        bad_flags=made_by(child, domain, type | 0x10, protocol),
        bad_family=made_by(child, UNKNOWN_FAMILY, type, protocol),
        bad_type=made_by(child, domain, BAD_TYPE, protocol),
    )


@clause("errors.full.protocol")
def test_full_table_is_found_after_a_wrong_protocol(case: Case) -> None:
    """The family's own checks come before the number too."""
    child = case.fork()
    fill_table(child)

    case.at("full", socket=made_by(child, case.family.domain, case.family.type, PROTOCOLS["beyond"]))


@clause("errors.full.pair")
def test_full_table_is_found_first_for_a_pair(case: Case) -> None:
    """Both numbers are taken before anything is made: only wrong flags are found earlier."""
    child = case.fork()
    fill_table(child)
    domain, type, protocol = case.family.domain, case.family.type, case.family.protocol

    case.at(
        "full",
        socketpair=pair_made_by(child, domain, type, protocol),
        bad_flags=pair_made_by(child, domain, type | 0x10, protocol),
        bad_family=pair_made_by(child, UNKNOWN_FAMILY, type, protocol),
        bad_type=pair_made_by(child, domain, BAD_TYPE, protocol),
    )


@clause("errors.full.accept")
def test_connection_that_finds_no_number_stays_queued(case: Case) -> None:
    """accept takes a number before it takes a connection."""
    listener = case.listener()
    unblock(listener)  # where the connection is lost, the next accept says so instead of waiting for another
    sock = case.socket()
    connect(sock, getsockname(listener))
    case.fence()
    child = case.fork()
    fill_table(child)

    refused = none(attempt(child.call, "accept4", SYS_accept4, listener, 0, 0, 0))

    peer = case.own(accept4(listener, 0), "peer")
    send(peer, b"x")
    case.fence()
    case.at("full", accept=refused, recv=attempt(recv, sock, 1, MSG_DONTWAIT))


# What a failure gives back.


@clause("errors.failed.gives_back")
def test_creation_that_fails_leaves_every_count_as_it_was(case: Case) -> None:
    """Whatever was made before the failure is released by the call itself."""
    before, protocols = case.sockets_at_rest(), protocol_counts()
    child = case.fork()
    domain, type, protocol = case.family.domain, case.family.type, case.family.protocol
    if case.variant == "full_table":
        fill_table(child)
    else:
        protocol = PROTOCOLS["beyond"]

    outcomes = {made_by(child, domain, type, protocol) for _ in range(2)}

    case.at(
        "failed",
        made=int(0 in outcomes),
        in_use=sockets_in_use() - before,
        protocols_changed=sum(protocol_counts()[name] != count for name, count in protocols.items()),
    )
