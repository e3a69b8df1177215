"""Write space: the exact charge at which room goes and comes back, for who polls, sleeps or is signalled."""

from native import (
    IP_RECVERR,
    IPPROTO_IP,
    IPPROTO_TCP,
    MSG_DONTWAIT,
    MSG_PEEK,
    POLLOUT,
    SO_RCVBUF,
    SO_SNDBUF,
    SOL_SOCKET,
    TCP_NOTSENT_LOWAT,
    close,
    connect,
    fstat,
    getsockname,
    getsockopt,
    ioctl_outq,
    ioctl_outqnsd,
    poll_one,
    recv,
    send,
    setsockopt,
    so_meminfo,
)
from suites.catalogue import clause
from suites.lab.case import OUTPUT, Case, attempt
from suites.lab.counters import listed, protocol_counts, protocol_of, tx_queue
from suites.lab.outbox import PAYLOAD, NeighbourOutbox, Outbox, read_all

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


@clause("room.send.goes_on")
def test_socket_without_room_for_poll_takes_another_packet(case: Case) -> None:
    """What send asks is whether the buffer is full."""
    box = case.outbox()
    while case.ask("poll", box.socket, OUTPUT):
        box.send()

    case.at("beyond", send=box.send())


@clause("room.send.limit")
def test_packet_is_refused_once_the_send_buffer_is_charged(case: Case) -> None:
    """The send buffer moves over the charge of three packets, which stays."""
    box = case.outbox()
    for _ in range(3):
        box.send()
    charge = so_meminfo(box.socket).wmem_alloc

    box.room(charge)
    case.at("full", send=attempt(box.send))
    box.room(charge + STEP)

    case.at("a_step_more", send=attempt(box.send))


@clause("room.send.limit_raw")
def test_raw_packet_is_refused_once_twice_the_send_buffer_is_charged(case: Case) -> None:
    """Half the charge of six packets is more than the least send buffer that can be had."""
    box = case.outbox()
    for _ in range(6):
        box.send()
    half = so_meminfo(box.socket).wmem_alloc // 2

    box.room(half)
    case.at("full", send=attempt(box.send))
    box.room(half + STEP)

    case.at("a_step_more", send=attempt(box.send))


@clause("room.send.limit_tcp")
def test_tcp_segment_is_refused_once_the_send_buffer_is_queued(case: Case) -> None:
    """Only where a new segment is needed does tcp_sendmsg_locked look at the send buffer."""
    box = case.outbox()
    box.fill()
    even = so_meminfo(box.socket).wmem_queued // STEP * STEP

    box.room(even)
    case.at("full", send=attempt(box.send))
    box.room(even + STEP)

    case.at("a_step_more", taken=int(box.send() > 0))


@clause("room.send.limit_notsent")
def test_tcp_segment_is_refused_once_the_low_water_mark_is_unsent(case: Case) -> None:
    """The send buffer is far away."""
    box = case.outbox()
    box.fill()
    box.room(200_000)
    unsent = ioctl_outqnsd(box.socket)

    setsockopt(box.socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsent)
    case.at("full", send=attempt(box.send), lowat=unsent)
    setsockopt(box.socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsent + 1)

    case.at("a_byte_more", taken=int(box.send() > 0), lowat=unsent + 1)


@clause("room.charge.by_packet")
def test_packets_are_charged_and_given_back_whole(case: Case) -> None:
    """One packet's memory is every packet's."""
    box = case.outbox()

    box.send()
    case.at("one")
    box.send()
    case.at("two")
    box.let_go()
    case.at("one_again")
    box.let_go()

    case.at("none")


@clause("room.charge.byte")
def test_byte_is_charged_the_memory_that_carries_it(case: Case) -> None:
    """skb->truesize counts the structures and what the allocator rounds up."""
    sock, peer = case.pair()

    send(sock, b"x")
    case.at("byte")
    recv(peer, 1)
    send(sock, PAYLOAD)

    case.at("thousand")


@clause("room.charge.part_frees_nothing")
def test_unix_stream_is_charged_until_the_last_byte_is_read(case: Case) -> None:
    """unix_stream_read_generic frees an skb that is empty, and no part of one."""
    sock, peer = case.pair()

    send(sock, PAYLOAD)
    case.at("sent")
    recv(peer, len(PAYLOAD), MSG_PEEK)
    case.at("peeked")
    recv(peer, len(PAYLOAD) - 1)
    case.at("all_but_one")
    recv(peer, 1)

    case.at("all")


@clause("room.charge.part_frees_all")
def test_unix_message_is_given_back_whole(case: Case) -> None:
    """What of a message isn't read is thrown away."""
    sock, peer = case.pair()

    send(sock, PAYLOAD)
    case.at("sent")
    recv(peer, 1, MSG_PEEK)
    case.at("peeked")
    recv(peer, 1)

    case.at("one_byte")


@clause("room.loopback.gives_back")
def test_loopback_leaves_the_sender_without_a_charge(case: Case) -> None:
    """The peer sends; the subject hasn't read."""
    case.pair()

    case.deliver(b"x")

    case.at("sent")


@clause("room.netlink.is_always_there")
def test_netlink_sender_has_room_that_a_full_receiver_refuses(case: Case) -> None:
    """netlink_attachskb charges the receiver."""
    sock, peer = case.pair()
    case.arm(sock)
    while attempt(send, sock, PAYLOAD, MSG_DONTWAIT) == len(PAYLOAD):
        pass

    case.at("full", send=attempt(send, sock, PAYLOAD, MSG_DONTWAIT))
    read_all(peer)

    case.at("read")


@clause("room.neighbour.gives_up")
def test_packets_dropped_for_want_of_a_neighbour_are_room(case: Case) -> None:
    """Who frees a packet makes no difference to its sender's account."""
    box = case.outbox()
    assert isinstance(box, NeighbourOutbox)
    case.arm(box.socket)
    box.load()

    case.at("full", found=case.ask("poll", box.socket, OUTPUT))
    box.give_up()

    case.at("dropped")


@clause("room.neighbour.is_reported")
def test_datagram_dropped_for_want_of_a_neighbour_is_an_error(case: Case) -> None:
    """The error finds the socket because it is connected; the queue reports it, and the protocol's handler once more."""
    box = case.outbox()
    assert isinstance(box, NeighbourOutbox)
    setsockopt(box.socket, IPPROTO_IP, IP_RECVERR, 1)
    case.arm(box.socket)

    send(box.socket, box.payload)
    case.at("sent")
    box.give_up()

    case.at("dropped")


@clause("room.closed.leaves_its_table")
def test_socket_closed_with_packets_held_is_listed_no_more(case: Case) -> None:
    """close unhashes at once; only freeing waits."""
    name = case.family.name
    before = protocol_counts()[protocol_of(name)]
    box = case.outbox()
    inode = fstat(box.socket).ino

    def shown() -> dict[str, int]:
        return {"listed": listed(name, inode), "counted": protocol_counts()[protocol_of(name)] - before}

    box.send()
    case.at("held", **shown())
    close(box.socket)

    case.at("closed", **shown())


@clause("room.accounts.agree")
def test_charge_is_the_same_wherever_it_is_asked(case: Case) -> None:
    """All read the one counter, less the one that stands for the socket."""
    box = case.outbox()
    inode = fstat(box.socket).ino

    box.send()
    box.send()
    case.at("held", tx_queue=tx_queue(case.family.name, inode))
    box.let_all_go()

    case.at("given_back", tx_queue=tx_queue(case.family.name, inode))


@clause("room.accounts.agree_unlisted")
def test_charge_is_the_same_for_ioctl_and_meminfo(case: Case) -> None:
    """Both read the one counter, less the one that stands for the socket."""
    box = case.outbox()

    box.send()
    box.send()
    case.at("held")
    box.let_all_go()

    case.at("given_back")


@clause("room.accounts.unasked")
def test_socket_without_ioctls_tells_its_charge_by_meminfo_alone(case: Case) -> None:
    """Neither protocol has a handler for it."""
    sock = case.socket()

    case.at("fresh", asked=attempt(ioctl_outq, sock))


@clause("room.accounts.tcp")
def test_tcp_counts_bytes_that_are_not_acknowledged(case: Case) -> None:
    """Until the window closed, everything sent has been acknowledged."""
    box = case.outbox()
    inode = fstat(box.socket).ino

    box.fill()
    case.at("full", tx_queue=tx_queue(case.family.name, inode))
    box.let_all_go()

    case.at("drained", tx_queue=tx_queue(case.family.name, inode))


def set_buffer(sock: int, name: int, size: int) -> int:
    """Set SO_SNDBUF or SO_RCVBUF, and return what it is then."""
    setsockopt(sock, SOL_SOCKET, name, size)
    return getsockopt(sock, SOL_SOCKET, name)


@clause("room.sndbuf.doubled")
def test_buffer_sizes_are_doubled(case: Case) -> None:
    """The double is what all thresholds are of."""
    sock = case.socket()

    case.at(
        "set",
        send_buffer=set_buffer(sock, SO_SNDBUF, 10_000),
        receive_buffer=set_buffer(sock, SO_RCVBUF, 10_000),
    )


@clause("room.sndbuf.bounds")
def test_buffer_sizes_are_bounded(case: Case) -> None:
    """What is asked for is compared as an unsigned number."""
    sock = case.socket()

    case.at(
        "set",
        send_floor=set_buffer(sock, SO_SNDBUF, 0),
        receive_floor=set_buffer(sock, SO_RCVBUF, 0),
        largest=set_buffer(sock, SO_SNDBUF, 0x7FFF_FFFF),
        negative=set_buffer(sock, SO_SNDBUF, -1),
    )


@clause("room.sndbuf.grows")
def test_tcp_send_buffer_grows_unless_it_was_set(case: Case) -> None:
    """SOCK_SNDBUF_LOCK says that it was."""
    listener = case.listener()
    grown, locked = case.socket("grown"), case.socket("locked")
    fresh = getsockopt(grown, SOL_SOCKET, SO_SNDBUF)
    set_buffer(locked, SO_SNDBUF, 10_000)

    for sock in (grown, locked):
        connect(sock, getsockname(listener))

    sizes = {sock.role: getsockopt(sock, SOL_SOCKET, SO_SNDBUF) for sock in (grown, locked)}
    case.at("connected", fresh=fresh, **sizes)
