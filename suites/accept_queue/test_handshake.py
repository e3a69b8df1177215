"""The handshake: the kernel's alone, complete before anybody accepts, with a connection that lives before it is taken."""

from native import (
    IPPROTO_TCP,
    MSG_DONTWAIT,
    SHUT_WR,
    TCP_DEFER_ACCEPT,
    TCP_ESTABLISHED,
    TCP_SYN_SENT,
    accept4,
    close,
    connect,
    fstat,
    getpeername,
    getsockname,
    linger,
    listen,
    recv,
    send,
    setsockopt,
    shutdown,
    tcp_info,
)
from suites.catalogue import clause
from suites.lab.calls import port_of
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.counters import TcpRow, extended, tcp_row
from suites.lab.queueing import connected, counting, knock, take_all, taken, unblock, with_sysctl

COOKIES = ("SyncookiesSent", "SyncookiesRecv")
DEFERRED = "TCPDeferAcceptDrop"


def child_of(case: Case, listener: Descriptor, client: Descriptor) -> TcpRow:
    """The line of what a client's SYN has become at the listener's port: a request, a connection, or UNLISTED."""
    return tcp_row(case.family.name, port_of(listener), port_of(client))


@clause("handshake.connect.completes")
def test_connect_completes_although_nobody_accepts(case: Case) -> None:
    """The connection can be used from here, and is announced there."""
    listener = case.listener()
    case.arm(listener)
    sock = case.socket()

    done = attempt(connect, sock, getsockname(listener))

    case.at("connected", connect=done, sent=send(sock, b"x", 0))


@clause("handshake.child.is_established")
def test_child_is_established_before_it_has_an_inode(case: Case) -> None:
    """Only accept gives it a socket, an inode and a file."""
    listener = case.listener()
    sock = connected(case, listener)

    child = child_of(case, listener, sock)
    case.at("waiting", client_state=tcp_info(sock).state, child_state=child.state, child_inode=child.inode)
    accepted = taken(case, listener)

    child = child_of(case, listener, sock)
    case.at("accepted", child_state=child.state, own_inode=int(child.inode == fstat(accepted).ino))


@clause("handshake.addresses.match")
def test_both_ends_know_each_other_s_address(case: Case) -> None:
    """The child has the address that was connected to, not the one that was bound."""
    listener = case.listener()
    sock = connected(case, listener)
    child = taken(case, listener)

    case.at(
        "accepted",
        child_is_at_the_listener_s=int(getsockname(child) == getsockname(listener)),
        child_sees_the_client=int(getpeername(child) == getsockname(sock)),
        client_sees_the_child=int(getpeername(sock) == getsockname(child)),
    )


@clause("handshake.data.precedes_accept")
def test_data_and_end_that_came_before_accept_are_there_after_it(case: Case) -> None:
    """The connection is whole from the start; accept only hands it out."""
    listener = case.listener()
    case.arm(listener)
    sock = connected(case, listener)
    send(sock, b"hello", 0)
    shutdown(sock, SHUT_WR)
    case.at("sent")

    child = taken(case, listener)

    case.at("accepted", data=recv(child, 8, MSG_DONTWAIT), then=recv(child, 8, MSG_DONTWAIT))


@clause("handshake.child.goes_on")
def test_child_receives_and_is_closed_on_while_it_waits(case: Case) -> None:
    """Its states are those of any connection, and taking it changes none."""
    listener = case.listener()
    sock = connected(case, listener)

    send(sock, b"hello", 0)
    case.fence()
    child = child_of(case, listener, sock)
    case.at("sent", child_state=child.state, unread=child.rx_queue)
    shutdown(sock, SHUT_WR)
    case.fence()
    child = child_of(case, listener, sock)
    case.at("shut", child_state=child.state, unread=child.rx_queue)

    case.at("accepted", child_state=tcp_info(taken(case, listener)).state)


@clause("handshake.listener.stays")
def test_listener_listens_whatever_becomes_of_its_connections(case: Case) -> None:
    """What is established, ends or is reset is the child, a sock of its own."""
    listener = case.listener()
    states = {"empty": tcp_info(listener).state}
    sock = connected(case, listener)
    states["waiting"] = tcp_info(listener).state
    child = taken(case, listener)
    states["accepted"] = tcp_info(listener).state
    linger(child, 1, 0)
    close(child)
    case.fence()
    states["child_reset"] = tcp_info(listener).state
    linger(connected(case, listener, "second"), 1, 0)
    case.fence()
    states["client_reset"] = tcp_info(listener).state
    close(sock)

    case.at("over", **states)


@clause("handshake.reset.is_accepted")
def test_connection_that_was_reset_is_accepted_and_then_says_so(case: Case) -> None:
    """Linux never gives ECONNABORTED: the queue holds what was established once."""
    listener = case.listener()
    case.arm(listener)
    client = connected(case, listener, "client")
    linger(client, 1, 0)
    close(client)
    case.at("reset", length=tcp_info(listener).unacked)

    child = taken(case, listener)
    peer = attempt(getpeername, child)
    case.at("accepted", peer=peer)
    first = attempt(recv, child, 1, MSG_DONTWAIT)

    case.at("read", first=first, second=attempt(recv, child, 1, MSG_DONTWAIT))


@clause("handshake.gone.is_accepted")
def test_unix_connection_whose_client_is_gone_is_accepted_and_ended(case: Case) -> None:
    """The child is as it would be had it been taken in time."""
    listener = case.listener()
    case.arm(listener)
    close(connected(case, listener, "client"))
    case.at("gone")

    child = taken(case, listener)

    case.at("accepted", recv=attempt(recv, child, 1, MSG_DONTWAIT))


def deferring(case: Case) -> tuple[Descriptor, Descriptor]:
    """A listener that wants to hear of connections with data only, and a client that has connected to it."""
    listener = case.listener()
    setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 60)
    case.arm(listener)
    return listener, connected(case, listener)


@clause("handshake.defer.waits_for_data")
def test_deferred_connection_is_announced_with_its_first_data(case: Case) -> None:
    """The bare acknowledgement is dropped: the listener has a request, the client a connection."""
    counted = counting(extended, DEFERRED)
    listener, sock = deferring(case)
    unblock(listener)
    request = child_of(case, listener, sock)
    states = {"client_state": tcp_info(sock).state, "request_state": request.state, "request_inode": request.inode}
    case.at("connected", **states, accept=attempt(accept4, listener, 0), **counted())

    send(sock, b"x", 0)
    case.at("sent")

    case.at("accepted", data=recv(taken(case, listener), 1, MSG_DONTWAIT))


@clause("handshake.defer.end_counts")
def test_deferred_connection_is_announced_with_its_end(case: Case) -> None:
    """Only a bare acknowledgement is dropped, and a FIN isn't one."""
    listener, sock = deferring(case)
    unblock(listener)  # where the end doesn't count, accept says so instead of waiting

    shutdown(sock, SHUT_WR)
    case.at("shut")

    case.at("accepted", recv=attempt(recv, taken(case, listener), 1, MSG_DONTWAIT))


@clause("handshake.cookies.always")
def test_connection_by_cookie_is_like_any_other(case: Case) -> None:
    """The listener holds no request; the client's acknowledgement brings back all that it was told."""
    with_sysctl(case, "ipv4/tcp_syncookies", 2)
    listener = case.listener()
    counted = counting(extended, *COOKIES)

    sock = connected(case, listener)
    case.fence()
    counts = counted()
    child = taken(case, listener)
    send(sock, b"x", 0)
    case.fence()

    case.at("connected", **counts, data=recv(child, 1, MSG_DONTWAIT))


@clause("handshake.cookies.backlog_0")
def test_backlog_of_0_and_cookies(case: Case) -> None:
    """One connection fits into the queue of a backlog of 0; whether its SYN does is another limit."""
    listener = case.listener()
    listen(listener, 0)
    counted = counting(extended, *COOKIES)

    sock = connected(case, listener)
    case.fence()

    case.at("connected", **counted(), client_state=tcp_info(sock).state)


def hold_requests(case: Case) -> Descriptor:
    """A listener with a backlog of 1 that keeps requests until there is data."""
    listener = case.listener()
    setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 60)
    listen(listener, 1)
    return listener


@clause("handshake.cookies.requests_full")
def test_cookie_lets_a_connection_past_the_requests_that_fill_their_queue(case: Case) -> None:
    """A cookie leaves nothing behind that could be deferred."""
    listener = hold_requests(case)
    counted = counting(extended, *COOKIES)

    for role in ("first", "second", "socket"):
        connected(case, listener, role)
        case.fence()

    case.at("connected", **counted(), accepted=take_all(case, listener))


@clause("handshake.cookies.forbidden")
def test_syn_that_finds_no_room_for_a_request_is_dropped(case: Case) -> None:
    """The accept queue is empty: it is the queue before it that is full."""
    with_sysctl(case, "ipv4/tcp_syncookies", 0)
    listener = hold_requests(case)
    counted = counting(extended, "TCPReqQFullDrop", "ListenDrops")

    states = [tcp_info(knock(case, listener, role)[0]).state for role in ("first", "second", "third")]

    found = {"established": states.count(TCP_ESTABLISHED), "connecting": states.count(TCP_SYN_SENT)}
    case.at("knocked", **found, **counted())
