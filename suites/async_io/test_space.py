"""SOCK_WAKE_SPACE: the return of room is signalled if it was missed before, and once."""

from native import MSG_DONTWAIT, SHUT_WR, send, shutdown
from suites.catalogue import clause
from suites.lab.case import INPUT, OUTPUT, Case, attempt
from suites.lab.outbox import SMALL


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


@clause("space.poll.marks")
def test_poll_that_finds_no_room_has_its_return_signalled_once(case: Case) -> None:
    """No send has failed: the poll alone is the cause."""
    box = case.outbox()
    case.arm(box.socket)
    box.load()

    case.at("asked", found=case.ask(case.variant, box.socket, OUTPUT))
    box.let_all_go()
    case.at("drained")
    box.send()
    box.let_all_go()

    case.at("again")


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
