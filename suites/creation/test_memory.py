"""Where a socket's memory comes from and goes, and how the kernel counts it."""

from native import (
    AF_INET,
    IPPROTO_IPV6,
    IPV6_ADDRFORM,
    MSG_DONTWAIT,
    SO_DOMAIN,
    SOL_SOCKET,
    accept4,
    bind,
    close,
    connect,
    getsockopt,
    listen,
    recv,
    send,
    setsockopt,
    sockaddr_in,
    sockaddr_in6,
)
from suites.catalogue import clause
from suites.lab.calls import port_of
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.counters import active_objects, protocol_counts, protocol_of, protocols, sockets_in_use
from suites.lab.families import FAMILIES, Family

MANY = 400
SOME = 8
COLUMNS_BEFORE = 7
"""The columns of /proc/net/protocols that say something of sockets; those after them are the protocol's functions."""


def counted(family: Family, before: dict[str, int]) -> int:
    """How many more sockets of a family's protocol the namespace counts than before."""
    name = protocol_of(family.name)
    return protocol_counts()[name] - before[name]


@clause("memory.count.from_creation")
def test_socket_is_counted_by_its_protocol_from_its_creation(case: Case) -> None:
    """Creation enters it into the protocol's table."""
    before = protocol_counts()

    sock = case.socket()
    made = counted(case.family, before)
    close(sock)

    case.at("closed", made=made, closed=counted(case.family, before))


@clause("memory.count.from_binding")
def test_datagram_socket_is_counted_by_its_protocol_from_its_port(case: Case) -> None:
    """A port enters it into the protocol's table."""
    before = protocol_counts()

    sock = case.socket()
    made = counted(case.family, before)
    bind(sock, sockaddr_in6("::1", 0) if case.family.domain != AF_INET else sockaddr_in("127.0.0.1", 0))
    bound = counted(case.family, before)
    close(sock)

    case.at("closed", made=made, bound=bound, closed=counted(case.family, before))


@clause("memory.count.from_listening")
def test_tcp_socket_is_counted_by_its_protocol_from_listening(case: Case) -> None:
    """A port alone doesn't enter it into the table of sockets that packets are for."""
    before = protocol_counts()

    sock = case.socket()
    made = counted(case.family, before)
    bind(sock, sockaddr_in6("::1", 0) if case.family.domain != AF_INET else sockaddr_in("127.0.0.1", 0))
    bound = counted(case.family, before)
    listen(sock, 1)
    listening = counted(case.family, before)
    close(sock)

    case.at("closed", made=made, bound=bound, listening=listening, closed=counted(case.family, before))


# Caches.


def row(case: Case) -> dict[str, str]:
    """What /proc/net/protocols says of the family's protocol."""
    return protocols()[protocol_of(case.family.name)]


@clause("memory.cache.own")
def test_protocol_has_a_cache_of_its_own(case: Case) -> None:
    """Its sockets are of one size, and are taken from a cache that is made for it."""
    found = row(case)

    case.at("read", slab=found["slab"], size=int(found["size"]))


@clause("memory.cache.general")
def test_protocol_takes_from_the_general_allocator(case: Case) -> None:
    """It was registered without one."""
    found = row(case)

    case.at("read", slab=found["slab"], size=int(found["size"]))


@clause("memory.cache.columns")
def test_table_of_protocols_has_a_column_for_each_function(case: Case) -> None:
    """Sending a page was one of them."""
    head = list(row(case))

    case.at("read", facts=" ".join(head[:COLUMNS_BEFORE]), functions=" ".join(head[COLUMNS_BEFORE:]))


@clause("memory.cache.grows")
def test_many_sockets_are_seen_in_their_protocols_cache(case: Case) -> None:
    """The machine's account, which counts by slabs and for everybody."""
    own, other = ("TCP", "TCPv6") if case.family.name == "tcp4" else ("TCPv6", "TCP")
    before, other_before = active_objects(own), active_objects(other)

    made = [case.family.socket() for _ in range(MANY)]
    grown, other_grown = active_objects(own) - before, active_objects(other) - other_before
    for fd in made:
        close(fd)

    case.at("made", many=len(made), grown=grown, other_grown=other_grown)


# What comes back.


@clause("memory.returned.counts")
def test_sockets_that_are_closed_are_given_back(case: Case) -> None:
    """The last reference to a fresh socket is its file's."""
    before, count = case.sockets_at_rest(), protocol_counts()

    made = [case.family.socket() for _ in range(SOME)]
    in_use = sockets_in_use() - before
    for fd in made:
        close(fd)

    case.at("closed", made=in_use, in_use=sockets_in_use() - before, counted=counted(case.family, count))


@clause("memory.returned.charge")
def test_unread_messages_go_with_their_receiver(case: Case) -> None:
    """AF_UNIX charges the sender for what the receiver holds, and the receiver's end frees it."""
    sock, peer = case.pair()
    send(sock, b"never read")

    case.at("sent")
    close(peer)

    case.at("closed")


# IPV6_ADDRFORM.


def mapped(case: Case, port: int) -> Descriptor:
    """An IPv6 socket of the case's family that is connected to a port of IPv4's loopback."""
    sock = case.socket()
    connect(sock, sockaddr_in6("::ffff:127.0.0.1", port))
    return sock


def ipv4_family(case: Case) -> Family:
    """The same protocol over IPv4."""
    return FAMILIES[case.family.name.replace("6", "4")]


def become_ipv4(case: Case, sock: Descriptor) -> dict[str, int]:
    """Have an IPv6 socket become one of IPv4; returns how the counts of both protocols and of all sockets changed."""
    before, in_use = protocol_counts(), sockets_in_use()
    setsockopt(sock, IPPROTO_IPV6, IPV6_ADDRFORM, AF_INET)
    return {
        "ipv6": counted(case.family, before),
        "ipv4": counted(ipv4_family(case), before),
        "in_use": sockets_in_use() - in_use,
        "domain": getsockopt(sock, SOL_SOCKET, SO_DOMAIN),
    }


@clause("memory.addrform.tcp")
def test_tcp_connection_over_ipv6_becomes_one_over_ipv4(case: Case) -> None:
    """Its operations are replaced, and its memory stays."""
    case.sockets_at_rest()  # an earlier case's that come back late would be taken for this one's
    listener = case.own(ipv4_family(case).socket(), "listener")
    bind(listener, sockaddr_in("127.0.0.1", 0))
    listen(listener, 1)
    sock = mapped(case, port_of(listener))
    peer = case.own(accept4(listener, 0), "peer")

    changed = become_ipv4(case, sock)

    send(peer, b"x")
    case.fence()
    case.at("changed", **changed, recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("memory.addrform.udp")
def test_udp_socket_over_ipv6_becomes_one_over_ipv4(case: Case) -> None:
    """Its operations are replaced, and its memory stays."""
    case.sockets_at_rest()  # an earlier case's that come back late would be taken for this one's
    peer = case.own(ipv4_family(case).socket(), "peer")
    bind(peer, sockaddr_in("127.0.0.1", 0))
    sock = mapped(case, port_of(peer))

    changed = become_ipv4(case, sock)

    connect(peer, sockaddr_in("127.0.0.1", port_of(sock)))
    send(peer, b"x")
    case.fence()
    case.at("changed", **changed, recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("memory.addrform.returned")
def test_socket_that_became_one_of_ipv4_is_given_back(case: Case) -> None:
    """The memory goes to the cache that it came from, whatever the socket has become."""
    before, counts = case.sockets_at_rest(), protocol_counts()
    listener = case.own(ipv4_family(case).socket(), "listener")
    bind(listener, sockaddr_in("127.0.0.1", 0))
    sock = mapped(case, port_of(listener))
    become_ipv4(case, sock)

    close(sock)
    close(listener)

    changed = sum(now != counts[name] for name, now in protocol_counts().items())
    case.at("closed", in_use=sockets_in_use() - before, protocols_changed=changed)


@clause("memory.addrform.refused")
def test_socket_that_needs_ipv6_cannot_become_one_of_ipv4(case: Case) -> None:
    """Nothing that is said to or by its peer may need an IPv6 address."""
    fresh = case.socket("fresh")
    sock, _ = case.pair()

    case.at(
        "refused",
        fresh=attempt(setsockopt, fresh, IPPROTO_IPV6, IPV6_ADDRFORM, AF_INET),
        over_ipv6=attempt(setsockopt, sock, IPPROTO_IPV6, IPV6_ADDRFORM, AF_INET),
        domain=getsockopt(sock, SOL_SOCKET, SO_DOMAIN),
    )
