"""The life of a listener: how it begins, how it ends, and what becomes of its port and of the connections that wait."""

from pathlib import Path

from native import (
    AF_INET,
    AF_INET6,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    POLLIN,
    SHUT_RD,
    SO_ACCEPTCONN,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SOCK_NONBLOCK,
    SOL_SOCKET,
    accept4,
    bind,
    close,
    connect,
    getsockname,
    getsockopt,
    listen,
    poll_one,
    recv,
    send,
    setsockopt,
    shutdown,
    sockaddr_in,
    sockaddr_in6,
    tcp_info,
)
from suites.catalogue import clause
from suites.lab.calls import port_of
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.counters import extended
from suites.lab.queueing import connected, counting, none, taken, with_sysctl

PORT, BACKLOG = 8888, 1024
"""Those of document 004."""

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")

ANYWHERE_AND_HERE = {
    AF_INET: (sockaddr_in("0.0.0.0", PORT), sockaddr_in("127.0.0.1", PORT)),
    AF_INET6: (sockaddr_in6("::", PORT), sockaddr_in6("::1", PORT)),
}


def reusing(case: Case, role: str) -> Descriptor:
    """A fresh socket with SO_REUSEADDR."""
    fd = case.socket(role)
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    return fd


def free_address(case: Case) -> bytes:
    """An address with a port that the kernel has just found free."""
    template = case.listener("template")
    address = getsockname(template)
    close(template)
    return address


@clause("listener.document.serves")
def test_document_s_listener_serves_on_any_address(case: Case) -> None:
    """Any address, port 8888, a backlog of 1024, address reuse: from user space as from inside the kernel."""
    anywhere, here = ANYWHERE_AND_HERE[case.family.domain]
    listener = reusing(case, "listener")
    bind(listener, anywhere)
    listen(listener, BACKLOG)
    info = tcp_info(listener)
    at_8888 = int(getsockname(listener) == anywhere)
    case.at("listening", state=info.state, limit=info.sacked, bound_as_asked=at_8888)
    sock = case.socket()

    done = attempt(connect, sock, here)
    close(taken(case, listener))

    case.at("served", connect=done)


@clause("listener.unbound.tcp")
def test_tcp_listen_binds_what_is_unbound(case: Case) -> None:
    """inet_csk_listen_start asks for a port as bind does for port 0."""
    listener = case.socket("listener")

    done = attempt(listen, listener, 1)

    low, high = map(int, RANGE.read_text().split())
    in_range = int(low <= port_of(listener) <= high)
    case.at("listening", listen=done, listens=getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN), in_range=in_range)


@clause("listener.unbound.unix")
def test_unix_listen_wants_a_name(case: Case) -> None:
    """Nobody could connect to what has none."""
    listener = case.socket("listener")

    done = attempt(listen, listener, 1)

    case.at("refused", listen=done, listens=getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN))


@clause("listener.connected.einval")
def test_connected_socket_can_t_listen(case: Case) -> None:
    """It goes on as a connection."""
    sock, _ = case.pair()

    done = attempt(listen, sock, 1)
    case.deliver(b"x")
    case.fence()

    case.at("refused", listen=done, recv=recv(sock, 1, MSG_DONTWAIT))


@clause("listener.data.tcp")
def test_tcp_listener_neither_sends_nor_receives(case: Case) -> None:
    """Nor does a connection that waits make a difference."""
    talk_to_a_listener(case)


@clause("listener.data.unix")
def test_unix_listener_neither_sends_nor_receives(case: Case) -> None:
    """The connections that wait are in its receive queue, and aren't data."""
    talk_to_a_listener(case)


@clause("listener.data.unix_seqpacket")
def test_unix_listener_of_packets_neither_sends_nor_receives(case: Case) -> None:
    """Sequenced packets ask for a connection before anything else."""
    talk_to_a_listener(case)


def talk_to_a_listener(case: Case) -> None:
    """Send to, receive from and connect a listener in whose queue a connection waits."""
    listener = case.listener()
    other = case.listener("other")
    connected(case, listener)

    case.at(
        "asked",
        recv=attempt(recv, listener, 1, MSG_DONTWAIT),
        send=attempt(send, listener, b"x", MSG_DONTWAIT | MSG_NOSIGNAL),
        connect=attempt(connect, listener, getsockname(other)),
    )


@clause("listener.bind.fails")
def test_bind_to_a_taken_address_leaves_both_sockets_as_they_were(case: Case) -> None:
    """What failed can be closed like anything else, and the listener goes on."""
    listener = case.listener()
    late = case.socket("late")

    done = attempt(bind, late, getsockname(listener))
    close(late)

    case.at("refused", bind=done, connect=attempt(lambda: none(connected(case, listener))))


@clause("listener.port.free_after_close")
def test_port_is_free_once_its_listener_is_closed(case: Case) -> None:
    """A listener without connections leaves nothing behind: address reuse isn't needed."""
    listener = case.listener()
    address = getsockname(listener)
    close(listener)
    refused = attempt(connect, case.socket(), address)
    second = case.socket("second")

    bound, listening = attempt(bind, second, address), attempt(listen, second, 1)

    served = attempt(lambda: none(connected(case, second, "late")))
    case.at("closed", connect=refused, bind=bound, listen=listening, served=served)


@clause("listener.port.reused")
def test_address_reuse_binds_the_port_of_connections_that_outlive_their_listener(case: Case) -> None:
    """Both sides must have asked for it: the connection has inherited it from the listener."""
    listener = reusing(case, "listener")
    address = free_address(case)
    bind(listener, address)
    listen(listener, 1)
    connected(case, listener)
    taken(case, listener)
    during = attempt(bind, reusing(case, "early"), address)
    close(listener)

    without, second = attempt(bind, case.socket("plain"), address), reusing(case, "second")
    bound = attempt(bind, second, address)

    case.at("rebound", while_listening=during, without=without, bind=bound, listen=attempt(listen, second, 1))


@clause("listener.close.resets_tcp")
def test_end_of_a_tcp_listener_resets_the_connections_that_wait(case: Case) -> None:
    """Nobody is left who could accept them; one that was accepted goes on."""
    listener = case.listener()
    served = connected(case, listener, "served")
    taken(case, listener)
    sock = connected(case, listener)
    case.arm(sock)

    end(case, listener)
    case.fence()

    case.at("ended", sent_by_the_served=send(served, b"x", 0))


@clause("listener.close.resets_unix")
def test_end_of_a_unix_listener_resets_the_connections_that_wait(case: Case) -> None:
    """Each is released as one that was never accepted."""
    listener = case.listener()
    served = connected(case, listener, "served")
    taken(case, listener)
    sock = connected(case, listener)
    case.arm(sock)

    close(listener)

    case.at("ended", sent_by_the_served=send(served, b"x", 0))


def end(case: Case, listener: Descriptor) -> None:
    """End a listener in the way that the variant names."""
    if case.variant == "close":
        close(listener)
    else:
        shutdown(listener, SHUT_RD)


@clause("listener.close.migrates")
def test_connections_that_wait_migrate_to_who_shares_the_port(case: Case) -> None:
    """Whose queue a connection is in is the kernel's choice, so the listener that ends is the one that has it."""
    with_sysctl(case, "ipv4/tcp_migrate_req", 1)
    address = free_address(case)
    listeners = [case.socket(role) for role in ("one", "another")]
    for listener in listeners:
        setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, 1)
        bind(listener, address)
        listen(listener, 1)
    sock = case.socket()
    connect(sock, address)
    case.arm(sock)
    case.fence()
    other, holder = sorted(listeners, key=lambda listener: poll_one(listener, POLLIN))
    counted = counting(extended, "TCPMigrateReqSuccess")

    end(case, holder)
    case.fence()
    child = taken(case, other)
    send(child, b"x", 0)

    case.at("ended", **counted(), recv=recv(sock, 1, 0))


@clause("listener.shutdown.tcp_listens_anew")
def test_tcp_listener_that_was_shut_down_can_listen_anew(case: Case) -> None:
    """It is closed, but bound to the port that it has asked for: until then that refuses."""
    listener, address = case.socket("listener"), free_address(case)
    bind(listener, address)
    listen(listener, 1)

    shutdown(listener, SHUT_RD)
    facts = {"state": tcp_info(listener).state, "accept": attempt(accept4, listener, 0)}
    case.at("shut", **facts, connect=attempt(connect, case.socket("early"), address))
    listen(listener, 1)

    same = int(getsockname(listener) == address)
    case.at("anew", state=tcp_info(listener).state, same_address=same, connect=attempt(connect, case.socket(), address))


@clause("listener.shutdown.tcp_port")
def test_tcp_listener_that_was_shut_down_keeps_the_port_that_it_asked_for(case: Case) -> None:
    """One that the kernel chose for it goes back."""
    chosen, asked = case.listener("chosen"), case.socket("asked")
    bind(asked, free_address(case))
    listen(asked, 1)
    addresses = {"chosen": getsockname(chosen), "asked": getsockname(asked)}

    shutdown(chosen, SHUT_RD)
    shutdown(asked, SHUT_RD)

    others = {name: attempt(bind, case.socket(f"late_{name}"), address) for name, address in addresses.items()}
    case.at("shut", bind_to_the_chosen=others["chosen"], bind_to_the_asked=others["asked"])


@clause("listener.shutdown.unix_keeps")
def test_unix_listener_that_was_shut_down_hands_out_what_it_has(case: Case) -> None:
    """Only nobody gets in any more."""
    listener = case.listener()
    connected(case, listener)

    shutdown(listener, SHUT_RD)
    case.at("shut", connect=attempt(connect, case.socket("late"), getsockname(listener)))
    done = attempt(lambda: none(taken(case, listener)))

    case.at("accepted", accept=done, again=attempt(accept4, listener, SOCK_NONBLOCK))


@clause("listener.release.ends_tcp")
def test_tcp_connection_that_is_released_when_accepted_ends(case: Case) -> None:
    """So document 004's listener serves: accept, release, and again."""
    accept_and_release(case)


@clause("listener.release.ends_unix")
def test_unix_connection_that_is_released_when_accepted_ends(case: Case) -> None:
    """The close of either side is the end of both."""
    accept_and_release(case)


@clause("listener.release.resets_tcp")
def test_tcp_connection_that_has_sent_is_reset_when_released(case: Case) -> None:
    """What is lost unread mustn't look like a proper end."""
    accept_and_release(case, b"never read")


@clause("listener.release.resets_unix")
def test_unix_connection_that_has_sent_is_reset_when_released(case: Case) -> None:
    """What is lost unread mustn't look like a proper end."""
    accept_and_release(case, b"never read")


def accept_and_release(case: Case, sent: bytes = b"") -> None:
    """Accept a connection whose client has sent this, and close it without a look."""
    listener = case.listener()
    sock = connected(case, listener)
    if sent:
        send(sock, sent, 0)
    case.fence()
    case.arm(sock)
    child = taken(case, listener)

    close(child)
    case.fence()

    case.at("released", recv=attempt(recv, sock, 1, MSG_DONTWAIT))
