"""Release: what ends with the last reference to the open file, and not before."""

import struct
from collections.abc import Callable

from native import (
    AF_UNIX,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    FD_CLOEXEC,
    IPPROTO_TCP,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_PEEK,
    POLLIN,
    POLLRDNORM,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_RCVTIMEO,
    SOCK_DGRAM,
    SOL_SOCKET,
    TCP_LINGER2,
    AioContext,
    Ring,
    close,
    close_range,
    dup,
    dup2,
    dup3,
    epoll_create1,
    epoll_ctl,
    epoll_wait,
    fstat,
    get_descriptor_flags,
    getsockname,
    ioctl_inq,
    ioctl_outq,
    ioctl_outqnsd,
    linger,
    recv,
    recvmsg,
    rights,
    send,
    sendmsg,
    set_descriptor_flags,
    setsockopt,
    setsockopt_bytes,
    shutdown,
    socket,
    socketpair,
    tcp_info,
)
from suites.catalogue import clause
from suites.lab.case import INPUT, Case, Descriptor, LabError, attempt
from suites.lab.counters import extended, listed, sockets_in_use
from suites.lab.sock_diag import destroy

DATA = 7
"""What the epoll registration carries for its user (struct epoll_event)."""

LATEST = 1
"""When a cycle is collected at the latest, in s: it takes some 10 ms, and a kernel without a collector isn't waited for longer."""

ENDS = {"SHUT_RD": SHUT_RD, "SHUT_WR": SHUT_WR, "SHUT_RDWR": SHUT_RDWR}


def hold(case: Case, fd: Descriptor) -> Callable[[], object]:
    """Take a further reference to the open file, in the way that the variant names; returns what drops it."""
    match case.variant:
        case "dup":
            copy = case.own(dup(fd), "copy")
            return lambda: close(copy)
        case "dup2":
            copy = case.own(dup2(fd, case.spare_number()), "copy")
            return lambda: close(copy)
        case "fork":
            child = case.fork()
            return lambda: child.close(fd)
        case "received":
            received = case.own(receive(case, fd), "received")
            return lambda: close(received)
        case _:
            return case.put_in_flight(fd)


def courier(case: Case) -> tuple[Descriptor, Descriptor]:
    """Two AF_UNIX sockets, to send descriptors from the one to the other."""
    sender, receiver = socketpair(AF_UNIX, SOCK_DGRAM)
    return case.own(sender, "sender"), case.own(receiver, "receiver")


def receive(case: Case, fd: Descriptor) -> int:
    """Send a descriptor to ourselves, and receive it under another number."""
    sender, receiver = courier(case)
    sendmsg(sender, [b"x"], 0, [rights([fd])])
    return recvmsg(receiver, 1).descriptors[0]


def release(case: Case, fd: Descriptor) -> None:
    """Drop a descriptor in the way that the variant names."""
    match case.variant:
        case "close":
            close(fd)
        case "close_range":
            close_range(fd, fd, 0)
        case "dup2":
            dup2(case.lab.fence.to_itself, fd)
        case "dup3":
            dup3(case.lab.fence.to_itself, fd, 0)
        case end:
            child = case.fork()
            close(fd)
            child.exit() if end == "exit" else child.kill()


def last_reference_goes(case: Case) -> None:
    """Close the peer's descriptor while its file is held, then drop what holds it."""
    sock, peer = case.pair()
    case.arm(sock)
    drop = hold(case, peer)

    close(peer)
    case.at("held", recv=attempt(recv, sock, 1, MSG_DONTWAIT))
    drop()
    case.fence()
    case.at("released", recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("release.reference.keeps_tcp")
def test_tcp_ends_with_the_last_reference(case: Case) -> None:
    """A duplicate, a child's copy and a message in flight count alike."""
    last_reference_goes(case)


@clause("release.reference.keeps_unix")
def test_unix_ends_with_the_last_reference(case: Case) -> None:
    """A duplicate, a child's copy and a message in flight count alike."""
    last_reference_goes(case)


def call_under_way_returns(case: Case) -> None:
    """Take the peer's number away while a thread receives on it, then let the thread return."""
    sock, peer = case.pair()
    case.arm(sock)
    case.sleep("read" if case.variant == "read" else "recv", peer, 1, name="receiver")

    dup2(case.lab.fence.to_itself, peer) if case.variant == "dup2" else close(peer)
    case.at("held")
    send(sock, b"x", 0)
    case.await_return("receiver")
    case.at("released")


@clause("release.call.keeps_tcp")
def test_tcp_ends_when_the_call_under_way_returns(case: Case) -> None:
    """The call has its own reference to the file."""
    call_under_way_returns(case)


@clause("release.call.keeps_unix")
def test_unix_ends_when_the_call_under_way_returns(case: Case) -> None:
    """The call has its own reference to the file."""
    call_under_way_returns(case)


def pair_with_a_high_number(case: Case) -> tuple[Descriptor, Descriptor]:
    """Two connected sockets, of which the peer has a number that, once closed, is nobody's next: poll looks it up anew."""
    sock, low = case.pair()
    peer = case.own(dup2(low, case.spare_number()), "peer")
    close(low)
    return sock, peer


def poll_under_way_returns(case: Case) -> None:
    """Close the peer's descriptor while a thread polls it, then have something to tell."""
    sock, peer = pair_with_a_high_number(case)
    case.sleep(case.variant, peer, INPUT)

    close(peer)
    case.at("held", recv=attempt(recv, sock, 1, MSG_DONTWAIT))
    send(sock, b"x", 0)
    case.await_return(case.variant)
    case.at("released")


@clause("release.poll.keeps_tcp")
def test_tcp_ends_when_the_poll_under_way_returns(case: Case) -> None:
    """poll holds the file, wakes at the event, and looks the number up anew."""
    poll_under_way_returns(case)


@clause("release.poll.keeps_unix")
def test_unix_ends_when_the_poll_under_way_returns(case: Case) -> None:
    """poll holds the file, wakes at the event, and looks the number up anew."""
    poll_under_way_returns(case)


def select_under_way(case: Case) -> None:
    """Close the peer's descriptor while a thread selects it, then have something to tell."""
    sock, peer = pair_with_a_high_number(case)
    case.sleep(case.variant, peer, INPUT)

    close(peer)
    case.at("held", recv=attempt(recv, sock, 1, MSG_DONTWAIT))
    send(sock, b"x", 0)
    case.at("delivered")

    case.at("afterwards")


@clause("release.select.keeps_tcp")
def test_tcp_lives_while_the_select_under_way_sleeps(case: Case) -> None:
    """select holds the file, and looks the number up anew at the event."""
    select_under_way(case)


@clause("release.select.keeps_unix")
def test_unix_lives_while_the_select_under_way_sleeps(case: Case) -> None:
    """select holds the file, and looks the number up anew at the event."""
    select_under_way(case)


# Requests that complete later.


def engine(case: Case) -> Ring | AioContext:
    """The lab's ring or context, by the variant."""
    found = case.lab.ring if case.variant == "io_uring" else case.lab.aio
    if found is None:
        raise LabError(f"the lab has no {case.variant}")
    return found


def pending_poll_is_cancelled(case: Case) -> None:
    """Close the peer's descriptor while a request polls it, then cancel the request."""
    sock, peer = case.pair()
    asked = engine(case)
    asked.begin_poll(peer, INPUT)

    close(peer)
    held = attempt(recv, sock, 1, MSG_DONTWAIT)
    case.sleep("recv", sock, 1)
    case.at("held", recv=held)
    cancelled = attempt(asked.cancel)
    case.await_return("recv")
    case.at("released", request=cancelled)


@clause("release.completion.cancelled_tcp")
def test_tcp_ends_when_the_pending_poll_is_cancelled(case: Case) -> None:
    """The request has its own reference to the file."""
    pending_poll_is_cancelled(case)


@clause("release.completion.cancelled_unix")
def test_unix_ends_when_the_pending_poll_is_cancelled(case: Case) -> None:
    """The request has its own reference to the file."""
    pending_poll_is_cancelled(case)


def pending_receive_completes(case: Case) -> None:
    """Close the peer's descriptor while a request receives on it, then send what it waits for."""
    sock, peer = case.pair()
    ring = case.lab.ring
    assert ring
    ring.begin_recv(peer)

    close(peer)
    held = attempt(recv, sock, 1, MSG_DONTWAIT)
    case.sleep("recv", sock, 1)
    case.at("held", recv=held)
    send(sock, b"x", 0)
    got = attempt(ring.end_recv)
    case.await_return("recv")
    case.at("released", request=got)


@clause("release.completion.received_tcp")
def test_tcp_ends_when_the_pending_receive_completes(case: Case) -> None:
    """The request has its own reference to the file."""
    pending_receive_completes(case)


@clause("release.completion.received_unix")
def test_unix_ends_when_the_pending_receive_completes(case: Case) -> None:
    """The request has its own reference to the file."""
    pending_receive_completes(case)


# In flight.


def flight_is_received_by_nobody(case: Case) -> None:
    """Put the peer in flight, close it, and read the message without asking for what it carries."""
    sock, peer = case.pair()
    sender, receiver = courier(case)
    sendmsg(sender, [b"x"], 0, [rights([peer])])

    close(peer)
    case.at("held", recv=attempt(recv, sock, 1, MSG_DONTWAIT))
    message = recvmsg(receiver, 1, 0, 0)
    case.at("released", descriptors=len(message.descriptors))


@clause("release.flight.discarded_tcp")
def test_tcp_ends_with_the_message_that_was_read_without_its_descriptor(case: Case) -> None:
    """What doesn't fit the control buffer is closed."""
    flight_is_received_by_nobody(case)


@clause("release.flight.discarded_unix")
def test_unix_ends_with_the_message_that_was_read_without_its_descriptor(case: Case) -> None:
    """What doesn't fit the control buffer is closed."""
    flight_is_received_by_nobody(case)


def cycle_is_collected(case: Case) -> None:
    """Have a queue hold its own socket and the peer, with all descriptors closed; then close an AF_UNIX socket of nobody's."""
    sock, peer = case.pair()
    setsockopt_bytes(sock, SOL_SOCKET, SO_RCVTIMEO, struct.pack("@ll", LATEST, 0))
    sender, holder = courier(case)
    bystander = case.own(socket(AF_UNIX, SOCK_DGRAM), "bystander")
    sendmsg(sender, [b"x"], 0, [rights([holder, peer])])
    for fd in (peer, sender, holder):
        close(fd)
    before = attempt(recv, sock, 1, MSG_DONTWAIT)

    close(bystander)

    case.at("collected", before=before, recv=attempt(recv, sock, 1))


@clause("release.cycle.ends_tcp")
def test_tcp_ends_when_the_cycle_that_holds_it_is_collected(case: Case) -> None:
    """Nobody can receive from the queue any more, and only the collector finds that out."""
    cycle_is_collected(case)


@clause("release.cycle.ends_unix")
def test_unix_ends_when_the_cycle_that_holds_it_is_collected(case: Case) -> None:
    """Nobody can receive from the queue any more, and only the collector finds that out."""
    cycle_is_collected(case)


# Ways to end.


@clause("release.act.ends_tcp")
def test_every_way_to_drop_the_descriptor_ends_tcp(case: Case) -> None:
    """A number that is given to another file is closed first."""
    sock, peer = case.pair()
    case.arm(sock)

    release(case, peer)
    case.fence()

    case.at("released", recv=attempt(recv, sock, 1, MSG_DONTWAIT), tcp_state=tcp_info(sock).state)


@clause("release.act.ends_unix")
def test_every_way_to_drop_the_descriptor_ends_unix(case: Case) -> None:
    """A number that is given to another file is closed first."""
    sock, peer = case.pair()
    case.arm(sock)

    release(case, peer)

    case.at("released", recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("release.exec.closes")
def test_exec_closes_what_is_marked(case: Case) -> None:
    """The table of descriptors is gone through before the new program runs."""
    sock, peer = case.pair()
    set_descriptor_flags(peer, FD_CLOEXEC)
    child = case.fork()
    close(peer)

    child.execute()

    case.at("executed", recv=attempt(recv, sock, 1))


@clause("release.exec.keeps")
def test_exec_keeps_what_is_not_marked(case: Case) -> None:
    """The new program has the descriptor, and ends the connection as it ends."""
    sock, peer = case.pair()
    child = case.fork()
    close(peer)

    child.execute()
    case.at("executed", recv=attempt(recv, sock, 1, MSG_DONTWAIT))
    child.exit()
    case.fence()

    case.at("exited", recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("release.destroyed.is_none")
def test_destroyed_connection_leaves_the_socket_open(case: Case) -> None:
    """What is ended from outside is the connection."""
    sock, peer = case.pair()

    destroy(sock, getsockname(peer))

    case.at("destroyed", getfd=attempt(get_descriptor_flags, sock), close=attempt(close, sock))


@clause("release.datagram.is_silent")
def test_release_of_a_datagram_socket_is_nothing_to_its_peer(case: Case) -> None:
    """There is no connection that could end."""
    sock, peer = case.pair()
    case.arm(sock)

    close(peer)

    case.at("released", recv=attempt(recv, sock, 1, MSG_DONTWAIT))


ABORTS = ("TCPAbortOnClose", "TCPAbortOnData")
"""What the kernel counts where close sends an RST."""


def close_and_count(case: Case, peer: Descriptor, *names: str) -> None:
    """Close the peer and observe, with what the kernel has counted meanwhile."""
    names = names or ABORTS
    before = extended(*names)

    close(peer)
    case.fence()

    counted = {name: now - was for name, now, was in zip(names, extended(*names), before, strict=True)}
    case.at("released", **counted)


@clause("release.unread.resets")
def test_close_with_unread_data_sends_a_reset(case: Case) -> None:
    """Data that was only looked at is unread, and so is what came before the end."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"never read", MSG_OOB if case.variant == "urgent" else 0)
    case.fence()
    match case.variant:
        case "peeked":
            recv(peer, 4, MSG_PEEK)
        case "partly_read":
            recv(peer, 4)
        case "after_the_peers_end":
            shutdown(sock, SHUT_WR)
        case "after_shut_rd":
            shutdown(peer, SHUT_RD)

    close_and_count(case, peer)


@clause("release.unread.resets_after_the_end")
def test_close_with_unread_data_sends_a_reset_after_the_end(case: Case) -> None:
    """The FIN that was sent doesn't make the data read."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"never read", 0)

    shutdown(peer, ENDS[case.variant])
    case.at("shut")

    close_and_count(case, peer)


@clause("release.read.ends")
def test_close_with_all_data_read_sends_the_end(case: Case) -> None:
    """The peer's end is no data, whether or not somebody has read it."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"read")
    shutdown(sock, SHUT_WR)
    recv(peer, 4)
    if case.variant == "end_read":
        recv(peer, 1)

    close_and_count(case, peer)


@clause("release.urgent.resets")
def test_close_with_the_urgent_byte_taken_out_of_turn_sends_a_reset(case: Case) -> None:
    """The stream hasn't been read past it."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"u", MSG_OOB)
    case.fence()
    recv(peer, 1, MSG_OOB)

    close_and_count(case, peer)


@clause("release.urgent.is_skipped")
def test_close_after_a_receive_that_skips_the_urgent_byte_sends_the_end(case: Case) -> None:
    """A receive goes past an urgent byte though it finds nothing else."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"u", MSG_OOB)
    case.fence()
    recv(peer, 1, MSG_OOB)
    attempt(recv, peer, 1, MSG_DONTWAIT)

    close_and_count(case, peer)


@clause("release.linger_0.resets")
def test_close_with_linger_0_sends_a_reset(case: Case) -> None:
    """There is nothing unread: the option alone is the cause."""
    sock, peer = case.pair()
    case.arm(sock)
    linger(peer, 1, 0)

    close_and_count(case, peer)


@clause("release.linger_0.resets_after_the_end")
def test_close_with_linger_0_sends_a_reset_after_the_end(case: Case) -> None:
    """The peer hasn't ended its side, so the connection is still there."""
    sock, peer = case.pair()
    case.arm(sock)
    linger(peer, 1, 0)

    shutdown(peer, SHUT_WR)
    case.at("shut")

    close_and_count(case, peer)


@clause("release.linger_0.is_nothing_after_both_ends")
def test_close_with_linger_0_sends_nothing_after_both_ends(case: Case) -> None:
    """The socket is closed by then, and what is left of the connection isn't its."""
    sock, peer = case.pair()
    linger(peer, 1, 0)
    first, last = (sock, peer) if case.variant == "last" else (peer, sock)
    shutdown(first, SHUT_WR)
    case.fence()
    shutdown(last, SHUT_WR)
    case.fence()
    case.arm(sock)

    close_and_count(case, peer)


@clause("release.linger_0.keeps_what_has_come")
def test_close_with_linger_0_leaves_the_peer_what_has_come(case: Case) -> None:
    """A reset takes nothing out of the receiver's queue."""
    sock, peer = case.pair()
    case.arm(sock)
    linger(peer, 1, 0)
    send(peer, b"abc")

    close(peer)
    case.fence()

    first, second, third = (attempt(recv, sock, 8, MSG_DONTWAIT) for _ in range(3))
    case.at("released", first=first, second=second, third=third)


@clause("release.linger_0.drops_what_has_not_gone")
def test_close_with_linger_0_drops_what_waits_for_the_peers_window(case: Case) -> None:
    """The send queue is purged before the reset is sent."""
    box = case.outbox()
    box.fill()
    linger(box.socket, 1, 0)
    sent, waiting = ioctl_outq(box.socket), ioctl_outqnsd(box.socket)

    close(box.socket)
    case.fence()

    arrived = ioctl_inq(box.peer)
    recv(box.peer, arrived)
    case.at("released", sent=sent, waiting=waiting, arrived=arrived, then=attempt(recv, box.peer, 1, MSG_DONTWAIT))


@clause("release.orphan.resets")
def test_data_for_an_orphan_is_answered_by_a_reset(case: Case) -> None:
    """Nobody can read it, so the sender is told with the next call."""
    sock, peer = case.pair()
    case.arm(sock)
    close(peer)

    case.at("ended")
    first = attempt(send, sock, b"x")
    case.at("sent", send=first)
    second = attempt(send, sock, b"x")

    case.at("again", send=second, recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("release.linger2.resets")
def test_close_in_fin_wait_2_with_a_negative_linger2_sends_a_reset(case: Case) -> None:
    """Nobody waits for the peer's end."""
    sock, peer = case.pair()
    case.arm(sock)
    setsockopt(peer, IPPROTO_TCP, TCP_LINGER2, -1)

    shutdown(peer, SHUT_WR)
    case.at("shut")

    close_and_count(case, peer, "TCPAbortOnLinger", "TCPAbortOnData")


@clause("release.linger2.resets_at_the_acknowledgement")
def test_acknowledgement_of_the_end_with_a_negative_linger2_is_answered_by_a_reset(case: Case) -> None:
    """The acknowledgement comes while close is under way, and finds an orphan."""
    sock, peer = case.pair()
    case.arm(sock)
    setsockopt(peer, IPPROTO_TCP, TCP_LINGER2, -1)

    close_and_count(case, peer, "TCPAbortOnLinger", "TCPAbortOnData")


@clause("release.shutdown.is_none")
def test_shutdown_leaves_the_socket_open_and_in_use(case: Case) -> None:
    """Our own shutdown is told to sleepers, and signals nothing."""
    before = case.sockets_at_rest()
    sock, _ = case.pair()
    case.arm(sock)

    done = attempt(shutdown, sock, SHUT_RDWR)
    case.fence()

    case.at("shut", shutdown=done, getfd=get_descriptor_flags(sock), in_use=sockets_in_use() - before)


@clause("release.async.own_close_is_silent")
def test_own_close_signals_nothing(case: Case) -> None:
    """Whatever the peer's send comes to, nobody is left to be told."""
    sock, _ = case.pair()
    case.arm(sock)

    close(sock)
    case.at("closed")
    attempt(case.deliver, b"x", MSG_NOSIGNAL)

    case.at("afterwards")


@clause("release.async.duplicate_keeps_the_number")
def test_signals_name_the_number_that_was_armed(case: Case) -> None:
    """The copy is the same open file under another number."""
    sock, _ = case.pair()
    case.arm(sock)
    copy = case.own(dup(sock), "copy")

    close(sock)
    case.deliver(b"x")
    case.at("delivered")
    close(copy)
    attempt(case.deliver, b"y", MSG_NOSIGNAL)

    case.at("released")


@clause("release.in_use.returns")
def test_socket_is_in_use_until_its_last_descriptor_is_closed(case: Case) -> None:
    """The count is of sockets, not of descriptors."""
    before = case.sockets_at_rest()
    sock = case.socket()
    case.at("opened", in_use=sockets_in_use() - before)
    copy = case.own(dup(sock), "copy")
    case.at("duplicated", in_use=sockets_in_use() - before)

    close(sock)
    case.at("one_closed", in_use=sockets_in_use() - before)
    close(copy)

    case.at("closed", in_use=sockets_in_use() - before)


@clause("release.in_use.waits_for_packets")
def test_closed_socket_is_in_use_until_its_packet_is_sent(case: Case) -> None:
    """The packet's charge is a reference to the socket."""
    case.lab.held_link()
    before = case.sockets_at_rest()
    box = case.outbox()
    inode = fstat(box.socket).ino
    name = case.family.name

    box.send()
    case.at("held", in_use=sockets_in_use() - before, listed=listed(name, inode))
    close(box.socket)
    case.at("closed", in_use=sockets_in_use() - before, listed=listed(name, inode))
    box.let_all_go()

    case.at("sent", in_use=sockets_in_use() - before, listed=listed(name, inode))


@clause("release.inode.goes")
def test_inode_is_listed_until_the_last_descriptor_is_closed(case: Case) -> None:
    """An orphaned connection stays in the table, but without an inode."""
    sock, _ = case.pair()
    name, inode = case.family.name, fstat(sock).ino
    copy = case.own(dup(sock), "copy")
    case.at("open", listed=listed(name, inode))

    close(sock)
    case.at("one_closed", listed=listed(name, inode))
    close(copy)

    case.at("closed", listed=listed(name, inode))


@clause("release.epoll.goes")
def test_epoll_registration_lives_as_long_as_the_open_file(case: Case) -> None:
    """The registration is of the file under a number, and the number may be gone."""
    sock, _ = case.pair()
    epoll = case.own(epoll_create1(0), "epoll")
    epoll_ctl(epoll, EPOLL_CTL_ADD, sock, POLLIN | POLLRDNORM, DATA)
    copy = case.own(dup(sock), "copy")
    case.deliver(b"x")
    case.fence()

    close(sock)
    change, remove = (
        attempt(epoll_ctl, epoll, operation, sock, POLLIN, DATA) for operation in (EPOLL_CTL_MOD, EPOLL_CTL_DEL)
    )
    ((reported, data),) = epoll_wait(epoll, 4, 0)
    case.at("one_closed", reported=reported, data=data, change=change, remove=remove)
    close(copy)

    case.at("closed", reported=sum(events for events, _ in epoll_wait(epoll, 4, 0)))
