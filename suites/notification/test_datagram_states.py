"""The states of sockets without connections: what SIGIO, poll, select, epoll, read, write and SO_ERROR say in each."""

from native import (
    AF_INET,
    AF_INET6,
    IP_RECVERR,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_RECVERR,
    MSG_ERRQUEUE,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_SELECT_ERR_QUEUE,
    SOL_SOCKET,
    bind,
    close,
    connect,
    errno_name,
    getsockname,
    read,
    recvmsg,
    send,
    setsockopt,
    shutdown,
    so_error,
    sockaddr_un,
    write,
)
from suites.catalogue import clause
from suites.clauses import SUBJECT
from suites.lab.calls import fill_queue
from suites.lab.case import Case, Descriptor, arranging, attempt
from suites.lab.outbox import PAYLOAD
from suites.lab.states import READER, WRITER, asked, connected, fresh, ready

ECHO = bytes([8, *bytes(7)])
"""What is written: for an ICMP echo socket it must be an echo request's header, and for all others it is any eight bytes."""

RECVERR = {AF_INET: (IPPROTO_IP, IP_RECVERR), AF_INET6: (IPPROTO_IPV6, IPV6_RECVERR)}
"""The option that has errors queued, ip(7) and ipv6(7)."""


@arranging
def free_address(case: Case) -> bytes:
    """An address of the family that nobody has any more."""
    fd, peer = case.family.pair()
    address = getsockname(peer)
    close(fd)
    close(peer)
    return address


def refused(case: Case, role: str = SUBJECT, *, queued: bool = False) -> Descriptor:
    """A socket that was told that nobody has what it sent, and that has it in its error queue too if it asked for that."""
    sock, peer = connected(case, role)
    if queued:
        setsockopt(sock, *RECVERR[case.family.domain], 1)
    close(peer)
    send(sock, ECHO, 0)
    case.fence()
    return sock


def abandoned(case: Case, role: str = SUBJECT, data: bytes = b"") -> Descriptor:
    """A socket whose peer has turned to another one while our datagram lay unread, having sent something itself."""
    sock, peer = connected(case, role)
    send(sock, b"never read", 0)
    if data:
        send(peer, data, 0)
    other = case.own(case.family.socket(), f"{role}_other")
    bind(other, sockaddr_un(b""))
    connect(peer, getsockname(other))
    return sock


@clause("state.datagram.fresh")
def test_fresh(case: Case) -> None:
    """datagram_poll knows no connection."""
    sock = fresh(case)

    case.at("state")
    asked(case, sock, sock, ECHO)


@clause("state.datagram.bound")
def test_bound(case: Case) -> None:
    """Who has an address can be sent to, and nobody has."""
    sock = fresh(case)
    bind(sock, free_address(case))

    case.at("state")
    asked(case, sock, sock, ECHO)


@clause("state.datagram.connected")
def test_connected(case: Case) -> None:
    """There is no handshake, and nothing to wait for."""
    sock, peer = fresh(case), case.socket("peer")
    bind(peer, free_address(case))

    connect(sock, getsockname(peer))

    case.at("state")
    asked(case, sock, sock, ECHO)


@clause("state.datagram.data_waiting")
def test_data_waiting(case: Case) -> None:
    """What doesn't fit the read is gone with it."""
    sock, _ = connected(case)

    case.deliver(b"x and what follows")

    case.at("state")
    case.at("asked", read=attempt(read, sock, 1), write=attempt(write, sock, ECHO))


@clause("state.datagram.data_waiting_echoed")
def test_data_waiting_where_writes_come_back(case: Case) -> None:
    """Who is written to is the kernel or the device, and it answers."""
    sock, _ = connected(case)

    case.deliver(b"x and what follows")

    case.at("state")
    case.at("asked", read=attempt(read, sock, 1), write=attempt(write, sock, ECHO))


@clause("state.datagram.full")
def test_full(case: Case) -> None:
    """Half of the buffer is taken, or a quarter for AF_UNIX."""
    box = case.outbox()
    sock = ready(case, box.socket)

    box.fill()

    case.at("state")
    asked(case, sock, sock, PAYLOAD)


@clause("state.datagram.full_packet")
def test_full_on_a_device(case: Case) -> None:
    """A packet is charged until the device has sent it."""
    box = case.outbox()
    sock = ready(case, box.socket)

    box.fill()

    case.at("state")
    case.at("asked", read=attempt(read, sock, 8), write=attempt(box.send))


@clause("state.datagram.peer_full")
def test_peer_that_takes_no_more(case: Case) -> None:
    """unix_dgram_poll asks the peer's queue as well."""
    sock, peer = fresh(case), case.socket("peer")
    bind(peer, sockaddr_un(b""))
    connect(sock, getsockname(peer))

    fill_queue(sock)

    case.at("state")
    asked(case, sock, sock, ECHO)


@clause("state.datagram.refused")
def test_refused(case: Case) -> None:
    """The ICMP port unreachable finds the socket because it is connected."""
    reader, writer = refused(case, READER), refused(case, WRITER)

    refused(case)

    case.at("state")
    asked(case, reader, writer, ECHO)


@clause("state.datagram.refused_protocol")
def test_refused_protocol(case: Case) -> None:
    """raw_err tells every socket that the answer fits, so the twins have done before the subject is there."""
    answers = {
        "read": attempt(read, refused(case, READER), 8),
        "write": attempt(write, refused(case, WRITER), ECHO),
    }
    case.fence()

    refused(case)

    case.at("state")
    case.at("asked", **answers)


@clause("state.datagram.error_read")
def test_error_read(case: Case) -> None:
    """An error of a datagram is no state of a connection."""
    sock = refused(case)

    taken = attempt(read, sock, 8)

    case.at("state", taken=taken)
    asked(case, sock, sock, ECHO)


@clause("state.datagram.after_so_error")
def test_error_taken_by_so_error(case: Case) -> None:
    """SO_ERROR takes it as a read does."""
    sock = refused(case)

    taken = errno_name(so_error(sock))

    case.at("state", taken=taken)
    asked(case, sock, sock, ECHO)


@clause("state.datagram.error_queued")
def test_error_queued(case: Case) -> None:
    """sock_queue_err_skb and __udp4_lib_err each report."""
    reader, writer = refused(case, READER, queued=True), refused(case, WRITER, queued=True)

    sock = refused(case, queued=True)

    case.at("state")
    answers = {"read": attempt(read, reader, 8), "write": attempt(write, writer, ECHO)}
    recvmsg(sock, 8, MSG_ERRQUEUE)
    case.at("asked", **answers, still=attempt(read, reader, 8))


@clause("state.datagram.error_selected")
def test_error_queued_and_selected(case: Case) -> None:
    """datagram_poll adds PRI where the option asks for it."""
    reader, writer = refused(case, READER, queued=True), refused(case, WRITER, queued=True)

    sock = refused(case, queued=True)
    setsockopt(sock, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1)

    case.at("state")
    answers = {"read": attempt(read, reader, 8), "write": attempt(write, writer, ECHO)}
    recvmsg(sock, 8, MSG_ERRQUEUE)
    case.at("asked", **answers, still=attempt(read, reader, 8))


@clause("state.datagram.deaf")
def test_shut_for_reading(case: Case) -> None:
    """Only __skb_wait_for_more_packets asks whether the socket is shut, and it isn't reached."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_RD)

    case.at("state")
    asked(case, sock, sock, ECHO)


@clause("state.datagram.half_closed_here")
def test_half_closed_here(case: Case) -> None:
    """SIGPIPE is sent by the stream protocols' own paths."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_WR)

    case.at("state")
    asked(case, sock, sock, ECHO)


@clause("state.datagram.half_closed_here_echo")
def test_half_closed_here_for_echoes(case: Case) -> None:
    """Whether a write asks if the socket is shut depends on how its buffer is made."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_WR)

    case.at("state")
    asked(case, sock, sock, ECHO)


@clause("state.datagram.closed_here")
def test_closed_both_ways_here(case: Case) -> None:
    """It is the only hang-up that such a socket knows."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_RDWR)

    case.at("state")
    asked(case, sock, sock, ECHO)


@clause("state.datagram.shut_fresh")
def test_shut_while_fresh(case: Case) -> None:
    """inet_shutdown sets its error first and goes on."""
    sock = fresh(case)

    failed = attempt(shutdown, sock, SHUT_RDWR)

    case.at("state", shutdown=failed)
    asked(case, sock, sock, ECHO)


@clause("state.datagram.unshuttable")
def test_unshuttable(case: Case) -> None:
    """Their shutdown is sock_no_shutdown."""
    sock = fresh(case)

    failed = attempt(shutdown, sock, SHUT_RDWR)

    case.at("state", shutdown=failed)
    asked(case, sock, sock, ECHO)


@clause("state.datagram.peer_closed")
def test_closed_by_the_peer(case: Case) -> None:
    """unix_release_sock tells the peers of streams and of seqpackets only."""
    sock, peer = connected(case)

    close(peer)

    case.at("state")
    case.at(
        "asked", read=attempt(read, sock, 8), write=attempt(write, sock, ECHO), write_again=attempt(write, sock, ECHO)
    )


@clause("state.datagram.reset")
def test_reset(case: Case) -> None:
    """unix_dgram_disconnected tells who has sent what is thrown away."""
    reader, writer = abandoned(case, READER, b"data"), abandoned(case, WRITER)

    abandoned(case, SUBJECT, b"data")

    case.at("state")
    case.at("asked", read=attempt(read, reader, 8), then=attempt(read, reader, 8), write=attempt(write, writer, ECHO))
