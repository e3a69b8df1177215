"""The states of AF_UNIX sockets with connections: what SIGIO, poll, select, epoll, read, write and SO_ERROR say."""

from native import (
    MSG_NOSIGNAL,
    MSG_OOB,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    accept4,
    bind,
    close,
    connect,
    errno_name,
    getsockname,
    listen,
    read,
    recv,
    send,
    shutdown,
    so_error,
    sockaddr_un,
    write,
)
from suites.catalogue import clause
from suites.clauses import SUBJECT
from suites.lab.case import Case, Descriptor, Plain, arranging, attempt
from suites.lab.families import Unix
from suites.lab.outbox import PAYLOAD
from suites.lab.states import READER, WRITER, asked, connected, fresh, ready


@arranging
def bound(case: Case) -> Descriptor:
    """A socket with an abstract name of the kernel's choice."""
    sock = fresh(case)
    bind(sock, sockaddr_un(b""))
    return sock


def was_reset(case: Case, role: str = SUBJECT, data: bytes = b"") -> Descriptor:
    """A socket whose peer has sent something and then closed without having read what we sent."""
    sock, peer = connected(case, role)
    send(sock, b"never read", 0)
    if data:
        send(peer, data, 0)
    close(peer)
    return sock


def urgent(case: Case, role: str = SUBJECT) -> tuple[Descriptor, Plain]:
    """A socket to which an urgent byte was sent, and what came of sending it."""
    sock, peer = connected(case, role)
    return sock, attempt(send, peer, b"u", MSG_OOB)


@clause("state.unix.fresh")
def test_fresh(case: Case) -> None:
    """A socket that was never connected is hung up, and has room all the same."""
    sock = fresh(case)

    case.at("state")
    asked(case, sock, sock)


@clause("state.unix.bound")
def test_bound(case: Case) -> None:
    """A name is no connection."""
    sock = bound(case)

    case.at("state")
    asked(case, sock, sock)


@clause("state.unix.listening")
def test_listening(case: Case) -> None:
    """unix_writable says no to a listener."""
    sock = bound(case)
    listen(sock, 16)

    case.at("state")
    asked(case, sock, sock)


@clause("state.unix.listening_pending")
def test_listening_with_a_connection_to_accept(case: Case) -> None:
    """The connection lies in the listener's receive queue."""
    sock = bound(case)
    listen(sock, 16)

    connect(case.socket("client"), getsockname(sock))

    case.at("state")
    asked(case, sock, sock)


@clause("state.unix.listening_shut")
def test_listener_that_was_shut_down(case: Case) -> None:
    """Its state is still that of a listener, so it has no hang-up and no room."""
    sock = bound(case)
    listen(sock, 16)
    connect(case.socket("client"), getsockname(sock))

    shutdown(sock, SHUT_RD)

    case.at("state")
    accepted = case.own(accept4(sock), "accepted")
    late = attempt(connect, case.socket("late"), getsockname(sock))
    case.at(
        "asked",
        accepted=accepted.role,
        connect=late,
        read=attempt(read, sock, 8),
        write=attempt(write, sock, b"x"),
    )


@clause("state.unix.refused")
def test_refused(case: Case) -> None:
    """Nothing is under way, so there is nobody to tell later."""
    sock = fresh(case)
    nobody = case.socket("nobody")
    bind(nobody, sockaddr_un(b""))

    refusal = attempt(connect, sock, getsockname(nobody))

    case.at("state", connect=refusal)
    asked(case, sock, sock)


@clause("state.unix.turned_away")
def test_turned_away_by_a_full_listener(case: Case) -> None:
    """connect waits for the peer's queue, or doesn't; it never leaves a half-made connection."""
    assert isinstance(case.family, Unix)
    listener, address = case.family.listener(backlog=0)
    case.own(listener, "listener")
    connect(case.socket("first"), address)
    sock = fresh(case)

    case.at("state", connect=attempt(connect, sock, address))
    asked(case, sock, sock)


@clause("state.unix.established")
def test_established(case: Case) -> None:
    """unix_stream_connect wakes the listener alone."""
    listener = case.listener()
    sock = fresh(case)

    case.at("state", connect=attempt(connect, sock, getsockname(listener)))
    asked(case, sock, sock)


@clause("state.unix.data_waiting")
def test_data_waiting(case: Case) -> None:
    """What was read is gone, from poll as well."""
    sock, _ = connected(case)

    case.deliver(b"data")

    case.at("state")
    asked(case, sock, sock)


@clause("state.unix.full")
def test_full(case: Case) -> None:
    """More than a quarter of the buffer is taken."""
    box = case.outbox()
    sock = ready(case, box.socket)

    box.fill()

    case.at("state")
    asked(case, sock, sock, PAYLOAD)


@clause("state.unix.half_closed_by_peer")
def test_half_closed_by_the_peer(case: Case) -> None:
    """unix_shutdown marks the peer's other side."""
    sock, peer = connected(case)

    shutdown(peer, SHUT_WR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.unix.half_closed_with_data")
def test_half_closed_by_the_peer_behind_data(case: Case) -> None:
    """The data comes first, then the end."""
    sock, peer = connected(case)

    case.deliver(b"data")
    shutdown(peer, SHUT_WR)

    case.at("state")
    case.at("asked", read=attempt(read, sock, 8), again=attempt(read, sock, 8), write=attempt(write, sock, b"x"))


@clause("state.unix.deaf")
def test_shut_for_reading(case: Case) -> None:
    """unix_shutdown knows the peer, and so, unlike TCP, closes both ends of a direction."""
    sock, peer = connected(case)

    shutdown(sock, SHUT_RD)

    case.at("state")
    answers = {"read": attempt(read, sock, 8), "write": attempt(write, sock, b"x")}
    case.at("asked", **answers, peer_send=attempt(send, peer, b"x", MSG_NOSIGNAL))


@clause("state.unix.half_closed_here")
def test_half_closed_here(case: Case) -> None:
    """unix_shutdown tells those who sleep, and nobody else."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_WR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.seqpacket.half_closed_here")
def test_half_closed_here_in_messages(case: Case) -> None:
    """unix_shutdown tells those who sleep, and nobody else."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_WR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.unix.muted")
def test_muted_by_the_peer(case: Case) -> None:
    """Shut for reading at one end is shut for writing at the other."""
    sock, peer = connected(case)

    shutdown(peer, SHUT_RD)

    case.at("state")
    asked(case, sock, sock)


@clause("state.seqpacket.muted")
def test_muted_by_the_peer_in_messages(case: Case) -> None:
    """Shut for reading at one end is shut for writing at the other."""
    sock, peer = connected(case)

    shutdown(peer, SHUT_RD)

    case.at("state")
    asked(case, sock, sock)


@clause("state.unix.closed_here")
def test_closed_both_ways_here(case: Case) -> None:
    """The peer is signalled POLL_HUP, we are not."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_RDWR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.seqpacket.closed_here")
def test_closed_both_ways_here_in_messages(case: Case) -> None:
    """The peer is signalled POLL_HUP, we are not."""
    sock, _ = connected(case)

    shutdown(sock, SHUT_RDWR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.unix.closed_by_shutdown")
def test_closed_both_ways_by_the_peer(case: Case) -> None:
    """unix_shutdown says POLL_HUP where both directions go at once."""
    sock, peer = connected(case)

    shutdown(peer, SHUT_RDWR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.seqpacket.closed_by_shutdown")
def test_closed_both_ways_by_the_peer_in_messages(case: Case) -> None:
    """unix_shutdown says POLL_HUP where both directions go at once."""
    sock, peer = connected(case)

    shutdown(peer, SHUT_RDWR)

    case.at("state")
    asked(case, sock, sock)


@clause("state.unix.closed_by_peer")
def test_closed_by_the_peer(case: Case) -> None:
    """unix_release_sock shuts the peer both ways."""
    sock, peer = connected(case)

    close(peer)

    case.at("state")
    asked(case, sock, sock)


@clause("state.seqpacket.closed_by_peer")
def test_closed_by_the_peer_in_messages(case: Case) -> None:
    """unix_release_sock shuts the peer both ways."""
    sock, peer = connected(case)

    close(peer)

    case.at("state")
    asked(case, sock, sock)


@clause("state.unix.reset")
def test_reset(case: Case) -> None:
    """unix_release_sock sets the error and says hung up."""
    reader, writer = was_reset(case, READER), was_reset(case, WRITER)

    was_reset(case)

    case.at("state")
    asked(case, reader, writer)


@clause("state.seqpacket.reset")
def test_reset_in_messages(case: Case) -> None:
    """unix_release_sock sets the error and says hung up."""
    reader, writer = was_reset(case, READER), was_reset(case, WRITER)

    was_reset(case)

    case.at("state")
    asked(case, reader, writer)


@clause("state.unix.reset_with_data")
def test_reset_behind_data(case: Case) -> None:
    """Streams take data before errors, as POSIX has it; messages are taken error first."""
    reader, writer = was_reset(case, READER, b"data"), was_reset(case, WRITER, b"data")

    was_reset(case, SUBJECT, b"data")

    case.at("state")
    case.at(
        "asked",
        read=attempt(read, reader, 8),
        second=attempt(read, reader, 8),
        third=attempt(read, reader, 8),
        write=attempt(write, writer, b"x"),
    )


@clause("state.seqpacket.reset_with_data")
def test_reset_behind_data_in_messages(case: Case) -> None:
    """Streams take data before errors, as POSIX has it; messages are taken error first."""
    reader, writer = was_reset(case, READER, b"data"), was_reset(case, WRITER, b"data")

    was_reset(case, SUBJECT, b"data")

    case.at("state")
    case.at(
        "asked",
        read=attempt(read, reader, 8),
        second=attempt(read, reader, 8),
        third=attempt(read, reader, 8),
        write=attempt(write, writer, b"x"),
    )


@clause("state.unix.error_read")
def test_error_read(case: Case) -> None:
    """What is left is a hang-up."""
    sock = was_reset(case)

    taken = attempt(read, sock, 8)

    case.at("state", taken=taken)
    asked(case, sock, sock)


@clause("state.seqpacket.error_read")
def test_error_read_in_messages(case: Case) -> None:
    """What is left is a hang-up."""
    sock = was_reset(case)

    taken = attempt(read, sock, 8)

    case.at("state", taken=taken)
    asked(case, sock, sock)


@clause("state.unix.after_so_error")
def test_error_taken_by_so_error(case: Case) -> None:
    """SO_ERROR takes it as a read does."""
    sock = was_reset(case)

    taken = errno_name(so_error(sock))

    case.at("state", taken=taken)
    asked(case, sock, sock)


@clause("state.seqpacket.after_so_error")
def test_error_taken_by_so_error_in_messages(case: Case) -> None:
    """SO_ERROR takes it as a read does."""
    sock = was_reset(case)

    taken = errno_name(so_error(sock))

    case.at("state", taken=taken)
    asked(case, sock, sock)


@clause("state.unix.urgent_waiting")
def test_urgent_byte_waiting(case: Case) -> None:
    """manage_oob passes over the byte at which a read begins, and drops it."""
    taker, _ = urgent(case, "taker")
    sock, sent = urgent(case)

    case.at("state", sent=sent)
    case.at(
        "asked",
        taken=attempt(recv, taker, 1, MSG_OOB),
        read=attempt(read, sock, 8),
        taken_late=attempt(recv, sock, 1, MSG_OOB),
        write=attempt(write, sock, b"x"),
    )


@clause("state.unix.urgent_taken")
def test_urgent_byte_taken(case: Case) -> None:
    """The spent buffer keeps the mark's place until manage_oob meets it."""
    sock, sent = urgent(case)

    taken = attempt(recv, sock, 1, MSG_OOB)

    case.at("state", sent=sent, taken=taken)
    asked(case, sock, sock)
