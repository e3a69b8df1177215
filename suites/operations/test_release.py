"""Release: what ends with the last reference to the open file, and not before."""

from collections.abc import Callable

from native import (
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    MSG_PEEK,
    POLLIN,
    POLLRDNORM,
    SHUT_RDWR,
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
    linger,
    recv,
    send,
    shutdown,
    tcp_info,
)
from suites.catalogue import clause
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.counters import extended, listed, sockets_in_use


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
        case _:
            return case.put_in_flight(fd)


def release(case: Case, fd: Descriptor) -> None:
    """Drop a descriptor in the way that the variant names."""
    match case.variant:
        case "close":
            close(fd)
        case "close_range":
            close_range(fd, fd, 0)
        case "dup2":
            dup2(case.lab.fence, fd)
        case _:
            dup3(case.lab.fence, fd, 0)


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
    """Close the peer's descriptor while a thread receives on it, then let the thread return."""
    sock, peer = case.pair()
    case.arm(sock)
    case.sleep("recv", peer, 1, name="receiver")

    close(peer)
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


@clause("release.datagram.is_silent")
def test_release_of_a_datagram_socket_is_nothing_to_its_peer(case: Case) -> None:
    """There is no connection that could end."""
    sock, peer = case.pair()
    case.arm(sock)

    close(peer)

    case.at("released", recv=attempt(recv, sock, 1, MSG_DONTWAIT))


def close_and_count(case: Case, peer: Descriptor) -> None:
    """Close the peer and observe, with what the kernel has counted meanwhile."""
    names = ("TCPAbortOnClose", "TCPAbortOnData")
    before = extended(*names)

    close(peer)
    case.fence()

    counted = {name: now - was for name, now, was in zip(names, extended(*names), before, strict=True)}
    case.at("released", **counted)


@clause("release.unread.resets")
def test_close_with_unread_data_sends_a_reset(case: Case) -> None:
    """Data that was only looked at is unread."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"never read", 0)
    case.fence()
    if case.variant == "peeked":
        recv(peer, 4, MSG_PEEK)

    close_and_count(case, peer)


@clause("release.unread.resets_after_the_end")
def test_close_with_unread_data_sends_a_reset_after_the_end(case: Case) -> None:
    """The FIN that was sent doesn't make the data read."""
    sock, peer = case.pair()
    case.arm(sock)
    send(sock, b"never read", 0)

    shutdown(peer, SHUT_RDWR)
    case.at("shut")

    close_and_count(case, peer)


@clause("release.linger_0.resets")
def test_close_with_linger_0_sends_a_reset(case: Case) -> None:
    """There is nothing unread: the option alone is the cause."""
    sock, peer = case.pair()
    case.arm(sock)
    linger(peer, 1, 0)

    close_and_count(case, peer)


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
    epoll_ctl(epoll, EPOLL_CTL_ADD, sock, POLLIN | POLLRDNORM, 0)
    copy = case.own(dup(sock), "copy")
    case.deliver(b"x")
    case.fence()

    close(sock)
    reported = sum(events for events, _ in epoll_wait(epoll, 4, 0))
    case.at("one_closed", reported=reported, remove=attempt(epoll_ctl, epoll, EPOLL_CTL_DEL, sock, 0, 0))
    close(copy)

    case.at("closed", reported=sum(events for events, _ in epoll_wait(epoll, 4, 0)))
