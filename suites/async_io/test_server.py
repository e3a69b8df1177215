"""Document 001's asyncio server: hundreds of connections at once, served by one thread that nobody can hold up."""

from native import (
    MSG_DONTWAIT,
    TCP_ESTABLISHED,
    TCP_SYN_SENT,
    CallError,
    close,
    connect,
    linger,
    recv,
    send,
    tcp_info,
    trace,
)
from suites.catalogue import clause
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.echo import ADDRESS, EchoServer, client
from suites.lab.echo_server import BACKLOG
from suites.lab.queueing import unblock

CROWD = 300
"""Clients at once: fewer than select's sets hold (FD_SETSIZE, 1,024), and than a process may have open by default."""

ALPHABET = b"abcdefghijklmnopqrstuvwxyz" * 1000


def exchange(clients: list[Descriptor], words: str) -> int:
    """Have all clients send, each its own, and then all receive; returns how many got back theirs in upper case."""
    sent = [f"{words} of client {number}".encode() for number in range(len(clients))]
    for fd, data in zip(clients, sent, strict=True):
        send(fd, data, 0)
    return sum(recv(fd, 64) == data.upper() for fd, data in zip(clients, sent, strict=True))


def served(fd: int, data: bytes) -> bytes:
    """What comes back of something short."""
    send(fd, data, 0)
    return recv(fd, 64)


def receive_all(fd: int, size: int) -> bytes:
    """What comes, until it is so much."""
    data = bytearray()
    while len(data) < size and (part := recv(fd, 1 << 16)):
        data += part
    return bytes(data)


def overfill(server: EchoServer, fd: Descriptor) -> bytes:
    """Send without receiving until the server waits for room to send; returns what was sent."""
    sent = bytearray()
    while server.ask().sending == 0:
        try:
            sent += ALPHABET[: send(fd, ALPHABET, MSG_DONTWAIT)]
        except CallError as error:
            if error.name != "EAGAIN":
                raise
    return bytes(sent)


@clause("server.crowd.is_echoed")
def test_hundreds_of_clients_are_connected_at_once_and_each_gets_its_own(case: Case) -> None:
    """They connect no faster than the server accepts, and stay: its backlog of 5 would drop a SYN otherwise."""
    server = EchoServer(case, case.variant)
    crowd: list[Descriptor] = []
    first = 0
    with trace.paused():
        while len(crowd) < CROWD:
            group = [client(case, f"client_{len(crowd) + i}") for i in range(BACKLOG)]
            first += exchange(group, "first words")
            crowd += group
        at_once = server.ask().clients
        second = exchange(crowd, "last words")

    case.at("served", first=first, at_once=at_once, second=second, threads=server.threads())


@clause("server.silent.holds_up_nobody")
def test_clients_that_are_silent_hold_up_nobody(case: Case) -> None:
    """A task that awaits data gives the thread away."""
    server = EchoServer(case, case.variant)
    mute, half = client(case, "mute"), client(case, "half")
    begun = served(half, b"half a ")

    other = served(client(case, "other"), b"others")
    clients = server.ask().clients
    case.at("silent", half=begun, other=other, clients=clients, threads=server.threads())

    case.at("spoken", half=served(half, b"message"), mute=served(mute, b"at last"))


@clause("server.unread.holds_up_nobody")
def test_client_that_reads_nothing_holds_up_nobody(case: Case) -> None:
    """A task that awaits room gives the thread away, and goes on where it was."""
    server = EchoServer(case, case.variant)
    greedy = client(case, "greedy")
    with trace.paused():
        sent = overfill(server, greedy)
    case.fence()

    other = served(client(case, "other"), b"others")
    standing = server.ask()
    case.at("full", other=other, clients=standing.clients, sending=standing.sending)
    with trace.paused():
        received = receive_all(greedy, len(sent))

    case.at("read", sent=len(sent), received=len(received), same=int(received == sent.upper()))


@clause("server.reset.ends_one")
def test_reset_ends_the_task_of_its_client_and_no_other(case: Case) -> None:
    """One is reset while its task awaits data, one while it awaits room."""
    server = EchoServer(case, "epoll")
    other, idle, greedy = (client(case, role) for role in ("other", "idle", "greedy"))
    before = served(other, b"before")
    with trace.paused():
        overfill(server, greedy)
    case.at("under_way", other=before, clients=server.ask().clients)

    for fd in (idle, greedy):
        linger(fd, 1, 0)
        close(fd)
    case.fence()

    case.at("reset", other=served(other, b"after"), clients=server.ask().clients)


@clause("server.backlog.is_5")
def test_stopped_server_has_connections_queue_for_it(case: Case) -> None:
    """The kernel establishes them, one more than the backlog says; the server finds them when it goes on."""
    server = EchoServer(case, "epoll")
    server.stop()
    crowd = [case.socket(f"client_{i}") for i in range(BACKLOG + 3)]
    for fd in crowd:
        unblock(fd)
        attempt(connect, fd, ADDRESS)
        case.fence()

    states = [tcp_info(fd).state for fd in crowd]
    case.at("stopped", established=states.count(TCP_ESTABLISHED), connecting=states.count(TCP_SYN_SENT))
    server.go_on()
    queued = crowd[: BACKLOG + 1]
    for fd in queued:
        unblock(fd, on=False)

    case.at("went_on", echoed=exchange(queued, "waited"))


@clause("server.port.is_reused")
def test_server_starts_again_while_connections_of_the_last_one_linger(case: Case) -> None:
    """SO_REUSEADDR is what it is for."""
    first = EchoServer(case, "epoll")
    old = client(case, "old")
    before = served(old, b"before")
    first.end()
    end = attempt(recv, old, 1)

    second = EchoServer(case, "epoll")

    after = served(client(case, "new"), b"after")
    case.at("restarted", before=before, end=end, greeting=second.greeting, after=after)
