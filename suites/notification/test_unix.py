"""What an AF_UNIX socket is told of its peer: data, the end of either direction, a close, a reset."""

from native import (
    MSG_DONTWAIT,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_SNDBUF,
    SOL_SOCKET,
    accept4,
    bind,
    close,
    connect,
    getsockname,
    send,
    setsockopt,
    shutdown,
    sockaddr_un,
    sockaddr_unspec,
)
from suites.catalogue import clause
from suites.lab.calls import receive_now, shut_ourselves
from suites.lab.case import INPUT, Case, Descriptor, attempt

SNDBUF = 20_000
"""SO_SNDBUF in bytes. The kernel doubles it, and a packet takes up to half of that: two hold what `LONG` is."""

LONG = b"x" * 30_000


def turn_away(case: Case, peer: Descriptor) -> None:
    """Have the datagram peer end its association, in the way that the variant names."""
    if case.variant == "nowhere":
        connect(peer, sockaddr_unspec())
    else:
        connect_elsewhere(case, peer)


def connect_elsewhere(case: Case, peer: Descriptor) -> None:
    """Have the datagram peer connect to a third socket."""
    third = case.socket("third")
    bind(third, sockaddr_un(b""))
    connect(peer, getsockname(third))


def connection(case: Case) -> tuple[Descriptor, Descriptor]:
    """A connected subject, and the listener in whose queue the connection waits."""
    listener = case.listener()
    sock = case.socket()
    connect(sock, getsockname(listener))
    return sock, listener


@clause("unix.stream.each_send_signals")
def test_each_send_to_a_stream_signals(case: Case) -> None:
    """The second send signals although the first is unread."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"x")
    case.at("first")
    case.deliver(b"y")

    case.at("second")


@clause("unix.stream.each_packet_signals")
def test_send_of_two_packets_signals_twice(case: Case) -> None:
    """The send buffer's size decides where a send is cut."""
    sock, peer = case.pair()
    setsockopt(peer, SOL_SOCKET, SO_SNDBUF, SNDBUF)
    case.arm(sock)

    case.deliver(LONG)

    case.at("sent")


@clause("unix.connect.signals_the_listener")
def test_connection_signals_the_listener_only(case: Case) -> None:
    """There is no handshake whose end the connecting side would have to be told."""
    listener = case.listener()
    sock = case.socket()
    case.arm(sock)
    case.arm(listener)

    connect(sock, getsockname(listener))

    case.at("connected")


@clause("unix.connect.datagram_is_silent")
def test_connected_datagram_socket_has_told_nobody(case: Case) -> None:
    """Both sockets are armed, and both are watched."""
    sock, other = case.socket(), case.socket("other")
    bind(other, sockaddr_un(b""))
    case.arm(sock)
    case.arm(other)

    connect(sock, getsockname(other))

    case.at("connected")


def peer_stops_reading(case: Case) -> None:
    """Shut the peer's receiving side, then send to it."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, SHUT_RD)
    case.at("shut")

    case.at("sent", send=attempt(send, sock, b"x", MSG_DONTWAIT))


@clause("unix.peer_shut_read.breaks_the_pipe")
def test_send_to_a_stream_that_stopped_reading_is_a_broken_pipe(case: Case) -> None:
    """unix_stream_sendmsg raises SIGPIPE with its EPIPE."""
    peer_stops_reading(case)


@clause("unix.peer_shut_read.refuses_packets")
def test_send_to_a_seqpacket_socket_that_stopped_reading_is_refused(case: Case) -> None:
    """A seqpacket socket sends by unix_dgram_sendmsg, which raises no SIGPIPE."""
    peer_stops_reading(case)


@clause("unix.peer_shut_read.refuses_datagrams")
def test_send_to_a_datagram_socket_that_stopped_reading_is_refused(case: Case) -> None:
    """unix_shutdown tells the other side of a connection only."""
    peer_stops_reading(case)


@clause("unix.peer_shut_write.ends_the_data")
def test_end_of_the_peers_data_is_readable_after_the_data(case: Case) -> None:
    """One POLL_IN for the data, one for the end."""
    sock, peer = case.pair()
    case.arm(sock)

    case.deliver(b"abc")
    case.at("sent")
    shutdown(peer, SHUT_WR)
    case.at("shut")

    case.at("read", first=receive_now(sock, 8), second=receive_now(sock, 8))


@clause("unix.peer_shut_write.datagram_is_silent")
def test_datagram_peer_that_stops_sending_tells_nobody(case: Case) -> None:
    """More may come from any other socket."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, {"SHUT_WR": SHUT_WR, "SHUT_RDWR": SHUT_RDWR}[case.variant])

    case.at("shut", recv=receive_now(sock, 8))


@clause("unix.peer_shut_both.hangs_up")
def test_peer_that_shuts_both_directions_hangs_up(case: Case) -> None:
    """The signal depends on what the call shuts."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, SHUT_RDWR)

    case.at("shut", recv=receive_now(sock, 8))


@clause("unix.peer_shut_in_turn.is_no_hangup")
def test_peer_that_shuts_one_direction_after_the_other_sends_no_hangup(case: Case) -> None:
    """Neither of the two calls shuts both."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, SHUT_WR)
    case.at("write_shut")
    shutdown(peer, SHUT_RD)

    case.at("both_shut")


@clause("unix.shutdown.read_is_silent")
def test_own_end_of_receiving_signals_nothing(case: Case) -> None:
    """Who shuts knows of it."""
    shut_ourselves(case, SHUT_RD)


@clause("unix.shutdown.write_is_silent")
def test_own_end_of_sending_signals_nothing(case: Case) -> None:
    """Who shuts knows of it."""
    shut_ourselves(case, SHUT_WR)


@clause("unix.shutdown.both_is_silent")
def test_own_end_of_both_directions_signals_nothing(case: Case) -> None:
    """Who shuts knows of it."""
    shut_ourselves(case, SHUT_RDWR)


@clause("unix.close.hangs_up")
def test_clean_close_of_the_peer_hangs_up(case: Case) -> None:
    """unix_release_sock shuts both directions of the other side."""
    sock, peer = case.pair()
    case.arm(sock)

    close(peer)

    case.at("closed", recv=receive_now(sock, 8))


@clause("unix.close.hangs_up_again")
def test_close_after_a_shutdown_hangs_up_again(case: Case) -> None:
    """Nothing remembers what was told before."""
    sock, peer = case.pair()
    case.arm(sock)

    shutdown(peer, SHUT_WR)
    case.at("write_shut")
    shutdown(peer, SHUT_RDWR)
    case.at("both_shut")
    close(peer)

    case.at("closed")


@clause("unix.close.wakes_everyone")
def test_close_wakes_every_sleeper(case: Case) -> None:
    """sock_def_wakeup wakes the exclusive sleepers too, all of them."""
    sock, peer = case.pair()
    for name in ("first", "second"):
        case.sleep("recv", sock, 1, name=name)
    for poller in ("poll", "select", "epoll"):
        case.sleep(poller, sock, INPUT)

    close(peer)

    case.at("closed")


@clause("unix.close.datagram_is_found_by_sending")
def test_close_of_a_datagram_peer_is_found_out_by_sending(case: Case) -> None:
    """unix_dgram_sendmsg forgets a peer that it finds dead."""
    sock, peer = case.pair()
    case.arm(sock)

    close(peer)
    case.at("closed")

    case.at("sent", first=attempt(send, sock, b"x", 0), second=attempt(send, sock, b"x", 0))


def closed_with_unread_data(case: Case) -> None:
    """Have the peer send, then close with data of the subject's unread, and receive three times."""
    sock, peer = case.pair()
    case.arm(sock)
    case.deliver(b"abc")
    case.at("sent")
    send(sock, b"never read", 0)

    close(peer)
    case.at("closed")

    case.at("read", first=receive_now(sock, 8), second=receive_now(sock, 8), third=receive_now(sock, 8))


@clause("unix.close_unread.data_comes_first")
def test_stream_gives_the_data_before_the_error(case: Case) -> None:
    """unix_stream_read_generic asks for the error only when the queue is empty."""
    closed_with_unread_data(case)


@clause("unix.close_unread.error_comes_first")
def test_seqpacket_socket_gives_the_error_before_the_data(case: Case) -> None:
    """Datagram-like receiving looks at the error before the queue."""
    closed_with_unread_data(case)


@clause("unix.close_unread.datagram_is_silent")
def test_datagram_that_is_lost_with_its_receiver_tells_nobody(case: Case) -> None:
    """The sender had room all the time, so its return is no event."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"never read", 0)

    close(peer)

    case.at("closed", recv=receive_now(sock, 8))


@clause("unix.reconnect.is_an_error")
def test_datagram_peer_that_turns_away_from_unread_data_is_an_error(case: Case) -> None:
    """The messages are lost, and who sent them is told."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"never read", 0)

    turn_away(case, peer)

    case.at("disconnected")


@clause("unix.reconnect.clean_is_silent")
def test_datagram_peer_that_turns_away_with_nothing_unread_tells_nobody(case: Case) -> None:
    """unix_dgram_disconnected has nothing to throw away."""
    sock, peer = case.pair()
    case.arm(sock)

    turn_away(case, peer)

    case.at("disconnected")


@clause("unix.reconnect.error_comes_first")
def test_datagram_socket_gives_the_error_before_the_data(case: Case) -> None:
    """__skb_try_recv_datagram looks at the error before the queue."""
    sock, peer = case.pair()
    case.arm(sock)
    case.deliver(b"abc")
    send(sock, b"never read", 0)

    connect_elsewhere(case, peer)
    case.at("disconnected")

    case.at("read", first=receive_now(sock, 8), second=receive_now(sock, 8), third=receive_now(sock, 8))


@clause("unix.reconnect.wakes")
def test_datagram_peer_that_turns_away_wakes_a_blocked_receiver(case: Case) -> None:
    """The receiver takes the error, so SO_ERROR has none left."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"never read", 0)
    case.sleep(case.variant, sock, 1, name="receiver")

    connect_elsewhere(case, peer)

    case.at("disconnected")


@clause("unix.disconnect.is_an_edge")
def test_end_of_an_own_association_is_an_edge(case: Case) -> None:
    """The wake is for output, whether or not the peer's queue was full."""
    sock, _ = case.pair()
    case.arm(sock)

    done = attempt(connect, sock, sockaddr_unspec())

    case.at("disconnected", connect=done)


@clause("unix.unaccepted.is_reset")
def test_connection_that_was_never_accepted_is_reset(case: Case) -> None:
    """What waits in the queue is released as an embryo, and that is always an error."""
    sock, listener = connection(case)
    case.arm(sock)

    close(listener)

    case.at("closed")


@clause("unix.listener.is_readable_only")
def test_listener_is_readable_while_a_connection_waits(case: Case) -> None:
    """unix_writable says no in TCP_LISTEN."""
    listener = case.listener("socket")
    case.arm(listener)
    case.at("empty")

    connect(case.socket("client"), getsockname(listener))
    case.at("pending")
    case.own(accept4(listener, 0), "accepted")

    case.at("accepted")


@clause("unix.listener.shut_read_keeps_the_queue")
def test_listener_that_stops_receiving_keeps_its_queue(case: Case) -> None:
    """unix_accept takes what is queued before it looks at the shutdown."""
    listener = case.listener("socket")
    case.arm(listener)
    connect(case.socket("client"), getsockname(listener))
    case.at("pending")

    shutdown(listener, SHUT_RD)
    case.at("shut")

    refused = attempt(connect, case.socket("late"), getsockname(listener))
    accepted = case.own(accept4(listener, 0), "accepted")
    case.at("tried", connect=refused, accept=accepted.role, accept_again=attempt(accept4, listener, 0))
