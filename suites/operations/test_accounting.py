"""What the kernel says of its sockets in /proc/net/sockstat and /proc/net/protocols, and which sockets it counts where."""

from pathlib import Path

import native
from native import (
    AF_INET,
    CLONE_NEWNET,
    MSG_DONTWAIT,
    SYS_socket,
    SYS_unshare,
    accept4,
    bind,
    close,
    connect,
    getsockname,
    linger,
    listen,
    recv,
    sendto,
    sockaddr_in,
    sockaddr_in6,
)
from suites.catalogue import clause
from suites.lab.calls import port_of
from suites.lab.case import Case, attempt
from suites.lab.counters import protocol_counts, protocol_of, sockets_in_use, sockstat, tcp_row

LINES = {
    "tcp4": ("sockstat", "TCP"),
    "tcp6": ("sockstat6", "TCP6"),
    "udp4": ("sockstat", "UDP"),
    "udp6": ("sockstat6", "UDP6"),
    "raw4": ("sockstat", "RAW"),
    "raw6": ("sockstat6", "RAW6"),
}
"""Where a family's sockets are counted in use, and in which line."""


def in_use(case: Case) -> int:
    """How many sockets of the family's protocol the namespace has in use, from sockstat."""
    table, line = LINES[case.family.name]
    return sockstat(table)[line]["inuse"]


def counted(case: Case) -> int:
    """The same from /proc/net/protocols."""
    return protocol_counts()[protocol_of(case.family.name)]


def loopback(case: Case, port: int = 0) -> bytes:
    """The family's loopback address."""
    return sockaddr_in("127.0.0.1", port) if case.family.domain == AF_INET else sockaddr_in6("::1", port)


# All sockets.


@clause("accounting.used.children")
def test_connection_is_in_use_before_it_is_accepted(case: Case) -> None:
    """It is made by the handshake, and accept only gives it a file."""
    before = case.sockets_at_rest()
    listener = case.listener()
    listening = sockets_in_use() - before

    connect(case.socket(), getsockname(listener))
    case.fence()
    connected = sockets_in_use() - before
    case.own(accept4(listener), "accepted")

    case.at("accepted", listening=listening, connected=connected, accepted=sockets_in_use() - before)


@clause("accounting.used.mptcp")
def test_mptcp_socket_is_in_use_with_its_subflow(case: Case) -> None:
    """The subflow is a socket of the kernel's that counts as the user's."""
    before = case.sockets_at_rest()
    sock = case.socket()
    made = sockets_in_use() - before

    bind(sock, loopback(case))

    case.at("bound", made=made, bound=sockets_in_use() - before)


@clause("accounting.used.late")
def test_netlink_socket_is_in_use_for_a_while_after_its_release(case: Case) -> None:
    """Its memory is given back after a grace period, and only that takes it off the count."""
    before = case.sockets_at_rest()
    sock = case.socket()
    made = sockets_in_use() - before

    close(sock)
    while (left := sockets_in_use() - before) and not native.deadline_expired():
        native.sched_yield()

    case.at("closed", made=made, left=left)


@clause("accounting.used.orphan")
def test_orphan_is_in_use_until_its_data_is_acknowledged(case: Case) -> None:
    """The file is gone, and the connection is the kernel's."""
    before, tcp = case.sockets_at_rest(), in_use(case)
    box = case.outbox()
    ports = port_of(box.socket), port_of(box.peer)
    box.fill()

    close(box.socket)
    row = tcp_row(case.family.name, *ports)
    used, inuse = sockets_in_use() - before, in_use(case) - tcp
    everywhere = sockstat()["TCP"]["orphan"]

    case.at("orphaned", state=row.state, inode=row.inode, used=used, inuse=inuse, everywhere=everywhere)


@clause("accounting.used.time_wait")
def test_connection_in_time_wait_is_not_in_use(case: Case) -> None:
    """What is left of it is no socket but a note of one."""
    before, tcp = case.sockets_at_rest(), in_use(case)
    sock, peer = case.pair()
    ports = port_of(sock), port_of(peer)

    close(sock)
    case.fence()
    close(peer)
    case.fence()

    row = tcp_row(case.family.name, *ports)
    used, inuse = sockets_in_use() - before, in_use(case) - tcp
    case.at("closed", state=row.state, inode=row.inode, used=used, inuse=inuse, tw=sockstat()["TCP"]["tw"])


@clause("accounting.used.namespace")
def test_sockets_are_counted_in_their_own_namespace(case: Case) -> None:
    """A new one begins with none, whatever the kernel has made there for itself."""
    before = case.sockets_at_rest()
    child = case.fork()
    child.call("unshare", SYS_unshare, CLONE_NEWNET)
    there = Path(f"/proc/{child.pid}/net")
    fresh = sockstat(net=there)["sockets"]["used"]

    child.call("socket", SYS_socket, case.family.domain, case.family.type, case.family.protocol)
    theirs = sockstat(net=there)["sockets"]["used"], sockets_in_use() - before
    case.socket()
    ours = sockstat(net=there)["sockets"]["used"], sockets_in_use() - before

    case.at("counted", fresh=fresh, there=theirs[0], here=theirs[1], there_afterwards=ours[0], here_afterwards=ours[1])


# Sockets by protocol.


def seen(case: Case, before: tuple[int, int]) -> list[int]:
    """How many more sockets of the protocol sockstat and protocols have than before."""
    return [in_use(case) - before[0], counted(case) - before[1]]


@clause("accounting.protocol.tcp")
def test_tcp_socket_is_in_use_once_packets_can_be_for_it(case: Case) -> None:
    """It is counted as it enters the table of sockets that packets are for."""
    before = in_use(case), counted(case)
    listener = case.socket("listener")
    made = seen(case, before)
    bind(listener, loopback(case))
    bound = seen(case, before)
    listen(listener, 1)
    listening = seen(case, before)

    connect(case.socket(), getsockname(listener))
    case.fence()
    connected = seen(case, before)
    case.own(accept4(listener), "accepted")
    everywhere = sockstat()["TCP"]["alloc"]

    case.at(
        "accepted",
        made=made,
        bound=bound,
        listening=listening,
        connected=connected,
        accepted=seen(case, before),
        everywhere=everywhere,
    )


@clause("accounting.protocol.tcp_closed")
def test_tcp_socket_that_was_reset_is_not_in_use_though_open(case: Case) -> None:
    """It has left the table that packets are looked up in."""
    case.sockets_at_rest()
    before = in_use(case), counted(case)
    sock, peer = case.pair()
    paired = seen(case, before)

    linger(peer, 1, 0)
    close(peer)
    case.fence()

    case.at("reset", paired=paired, reset=seen(case, before), recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("accounting.protocol.udp")
def test_udp_socket_is_in_use_while_it_has_a_port(case: Case) -> None:
    """It is counted as it enters the table of ports, however it gets there."""
    before = in_use(case), counted(case)
    sock = case.socket()
    made = seen(case, before)

    match case.variant:
        case "bind":
            bind(sock, loopback(case))
        case "connect":
            connect(sock, loopback(case, 9))
        case _:
            sendto(sock, b"x", 0, loopback(case, 9))
    bound = seen(case, before)
    close(sock)

    case.at("closed", made=made, bound=bound, closed=seen(case, before))


@clause("accounting.protocol.raw")
def test_raw_socket_is_in_use_from_its_creation(case: Case) -> None:
    """It hears packets from then on."""
    before = in_use(case), counted(case)
    sock = case.socket()
    made = seen(case, before)

    close(sock)

    case.at("closed", made=made, closed=seen(case, before))


@clause("accounting.protocol.created")
def test_socket_is_counted_by_its_protocol_while_it_is_open(case: Case) -> None:
    """Its protocol has no ports that could come first."""
    before = counted(case)
    sock = case.socket()
    made = counted(case) - before

    close(sock)

    case.at("closed", made=made, closed=counted(case) - before)


@clause("accounting.protocol.uncounted")
def test_vsock_socket_is_not_counted_by_its_protocol(case: Case) -> None:
    """The protocol doesn't count."""
    case.socket()

    case.at("made", counted=counted(case))


@clause("accounting.table.lines")
def test_sockstat_has_a_line_for_each_protocol(case: Case) -> None:
    """The names are the kernel's, and there for all who read the file."""
    found = sockstat()

    case.at("read", lines=" ".join(found), tcp=" ".join(found["TCP"]), udp=" ".join(found["UDP"]))
