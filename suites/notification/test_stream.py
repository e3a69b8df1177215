"""A stream's data and its end: what they signal, whom they wake, and that what is told is there to be seen."""

from native import (
    EPOLL_CTL_ADD,
    EPOLLET,
    EPOLLEXCLUSIVE,
    MSG_DONTWAIT,
    MSG_MORE,
    MSG_OOB,
    POLLIN,
    POLLOUT,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    accept4,
    close,
    connect,
    epoll_create1,
    epoll_ctl,
    epoll_wait,
    getsockname,
    linger,
    recv,
    ring_drain,
    sched_setaffinity,
    send,
    shutdown,
    sigaction,
    sigaction_restore,
)
from suites.catalogue import clause
from suites.judge import REASONS
from suites.lab.case import INPUT, Case, Descriptor, attempt
from suites.lab.queueing import unblock
from suites.lab.signals import ARMED

HANGUP = 0
"""What a poller asks for that waits for error and hang-up alone: they come unasked."""

DIRECTIONS = {"write": SHUT_WR, "both": SHUT_RDWR}


def edges(case: Case, sock: Descriptor, role: str, events: int) -> Descriptor:
    """An epoll that has a socket registered for edges of some events."""
    epoll = case.own(epoll_create1(0), role)
    epoll_ctl(epoll, EPOLL_CTL_ADD, sock, events | EPOLLET, 0)
    epoll_wait(epoll, 1, 0)
    return epoll


def reported(epoll: Descriptor) -> int:
    """What an epoll reports now of its one socket."""
    return sum(events for events, _ in epoll_wait(epoll, 1, 0))


def handler(case: Case) -> None:
    """Have a thread wait, on whatever CPU, for the armed signal, whose handler polls the descriptor that the signal names."""
    before = sigaction(ARMED, "polling")

    def restore() -> None:
        sigaction_restore(ARMED, before)

    case.afterwards(restore)
    thread = case.sleep("sigsuspend", ARMED, name="handler")
    sched_setaffinity(thread.tid, case.lab.cpus)


def handled(case: Case) -> dict[str, str | int]:
    """What the handler was told, and what poll said to it; whatever was signalled after that waits."""
    case.await_return("handler")
    (info,) = ring_drain()
    return {"reason": REASONS.get(info.code, f"code {info.code}"), "polled": info.revents}


@clause("stream.segment.signals")
def test_each_segment_is_signalled_though_nothing_is_read(case: Case) -> None:
    """Who doesn't read is told again."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"a")
    case.at("first")
    case.deliver(b"b")

    case.at("second")


@clause("stream.data.wakes_input")
def test_data_gives_no_edge_to_who_waits_for_room(case: Case) -> None:
    """sock_def_readable wakes with a key of input events, and epoll looks at it."""
    sock, _ = case.pair()
    room, hangup = edges(case, sock, "room", POLLOUT), edges(case, sock, "hangup", HANGUP)
    both = edges(case, sock, "both", POLLIN | POLLOUT)

    case.deliver(b"x")
    case.fence()

    case.at("delivered", room=reported(room), hangup=reported(hangup), both=reported(both))


@clause("stream.data.wakes_one_exclusive")
def test_data_wakes_every_poller_and_one_exclusive_epoll(case: Case) -> None:
    """The exclusive ones stand at the queue's end, in the order in which they came."""
    sock, _ = case.pair()
    for name in ("epoll_first", "epoll_second"):
        case.sleep("epoll", sock, POLLIN | EPOLLEXCLUSIVE, name=name)
    for name in ("poll_first", "poll_second"):
        case.sleep("poll", sock, POLLIN, name=name)

    case.deliver(b"x")

    case.at("delivered")


@clause("stream.poller.is_interrupted")
def test_poller_is_taken_out_by_a_signal(case: Case) -> None:
    """It leaves nothing behind: the next data is told as ever."""
    sock, _ = case.pair()
    case.arm(sock)
    sleeper = case.sleep(case.variant, sock, INPUT)

    sleeper.interrupt()
    case.at("interrupted")
    case.deliver(b"x")

    case.at("delivered")


@clause("stream.end.wakes_all")
def test_end_of_the_stream_wakes_every_sleeper(case: Case) -> None:
    """A state change spares nobody."""
    sock, peer = case.pair()
    for name in ("first", "second"):
        case.sleep("recv", sock, 1, name=name)
    for call in ("poll", "select", "epoll"):
        case.sleep(call, sock, INPUT)

    shutdown(peer, SHUT_WR)

    case.at("ended")


@clause("stream.end.is_no_hangup")
def test_end_of_the_stream_is_readable_and_not_hung_up(case: Case) -> None:
    """Our own direction is still open."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, SHUT_WR)
    case.fence()

    case.at("ended", recv=attempt(recv, sock, 1, 0), send=attempt(send, sock, b"x", 0))


@clause("stream.end.comes_with_data")
def test_data_and_end_in_one_segment_are_the_ends_two_signals(case: Case) -> None:
    """tcp_send_fin adds its flag to the segment that MSG_MORE has held back."""
    sock, peer = case.pair()
    case.arm(sock)
    send(peer, b"abc", MSG_MORE)
    case.at("held")

    shutdown(peer, SHUT_WR)
    case.fence()

    case.at("ended", first=attempt(recv, sock, 8, 0), second=attempt(recv, sock, 8, 0))


@clause("stream.end.follows_data")
def test_end_after_data_is_signalled_beside_it(case: Case) -> None:
    """Three signals in all."""
    sock, peer = case.pair()
    case.arm(sock)

    case.deliver(b"abc")
    case.at("delivered")
    shutdown(peer, SHUT_WR)

    case.at("ended")


@clause("stream.end.hangs_up")
def test_end_after_our_own_is_a_hangup(case: Case) -> None:
    """tcp_fin finds both directions closed; a finished stream is readable besides."""
    sock, peer = case.pair()
    case.arm(sock)
    shutdown(sock, DIRECTIONS[case.variant])
    case.at("half")

    shutdown(peer, SHUT_WR)
    case.fence()

    case.at("ended", recv=attempt(recv, sock, 1, 0))


@clause("stream.end.after_shut_read")
def test_end_after_shutting_down_reading_is_no_hangup(case: Case) -> None:
    """Both that happened are of one direction; only our own end, later, makes poll report a hang-up."""
    sock, peer = case.pair()
    case.arm(sock)
    shutdown(sock, SHUT_RD)

    shutdown(peer, SHUT_WR)
    case.at("ended")
    shutdown(sock, SHUT_WR)

    case.at("both")


@clause("stream.shut_read.wakes_poller")
def test_own_shutdown_of_reading_wakes_pollers_and_signals_nothing(case: Case) -> None:
    """inet_shutdown and unix_shutdown end with the state change, which wakes everybody and signals nobody."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep(case.variant, sock, INPUT)

    shutdown(sock, SHUT_RD)

    case.at("shut")


@clause("stream.shut_read.wakes_receiver")
def test_own_shutdown_of_reading_wakes_a_receiver(case: Case) -> None:
    """To the receiver the stream has ended."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep(case.variant, sock, 1, name="receiver")

    shutdown(sock, SHUT_RD)

    case.at("shut")


@clause("stream.shut_read.still_receives")
def test_what_comes_after_shutting_down_reading_is_received(case: Case) -> None:
    """No segment tells the peer of it, and TCP goes on taking data."""
    sock, peer = case.pair()
    case.arm(sock)
    case.arm(peer)

    shutdown(sock, SHUT_RD)
    case.at("shut")
    case.deliver(b"x")
    case.fence()

    case.at("delivered", first=attempt(recv, sock, 8, MSG_DONTWAIT), second=attempt(recv, sock, 8, MSG_DONTWAIT))


@clause("stream.shut_write.is_silent")
def test_own_shutdown_of_writing_is_an_event_for_the_peer_alone(case: Case) -> None:
    """The state change comes with no new bit; who waits for room gets an edge, for the key matches everything."""
    sock, peer = case.pair()
    case.arm(sock)
    case.arm(peer)
    case.sleep("poll", sock, HANGUP)
    room = edges(case, sock, "room", POLLOUT)

    shutdown(sock, SHUT_WR)
    case.fence()

    case.at("shut", room=reported(room))


@clause("stream.shut_both.wakes_hangup")
def test_own_shutdown_of_both_wakes_who_asked_for_nothing(case: Case) -> None:
    """A hang-up needn't be asked for."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep(case.variant, sock, HANGUP)

    shutdown(sock, SHUT_RDWR)

    case.at("shut")


@clause("stream.handler.sees_state")
def test_handler_that_polls_sees_what_it_was_told(case: Case) -> None:
    """Each signal is sent after the state that it tells of has been set, for other CPUs too."""
    listener = case.listener()
    sock = case.socket()
    unblock(sock)
    case.arm(sock)

    handler(case)
    attempt(connect, sock, getsockname(listener))
    case.at("connected", **handled(case))
    peer = case.own(accept4(listener, 0), "peer")
    handler(case)
    case.deliver(b"x")
    case.at("delivered", **handled(case))
    handler(case)
    linger(peer, 1, 0)
    close(peer)

    case.at("reset", **handled(case))


@clause("stream.handler.sees_end")
def test_handler_that_polls_sees_the_end_and_the_hangup(case: Case) -> None:
    """What is shut down is set before tcp_fin tells of it."""
    sock, peer = case.pair()
    case.arm(sock)
    case.arm(peer)

    handler(case)
    shutdown(peer, SHUT_WR)
    case.at("ended", **handled(case))
    handler(case)
    shutdown(sock, SHUT_WR)

    case.at("hung_up", **handled(case))


@clause("stream.mptcp.data_signals")
def test_mptcp_data_signals(case: Case) -> None:
    """What the subflow receives is MPTCP's own at once."""
    sock, _ = case.pair()
    case.arm(sock)

    handler(case)
    case.deliver(b"x")

    case.at("delivered", **handled(case))


@clause("stream.mptcp.urgent_is_data")
def test_mptcp_urgent_byte_is_data_like_any_other(case: Case) -> None:
    """mptcp_sendmsg knows no MSG_OOB."""
    sock, _ = case.pair()
    case.arm(sock)

    handler(case)
    case.deliver(b"u", MSG_OOB)

    case.at("delivered", **handled(case), recv=attempt(recv, sock, 8, 0))


@clause("stream.mptcp.end_signals")
def test_mptcp_end_of_stream_signals_the_peer(case: Case) -> None:
    """A worker of the kernel's may be the one who handles it, so the case waits for the signal."""
    sock, peer = case.pair()
    case.arm(sock)

    handler(case)
    if case.variant == "shutdown":
        shutdown(peer, SHUT_WR)
    else:
        close(peer)

    case.at("ended", **handled(case))


@clause("stream.mptcp.own_end_signals")
def test_mptcp_signals_who_ends_its_stream_once_the_peer_knows(case: Case) -> None:
    """mptcp_check_data_fin_ack tells by the same function as the arrival of an end."""
    sock, _ = case.pair()
    case.arm(sock)

    handler(case)
    shutdown(sock, SHUT_WR)

    case.at("acknowledged", **handled(case))


@clause("stream.mptcp.both_ends_hang_up")
def test_mptcp_end_after_our_own_is_a_hangup(case: Case) -> None:
    """Arrival and acknowledgement may both tell of it."""
    sock, peer = case.pair()
    case.arm(sock)
    handler(case)
    shutdown(sock, SHUT_WR)
    case.at("half", **handled(case))

    handler(case)
    shutdown(peer, SHUT_WR)

    case.at("ended", **handled(case))


@clause("stream.mptcp.reset_is_an_error")
def test_mptcp_reset_is_an_error_event(case: Case) -> None:
    """mptcp_do_fastclose resets the connection with each of its subflows."""
    sock, peer = case.pair()
    case.arm(sock)

    handler(case)
    linger(peer, 1, 0)
    close(peer)

    case.at("reset", **handled(case))
