"""SOCK_WAKE_WAITD: who waits for data in a receiving call is woken, and isn't signalled as well."""

import struct

from native import (
    MSG_DONTWAIT,
    MSG_OOB,
    MSG_PEEK,
    MSG_WAITALL,
    SHUT_RDWR,
    SHUT_WR,
    SO_RCVTIMEO,
    SOL_SOCKET,
    close,
    linger,
    pipe2,
    recv,
    sched_setaffinity,
    setsockopt_bytes,
    shutdown,
)
from suites.catalogue import clause
from suites.lab.case import INPUT, Case, attempt

ROUNDS = 32


@clause("waitd.receiver.suppresses")
def test_blocked_receiver_takes_the_data_and_no_signal_is_sent(case: Case) -> None:
    """The mark is the receiver's: with it gone, the next byte signals."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep(case.variant, sock, 1, name="receiver")

    case.deliver(b"x")
    case.at("delivered")
    case.deliver(b"y")

    case.at("next")


@clause("waitd.unix.race")
def test_receiver_on_another_cpu_is_signalled_now_and_then(case: Case) -> None:
    """The receiver may run wherever it likes, the sender stays where the case is."""
    sock, _ = case.pair()
    case.arm(sock)
    sent = 0
    for _ in range(ROUNDS):
        receiver = case.sleep("recv", sock, 1, name="receiver")
        sched_setaffinity(receiver.tid, case.lab.cpus)
        case.deliver(b"x")
        case.await_return("receiver")
        sent += case.forget_signals("receiver")

    case.at("raced", rounds=ROUNDS, signals_sent=sent)


@clause("waitd.mptcp.suppresses")
def test_blocked_mptcp_receiver_takes_the_data_and_no_signal_is_sent(case: Case) -> None:
    """mptcp_recvmsg waits as TCP does."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep(case.variant, sock, 1, name="receiver")

    case.deliver(b"x")

    case.at("delivered")


@clause("waitd.splicer.suppresses")
def test_blocked_splice_moves_the_data_and_no_signal_is_sent(case: Case) -> None:
    """The wait for a stream's data is the same whoever wants it."""
    sock, _ = case.pair()
    case.arm(sock)
    _, into = (case.own(end, role) for end, role in zip(pipe2(0), ("pipe_out", "pipe_in"), strict=True))
    case.sleep("splice", sock, into, 1, name="receiver")

    case.deliver(b"x")
    case.at("delivered")
    case.deliver(b"y")

    case.at("next")


@clause("waitd.peeker.suppresses")
def test_blocked_peeker_sees_the_data_and_no_signal_is_sent(case: Case) -> None:
    """MSG_PEEK waits like any other receive."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep("recv", sock, 1, MSG_PEEK, name="receiver")

    case.deliver(b"x")

    case.at("delivered")


@clause("waitd.waitall.suppresses")
def test_receiver_of_three_bytes_sleeps_through_two_without_a_signal(case: Case) -> None:
    """MSG_WAITALL sets the mark anew for each part."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep("recv", sock, 3, MSG_WAITALL, name="receiver")

    case.deliver(b"a")
    case.at("first")
    case.deliver(b"b")
    case.at("second")
    case.deliver(b"c")

    case.at("complete")


@clause("waitd.two_receivers.suppress")
def test_two_blocked_receivers_take_two_segments_without_a_signal(case: Case) -> None:
    """Who is woken in vain marks the socket again."""
    sock, _ = case.pair()
    case.arm(sock)
    receivers = [case.sleep("recv", sock, 1, name=name) for name in ("first", "second")]

    case.deliver(b"x")
    case.fence()
    asleep = sum(receiver.await_asleep() for receiver in receivers)
    case.deliver(b"y")

    case.at("delivered", asleep_after_one=asleep)


@clause("waitd.two_receivers.share_the_mark")
def test_receiver_that_leaves_unmarks_the_socket_of_another(case: Case) -> None:
    """There is one bit for all who wait."""
    sock, _ = case.pair()
    case.arm(sock)
    first = case.sleep("recv", sock, 1, name="first")
    case.sleep("recv", sock, 1, name="second")

    first.interrupt()
    case.at("interrupted")
    case.deliver(b"x")

    case.at("delivered")


@clause("waitd.receiver.signals")
def test_blocked_datagram_receiver_is_woken_and_signalled(case: Case) -> None:
    """__skb_wait_for_more_packets sets no mark."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep(case.variant, sock, 1, name="receiver")

    case.deliver(b"x")

    case.at("delivered")


@clause("waitd.poller.signals")
def test_blocked_poller_is_woken_and_the_owner_signalled(case: Case) -> None:
    """One event serves both queues, the sleepers' and the subscribers'."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep(case.variant, sock, INPUT)

    case.deliver(b"x")

    case.at("delivered")


@clause("waitd.request.poll_signals")
def test_pending_poll_request_completes_and_the_owner_is_signalled(case: Case) -> None:
    """Who waits by a callback sets no mark."""
    sock, _ = case.pair()
    case.arm(sock)
    engine = {"io_uring": case.lab.ring, "aio": case.lab.aio}[case.variant]
    assert engine
    engine.begin_poll(sock, INPUT)

    case.deliver(b"x")

    case.at("delivered", request=engine.end())


@clause("waitd.request.receive_signals")
def test_pending_receive_request_takes_the_data_and_the_owner_is_signalled(case: Case) -> None:
    """The request's own receive is told not to wait."""
    sock, _ = case.pair()
    case.arm(sock)
    ring = case.lab.ring
    assert ring
    ring.begin_recv(sock)

    case.deliver(b"x")

    case.at("delivered", request=attempt(ring.end_recv))


@clause("waitd.end.suppressed")
def test_end_of_stream_wakes_a_blocked_receiver_without_a_signal(case: Case) -> None:
    """tcp_fin and unix_shutdown tell the end by WAITD."""
    sock, peer = case.pair()
    case.arm(sock)
    case.sleep("recv", sock, 1, name="receiver")

    with case.lab.unpreempted():
        shutdown(peer, SHUT_WR)

    case.at("shut")


@clause("waitd.hangup.suppressed")
def test_end_of_both_directions_wakes_a_blocked_receiver_without_a_signal(case: Case) -> None:
    """The subject's own direction has ended before."""
    sock, peer = case.pair()
    case.arm(sock)
    shutdown(sock, SHUT_WR)
    case.sleep("recv", sock, 1, name="receiver")

    with case.lab.unpreempted():
        shutdown(peer, SHUT_RDWR)

    case.at("ended")


@clause("waitd.hangup.suppressed_at_close")
def test_close_of_a_unix_peer_wakes_a_blocked_receiver_without_a_signal(case: Case) -> None:
    """unix_release_sock tells POLL_HUP by WAITD."""
    sock, peer = case.pair()
    case.arm(sock)
    case.sleep("recv", sock, 1, name="receiver")

    with case.lab.unpreempted():
        close(peer)

    case.at("ended")


@clause("waitd.end.signals_twice")
def test_fin_signals_readable_twice(case: Case) -> None:
    """Once from tcp_fin, once because a finished stream is readable."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, SHUT_WR)

    case.at("shut")


@clause("waitd.end.signals_once")
def test_unix_shutdown_signals_readable_once(case: Case) -> None:
    """unix_shutdown wakes sleepers with the state change, which signals nothing, and subscribers with POLL_IN."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, SHUT_WR)

    case.at("shut")


@clause("waitd.reset.signals")
def test_reset_signals_although_a_receiver_is_blocked(case: Case) -> None:
    """The receiver takes the error, so SO_ERROR has none left."""
    sock, peer = case.pair()
    case.arm(sock)
    case.sleep("recv", sock, 1, name="receiver")

    linger(peer, 1, 0)
    close(peer)

    case.at("reset")


@clause("waitd.urgent.signals")
def test_urgent_byte_signals_although_a_receiver_is_blocked(case: Case) -> None:
    """SIGURG goes to the owner whatever O_ASYNC says; the armed signal tells POLL_PRI."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep("recv", sock, 1, name="receiver")

    case.deliver(b"u", MSG_OOB)

    case.at("urgent")


@clause("waitd.interrupted.signals")
def test_interrupted_receiver_leaves_no_mark(case: Case) -> None:
    """EINTR ends the wait like data does."""
    sock, _ = case.pair()
    case.arm(sock)
    receiver = case.sleep("recv", sock, 1, name="receiver")

    receiver.interrupt()
    case.at("interrupted")
    case.deliver(b"x")

    case.at("next")


@clause("waitd.timed_out.signals")
def test_receiver_whose_time_is_over_leaves_no_mark(case: Case) -> None:
    """A wait that ends for want of time ends like any other."""
    sock, _ = case.pair()
    case.arm(sock)
    setsockopt_bytes(sock, SOL_SOCKET, SO_RCVTIMEO, struct.pack("@ll", 0, 1000))

    case.at("timed_out", recv=attempt(recv, sock, 1))
    case.deliver(b"x")

    case.at("next")


@clause("waitd.late_arming.signals")
def test_receiver_asleep_before_arming_is_signalled(case: Case) -> None:
    """sk_set_bit does nothing on a socket without O_ASYNC."""
    sock, _ = case.pair()
    case.sleep("recv", sock, 1, name="receiver")
    case.arm(sock)

    case.deliver(b"x")

    case.at("delivered")


@clause("waitd.stuck_mark.suppresses")
def test_mark_outlives_a_receiver_whose_socket_was_disarmed(case: Case) -> None:
    """sk_clear_bit does nothing on a socket without O_ASYNC either."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep("recv", sock, 1, name="receiver")

    case.disarm(sock)
    case.deliver(b"x")
    case.at("returned")
    case.arm(sock)
    case.deliver(b"y")
    case.fence()
    case.at("rearmed", recv=attempt(recv, sock, 1, MSG_DONTWAIT))
    case.sleep("recv", sock, 1, name="receiver")
    case.deliver(b"z")
    case.at("waited")
    case.deliver(b"x")

    case.at("healed")
