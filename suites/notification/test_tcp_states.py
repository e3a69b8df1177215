"""The states of TCP, MPTCP and vsock sockets: what SIGIO, poll, select, epoll, read, write and SO_ERROR say in each."""

from native import (
    IPPROTO_TCP,
    MSG_ERRQUEUE,
    MSG_OOB,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_TIMESTAMPING,
    SOL_SOCKET,
    TCP_FASTOPEN_CONNECT,
    bind,
    close,
    connect,
    errno_name,
    getsockname,
    linger,
    listen,
    read,
    recv,
    recvmsg,
    send,
    setsockopt,
    shutdown,
    so_error,
    sockaddr_unspec,
    write,
)
from suites.catalogue import clause
from suites.clauses import SUBJECT
from suites.lab.case import INPUT, Case, Descriptor, arranging, attempt
from suites.lab.families import Tcp
from suites.lab.outbox import PAYLOAD
from suites.lab.states import READER, WRITER, asked, connected, fresh, ready

TCP_FASTOPEN_NO_COOKIE = 34
"""linux/tcp.h, Linux 4.15: data may go with the SYN although the server has given no cookie."""

TX_STAMPS = 1 << 1 | 1 << 4 | 1 << 11
"""SOF_TIMESTAMPING_TX_SOFTWARE, _SOFTWARE and _OPT_TSONLY (without the packet), linux/net_tstamp.h."""


@arranging
def bound(case: Case) -> Descriptor:
    """A socket with an address of its own."""
    assert isinstance(case.family, Tcp)
    sock = fresh(case)
    bind(sock, case.family.address())
    return sock


@arranging
def connecting(case: Case, role: str = SUBJECT) -> Descriptor:
    """A socket whose SYN is dropped, because the accept queue it is for is full (net/ipv4/tcp_input.c tcp_conn_request)."""
    assert isinstance(case.family, Tcp)
    listener, address = case.family.listener(backlog=1)
    case.own(listener, f"{role}_listener")
    for number in ("first", "second"):
        connect(case.own(case.family.socket(), f"{role}_{number}"), address)
    sock = fresh(case, role)
    attempt(connect, sock, address)
    return sock


def given_up(case: Case, role: str = SUBJECT) -> Descriptor:
    """A socket that was shut for writing while it was connecting."""
    sock = connecting(case, role)
    shutdown(sock, SHUT_WR)
    return sock


def refused(case: Case, role: str = SUBJECT) -> Descriptor:
    """A socket whose connection was refused."""
    listener = case.listener()
    address = getsockname(listener)
    close(listener)
    sock = fresh(case, role)
    attempt(connect, sock, address)
    case.fence()
    return sock


def was_reset(case: Case, role: str = SUBJECT, data: bytes = b"") -> Descriptor:
    """A socket whose connection was reset by its peer, after it had sent something."""
    sock, peer = connected(case, role)
    if data:
        send(peer, data, 0)
        case.fence()
    linger(peer, 1, 0)
    close(peer)
    case.fence()
    return sock


def was_reset_over_mptcp(case: Case, role: str = SUBJECT) -> Descriptor:
    """The same of MPTCP. Its peer disconnects, because a close with linger 0 doesn't reset on all kernels (__mptcp_close)."""
    sock, peer = connected(case, role)
    connect(peer, sockaddr_unspec())
    case.fence()
    return sock


def reset_after_the_end(case: Case, role: str = SUBJECT) -> Descriptor:
    """A socket whose peer has ended the stream and then reset the connection."""
    sock, peer = connected(case, role)
    shutdown(peer, SHUT_WR)
    case.fence()
    linger(peer, 1, 0)
    close(peer)
    case.fence()
    return sock


def disconnected(case: Case, role: str = SUBJECT) -> Descriptor:
    """A socket that has dissolved its own connection."""
    sock, _ = connected(case, role)
    connect(sock, sockaddr_unspec())
    case.fence()
    return sock


def urgent(case: Case, role: str = SUBJECT) -> Descriptor:
    """A socket with an urgent byte waiting."""
    sock, peer = connected(case, role)
    send(peer, b"u", MSG_OOB)
    case.fence()
    return sock


@clause("state.tcp.fresh")
def test_fresh(case: Case) -> None:
    """A socket that was never connected is writable, because a write fails at once."""
    sock = fresh(case)

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.bound")
def test_bound(case: Case) -> None:
    """An address of its own changes nothing but the address."""
    sock = bound(case)

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.listening")
def test_listening(case: Case) -> None:
    """tcp_poll asks a listener for its accept queue and for nothing else."""
    sock = bound(case)
    listen(sock, 16)

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.listening_pending")
def test_listening_with_a_connection_to_accept(case: Case) -> None:
    """What is readable is the accept queue, not the socket."""
    sock = bound(case)
    listen(sock, 16)

    connect(case.socket("client"), getsockname(sock))

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.listening_shut")
def test_listener_that_was_shut_down(case: Case) -> None:
    """tcp_disconnect makes it a closed socket, and reports that as an error although SO_ERROR has none."""
    sock = bound(case)
    listen(sock, 16)

    shutdown(sock, SHUT_RD)

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.connecting")
def test_connecting(case: Case) -> None:
    """Nothing is said of a connection under way."""
    sock = connecting(case)

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.connecting_deferred")
def test_connecting_put_off_until_the_first_write(case: Case) -> None:
    """TCP_FASTOPEN_CONNECT has connect succeed before a SYN is sent; the first write sends it."""
    listener = case.listener()
    sock = fresh(case)
    setsockopt(sock, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    setsockopt(sock, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1)

    connect(sock, getsockname(listener))

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.connecting_shut")
def test_connecting_given_up(case: Case) -> None:
    """inet_shutdown disconnects what is still connecting."""
    reader, writer = given_up(case, READER), given_up(case, WRITER)

    given_up(case)

    case.at("state")
    asked(case, reader, writer)


@clause("state.tcp.refused")
def test_refused(case: Case) -> None:
    """tcp_reset leaves a closed socket with an error."""
    reader, writer = refused(case, READER), refused(case, WRITER)

    refused(case)

    case.at("state")
    asked(case, reader, writer)


@clause("state.tcp.established")
def test_established(case: Case) -> None:
    """The completed handshake is what makes a connecting socket writable."""
    listener = case.listener()
    sock = fresh(case)

    case.at("state", connect=attempt(connect, sock, getsockname(listener)))
    asked(case, sock, sock)


@clause("state.tcp.data_waiting")
def test_data_waiting(case: Case) -> None:
    """What was read is gone, from poll as well."""
    sock, _ = connected(case)

    case.deliver(b"data")

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.urgent_waiting")
def test_urgent_byte_waiting(case: Case) -> None:
    """A read at the mark passes over the urgent byte, and it is lost."""
    taker = urgent(case, "taker")
    sock = urgent(case)

    case.at("state")
    case.at(
        "asked",
        taken=attempt(recv, taker, 1, MSG_OOB),
        read=attempt(read, sock, 8),
        taken_late=attempt(recv, sock, 1, MSG_OOB),
        write=attempt(write, sock, b"x"),
    )


@clause("state.tcp.urgent_taken")
def test_urgent_byte_taken(case: Case) -> None:
    """Taking the byte ends the exceptional condition, and the data before and after it is one stream."""
    sock, peer = connected(case)
    for data, flags in ((b"ab", 0), (b"u", MSG_OOB), (b"cd", 0)):
        send(peer, data, flags)
        case.fence()

    taken = attempt(recv, sock, 1, MSG_OOB)

    case.at("state", taken=taken)
    case.at("asked", read=attempt(read, sock, 8), rest=attempt(read, sock, 8), write=attempt(write, sock, b"x"))


@clause("state.tcp.full")
def test_full(case: Case) -> None:
    """More than two thirds of the buffer are taken."""
    box = case.outbox()
    sock = ready(case, box.socket)

    box.fill()

    case.at("state")
    asked(case, sock, sock, PAYLOAD)


@clause("state.tcp.full_half_closed_here")
def test_full_and_half_closed_here(case: Case) -> None:
    """Who has no more to send needs no room: tcp_poll reports it, so that a write is tried and fails."""
    box = case.outbox()
    sock = ready(case, box.socket)
    box.fill()

    shutdown(sock, SHUT_WR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.half_closed_by_peer")
def test_half_closed_by_the_peer(case: Case) -> None:
    """The end of the stream is readable, and our direction is as open as before."""
    sock, peer = connected(case)

    shutdown(peer, SHUT_WR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.half_closed_with_data")
def test_half_closed_by_the_peer_behind_data(case: Case) -> None:
    """The data comes first, then the end."""
    sock, peer = connected(case)

    case.deliver(b"data")
    case.fence()
    shutdown(peer, SHUT_WR)

    case.at("state")
    case.at("asked", read=attempt(read, sock, 8), again=attempt(read, sock, 8), write=attempt(write, sock, b"x"))


@clause("state.tcp.half_closed_here")
def test_half_closed_here(case: Case) -> None:
    """inet_shutdown tells those who sleep, and nobody else."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_WR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.deaf")
def test_shut_for_reading(case: Case) -> None:
    """SHUT_RD sends nothing to the peer, whose data is still taken in and can be read."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_RD)

    case.at("state")
    end, written = attempt(read, sock, 8), attempt(write, sock, b"x")
    case.deliver(b"data")
    case.fence()
    case.at("asked", read=end, write=written, read_later=attempt(read, sock, 8))


@clause("state.tcp.closed_here_then_there")
def test_closed_both_ways_by_us_first(case: Case) -> None:
    """tcp_fin finds both directions closed, and says hung up."""
    sock, peer = connected(case)
    shutdown(sock, SHUT_WR)
    case.fence()

    shutdown(peer, SHUT_WR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.closed_there_then_here")
def test_closed_both_ways_by_the_peer_first(case: Case) -> None:
    """The hang-up is our own doing, so it is no signal."""
    sock, peer = connected(case)
    shutdown(peer, SHUT_WR)
    case.fence()

    shutdown(sock, SHUT_WR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.closed_here")
def test_closed_both_ways_here(case: Case) -> None:
    """SHUT_RDWR hangs the socket up although the peer has ended nothing."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_RDWR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.tcp.reset")
def test_reset(case: Case) -> None:
    """The first who asks takes the error: SO_ERROR, a read or a write."""
    reader, writer = was_reset(case, READER), was_reset(case, WRITER)

    was_reset(case)

    case.at("state")
    asked(case, reader, writer)


@clause("state.tcp.reset_with_data")
def test_reset_behind_data(case: Case) -> None:
    """The receive queue isn't purged by an RST."""
    reader, writer = was_reset(case, READER, b"data"), was_reset(case, WRITER, b"data")

    was_reset(case, SUBJECT, b"data")

    case.at("state")
    first, second, third = (attempt(read, reader, 8) for _ in range(3))
    case.at("asked", read=first, second=second, third=third, write=attempt(write, writer, b"x"))


@clause("state.tcp.reset_half_closed")
def test_reset_after_the_end_of_the_stream(case: Case) -> None:
    """A read finds the end of the stream before the error, and doesn't take it."""
    reader, writer = reset_after_the_end(case, READER), reset_after_the_end(case, WRITER)

    reset_after_the_end(case)

    case.at("state")
    asked(case, reader, writer)


@clause("state.tcp.error_read")
def test_error_read(case: Case) -> None:
    """What is left of a reset is a connection that has ended."""
    sock = was_reset(case)

    taken = attempt(read, sock, 8)

    case.at("state", taken=taken)
    asked(case, sock, sock)


@clause("state.tcp.after_so_error")
def test_error_taken_by_so_error(case: Case) -> None:
    """SO_ERROR takes it as a read does."""
    sock = was_reset(case)

    taken = errno_name(so_error(sock))

    case.at("state", taken=taken)
    asked(case, sock, sock)


@clause("state.tcp.error_queued")
def test_error_queue_with_a_time_stamp(case: Case) -> None:
    """What lies in the error queue is an error to poll and none to read, write and SO_ERROR."""
    sock, _ = connected(case)
    setsockopt(sock, SOL_SOCKET, SO_TIMESTAMPING, TX_STAMPS)

    send(sock, b"x", 0)

    case.at("state")
    setsockopt(sock, SOL_SOCKET, SO_TIMESTAMPING, 0)
    answers = {"read": attempt(read, sock, 8), "write": attempt(write, sock, b"x")}
    case.at("asked", **answers, stamp=attempt(recvmsg, sock, 8, MSG_ERRQUEUE))


@clause("state.tcp.disconnected")
def test_disconnected(case: Case) -> None:
    """tcp_disconnect resets the peer and reports the reset to ourselves."""
    reader, writer = disconnected(case, READER), disconnected(case, WRITER)

    disconnected(case)

    case.at("state")
    asked(case, reader, writer)


@clause("state.tcp.shut_before_connect")
def test_shut_before_it_was_connected(case: Case) -> None:
    """inet_shutdown fails, and has marked the socket all the same; the connection that follows is born half closed."""
    listener = case.listener()
    sock = fresh(case)

    failed = attempt(shutdown, sock, SHUT_WR)
    case.at("shut", shutdown=failed)
    attempt(connect, sock, getsockname(listener))

    case.at("state")
    asked(case, sock, sock)


@clause("state.vsock.fresh")
def test_fresh_on_vsock(case: Case) -> None:
    """vsock_poll calls writable what a write fails on."""
    sock = fresh(case)

    case.at("state")
    asked(case, sock, sock)


@clause("state.vsock.listening")
def test_listening_on_vsock(case: Case) -> None:
    """A listener is asked for its accept queue."""
    sock = case.listener(SUBJECT)
    ready(case, sock)

    case.at("state")
    asked(case, sock, sock)


@clause("state.vsock.listening_pending")
def test_listening_with_a_connection_to_accept_on_vsock(case: Case) -> None:
    """virtio_transport_recv_listen wakes the listener as data would."""
    sock = ready(case, case.listener(SUBJECT))

    connect(case.socket("client"), getsockname(sock))

    case.at("state")
    asked(case, sock, sock)


@clause("state.vsock.established")
def test_established_on_vsock(case: Case) -> None:
    """vsock has no call of its own that signals."""
    listener = case.listener()
    sock = fresh(case)

    case.at("state", connect=attempt(connect, sock, getsockname(listener)))
    asked(case, sock, sock)


@clause("state.vsock.data_waiting")
def test_data_waiting_on_vsock(case: Case) -> None:
    """The data's arrival is the only event besides an error that signals."""
    sock, _ = connected(case)

    case.deliver(b"data")

    case.at("state")
    asked(case, sock, sock)


@clause("state.vsock.half_closed_by_peer")
def test_half_closed_by_the_peer_on_vsock(case: Case) -> None:
    """sk_state_change signals nothing."""
    sock, peer = connected(case)

    shutdown(peer, SHUT_WR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.vsock.closed_by_peer")
def test_closed_by_the_peer_on_vsock(case: Case) -> None:
    """vsock_poll asks for both sides' sending directions."""
    sock, peer = connected(case)

    close(peer)

    case.at("state")
    asked(case, sock, sock)


@clause("state.vsock.half_closed_here")
def test_half_closed_here_on_vsock(case: Case) -> None:
    """vsock_poll asks for room only where the direction is open."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_WR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.vsock.closed_here")
def test_closed_both_ways_here_on_vsock(case: Case) -> None:
    """A hang-up is our own shutdown of both directions."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_RDWR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.vsock.refused")
def test_refused_on_vsock(case: Case) -> None:
    """virtio_transport_recv_connecting takes the reset for the answer."""
    reader, writer = refused(case, READER), refused(case, WRITER)

    refused(case)

    case.at("state")
    asked(case, reader, writer)


@clause("state.mptcp.established")
def test_established_over_mptcp(case: Case) -> None:
    """mptcp_finish_connect changes the state and signals nothing."""
    listener = case.listener()
    sock = fresh(case)

    case.at("state", connect=attempt(connect, sock, getsockname(listener)))
    asked(case, sock, sock)


@clause("state.mptcp.data_waiting")
def test_data_waiting_over_mptcp(case: Case) -> None:
    """mptcp_data_ready moves it to the connection's own queue."""
    sock, _ = connected(case)

    case.deliver(b"data")

    case.at("state")
    asked(case, sock, sock)


@clause("state.mptcp.urgent_waiting")
def test_urgent_byte_waiting_over_mptcp(case: Case) -> None:
    """mptcp_sendmsg keeps only the flags that it knows."""
    sock = urgent(case)

    case.at("state")
    asked(case, sock, sock)


@clause("state.mptcp.refused")
def test_refused_over_mptcp(case: Case) -> None:
    """The connection's own socket is closed, but not shut."""
    reader, writer = refused(case, READER), refused(case, WRITER)

    refused(case)

    case.at("state")
    asked(case, reader, writer)


@clause("state.mptcp.reset")
def test_reset_over_mptcp(case: Case) -> None:
    """The last subflow's reset is the connection's."""
    reader, writer = was_reset_over_mptcp(case, READER), was_reset_over_mptcp(case, WRITER)

    was_reset_over_mptcp(case)

    case.at("state")
    asked(case, reader, writer)


@clause("state.mptcp.after_so_error")
def test_error_taken_by_so_error_over_mptcp(case: Case) -> None:
    """There is no end of stream to be read."""
    sock = was_reset_over_mptcp(case)

    taken = errno_name(so_error(sock))

    case.at("state", taken=taken)
    asked(case, sock, sock)


@clause("state.mptcp.half_closed_by_peer")
def test_half_closed_by_the_peer_over_mptcp(case: Case) -> None:
    """mptcp_worker holds the socket's lock until it has told everyone, and a read takes that lock."""
    sock, peer = connected(case)
    case.sleep("poll", sock, INPUT)

    shutdown(peer, SHUT_WR)
    case.await_return("poll")
    end = attempt(read, sock, 8)

    case.at("state")
    case.at("asked", read=end, write=attempt(write, sock, b"x"))


@clause("state.mptcp.error_queued")
def test_time_stamp_over_mptcp(case: Case) -> None:
    """The subflow has an error queue, and the connection has none of it."""
    sock, _ = connected(case)
    setsockopt(sock, SOL_SOCKET, SO_TIMESTAMPING, TX_STAMPS)

    send(sock, b"x", 0)

    case.at("state")
    setsockopt(sock, SOL_SOCKET, SO_TIMESTAMPING, 0)
    answers = {"read": attempt(read, sock, 8), "write": attempt(write, sock, b"x")}
    case.at("asked", **answers, stamp=attempt(recvmsg, sock, 8, MSG_ERRQUEUE))
