"""What an edge-triggered epoll makes of each wake, by what it is registered for, and how long it does."""

from collections.abc import Callable

from native import (
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLET,
    EPOLLIN,
    EPOLLONESHOT,
    EPOLLOUT,
    EPOLLPRI,
    EPOLLRDBAND,
    EPOLLRDHUP,
    EPOLLWRBAND,
    MSG_OOB,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    close,
    connect,
    dup,
    epoll_create1,
    epoll_ctl,
    epoll_wait,
    getsockname,
    linger,
    recv,
    send,
    shutdown,
)
from suites.catalogue import clause
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.queueing import connected, taken

INTERESTS = {
    "input": EPOLLIN,
    "exceptional": EPOLLPRI,
    "room": EPOLLOUT,
    "end": EPOLLRDHUP,
    "nothing": 0,
    "both": EPOLLIN | EPOLLOUT,
}
"""What a socket is registered for, by the name that clauses use; error and hang-up come unasked."""

BANDS = {"input_band": EPOLLRDBAND, "room_band": EPOLLWRBAND}
"""The bands of priority: datagram_poll and unix_poll report room in both, tcp_poll in the ordinary one alone."""

Edges = Callable[[], dict[str, int]]


def registered(case: Case, sock: Descriptor, interests: dict[str, int] = INTERESTS) -> Edges:
    """Register a socket for edges in an epoll for each interest; what is returned says which events each has had since."""
    epolls = {name: case.own(epoll_create1(0), name) for name in interests}
    for name, epoll in epolls.items():
        epoll_ctl(epoll, EPOLL_CTL_ADD, sock, interests[name] | EPOLLET, 0)

    def edges() -> dict[str, int]:
        case.fence()
        return {name: reported(epoll) for name, epoll in epolls.items()}

    edges()
    return edges


def reported(epoll: int) -> int:
    """What an epoll reports of its one socket."""
    return sum(events for events, _ in epoll_wait(epoll, 1, 0))


@clause("edges.data.as_registered")
def test_data_is_an_edge_for_who_asked_for_input(case: Case) -> None:
    """sock_def_readable's key has the events of input; what is reported is the state's."""
    sock, _ = case.pair()
    edges = registered(case, sock)

    case.deliver(b"x")

    case.at("delivered", **edges())


@clause("edges.data.vsock")
def test_data_on_vsock_is_an_edge_for_who_asked_for_room_too(case: Case) -> None:
    """Every packet brings the peer's credit, which is told as room where there is any."""
    sock, _ = case.pair()
    edges = registered(case, sock)

    case.deliver(b"x")

    case.at("delivered", **edges())


@clause("edges.data.each_arrival")
def test_each_arrival_is_an_edge_and_a_read_that_leaves_something_is_none(case: Case) -> None:
    """Nobody is told of what he could have known."""
    sock, _ = case.pair()
    edges = registered(case, sock, {"input": EPOLLIN})

    case.deliver(b"x")
    case.at("first", **edges())
    case.deliver(b"x")
    case.at("second", **edges())
    recv(sock, 1, 0)

    case.at("one_read", **edges())


@clause("edges.data.reported_once")
def test_two_arrivals_before_anybody_asks_are_one_report(case: Case) -> None:
    """A socket stands on the list of those that are ready, or it doesn't."""
    sock, _ = case.pair()
    edges = registered(case, sock, {"input": EPOLLIN})

    case.deliver(b"x")
    case.deliver(b"x")

    case.at("delivered", **edges(), again=edges()["input"])


@clause("edges.urgent.tcp")
def test_urgent_byte_on_tcp_is_an_edge_for_who_asked_for_it(case: Case) -> None:
    """The key of data has input in it: who asked for room as well is told of the room, for the input isn't any."""
    sock, peer = case.pair()
    edges = registered(case, sock)

    send(peer, b"!", MSG_OOB)

    case.at("urgent", **edges())


@clause("edges.urgent.unix")
def test_urgent_byte_on_unix_is_an_edge_for_input_too(case: Case) -> None:
    """unix_poll counts the urgent byte as something to read."""
    sock, peer = case.pair()
    edges = registered(case, sock)

    send(peer, b"!", MSG_OOB)

    case.at("urgent", **edges())


@clause("edges.room.as_registered")
def test_room_is_an_edge_for_who_asked_for_it(case: Case) -> None:
    """A larger send buffer is a write-space event of every family."""
    box = case.outbox()
    box.fill()
    edges = registered(case, box.socket)

    box.room(200_000)

    case.at("given_back", **edges())


@clause("edges.room.each_packet")
def test_each_packet_given_back_is_an_edge(case: Case) -> None:
    """The callback asks whether there is room, and not whether there was."""
    box = case.outbox()
    edges = registered(case, box.socket, INTERESTS | BANDS)

    box.send()
    case.at("sent", **edges())
    box.let_go()

    case.at("given_back", **edges())


@clause("edges.room.tcp_after_want")
def test_room_on_tcp_is_an_edge_after_somebody_wanted_it(case: Case) -> None:
    """tcp_check_space calls nobody without SOCK_NOSPACE, which the failed send has set."""
    box = case.outbox()
    edges = registered(case, box.socket)

    box.send()
    box.let_all_go()
    case.at("acknowledged", **edges())
    box.fill()
    case.at("full", **edges())
    box.let_all_go()

    case.at("given_back", **edges())


@clause("edges.end.as_registered")
def test_end_of_a_stream_is_an_edge_for_whatever_was_asked_for(case: Case) -> None:
    """A state change has no key, so that who asked for room is told of room anew; who asked for nothing has nothing to be told."""
    sock, peer = case.pair()
    edges = registered(case, sock)

    shutdown(peer, SHUT_WR)

    case.at("ended", **edges())


@clause("edges.close.as_registered")
def test_close_is_an_edge_with_a_hangup_for_everybody(case: Case) -> None:
    """The hang-up is in everybody's mask."""
    sock, peer = case.pair()
    edges = registered(case, sock)

    close(peer)

    case.at("closed", **edges())


@clause("edges.reset.as_registered")
def test_reset_is_an_edge_with_error_and_hangup_for_everybody(case: Case) -> None:
    """They come with what was asked for."""
    sock, peer = case.pair()
    edges = registered(case, sock)

    linger(peer, 1, 0)
    close(peer)

    case.at("reset", **edges())


@clause("edges.error.as_registered")
def test_error_is_an_edge_for_everybody(case: Case) -> None:
    """The key of an error is in everybody's mask."""
    sock, peer = case.pair()
    edges = registered(case, sock)
    close(peer)

    send(sock, b"x", 0)

    case.at("refused", **edges())


@clause("edges.state.as_registered")
def test_local_shutdown_is_an_edge_for_what_was_so_before(case: Case) -> None:
    """Nothing has come and no room has; yet a state change has no key, so that both are reported anew."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()
    case.arm(sock)
    edges = registered(case, sock)

    shutdown(sock, SHUT_WR)

    case.at("shut", **edges())


@clause("edges.shut_read.as_registered")
def test_local_shutdown_of_reading_is_an_edge_and_no_signal(case: Case) -> None:
    """The sleepers' queue is told, the subscribers' isn't."""
    sock, _ = case.pair()
    case.arm(sock)
    edges = registered(case, sock)

    shutdown(sock, SHUT_RD)

    case.at("shut", **edges())


@clause("edges.fresh.tcp")
def test_fresh_tcp_socket_is_an_edge_and_connected_another(case: Case) -> None:
    """What is so when the socket is registered is reported as an edge, once."""
    listener, sock = case.listener(), case.socket()
    epoll = case.own(epoll_create1(0), "epoll")
    epoll_ctl(epoll, EPOLL_CTL_ADD, sock, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 0)

    case.at("fresh", first=reported(epoll), again=reported(epoll))
    connect(sock, getsockname(listener))
    case.fence()

    case.at("connected", first=reported(epoll), again=reported(epoll))


@clause("edges.bands.never_for_tcp")
def test_bands_are_nothing_to_tcp_until_the_reset(case: Case) -> None:
    """tcp_poll never reports a band, though every key names one."""
    sock, peer = case.pair()
    edges = registered(case, sock, BANDS)

    send(peer, b"x", 0)
    send(peer, b"!", MSG_OOB)
    case.at("delivered", **edges())
    shutdown(peer, SHUT_WR)
    case.at("ended", **edges())
    linger(peer, 1, 0)
    close(peer)

    case.at("reset", **edges())


@clause("edges.listener.each_connection")
def test_each_connection_is_an_edge_and_accept_is_none(case: Case) -> None:
    """An enqueued connection wakes with the key of data."""
    listener = case.listener()
    edges = registered(case, listener)

    connected(case, listener, "first")
    case.at("one_waits", **edges())
    connected(case, listener, "second")
    case.at("two_wait", **edges())
    taken(case, listener)

    case.at("one_left", **edges())


@clause("edges.modify.reports_anew")
def test_registering_and_modifying_report_what_is_so(case: Case) -> None:
    """ep_insert and ep_modify ask the socket themselves."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()
    epoll = case.own(epoll_create1(0), "epoll")

    epoll_ctl(epoll, EPOLL_CTL_ADD, sock, EPOLLIN | EPOLLET, 0)
    looks = {"added": reported(epoll), "again": reported(epoll)}
    epoll_ctl(epoll, EPOLL_CTL_MOD, sock, EPOLLIN | EPOLLET, 0)

    case.at("modified", **looks, modified=reported(epoll))


@clause("edges.oneshot.reports_once")
def test_one_shot_reports_once_and_then_nothing_at_all(case: Case) -> None:
    """Not even a hang-up gets through until it is registered anew."""
    sock, _ = case.pair()
    epoll = case.own(epoll_create1(0), "epoll")
    epoll_ctl(epoll, EPOLL_CTL_ADD, sock, EPOLLIN | EPOLLONESHOT, 0)

    case.deliver(b"x")
    case.fence()
    case.at("delivered", first=reported(epoll), again=reported(epoll))
    case.deliver(b"x")
    case.fence()
    shutdown(sock, SHUT_RDWR)
    case.at("hung_up", spent=reported(epoll))
    epoll_ctl(epoll, EPOLL_CTL_MOD, sock, EPOLLIN | EPOLLONESHOT, 0)

    case.at("modified", first=reported(epoll), again=reported(epoll))


@clause("edges.duplicate.registered_apart")
def test_duplicate_is_registered_apart_and_outlives_its_number(case: Case) -> None:
    """An epoll knows a registration by the open file and the number together, and drops it with the open file."""
    sock, _ = case.pair()
    duplicate, epoll = case.own(dup(sock), "duplicate"), case.own(epoll_create1(0), "epoll")
    for fd in (sock, duplicate):
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 0)
    twice = attempt(epoll_ctl, epoll, EPOLL_CTL_ADD, sock, EPOLLIN | EPOLLET, 0)

    case.deliver(b"x")
    case.fence()
    case.at("delivered", reports=len(epoll_wait(epoll, 4, 0)), twice=twice)
    close(duplicate)
    removed = attempt(epoll_ctl, epoll, EPOLL_CTL_DEL, duplicate, 0, 0)
    case.deliver(b"x")
    case.fence()

    case.at("closed", reports=len(epoll_wait(epoll, 4, 0)), removed=removed)


@clause("edges.reference.keeps")
def test_registration_goes_on_while_the_open_file_is_held_elsewhere(case: Case) -> None:
    """A descriptor in flight holds the open file, and has no number at all."""
    sock, peer = case.pair()
    epoll = case.own(epoll_create1(0), "epoll")
    epoll_ctl(epoll, EPOLL_CTL_ADD, sock, EPOLLIN | EPOLLET, 0)
    let_go = case.put_in_flight(sock)

    close(sock)
    send(peer, b"x", 0)
    case.fence()
    case.at("held", reports=reported(epoll))
    send(peer, b"x", 0)
    let_go()
    case.fence()

    case.at("released", reports=reported(epoll))
