"""Who wakes and who stays asleep: every kind of sleeper, beside sleepers that wait for something else."""

import struct
from collections.abc import Callable

from native import (
    EPOLL_CTL_ADD,
    EPOLLET,
    EPOLLEXCLUSIVE,
    EPOLLIN,
    EPOLLOUT,
    MSG_OOB,
    MSG_PEEK,
    POLLPRI,
    POLLRDHUP,
    SA_RESTART,
    SHUT_RD,
    SHUT_WR,
    SIGWINCH,
    SO_RCVTIMEO,
    SOL_SOCKET,
    Sleeper,
    bind,
    close,
    connect,
    epoll_create1,
    epoll_ctl,
    epoll_wait,
    getsockname,
    linger,
    listen,
    recv,
    ring_drain,
    send,
    setsockopt_bytes,
    shutdown,
    sigaction,
    sigaction_restore,
    sockaddr_un,
    tgkill,
)
from suites.catalogue import clause
from suites.lab.calls import fill_queue
from suites.lab.case import INPUT, OUTPUT, Case, Descriptor, attempt
from suites.lab.outbox import PAYLOAD, Outbox
from suites.lab.queueing import connected, taken

THREE = ("first", "second", "third")

NOTHING = 0
"""What a poller asks for that waits for error and hang-up alone: they come unasked."""

POLLERS = ("poll", "ppoll", "select", "pselect", "epoll")

HOUR = struct.pack("@ll", 3600, 0)
"""A struct timeval that no case waits for."""

STEP = 2
"""SO_SNDBUF's step in bytes: the kernel doubles what it is given."""

LONG = 100_000
"""More bytes than there is room for."""


def stirring(case: Case, *sleepers: Sleeper) -> Callable[[], int]:
    """Note how often threads have gone to sleep; what is returned says how many have been scheduled since, and sleep again."""
    before = [sleeper.switches() for sleeper in sleepers]

    def stirred() -> int:
        case.fence()
        pairs = zip(sleepers, before, strict=True)
        return sum(sleeper.await_asleep() and sleeper.switches() > was for sleeper, was in pairs)

    return stirred


def full(case: Case) -> Outbox:
    """An outbox that takes no more."""
    box = case.outbox()
    box.fill()
    return box


def make_room(box: Outbox) -> None:
    """Have room come back, much of it: a larger send buffer is a write-space event of every family."""
    box.room(200_000)


def restarting(case: Case) -> Callable[[Sleeper], int]:
    """A way to have a sleeper run a handler that restarts its call; it says how often the handler ran."""
    before = sigaction(SIGWINCH, "ring", SA_RESTART)

    def restore() -> None:
        sigaction_restore(SIGWINCH, before)

    def disturb(sleeper: Sleeper) -> int:
        stirred = stirring(case, sleeper)
        tgkill(case.lab.pid, sleeper.tid, SIGWINCH)
        stirred()
        return len(ring_drain())

    case.afterwards(restore)
    return disturb


@clause("wakes.data.every_receiver")
def test_data_stirs_every_receiver_of_a_stream(case: Case) -> None:
    """A stream's receivers don't wait exclusively: who runs first takes the byte, and the others go back to sleep."""
    sock, _ = case.pair()
    sleepers = [case.sleep("recv", sock, 1, name=name) for name in THREE]
    before = [sleeper.switches() for sleeper in sleepers]

    case.deliver(b"x")
    case.fence()

    losers = [(sleeper, was) for sleeper, was in zip(sleepers, before, strict=True) if sleeper.await_asleep()]
    stirred = sum(sleeper.switches() > was for sleeper, was in losers)
    case.at("delivered", asleep=len(losers), stirred=stirred)


@clause("wakes.data.one_receiver")
def test_each_datagram_wakes_the_receiver_that_came_first(case: Case) -> None:
    """Their wait is exclusive, and its queue is first in, first out: the third isn't even stirred."""
    sock, _ = case.pair()
    *_, third = (case.sleep("recv", sock, 1, name=name) for name in THREE)
    stirred = stirring(case, third)

    case.deliver(b"x")
    case.at("one_came")
    case.deliver(b"x")

    case.at("two_came", third_stirred=stirred())


@clause("wakes.data.everybody_on_streams")
def test_data_wakes_every_receiver_and_every_poller_of_a_stream(case: Case) -> None:
    """The receivers only peek, so that there is something left for everybody."""
    sock, _ = case.pair()
    for name in ("first", "second"):
        case.sleep("recv", sock, 1, MSG_PEEK, name=name)
    for call in POLLERS:
        case.sleep(call, sock, INPUT)

    case.deliver(b"x")

    case.at("delivered")


@clause("wakes.data.everybody_but_one")
def test_datagram_wakes_every_poller_one_receiver_and_the_owner(case: Case) -> None:
    """The receivers only peek, so that there is something left for everybody; the second isn't asked."""
    sock, _ = case.pair()
    case.arm(sock)
    for name in ("first", "second"):
        case.sleep("recv", sock, 1, MSG_PEEK, name=name)
    for call in POLLERS:
        case.sleep(call, sock, INPUT)

    case.deliver(b"x")

    case.at("delivered")


@clause("wakes.data.spares_output")
def test_data_leaves_who_waits_for_room_asleep(case: Case) -> None:
    """Sleepers in poll and epoll compare the wake's key with what they asked for; one in send looks at no key."""
    box = full(case)
    pollers = stirring(case, *(case.sleep(call, box.socket, OUTPUT) for call in ("poll", "ppoll", "epoll")))
    selectors = stirring(case, *(case.sleep(call, box.socket, OUTPUT) for call in ("select", "pselect")))
    writer = stirring(case, case.sleep("send", box.socket, PAYLOAD))

    send(box.peer, b"x", 0)

    case.at("delivered", pollers_stirred=pollers(), selectors_stirred=selectors(), writer_stirred=writer())


def give_room_beneath_readers(case: Case) -> None:
    """Have room come back while pollers wait for input, a receiver for data, and one poller for the room."""
    box = full(case)
    pollers = stirring(case, *(case.sleep(call, box.socket, INPUT) for call in POLLERS))
    receiver = stirring(case, case.sleep("recv", box.socket, 1))
    case.sleep("poll", box.socket, OUTPUT, name="poll_room")

    make_room(box)

    case.at("given_back", pollers_stirred=pollers(), receiver_stirred=receiver())


@clause("wakes.room.spares_input_on_streams")
def test_room_leaves_who_waits_for_input_on_a_stream_asleep(case: Case) -> None:
    """A stream's receivers wake whatever the key is, and look for themselves."""
    give_room_beneath_readers(case)


@clause("wakes.room.spares_input")
def test_room_leaves_who_waits_for_input_asleep(case: Case) -> None:
    """receiver_wake_function compares the key as pollers do."""
    give_room_beneath_readers(case)


@clause("wakes.room.stirs_nobody_below")
def test_room_below_the_boundary_stirs_nobody(case: Case) -> None:
    """Not even the writer for whose packet there would be room."""
    box = case.outbox()
    box.load()
    boundary = box.threshold()
    box.room(0)
    sleepers = [case.sleep("send", box.socket, PAYLOAD)]
    sleepers += [case.sleep(call, box.socket, OUTPUT) for call in ("poll", "select", "epoll")]
    stirred = stirring(case, *sleepers)

    box.room(boundary - 2 * STEP)
    case.at("below", stirred=stirred())
    make_room(box)

    case.at("above")


@clause("wakes.room.every_writer")
def test_room_wakes_every_writer(case: Case) -> None:
    """Writers don't wait exclusively."""
    box = full(case)
    for name in THREE:
        case.sleep("send", box.socket, PAYLOAD, name=name)

    make_room(box)

    case.at("given_back")


@clause("wakes.room.one_exclusive")
def test_room_wakes_every_poller_and_one_exclusive_epoll(case: Case) -> None:
    """The exclusive ones stand at the queue's end, in the order in which they came."""
    box = full(case)
    for name in ("epoll_first", "epoll_second"):
        case.sleep("epoll", box.socket, EPOLLOUT | EPOLLEXCLUSIVE, name=name)
    for call in ("poll", "select"):
        case.sleep(call, box.socket, OUTPUT)

    make_room(box)

    case.at("given_back")


@clause("wakes.room.one_writer_at_a_peer")
def test_each_datagram_read_wakes_the_writer_that_came_first(case: Case) -> None:
    """Who waits for room in another socket's queue waits exclusively: the third isn't even stirred."""
    sock, peer = case.socket(), case.socket("peer")
    bind(peer, sockaddr_un(b""))
    connect(sock, getsockname(peer))
    fill_queue(sock)
    *_, third = (case.sleep("send", sock, b"x", name=name) for name in THREE)
    stirred = stirring(case, third)

    recv(peer, 1, 0)
    case.at("one_read")
    recv(peer, 1, 0)

    case.at("two_read", third_stirred=stirred())


@clause("wakes.hangup.sleeps_through")
def test_who_waits_for_a_hangup_sleeps_until_it_comes(case: Case) -> None:
    """Data has another key; the end of one direction stirs them all, and only wakes who asked for it."""
    sock, peer = case.pair()
    for_end = [case.sleep(call, sock, POLLRDHUP, name=f"{call}_end") for call in ("poll", "epoll")]
    for_nothing = [case.sleep(call, sock, NOTHING, name=f"{call}_nothing") for call in ("poll", "epoll")]
    all_stirred, stirred = stirring(case, *for_end, *for_nothing), stirring(case, *for_nothing)

    case.deliver(b"x")
    case.at("delivered", stirred=all_stirred())
    shutdown(peer, SHUT_WR)
    case.at("ended", stirred=stirred())
    shutdown(sock, SHUT_WR)

    case.at("hung_up")


@clause("wakes.state.stirs_all")
def test_state_change_stirs_everybody_whatever_they_wait_for(case: Case) -> None:
    """sock_def_wakeup has no key: everybody looks, and finds that it isn't what they wait for."""
    sock, _ = case.pair()
    case.arm(sock)
    sleepers = [case.sleep("recv", sock, 1)]
    sleepers += [case.sleep(call, sock, INPUT) for call in ("poll", "select", "epoll")]
    sleepers += [case.sleep(call, sock, NOTHING, name=f"{call}_nothing") for call in ("poll", "epoll")]
    stirred = stirring(case, *sleepers)

    shutdown(sock, SHUT_WR)

    case.at("shut", stirred=stirred())


@clause("wakes.state.every_exclusive")
def test_state_change_wakes_every_exclusive_epoll(case: Case) -> None:
    """wake_up_interruptible_all doesn't count."""
    sock, _ = case.pair()
    for name in THREE:
        case.sleep("epoll", sock, EPOLLIN | EPOLLEXCLUSIVE, name=f"epoll_{name}")

    shutdown(sock, SHUT_RD)

    case.at("shut")


@clause("wakes.state.nobody_asleep")
def test_state_change_that_nobody_slept_through_is_there_for_who_comes(case: Case) -> None:
    """What changes is the state; the wake only tells of it."""
    sock, _ = case.pair()
    case.arm(sock)

    shutdown(sock, SHUT_RD)
    case.fence()

    case.at("shut", recv=attempt(recv, sock, 1, 0))


@clause("wakes.error.everybody")
def test_reset_wakes_everybody_whatever_they_asked_for(case: Case) -> None:
    """Error and hang-up are in everybody's mask."""
    box = full(case)
    for call in ("poll", "select", "epoll"):
        case.sleep(call, box.socket, INPUT, name=f"{call}_input")
        case.sleep(call, box.socket, OUTPUT, name=f"{call}_room")
    for call in ("poll", "epoll"):
        case.sleep(call, box.socket, NOTHING, name=f"{call}_nothing")

    linger(box.peer, 1, 0)
    close(box.peer)

    case.at("reset")


@clause("wakes.error.one_exclusive")
def test_refused_datagram_wakes_every_poller_and_one_exclusive_epoll(case: Case) -> None:
    """An error report by itself is no state change."""
    sock, peer = case.pair()
    for name in ("epoll_first", "epoll_second"):
        case.sleep("epoll", sock, EPOLLIN | EPOLLEXCLUSIVE, name=name)
    case.sleep("poll", sock, INPUT, name="poll_input")
    case.sleep("poll", sock, NOTHING, name="poll_nothing")
    close(peer)

    send(sock, b"x", 0)

    case.at("refused")


@clause("wakes.error.one_receiver")
def test_refused_datagram_wakes_the_receiver_that_came_first(case: Case) -> None:
    """There is one error to take."""
    sock, peer = case.pair()
    _, second = (case.sleep("recv", sock, 1, name=name) for name in ("first", "second"))
    stirred = stirring(case, second)
    close(peer)

    send(sock, b"x", 0)

    case.at("refused", second_stirred=stirred())


@clause("wakes.urgent.exceptional_pollers")
def test_urgent_data_wakes_who_waits_for_an_exceptional_condition(case: Case) -> None:
    """The key of data has PRI in it, so that they look at each segment."""
    sock, peer = case.pair()
    stirred = stirring(case, *(case.sleep(call, sock, POLLPRI) for call in ("poll", "epoll")))

    case.deliver(b"x")
    case.at("delivered", stirred=stirred())
    send(peer, b"!", MSG_OOB)

    case.at("urgent")


@clause("wakes.exclusive.each_event_one")
def test_two_events_wake_two_exclusive_epolls(case: Case) -> None:
    """One in which nobody sleeps any more isn't counted."""
    sock, _ = case.pair()
    *_, third = (case.sleep("epoll", sock, EPOLLIN | EPOLLEXCLUSIVE, name=f"epoll_{name}") for name in THREE)
    stirred = stirring(case, third)

    case.deliver(b"x")
    case.at("one_came")
    case.deliver(b"x")

    case.at("two_came", third_stirred=stirred())


@clause("wakes.exclusive.spares_other_interest")
def test_exclusive_epoll_that_waits_for_room_doesnt_use_up_a_wake(case: Case) -> None:
    """It declines the key, so that the next in the queue is asked."""
    box = full(case)
    stirred = stirring(case, case.sleep("epoll", box.socket, EPOLLOUT | EPOLLEXCLUSIVE, name="epoll_room"))
    case.sleep("epoll", box.socket, EPOLLIN | EPOLLEXCLUSIVE, name="epoll_input")

    send(box.peer, b"x", 0)

    case.at("delivered", stirred=stirred())


@clause("wakes.exclusive.idle_isnt_counted")
def test_exclusive_epoll_in_which_nobody_sleeps_doesnt_use_up_a_wake(case: Case) -> None:
    """It has the event all the same, for who asks it."""
    sock, _ = case.pair()
    idle = case.own(epoll_create1(0), "idle")
    epoll_ctl(idle, EPOLL_CTL_ADD, sock, EPOLLIN | EPOLLEXCLUSIVE, 0)
    case.sleep("epoll", sock, EPOLLIN | EPOLLEXCLUSIVE)

    case.deliver(b"x")
    case.fence()

    case.at("delivered", idle=sum(events for events, _ in epoll_wait(idle, 1, 0)))


def sleep_in_one_epoll(case: Case, events: int) -> tuple[Descriptor, list[Sleeper]]:
    """A connected socket, and three threads that sleep in one epoll that has it registered."""
    sock, _ = case.pair()
    epoll = case.own(epoll_create1(0), "epoll")
    epoll_ctl(epoll, EPOLL_CTL_ADD, sock, events, 0)
    return sock, [case.sleep("epoll", epoll, name=f"epoll_{name}") for name in THREE]


@clause("wakes.epoll.level_wakes_all")
def test_data_wakes_every_sleeper_of_a_level_triggered_epoll(case: Case) -> None:
    """Each finds it still ready and hands on, the last comer to the one before."""
    _, sleepers = sleep_in_one_epoll(case, EPOLLIN)

    case.deliver(b"x")
    case.fence()
    for sleeper in reversed(sleepers):
        sleeper.await_asleep()  # or its call is over, and the next one has been woken

    case.at("delivered")


@clause("wakes.epoll.edge_wakes_one")
def test_each_edge_wakes_the_sleeper_that_came_last(case: Case) -> None:
    """They wait exclusively, and its queue is last in, first out: the first isn't even stirred."""
    _, sleepers = sleep_in_one_epoll(case, EPOLLIN | EPOLLET)
    stirred = stirring(case, sleepers[0])

    case.deliver(b"x")
    case.at("one_came")
    case.deliver(b"x")

    case.at("two_came", first_stirred=stirred())


@clause("wakes.epoll.is_polled")
def test_data_wakes_who_polls_the_epoll(case: Case) -> None:
    """An epoll is readable while it has something to report, and has sleepers of its own."""
    sock, _ = case.pair()
    epoll = case.own(epoll_create1(0), "epoll")
    epoll_ctl(epoll, EPOLL_CTL_ADD, sock, EPOLLIN, 0)
    for call in POLLERS:
        case.sleep(call, epoll, INPUT)

    case.deliver(b"x")

    case.at("delivered")


@clause("wakes.signal.hands_on")
def test_receiver_that_was_interrupted_leaves_the_datagram_to_the_next(case: Case) -> None:
    """Who is gone from the queue can't be asked."""
    sock, _ = case.pair()
    first, _ = (case.sleep("recv", sock, 1, name=name) for name in ("first", "second"))

    first.interrupt()
    case.at("interrupted")
    case.deliver(b"x")

    case.at("delivered")


@clause("wakes.signal.interrupts_writer")
def test_writer_is_taken_out_by_a_signal(case: Case) -> None:
    """Nothing has been sent, and nothing is left behind."""
    box = full(case)
    writer = case.sleep(case.variant, box.socket, PAYLOAD, name="writer")

    writer.interrupt()

    case.at("interrupted")


@clause("wakes.signal.cuts_short")
def test_writer_that_has_sent_a_part_is_told_how_much(case: Case) -> None:
    """What had room before the wait is sent, and stays sent."""
    box = case.outbox()
    writer = case.sleep("send", box.socket, bytes(LONG), name="writer")

    writer.interrupt()

    case.at("interrupted")


@clause("wakes.restart.receiver")
def test_receiver_goes_on_after_a_handler_that_restarts(case: Case) -> None:
    """ERESTARTSYS: the call is made again, and waits again."""
    sock, _ = case.pair()
    disturb = restarting(case)
    receiver = case.sleep("recv", sock, 1, name="receiver")

    case.at("handled", handlers=disturb(receiver))
    case.deliver(b"x")

    case.at("delivered")


@clause("wakes.restart.acceptor")
def test_acceptor_goes_on_after_a_handler_that_restarts(case: Case) -> None:
    """ERESTARTSYS: the call is made again, and waits again."""
    listener = case.listener()
    disturb = restarting(case)
    acceptor = case.sleep("accept", listener, name="acceptor")

    case.at("handled", handlers=disturb(acceptor))
    connected(case, listener)

    case.at("connected")


@clause("wakes.restart.writer")
def test_writer_goes_on_after_a_handler_that_restarts(case: Case) -> None:
    """ERESTARTSYS: the call is made again, and waits again."""
    box = full(case)
    disturb = restarting(case)
    writer = case.sleep("send", box.socket, PAYLOAD, name="writer")

    case.at("handled", handlers=disturb(writer))
    make_room(box)

    case.at("given_back")


def disturb_connector(case: Case) -> Descriptor:
    """Have a handler run in a task that sleeps in connect, as the listener's queue is full; returns the listener."""
    listener = case.listener()
    listen(listener, 0)
    connected(case, listener, "first")
    disturb = restarting(case)
    connector = case.sleep("connect", case.socket(), getsockname(listener), name="connector")

    case.at("handled", handlers=disturb(connector))
    return listener


@clause("wakes.restart.connector")
def test_connector_goes_on_after_a_handler_that_restarts(case: Case) -> None:
    """The SYN isn't answered, so that it waits as long as the case lasts."""
    disturb_connector(case)


@clause("wakes.restart.connector_unix")
def test_unix_connector_goes_on_after_a_handler_that_restarts(case: Case) -> None:
    """ERESTARTSYS: the call is made again, and waits again."""
    listener = disturb_connector(case)

    taken(case, listener)

    case.at("accepted")


@clause("wakes.restart.not_with_timeout")
def test_receiver_with_a_timeout_isnt_restarted(case: Case) -> None:
    """The kernel doesn't know how much of it is left, so the caller has to say."""
    sock, _ = case.pair()
    setsockopt_bytes(sock, SOL_SOCKET, SO_RCVTIMEO, HOUR)
    disturb = restarting(case)
    receiver = case.sleep("recv", sock, 1, name="receiver")

    case.at("handled", handlers=disturb(receiver))


@clause("wakes.restart.not_pollers")
def test_pollers_arent_restarted(case: Case) -> None:
    """ERESTARTNOHAND and its like: a handler ends the call, whatever SA_RESTART says."""
    sock, _ = case.pair()
    disturb = restarting(case)
    pollers = [case.sleep(call, sock, INPUT) for call in POLLERS]

    case.at("handled", handlers=sum(disturb(poller) for poller in pollers))
