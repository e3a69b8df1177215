"""SOCK_WAKE_SPACE: the return of room is signalled if it was missed before, and once."""

from native import (
    MSG_DONTWAIT,
    SHUT_WR,
    bind,
    close,
    connect,
    getsockname,
    recv,
    send,
    shutdown,
    sockaddr_un,
)
from suites.catalogue import clause
from suites.lab.calls import fill_queue
from suites.lab.case import INPUT, OUTPUT, Case, Descriptor, attempt
from suites.lab.outbox import SMALL, NeighbourOutbox


@clause("space.failed_send.signals_once")
def test_failed_send_has_the_return_of_room_signalled_once(case: Case) -> None:
    """The round in between, with room all the time, is silent."""
    box = case.outbox()
    case.arm(box.socket)

    box.fill()
    case.at("full", send=attempt(box.send))
    box.let_all_go()
    case.at("drained")
    box.send()
    box.let_all_go()
    case.at("again")
    box.fill()
    case.at("full_again", send=attempt(box.send))
    box.let_all_go()

    case.at("drained_again")


def fill_and_drain_twice(case: Case, own_header: bool = False) -> None:
    """Have a send fail, give the room back, and do it again with room all the time."""
    box = case.outbox()
    if own_header:
        assert isinstance(box, NeighbourOutbox)
        box.write_header()
    case.arm(box.socket)

    box.fill()
    case.at("full", send=attempt(box.send))
    box.let_all_go()
    case.at("drained")
    box.send()
    box.let_all_go()

    case.at("again")


@clause("space.ping.failed_send")
def test_failed_echo_request_has_the_return_of_room_signalled_once(case: Case) -> None:
    """What decides is which of two ways the packet's memory comes."""
    fill_and_drain_twice(case)


@clause("space.raw.is_silent")
def test_raw_socket_fails_at_twice_its_buffer_and_nothing_is_signalled(case: Case) -> None:
    """Later parts of a packet are allocated without a wait, and to raw sockets all parts are later ones."""
    box = case.outbox()
    case.arm(box.socket)

    box.fill()
    case.at("full", send=attempt(box.send), send_that_may_block=attempt(box.send, 0))
    box.let_all_go()

    case.at("drained")


@clause("space.raw.own_header_signals")
def test_raw_socket_with_its_own_headers_has_the_return_of_room_signalled_once(case: Case) -> None:
    """raw_send_hdrinc allocates the packet whole."""
    fill_and_drain_twice(case, own_header=True)


@clause("space.short_send.signals_once")
def test_short_send_has_the_return_of_room_signalled_once(case: Case) -> None:
    """What didn't fit is a want of room too."""
    box = case.outbox()
    box.load()
    box.room(4 * SMALL)
    case.arm(box.socket)
    much = b"x" * 1_000_000

    case.at("full", took_a_part=int(0 < send(box.socket, much, MSG_DONTWAIT) < len(much)))
    box.let_all_go()
    case.at("drained")
    box.send()
    box.let_all_go()

    case.at("again")


@clause("space.unmarked.is_silent")
def test_room_that_nobody_missed_comes_back_silently(case: Case) -> None:
    """The socket is beyond its threshold; only the sizes of its queues are looked at."""
    box = case.outbox()
    case.arm(box.socket)

    box.load()
    case.at("loaded", beyond=1)
    box.let_all_go()

    case.at("drained")


@clause("space.release.edges")
def test_each_packet_given_back_is_an_edge_and_no_signal(case: Case) -> None:
    """The callback asks for sleepers, not for the mark."""
    box = case.outbox()
    box.room(100_000)
    case.arm(box.socket)

    box.send()
    box.send()
    case.at("sent")
    box.let_go()
    case.at("one")
    box.let_go()

    case.at("two")


@clause("space.release.tcp_has_no_edge")
def test_acknowledged_data_that_nobody_waited_for_is_no_edge(case: Case) -> None:
    """tcp_check_space returns before it calls the callback."""
    box = case.outbox()
    case.arm(box.socket)

    box.send()
    case.at("sent")
    box.let_all_go()

    case.at("drained")


def ask_without_room(case: Case) -> None:
    """Ask an armed socket that has no room, let the room come back, and use it once more."""
    box = case.outbox()
    case.arm(box.socket)
    box.load()

    case.at("asked", found=case.ask(case.variant, box.socket, OUTPUT))
    box.let_all_go()
    case.at("drained")
    box.send()
    box.let_all_go()

    case.at("again")


@clause("space.poll.marks")
def test_poll_that_finds_no_room_has_its_return_signalled_once(case: Case) -> None:
    """No send has failed: the poll alone is the cause."""
    ask_without_room(case)


@clause("space.poll.request_marks")
def test_request_to_poll_that_finds_no_room_has_its_return_signalled_once(case: Case) -> None:
    """The mark outlives the request."""
    ask_without_room(case)


@clause("space.polls.signal_once")
def test_many_polls_without_room_have_its_return_signalled_once(case: Case) -> None:
    """Marking what is marked changes nothing."""
    box = case.outbox()
    case.arm(box.socket)
    box.fill()

    case.at("asked", found=sum(case.ask(observer, box.socket, OUTPUT) for observer in ("poll", "select", "epoll")))
    box.let_all_go()

    case.at("drained")


def look_and_give_back(case: Case, observer: str, events: int) -> None:
    """Ask one observer of a socket without room, and give the room back."""
    box = case.outbox()
    case.arm(box.socket)
    box.load()

    case.at("asked", found=case.ask(observer, box.socket, events))
    box.let_all_go()

    case.at("drained")


@clause("space.poll.input_marks")
def test_poll_for_input_has_the_return_of_room_signalled(case: Case) -> None:
    """tcp_poll and datagram_poll look for room before anybody asks what was wanted."""
    look_and_give_back(case, "poll", INPUT)


@clause("space.poll.input_is_silent")
def test_unix_poll_for_input_marks_nothing(case: Case) -> None:
    """unix_dgram_poll returns before it looks for room if nobody asks for it."""
    look_and_give_back(case, "poll", INPUT)


@clause("space.poll.unix_stream_is_silent")
def test_unix_stream_poll_marks_nothing(case: Case) -> None:
    """unix_poll only looks."""
    look_and_give_back(case, case.variant, OUTPUT)


@clause("space.poll.mptcp_is_silent")
def test_mptcp_poll_marks_nothing(case: Case) -> None:
    """No send has failed: only polls have found the room gone."""
    box = case.outbox()
    case.arm(box.socket)
    while case.ask("poll", box.socket, OUTPUT):
        box.send()

    case.at("asked", found=case.ask("poll", box.socket, OUTPUT))
    box.let_all_go()

    case.at("drained")


@clause("space.mptcp.failed_send")
def test_failed_mptcp_send_has_the_return_of_room_signalled_once(case: Case) -> None:
    """The wait that a send without room may not make sets the mark."""
    box = case.outbox()
    case.arm(box.socket)

    box.fill()
    case.at("full", send=attempt(box.send))
    box.let_all_go()

    case.at("drained")


@clause("space.blocked_writer.is_silent")
def test_blocked_writer_takes_the_room_and_no_signal_is_sent(case: Case) -> None:
    """The writer's own wait clears the mark that its want of room had set."""
    box = case.outbox()
    case.arm(box.socket)
    box.load()
    case.sleep("send", box.socket, box.payload, name="writer")

    case.at("loaded")
    box.let_all_go()
    case.await_return("writer")
    box.let_all_go()

    case.at("drained")


@clause("space.late_arming.is_silent")
def test_send_that_failed_before_arming_is_forgotten(case: Case) -> None:
    """sk_set_bit does nothing on a socket without O_ASYNC."""
    box = case.outbox()
    box.fill()
    case.arm(box.socket)

    case.disarm(box.socket)
    case.at("full", send=attempt(box.send))
    case.arm(box.socket)
    box.let_all_go()

    case.at("drained")


@clause("space.stuck_mark.signals")
def test_mark_outlives_the_want_of_room_on_a_disarmed_socket(case: Case) -> None:
    """The mark waits for the next packet that is given back with O_ASYNC on."""
    box = case.outbox()
    case.arm(box.socket)
    box.fill()

    case.disarm(box.socket)
    box.let_all_go()
    case.at("drained")
    case.arm(box.socket)
    box.send()
    box.let_all_go()
    case.at("rearmed")
    box.send()
    box.let_all_go()

    case.at("again")


@clause("space.larger_buffer.signals")
def test_raised_send_buffer_signals_at_once(case: Case) -> None:
    """Nothing is given back: the limit moves away from the charge."""
    box = case.outbox()
    case.arm(box.socket)
    box.fill()

    case.at("full", send=attempt(box.send))
    box.room(200_000)

    case.at("raised")


@clause("space.shut_down.is_silent")
def test_tcp_that_has_shut_down_signals_no_room(case: Case) -> None:
    """sk_stream_write_space looks at the shutdown before it signals."""
    box = case.outbox()
    case.arm(box.socket)
    box.fill()

    case.at("full", send=attempt(box.send))
    shutdown(box.socket, SHUT_WR)
    box.let_all_go()

    case.at("drained")


@clause("space.shut_down.signals")
def test_datagram_socket_that_has_shut_down_signals_room(case: Case) -> None:
    """Nothing can be sent, and there is room for it."""
    box = case.outbox()
    case.arm(box.socket)
    box.fill()

    case.at("full", send=attempt(box.send))
    shutdown(box.socket, SHUT_WR)
    box.let_all_go()

    case.at("drained")


def fill_and_close_the_peer(case: Case) -> None:
    """Have a send fail, then close the peer with all of it unread."""
    box = case.outbox()
    case.arm(box.socket)
    box.fill()

    case.at("full", send=attempt(box.send))
    close(box.peer)

    case.at("closed")


@clause("space.peer_closed.signals")
def test_close_of_a_unix_datagram_peer_is_room(case: Case) -> None:
    """The queue of a socket that goes is purged, packet by packet."""
    fill_and_close_the_peer(case)


@clause("space.peer_closed.signals_after_the_end")
def test_close_of_a_unix_peer_is_an_end_and_then_room(case: Case) -> None:
    """unix_release_sock tells the peer before it purges the queue."""
    fill_and_close_the_peer(case)


def fill_the_queue_of_a_peer(case: Case) -> tuple[Descriptor, Descriptor]:
    """An armed socket whose peer, which isn't connected back, takes no more (net/unix/af_unix.c unix_recvq_full)."""
    sock, peer = case.socket(), case.socket("peer")
    bind(peer, sockaddr_un(b""))
    connect(sock, getsockname(peer))
    case.arm(sock)
    fill_queue(sock)
    return sock, peer


@clause("space.peer_queue.is_silent")
def test_datagram_refused_by_the_peers_queue_marks_nothing(case: Case) -> None:
    """The sender's own buffer was never short."""
    sock, peer = fill_the_queue_of_a_peer(case)

    case.at("full", send=attempt(send, sock, b"x", MSG_DONTWAIT))
    recv(peer, 1)

    case.at("read")


@clause("space.peer_queue.poll_signals")
def test_poll_that_finds_the_peers_queue_full_has_its_reading_signalled_once(case: Case) -> None:
    """The datagram that is read is given back to the sender."""
    sock, peer = fill_the_queue_of_a_peer(case)

    case.at("full", found=case.ask("poll", sock, OUTPUT))
    recv(peer, 1)
    case.at("read")
    recv(peer, 1)

    case.at("again")


@clause("space.peer_queue.refusal_signals")
def test_datagram_refused_after_a_poll_signals_room_that_is_not_there(case: Case) -> None:
    """Memory that was taken in vain is given back like any other."""
    sock, peer = fill_the_queue_of_a_peer(case)

    case.at("asked", found=case.ask("poll", sock, OUTPUT))
    case.at("refused", send=attempt(send, sock, b"x", MSG_DONTWAIT))
    recv(peer, 1)

    case.at("read")
