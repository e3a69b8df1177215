"""Write space: the exact charge at which room goes and comes back, for who polls, sleeps or is signalled."""

from native import IPPROTO_TCP, POLLOUT, TCP_NOTSENT_LOWAT, poll_one, setsockopt
from suites.catalogue import clause
from suites.lab.case import OUTPUT, Case, attempt
from suites.lab.outbox import Outbox

STEP = 2
"""SO_SNDBUF's step in bytes: the kernel doubles what it is given."""


def step_over_the_boundary(case: Case, box: Outbox) -> None:
    """Move the send buffer from one step below the boundary to one above it, with the charge standing still."""
    boundary = box.threshold()

    box.room(boundary - STEP)
    case.at("below")
    box.room(boundary)
    case.at("on")
    box.room(boundary + STEP)
    case.at("above")


@clause("room.datagram.half")
def test_datagram_room_is_less_than_half_used(case: Case) -> None:
    """Three packets stay charged while the send buffer moves."""
    box = case.outbox()
    for _ in range(3):
        box.send()

    step_over_the_boundary(case, box)


@clause("room.unix.quarter")
def test_unix_room_is_at_most_a_quarter_used(case: Case) -> None:
    """Three packets stay charged while the send buffer moves."""
    box = case.outbox()
    for _ in range(3):
        box.send()

    step_over_the_boundary(case, box)


@clause("room.tcp.two_thirds")
def test_tcp_room_is_at_most_two_thirds_used(case: Case) -> None:
    """The peer's window is closed, so what is queued stays."""
    box = case.outbox()
    box.fill()

    step_over_the_boundary(case, box)


@clause("room.fill.takes")
def test_packet_over_the_boundary_takes_the_room_away(case: Case) -> None:
    """Two packets' charge finds the boundary; then they are sent again, with the boundary below, on and above it."""
    box = case.outbox()
    box.send()
    box.send()
    boundary = box.threshold()
    box.let_all_go()

    def send_and_give_back(size: int) -> dict[str, int]:
        box.room(size)
        looks = {}
        for name in ("after_one", "after_two"):
            box.send()
            looks[name] = case.ask("poll", box.socket, OUTPUT)
        box.let_all_go()
        return looks | {"given_back": case.ask("poll", box.socket, OUTPUT)}

    case.at("below", **send_and_give_back(boundary - STEP))
    case.at("on", **send_and_give_back(boundary))

    case.at("above", **send_and_give_back(boundary + STEP))


@clause("room.tcp.notsent_lowat")
def test_tcp_room_needs_less_than_half_of_the_low_water_mark_unsent(case: Case) -> None:
    """Setting the mark is a write-space event, so it moves over the boundary with nothing sent."""
    box = case.outbox()
    box.fill()
    box.room(200_000)

    def set_mark(size: int) -> int:
        setsockopt(box.socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, size)
        return size

    too_small, enough = 1, 1 << 20
    while enough - too_small > 1:
        middle = (too_small + enough) // 2
        set_mark(middle)
        too_small, enough = (too_small, middle) if poll_one(box.socket, POLLOUT) else (middle, enough)
    set_mark(too_small)
    case.arm(box.socket)
    case.sleep("poll", box.socket, OUTPUT)

    case.at("below", lowat=set_mark(too_small))
    case.at("on", lowat=set_mark(enough))

    case.at("above", lowat=set_mark(enough + 1))


@clause("room.step.wakes")
def test_room_wakes_and_signals_on_the_boundary_and_not_below(case: Case) -> None:
    """The poller's own look is what marks the socket."""
    box = case.outbox()
    box.load()
    boundary = box.threshold()
    box.room(boundary - STEP)
    case.arm(box.socket)
    case.sleep("poll", box.socket, OUTPUT)

    box.room(boundary - STEP)
    case.at("below")
    box.room(boundary)
    case.at("on")
    box.room(boundary + STEP)

    case.at("above")


@clause("room.step.wakes_unix_stream")
def test_unix_stream_room_wakes_and_signals_on_the_boundary_and_not_below(case: Case) -> None:
    """The failed send is what marks the socket."""
    box = case.outbox()
    box.load()
    boundary = box.threshold()
    box.room(0)
    case.arm(box.socket)
    refused = attempt(box.send)
    case.sleep("poll", box.socket, OUTPUT)

    box.room(boundary - STEP)
    case.at("below", send=refused)
    box.room(boundary)
    case.at("on")
    box.room(boundary + STEP)

    case.at("above")


def give_back_over_the_boundary(case: Case, spare: int) -> None:
    """Hold two packets to find the boundary, add a third, and give them back one by one with the boundary `spare` bytes off."""
    box = case.outbox()
    box.send()
    box.send()
    boundary = box.threshold()
    box.room(2 * boundary)
    box.send()
    box.room(boundary + spare)
    case.arm(box.socket)
    case.sleep("poll", box.socket, OUTPUT)

    case.at("full")
    box.let_go()
    case.at("one")
    box.let_go()
    case.at("two")


@clause("room.release.below")
def test_packet_that_makes_too_little_room_is_silent(case: Case) -> None:
    """One step of the send buffer is missing."""
    give_back_over_the_boundary(case, spare=-STEP)


@clause("room.release.on")
def test_packet_that_makes_just_enough_room(case: Case) -> None:
    """What the callback sees is what poll sees, if the whole packet is off the account by then."""
    give_back_over_the_boundary(case, spare=0)


@clause("room.release.on_counts_one_more")
def test_packet_socket_counts_one_byte_of_the_packet_that_makes_room(case: Case) -> None:
    """sock_wfree keeps one byte on the account so that the socket outlives its callback."""
    give_back_over_the_boundary(case, spare=0)


@clause("room.release.on_unix")
def test_unix_counts_one_byte_of_the_packet_that_makes_room(case: Case) -> None:
    """sock_wfree keeps one byte on the account so that the socket outlives its callback."""
    give_back_over_the_boundary(case, spare=0)


@clause("room.release.above")
def test_packet_that_makes_room_to_spare_signals_once(case: Case) -> None:
    """Two steps are a byte more for half, four are a byte more for a quarter; both are enough."""
    give_back_over_the_boundary(case, spare=2 * STEP)
