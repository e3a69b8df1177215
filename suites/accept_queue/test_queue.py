"""The accept queue: how many connections it takes, who sees its length, and what becomes of those it has no room for."""

import struct

from native import (
    IPPROTO_TCP,
    SHUT_RD,
    SIOCINQ,
    SIOCOUTQ,
    SIOCOUTQNSD,
    SO_SNDTIMEO,
    SOL_SOCKET,
    TCP_DEFER_ACCEPT,
    TCP_ESTABLISHED,
    TCP_SYN_RECV,
    TCP_SYN_SENT,
    close,
    connect,
    getsockname,
    ioctl_int,
    linger,
    listen,
    send,
    setsockopt,
    setsockopt_bytes,
    shutdown,
    tcp_info,
)
from suites.catalogue import clause
from suites.lab.calls import port_of
from suites.lab.case import INPUT, Case, Descriptor, attempt
from suites.lab.counters import extended, tcp_rows
from suites.lab.queueing import connected, counting, knock, take_all, taken, with_sysctl

OVERFLOWS = ("ListenOverflows", "ListenDrops")
NO_LIMIT = (1 << 31) - 1


def limited(case: Case, backlog: int) -> Descriptor:
    """A listener with this backlog."""
    listener = case.listener()
    listen(listener, backlog)
    return listener


def full(case: Case) -> Descriptor:
    """A listener with a backlog of 0 and a connection in its queue."""
    listener = limited(case, 0)
    connected(case, listener, "first")
    case.fence()
    return listener


@clause("queue.capacity.tcp")
def test_tcp_queue_takes_one_connection_more_than_the_backlog(case: Case) -> None:
    """Two more knock than there is room for: their SYNs are dropped."""
    backlog = int(case.variant.removeprefix("backlog_"))
    listener = limited(case, backlog)

    states = [tcp_info(knock(case, listener, f"client_{i}")[0]).state for i in range(backlog + 3)]

    found = {"established": states.count(TCP_ESTABLISHED), "connecting": states.count(TCP_SYN_SENT)}
    case.at("full", backlog=backlog, **found, limit=tcp_info(listener).sacked)
    case.at("drained", accepted=take_all(case, listener))


@clause("queue.capacity.unix")
def test_unix_queue_takes_one_connection_more_than_the_backlog(case: Case) -> None:
    """There is no handshake that could be left half done: a connect that finds no room fails at once, or waits."""
    backlog = int(case.variant.removeprefix("backlog_"))
    listener = limited(case, backlog)

    outcomes = [knock(case, listener, f"client_{i}")[1] for i in range(backlog + 3)]

    found = {"established": outcomes.count(0), "refused": outcomes.count("EAGAIN")}
    case.at("full", backlog=backlog, **found)
    case.at("drained", accepted=take_all(case, listener))


@clause("queue.capacity.vsock")
def test_vsock_queue_takes_one_connection_more_than_the_backlog(case: Case) -> None:
    """Who finds no room is reset."""
    backlog = int(case.variant.removeprefix("backlog_"))
    listener = limited(case, backlog)
    address = getsockname(listener)

    outcomes = [attempt(connect, case.socket(f"client_{i}"), address) for i in range(backlog + 3)]

    found = {"established": outcomes.count(0), "reset": outcomes.count("ECONNRESET")}
    case.at("full", backlog=backlog, **found)
    case.at("drained", accepted=take_all(case, listener))


@clause("queue.length.is_told")
def test_length_and_limit_are_told_of_the_listener(case: Case) -> None:
    """What counts segments on a connection counts connections on a listener."""
    listener = limited(case, 5)
    port = port_of(listener)

    for moment in ("empty", "one", "two"):
        if moment != "empty":
            connected(case, listener, moment)
        info, row = tcp_info(listener), tcp_rows(case.family.name, port)[0]
        case.at(moment, length=info.unacked, limit=info.sacked, state=row.state, listed=row.rx_queue)
    taken(case, listener)

    case.at("taken", length=tcp_info(listener).unacked, limit=tcp_info(listener).sacked)


@clause("queue.length.is_no_size")
def test_listener_has_no_bytes_to_count(case: Case) -> None:
    """The sizes of queues are of data, and a listener has none."""
    listener = full(case)

    case.at(
        "asked",
        siocinq=attempt(ioctl_int, listener, SIOCINQ),
        siocoutq=attempt(ioctl_int, listener, SIOCOUTQ),
        siocoutqnsd=attempt(ioctl_int, listener, SIOCOUTQNSD),
    )


@clause("queue.backlog.default_limit")
def test_backlog_is_limited_by_the_network_s_somaxconn(case: Case) -> None:
    """The backlog is compared as unsigned, so that a negative one is a large one."""
    limits = {
        name: tcp_info(limited(case, backlog)).sacked
        for name, backlog in (("huge", NO_LIMIT), ("negative", -1), ("below", 4095), ("on", 4096), ("above", 4097))
    }

    case.at("listening", **limits)


@clause("queue.backlog.lowered_limit")
def test_somaxconn_counts_when_listen_is_called(case: Case) -> None:
    """The limit isn't looked at again."""
    with_sysctl(case, "core/somaxconn", 2)
    listener = limited(case, 100)
    case.at("lowered", limit=tcp_info(listener).sacked)

    with_sysctl(case, "core/somaxconn", 50)
    case.at("raised", limit=tcp_info(listener).sacked)
    listen(listener, 100)

    case.at("listening_anew", limit=tcp_info(listener).sacked)


@clause("queue.relisten.at_once")
def test_listen_changes_the_limit_at_once(case: Case) -> None:
    """What waits already stays, even where the new limit leaves it no room."""
    listener = full(case)
    second, _ = knock(case, listener, "second")
    case.at("full", second=tcp_info(second).state)

    listen(listener, 1)
    third, _ = knock(case, listener, "third")
    case.at("wider", limit=tcp_info(listener).sacked, third=tcp_info(third).state)
    listen(listener, 0)
    fourth, _ = knock(case, listener, "fourth")

    info = tcp_info(listener)
    case.at("narrower", limit=info.sacked, length=info.unacked, fourth=tcp_info(fourth).state)
    case.at("drained", accepted=take_all(case, listener))


@clause("queue.relisten.wakes_unix")
def test_listen_with_more_room_lets_who_waits_connect(case: Case) -> None:
    """unix_listen wakes them where the limit rises, and nobody where it doesn't."""
    listener = full(case)
    case.sleep("connect", case.socket(), getsockname(listener), name="connector")

    listen(listener, 0)
    case.at("same")
    listen(listener, 1)

    case.at("wider")


@clause("queue.taken.makes_room")
def test_accept_makes_room_for_one_more(case: Case) -> None:
    """Room is a matter of how many wait, not of how many came."""
    listener = full(case)
    taken(case, listener)

    _, outcome = knock(case, listener)
    case.at("knocked", connect=outcome)

    case.at("drained", accepted=take_all(case, listener))


@clause("queue.reset.takes_room")
def test_connection_that_was_reset_takes_up_its_room(case: Case) -> None:
    """It was established, and so it will be accepted."""
    listener = limited(case, 0)
    first = connected(case, listener, "first")
    linger(first, 1, 0)
    close(first)
    case.fence()

    sock, _ = knock(case, listener)

    case.at("knocked", state=tcp_info(sock).state, length=tcp_info(listener).unacked)


@clause("queue.full.syn_is_dropped")
def test_syn_to_a_full_queue_is_dropped_without_a_word(case: Case) -> None:
    """tcp_abort_on_overflow is about acknowledgements, not about SYNs."""
    with_sysctl(case, "ipv4/tcp_abort_on_overflow", int(case.variant == "aborting"))
    listener = full(case)
    case.arm(listener)
    counted = counting(extended, *OVERFLOWS)

    sock, outcome = knock(case, listener)

    case.at("knocked", connect=outcome, state=tcp_info(sock).state, **counted())


@clause("queue.full.syn_comes_again")
def test_dropped_syn_is_sent_again_and_finds_room(case: Case) -> None:
    """Nobody tells the client that there is room: its own timer does it."""
    listener = full(case)
    case.sleep("connect", case.socket(), getsockname(listener), name="connector")

    taken(case, listener)
    case.sleep("poll", listener, INPUT)
    case.at("room")
    case.await_return("connector")
    case.await_return("poll")  # the timer may have run on another CPU, which still has the acknowledgement to deliver

    case.at("retransmitted")


def overflow_at_the_last(case: Case) -> tuple[Descriptor, Descriptor]:
    """Two clients that are connected while the listener only has requests, and room for one; both send."""
    listener = limited(case, 5)
    setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 60)
    first, sock = connected(case, listener, "first"), connected(case, listener)
    listen(listener, 0)
    send(first, b"1", 0)
    case.fence()
    case.arm(sock)
    return listener, sock


@clause("queue.full.ack_is_dropped")
def test_last_acknowledgement_to_a_full_queue_is_dropped(case: Case) -> None:
    """The client can't know that what it has isn't a connection yet."""
    listener, sock = overflow_at_the_last(case)
    counted = counting(extended, *OVERFLOWS, "EmbryonicRsts")

    send(sock, b"2", 0)
    case.fence()

    rows = tcp_rows(case.family.name, port_of(listener))
    case.at("sent", **counted(), state=tcp_info(sock).state, requests=sum(row.state == TCP_SYN_RECV for row in rows))
    case.at("drained", accepted=take_all(case, listener))


@clause("queue.full.ack_is_reset")
def test_last_acknowledgement_to_a_full_queue_is_answered_by_a_reset(case: Case) -> None:
    """tcp_abort_on_overflow has the client told."""
    with_sysctl(case, "ipv4/tcp_abort_on_overflow", 1)
    listener, sock = overflow_at_the_last(case)
    counted = counting(extended, *OVERFLOWS, "EmbryonicRsts")

    send(sock, b"2", 0)
    case.fence()

    case.at("sent", **counted(), accepted=take_all(case, listener))


@clause("queue.full.unix_waits")
def test_unix_connect_to_a_full_queue_waits_its_turn(case: Case) -> None:
    """Each accept lets one in, the one that has waited longest."""
    listener = full(case)
    address = getsockname(listener)
    for i in ("1", "2"):
        case.sleep("connect", case.socket(f"client_{i}"), address, name=f"connector_{i}")

    taken(case, listener)
    case.at("one_taken")
    taken(case, listener)

    case.at("two_taken")


@clause("queue.full.unix_gives_up")
def test_unix_connect_to_a_full_queue_waits_as_long_as_a_send_would(case: Case) -> None:
    """The send timeout is connect's as well."""
    listener = full(case)
    sock = case.socket()
    setsockopt_bytes(sock, SOL_SOCKET, SO_SNDTIMEO, struct.pack("@ll", 0, 1000))

    case.at("timed_out", connect=attempt(connect, sock, getsockname(listener)))


@clause("queue.full.unix_refused")
def test_close_refuses_who_waits_to_connect(case: Case) -> None:
    """Woken, the connector looks for the name again, and finds nobody."""
    listener = full(case)
    case.sleep("connect", case.socket(), getsockname(listener), name="connector")

    close(listener)

    case.at("closed")


@clause("queue.full.unix_shutdown")
def test_shutdown_tells_nothing_to_who_waits_to_connect(case: Case) -> None:
    """unix_shutdown wakes those who sleep on the listener, and connectors sleep on its peers' queue."""
    listener = full(case)
    case.sleep("connect", case.socket(), getsockname(listener), name="connector")

    shutdown(listener, SHUT_RD)
    case.at("shut")
    taken(case, listener)

    case.at("taken")
