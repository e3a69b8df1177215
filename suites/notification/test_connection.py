"""Connections: what their making, their refusal and the end of a listener signal, to whom, and in which order."""

from native import (
    AF_INET,
    IPPROTO_TCP,
    MSG_DONTWAIT,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    TCP_DEFER_ACCEPT,
    accept4,
    bind,
    close,
    connect,
    errno_name,
    getsockname,
    listen,
    recv,
    send,
    setsockopt,
    shutdown,
    so_error,
    sockaddr_in,
    sockaddr_in6,
    sockaddr_unspec,
    tcp_info,
)
from suites.catalogue import clause
from suites.lab.calls import port_of
from suites.lab.case import OUTPUT, Case, Descriptor, attempt
from suites.lab.families import Tcp
from suites.lab.queueing import unanswered, unblock, with_sysctl
from suites.lab.sock_diag import destroy

DIRECTIONS = {"read": SHUT_RD, "write": SHUT_WR, "both": SHUT_RDWR}


def own_address(case: Case) -> bytes:
    """The loopback address, with a port of the kernel's choice."""
    assert isinstance(case.family, Tcp)
    return case.family.address()


def nonblocking(case: Case, role: str = "socket") -> Descriptor:
    """A fresh, armed socket whose connect doesn't wait."""
    sock = case.socket(role)
    unblock(sock)
    case.arm(sock)
    return sock


def armed_listener(case: Case) -> tuple[Descriptor, bytes]:
    """An armed listener and its address."""
    listener = case.listener()
    case.arm(listener)
    return listener, getsockname(listener)


def cross(case: Case, sock: Descriptor, listener: Descriptor, address: bytes) -> None:
    """Have a SYN come the other way for a socket in SYN_SENT: from the address that it is connecting to."""
    close(listener)
    peer = case.socket("peer")
    bind(peer, address)
    connect(peer, getsockname(sock))


def clients(case: Case, address: bytes) -> list[Descriptor]:
    """Two armed sockets that have connected to a listener, which hasn't accepted them."""
    found = [case.socket(role) for role in ("first", "second")]
    for client in found:
        connect(client, address)
        case.arm(client)
    case.fence()
    return found


@clause("connect.loopback.signals_both")
def test_connection_signals_who_connects_and_then_who_listens(case: Case) -> None:
    """The SYN-ACK reaches the client before its ACK makes the connection for the listener."""
    listener, address = armed_listener(case)
    sock = nonblocking(case)

    first = attempt(connect, sock, address)
    case.fence()
    case.at("connected", connect=first, again=attempt(connect, sock, address))
    case.at("accepted", accept=attempt(lambda: case.own(accept4(listener, 0), "accepted").role))


@clause("connect.blocking.signals_both")
def test_blocking_connect_is_signalled_as_well(case: Case) -> None:
    """Completion is told by IO, which no waiting task suppresses."""
    _, address = armed_listener(case)
    sock = case.socket()
    case.arm(sock)

    case.at("connected", connect=attempt(connect, sock, address))


@clause("connect.mapped.signals_both")
def test_mapped_ipv4_address_reaches_an_ipv6_listener(case: Case) -> None:
    """The client is an AF_INET6 socket that speaks IPv4."""
    listener = case.socket("listener")
    bind(listener, sockaddr_in6("::", 0))
    listen(listener, 1)
    case.arm(listener)
    port = port_of(listener)
    sock = nonblocking(case)

    case.at("connected", connect=attempt(connect, sock, sockaddr_in6("::ffff:127.0.0.1", port)))


@clause("connect.pending.is_silent")
def test_connection_under_way_is_neither_readable_nor_writable(case: Case) -> None:
    """Nobody has answered: there is nothing to tell."""
    _, address = unanswered(case)
    sock = nonblocking(case)

    first = attempt(connect, sock, address)
    case.fence()

    case.at("pending", connect=first, again=attempt(connect, sock, address))


@clause("connect.mptcp.signals_listener")
def test_mptcp_connection_signals_who_listens_alone(case: Case) -> None:
    """The subflow is told POLL_OUT, and nobody can arm that."""
    _, address = armed_listener(case)
    sock = nonblocking(case)

    case.at("connected", connect=attempt(connect, sock, address), again=attempt(connect, sock, address))


@clause("connect.mptcp.refused")
def test_refused_mptcp_connection_is_one_error_event(case: Case) -> None:
    """The subflow's error is handed on."""
    listener = case.listener()
    address = getsockname(listener)
    close(listener)
    sock = nonblocking(case)

    case.at("refused", connect=attempt(connect, sock, address))


@clause("connect.crossed.signals")
def test_crossed_syn_completes_a_connection_under_way(case: Case) -> None:
    """The way through SYN_RECV wakes and tells who connected, as any other."""
    listener, address = unanswered(case)
    sock = nonblocking(case)
    attempt(connect, sock, address)
    case.sleep(case.variant, sock, OUTPUT)
    case.at("pending")

    cross(case, sock, listener, address)

    case.at("connected")


@clause("connect.sleeper.signals")
def test_task_blocked_in_connect_wakes_and_the_owner_is_signalled(case: Case) -> None:
    """inet_wait_for_connect sets no mark, and IO asks for none."""
    listener, address = unanswered(case)
    sock = case.socket()
    bind(sock, own_address(case))
    case.arm(sock)
    case.sleep("connect", sock, address)
    case.at("pending")

    cross(case, sock, listener, address)

    case.at("connected")


@clause("connect.sleeper.is_interrupted")
def test_interrupted_connect_goes_on_by_itself(case: Case) -> None:
    """The SYN is out: who asks again is told that it is under way, and later that it is done."""
    listener, address = unanswered(case)
    sock = case.socket()
    bind(sock, own_address(case))
    case.arm(sock)
    sleeper = case.sleep("connect", sock, address)

    sleeper.interrupt()
    case.at("interrupted")
    cross(case, sock, listener, address)

    case.at("connected", again=attempt(connect, sock, address))


@clause("connect.self.signals_once")
def test_socket_that_connects_to_itself_talks_to_itself(case: Case) -> None:
    """Its own SYN crosses itself; its own end of stream closes both directions."""
    sock = nonblocking(case)
    bind(sock, own_address(case))

    case.at("connected", connect=attempt(connect, sock, getsockname(sock)))
    send(sock, b"x", 0)
    case.fence()
    case.at("sent", recv=attempt(recv, sock, 8, MSG_DONTWAIT))
    shutdown(sock, SHUT_WR)
    case.fence()

    case.at("shut", recv=attempt(recv, sock, 8, MSG_DONTWAIT))


@clause("connect.no_route.is_silent")
def test_connect_that_fails_at_once_is_no_event(case: Case) -> None:
    """Without a route no segment is sent and no state is left."""
    nowhere = sockaddr_in("192.0.2.1", 9) if case.family.domain == AF_INET else sockaddr_in6("2001:db8::1", 9)
    sock = nonblocking(case)

    case.at("failed", connect=attempt(connect, sock, nowhere))


@clause("connect.after_refusal.aborts_once")
def test_connect_after_a_refusal_that_was_read_aborts_once(case: Case) -> None:
    """The refused connection must be taken down first; connect does that, and reports the abort."""
    listener = case.listener()
    address = getsockname(listener)
    close(listener)
    sock = nonblocking(case)

    first = attempt(connect, sock, address)
    case.fence()
    case.at("refused", connect=first, error=errno_name(so_error(sock)))
    _, address = armed_listener(case)
    case.at("aborted", connect=attempt(connect, sock, address))

    case.at("connected", connect=attempt(connect, sock, address))


@clause("connect.unspec.resets")
def test_connect_to_no_address_resets_the_connection(case: Case) -> None:
    """tcp_disconnect sends an RST, and reports the reset to its own side too."""
    sock, peer = case.pair()
    case.arm(sock)
    case.arm(peer)

    done = attempt(connect, sock, sockaddr_unspec())

    case.at("disconnected", connect=done, tcp_state=tcp_info(sock).state)


@clause("connect.shut_down.is_an_error")
def test_shutdown_of_a_connection_under_way_aborts_it(case: Case) -> None:
    """inet_shutdown takes SYN_SENT for a disconnect, whatever direction is asked for."""
    _, address = unanswered(case)
    sock = nonblocking(case)
    attempt(connect, sock, address)
    case.fence()

    done = attempt(shutdown, sock, DIRECTIONS[case.variant])
    case.fence()

    case.at("shut", shutdown=done, tcp_state=tcp_info(sock).state)


@clause("connect.shut_down.wakes_sleeper")
def test_shutdown_wakes_a_task_blocked_in_connect(case: Case) -> None:
    """The sleeper finds the socket closed."""
    _, address = unanswered(case)
    sock = case.socket()
    case.arm(sock)
    case.sleep("connect", sock, address)

    case.at("shut", shutdown=attempt(shutdown, sock, SHUT_RDWR))


@clause("listener.syn.is_silent")
def test_listener_is_told_of_connections_and_not_of_syns(case: Case) -> None:
    """One POLL_IN a connection that is made, none for a SYN that finds the queue full."""
    listener = case.socket("listener")
    bind(listener, own_address(case))
    listen(listener, 0)
    case.arm(listener)
    sock, late = nonblocking(case), nonblocking(case, "late")

    case.at("first", connect=attempt(connect, sock, getsockname(listener)))

    case.at("dropped", connect=attempt(connect, late, getsockname(listener)))


@clause("listener.cookie.signals")
def test_listener_is_told_of_a_connection_that_a_cookie_made(case: Case) -> None:
    """It has kept nothing of the SYN; the ACK brings it all."""
    with_sysctl(case, "ipv4/tcp_syncookies", 2)
    _, address = armed_listener(case)
    sock = nonblocking(case)

    case.at("connected", connect=attempt(connect, sock, address))


@clause("listener.deferred.signals_with_data")
def test_deferred_listener_is_told_when_data_comes(case: Case) -> None:
    """The client is connected long before."""
    listener, address = armed_listener(case)
    setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 60)
    sock = nonblocking(case)

    case.at("connected", connect=attempt(connect, sock, address))
    send(sock, b"x", 0)

    case.at("sent")


@clause("listener.shut_down.resets_pending")
def test_shutdown_of_a_listener_resets_who_waits_in_its_queue(case: Case) -> None:
    """Each client is reset, then the listener told."""
    sock = case.listener("socket")
    clients(case, getsockname(sock))
    case.arm(sock)

    done = attempt(shutdown, sock, DIRECTIONS[case.variant])

    case.at("shut", shutdown=done, accept=attempt(accept4, sock, 0), tcp_state=tcp_info(sock).state)


@clause("listener.shut_write.is_nothing")
def test_shutdown_of_a_listeners_sending_side_is_nothing(case: Case) -> None:
    """A listener sends nothing."""
    sock = case.listener("socket")
    clients(case, getsockname(sock))
    case.arm(sock)

    case.at("shut", shutdown=attempt(shutdown, sock, SHUT_WR), tcp_state=tcp_info(sock).state)


@clause("listener.closed.resets_pending")
def test_closing_a_listener_resets_who_waits_in_its_queue(case: Case) -> None:
    """Nobody can accept them any more (net/ipv4/inet_connection_sock.c inet_csk_listen_stop)."""
    listener = case.listener()
    sock, _ = clients(case, getsockname(listener))

    close(listener)
    case.fence()

    case.at("closed", recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("destroy.connection.is_an_error")
def test_destroying_a_connection_is_an_error_on_both_sides(case: Case) -> None:
    """sock_diag asks tcp_abort for what a firewall's administrator wants."""
    sock, peer = case.pair()
    case.arm(sock)
    case.arm(peer)

    destroy(sock, getsockname(peer))

    case.at("destroyed", tcp_state=tcp_info(sock).state)


@clause("destroy.listener.resets_pending")
def test_destroying_a_listener_resets_who_waits_in_its_queue(case: Case) -> None:
    """It ends as by shutdown, but with an error of its own."""
    sock = case.listener("socket")
    clients(case, getsockname(sock))
    case.arm(sock)

    destroy(sock)

    case.at("destroyed", accept=attempt(accept4, sock, 0), tcp_state=tcp_info(sock).state)


@clause("destroy.connecting.is_an_error")
def test_destroying_a_connection_under_way_is_an_error(case: Case) -> None:
    """SYN_SENT needs no RST: nobody knows of the connection yet."""
    _, address = unanswered(case)
    sock = nonblocking(case)
    attempt(connect, sock, address)

    destroy(sock, address)

    case.at("destroyed", tcp_state=tcp_info(sock).state)
