"""Who waits for a connection is woken, and told by signal too; what accept returns, and what it leaves."""

import struct

from native import (
    EPOLLEXCLUSIVE,
    EPOLLIN,
    F_GETFD,
    MSG_DONTWAIT,
    O_NONBLOCK,
    RLIMIT_NOFILE,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_ACCEPTCONN,
    SO_RCVTIMEO,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOL_SOCKET,
    Sleeper,
    SYS_accept4,
    accept4,
    close,
    connect,
    fcntl,
    get_flags,
    getrlimit,
    getsockname,
    getsockopt,
    listen,
    prlimit,
    recv,
    send,
    setsockopt_bytes,
    shutdown,
)
from suites.catalogue import clause
from suites.lab.case import INPUT, Case, Descriptor, attempt
from suites.lab.queueing import connected, none, taken, unblock

THREE = ("1", "2", "3")


def acceptors(case: Case, listener: Descriptor) -> list[Sleeper]:
    """Three threads, asleep in accept one after the other."""
    return [case.sleep("accept", listener, name=f"acceptor_{i}") for i in THREE]


@clause("accept.sleeper.signals")
def test_connection_wakes_a_blocked_acceptor_and_signals(case: Case) -> None:
    """connect returns before anybody has taken the connection."""
    listener = case.listener()
    case.arm(listener)
    case.sleep("accept", listener, name="acceptor")
    sock = case.socket()

    connect(sock, getsockname(listener))

    case.at("connected")


@clause("accept.queue.readable")
def test_listener_is_readable_while_a_connection_waits(case: Case) -> None:
    """A new edge comes with a connection, not with what is left when one is taken."""
    listener = case.listener()
    case.arm(listener)
    case.at("empty")

    connected(case, listener, "first")
    case.at("one_waits")
    connected(case, listener, "second")
    case.at("two_wait")
    taken(case, listener)
    case.at("one_left")
    taken(case, listener)

    case.at("none_left")


@clause("accept.queue.in_order")
def test_connections_are_taken_in_the_order_in_which_they_came(case: Case) -> None:
    """Each is known by the byte that its client has sent."""
    listener = case.listener()
    for name in THREE:
        send(connected(case, listener, name), name.encode(), 0)
    case.fence()

    children = [taken(case, listener, f"child_{name}") for name in THREE]
    unblock(listener)
    fourth = attempt(accept4, listener, 0)

    first, second, third = (recv(child, 1, MSG_DONTWAIT) for child in children)
    case.at("taken", first=first, second=second, third=third, fourth=fourth)


@clause("accept.acceptors.take_turns")
def test_one_connection_wakes_the_acceptor_that_came_first(case: Case) -> None:
    """The wait is exclusive, and its queue is first in, first out: the third isn't even stirred."""
    listener = case.listener()
    third = acceptors(case, listener)[2]
    before = third.switches()

    connected(case, listener, "first")
    case.at("one_came")
    connected(case, listener, "second")

    case.at("two_came", third_stirred=third.switches() - before)


@clause("accept.acceptors.vsock_all_stir")
def test_one_vsock_connection_wakes_every_acceptor(case: Case) -> None:
    """vsock_accept's wait isn't exclusive: who runs first takes it, and the others go back to sleep."""
    listener = case.listener()
    sleepers = acceptors(case, listener)
    before = [sleeper.switches() for sleeper in sleepers]

    connected(case, listener)
    case.fence()

    losers = [(sleeper, was) for sleeper, was in zip(sleepers, before, strict=True) if sleeper.await_asleep()]
    stirred = sum(sleeper.switches() > was for sleeper, was in losers)
    case.at("connected", asleep=len(losers), stirred=stirred)


@clause("accept.pollers.all_wake")
def test_one_connection_wakes_every_poller(case: Case) -> None:
    """poll, select and epoll wait without being exclusive."""
    listener = case.listener()
    for i in THREE:
        case.sleep(case.variant, listener, INPUT, name=f"{case.variant}_{i}")

    connected(case, listener)

    case.at("connected")


@clause("accept.exclusive.one_wakes")
def test_one_connection_wakes_one_exclusive_epoll(case: Case) -> None:
    """The first epoll to register is the first to be told."""
    listener = case.listener()
    for i in THREE:
        case.sleep("epoll", listener, EPOLLIN | EPOLLEXCLUSIVE, name=f"epoll_{i}")

    connected(case, listener)

    case.at("connected")


def shut_down_beneath_acceptors(case: Case) -> None:
    """Shut the listener down while three threads are asleep in accept, and ask it for a connection once more."""
    listener = case.listener()
    case.arm(listener)
    acceptors(case, listener)

    shutdown(listener, SHUT_RDWR if case.variant == "rdwr" else SHUT_RD)

    case.at("shut", accept=attempt(accept4, listener, SOCK_NONBLOCK))


@clause("accept.shutdown.wakes_tcp")
def test_shutdown_wakes_every_acceptor_of_tcp(case: Case) -> None:
    """The state change wakes all, and none finds a listener any more."""
    shut_down_beneath_acceptors(case)


@clause("accept.shutdown.wakes_unix")
def test_shutdown_wakes_every_acceptor_of_unix(case: Case) -> None:
    """The listener goes on listening, with nobody who could connect."""
    shut_down_beneath_acceptors(case)


@clause("accept.shutdown.for_sending_is_nothing")
def test_shutdown_for_sending_leaves_the_acceptor_asleep(case: Case) -> None:
    """A listener has nothing to send."""
    listener = case.listener()
    case.arm(listener)
    case.sleep("accept", listener, name="acceptor")

    done = attempt(shutdown, listener, SHUT_WR)
    case.at("shut", shutdown=done)
    connected(case, listener)

    case.at("connected")


@clause("accept.shutdown.vsock_refuses")
def test_vsock_listener_can_t_be_shut_down(case: Case) -> None:
    """vsock_shutdown asks for a connection first."""
    listener = case.listener()
    case.sleep("accept", listener, name="acceptor")

    outcomes = {"rd": SHUT_RD, "wr": SHUT_WR, "rdwr": SHUT_RDWR}

    case.at("refused", **{name: attempt(shutdown, listener, how) for name, how in outcomes.items()})


@clause("accept.close.serves_on")
def test_acceptor_outlives_the_listener_s_descriptor(case: Case) -> None:
    """The call has its own reference to the open file, which ends with it."""
    listener = case.listener()
    address = getsockname(listener)
    case.sleep("accept", listener, name="acceptor")

    close(listener)
    case.at("closed")
    connect(case.socket(), address)
    case.at("connected")

    case.at("ended", connect=attempt(connect, case.socket("late"), address))


@clause("accept.signal.interrupts")
def test_signal_takes_the_acceptor_out_of_its_sleep(case: Case) -> None:
    """Nothing is lost: the next connection waits for the next accept."""
    listener = case.listener()
    acceptor = case.sleep("accept", listener, name="acceptor")

    acceptor.interrupt()
    case.at("interrupted")
    connected(case, listener)

    case.at("connected", accept=attempt(lambda: none(taken(case, listener))))


@clause("accept.empty.eagain")
def test_nonblocking_accept_of_nothing_is_eagain(case: Case) -> None:
    """O_NONBLOCK of the listener decides; accept4's SOCK_NONBLOCK is the new descriptor's."""
    listener = case.listener()
    unblock(listener)

    first = attempt(accept4, listener, 0)
    connected(case, listener)
    second = attempt(lambda: none(taken(case, listener)))

    case.at("asked", empty=first, waiting=second, again=attempt(accept4, listener, 0))


@clause("accept.timeout.eagain")
def test_accept_waits_as_long_as_a_receive_would(case: Case) -> None:
    """The receive timeout is accept's as well."""
    listener = case.listener()
    setsockopt_bytes(listener, SOL_SOCKET, SO_RCVTIMEO, struct.pack("@ll", 0, 1000))

    timed_out = attempt(accept4, listener, 0)
    connected(case, listener)

    case.at("asked", empty=timed_out, waiting=attempt(lambda: none(taken(case, listener))))


@clause("accept.flags.set")
def test_accept4_sets_the_flags_of_the_new_descriptor(case: Case) -> None:
    """They are the descriptor's and its file's own, whatever the listener has."""
    listener = case.listener()
    facts = {}
    for name, flags in (
        ("none", 0),
        ("nonblock", SOCK_NONBLOCK),
        ("cloexec", SOCK_CLOEXEC),
        ("both", SOCK_NONBLOCK | SOCK_CLOEXEC),
    ):
        connected(case, listener, f"client_{name}")
        child = case.own(accept4(listener, flags), name)
        facts[f"{name}_nonblock"] = int(get_flags(child) & O_NONBLOCK != 0)
        facts[f"{name}_cloexec"] = fcntl(child, F_GETFD)

    case.at("accepted", **facts)


@clause("accept.flags.unknown")
def test_unknown_flag_takes_nothing(case: Case) -> None:
    """The flags are looked at before the queue."""
    listener = case.listener()
    connected(case, listener)

    refused = attempt(accept4, listener, 1)
    case.at("refused", accept=refused)

    case.at("accepted", accept=attempt(lambda: none(taken(case, listener))))


@clause("accept.emfile.keeps")
def test_accept_without_a_free_descriptor_leaves_the_connection_queued(case: Case) -> None:
    """The number is found before the queue is looked at."""
    listener = case.listener()
    unblock(listener)  # where the connection is lost, the next accept says so instead of waiting for another
    send(connected(case, listener), b"x", 0)
    child = case.fork()
    _, hard = getrlimit(RLIMIT_NOFILE, child.pid)
    prlimit(RLIMIT_NOFILE, listener, hard, child.pid)

    refused = attempt(child.call, "accept4", SYS_accept4, listener, 0, 0, 0)
    case.at("refused", accept=refused)

    case.at("accepted", data=recv(taken(case, listener), 1, MSG_DONTWAIT))


@clause("accept.not_listening.einval")
def test_accept_on_what_does_not_listen_is_einval(case: Case) -> None:
    """Neither a fresh socket nor a connected one has a queue."""
    fresh = case.socket("fresh")
    sock, _ = case.pair()

    case.at(
        "asked",
        fresh=attempt(accept4, fresh, 0),
        fresh_listens=getsockopt(fresh, SOL_SOCKET, SO_ACCEPTCONN),
        connected=attempt(accept4, sock, 0),
        connected_listens=getsockopt(sock, SOL_SOCKET, SO_ACCEPTCONN),
    )


@clause("accept.datagram.unsupported")
def test_datagram_sockets_neither_listen_nor_accept(case: Case) -> None:
    """sock_no_listen and sock_no_accept."""
    sock = case.socket()

    case.at("asked", listen=attempt(listen, sock, 1), accept=attempt(accept4, sock, 0))
