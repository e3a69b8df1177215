"""The descriptor that a signal names, and how long what was armed stays so: duplicates, closing, fork, exec, flight, accept."""

from native import (
    AF_UNIX,
    F_DUPFD,
    FD_CLOEXEC,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    O_NONBLOCK,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    accept4,
    close,
    connect,
    dup,
    dup2,
    fcntl,
    get_descriptor_flags,
    get_flags,
    getsockname,
    ioctl_async,
    pipe2,
    recv,
    recvmsg,
    rights,
    send,
    sendmsg,
    set_descriptor_flags,
    set_flags,
    socketpair,
)
from suites.catalogue import clause
from suites.lab.arming import arming
from suites.lab.case import Case, Descriptor, Plain, attempt


def duplicate(case: Case, fd: Descriptor) -> Descriptor:
    """A second number for the same open file, in the way that the variant names."""
    match case.variant:
        case "dup":
            return case.own(dup(fd), "copy")
        case "dup2":
            return case.own(dup2(fd, case.spare_number()), "copy")
        case "f_dupfd":
            return case.own(fcntl(fd, F_DUPFD, 0), "copy")
        case _:
            return case.own(sent_to_oneself(fd), "copy")


def sent_to_oneself(fd: int) -> int:
    """The number under which a descriptor arrives that was sent over an AF_UNIX socket."""
    sender, receiver = socketpair(AF_UNIX, SOCK_DGRAM, 0)
    sendmsg(sender, [b"x"], 0, [rights([fd])])
    (number,) = recvmsg(receiver, 1, 0).descriptors
    close(sender)
    close(receiver)
    return number


def connected(case: Case) -> tuple[Descriptor, Descriptor]:
    """An armed, non-blocking listener that closes on exec, and a client whose connection waits to be accepted."""
    listener = case.listener()
    case.arm(listener)
    set_flags(listener, get_flags(listener) | O_NONBLOCK)
    set_descriptor_flags(listener, FD_CLOEXEC)
    client = case.socket("client")
    connect(client, getsockname(listener))
    return listener, client


def flags_of(fd: int) -> dict[str, Plain]:
    """O_NONBLOCK and FD_CLOEXEC as facts."""
    return {"nonblocking": int(bool(get_flags(fd) & O_NONBLOCK)), "close_on_exec": get_descriptor_flags(fd)}


@clause("descriptor.duplicate.shared")
def test_every_descriptor_of_the_file_shows_how_it_is_armed(case: Case) -> None:
    """Owner, signal and O_ASYNC are fields of struct file."""
    sock, _ = case.pair()
    case.arm(sock)
    copy = duplicate(case, sock)

    case.at("armed", **arming(case, copy))
    case.disarm(sock)

    case.at("disarmed", **arming(case, copy))


@clause("descriptor.registered.reported")
def test_signal_names_the_descriptor_that_turned_o_async_on(case: Case) -> None:
    """fasync is handed the number that F_SETFL was called with."""
    sock, _ = case.pair()
    copy = duplicate(case, sock)
    case.arm(copy)

    case.deliver(b"x")

    case.at("delivered")


@clause("descriptor.again.unchanged")
def test_setting_o_async_again_through_a_duplicate_keeps_the_first_number(case: Case) -> None:
    """No change, no fasync, no new number."""
    sock, _ = case.pair()
    case.arm(sock)
    case.arm(duplicate(case, sock))

    case.deliver(b"x")

    case.at("delivered")


@clause("descriptor.toggled.changed")
def test_o_async_off_and_on_through_a_duplicate_changes_the_number(case: Case) -> None:
    """The entry that goes takes its number along."""
    sock, _ = case.pair()
    case.arm(sock)
    copy = duplicate(case, sock)
    case.deliver(b"x")
    case.at("first")

    ioctl_async(copy, 0)
    ioctl_async(copy, 1)
    case.deliver(b"y")

    case.at("second")


@clause("descriptor.closed.stale")
def test_number_that_was_closed_is_still_what_signals_name(case: Case) -> None:
    """close takes the number away from the process, not from the entry."""
    sock, _ = case.pair()
    case.arm(sock)
    duplicate(case, sock)

    close(sock)
    case.deliver(b"x")

    case.at("delivered")


@clause("descriptor.reused.stale")
def test_number_that_names_another_file_is_still_what_signals_name(case: Case) -> None:
    """Who trusts si_fd now reads from a pipe."""
    sock, _ = case.pair()
    case.arm(sock)
    case.own(dup(sock), "copy")
    reader, _ = (case.own(end, role) for end, role in zip(pipe2(0), ("reader", "writer"), strict=True))

    dup2(reader, sock)
    case.deliver(b"x")

    case.at("delivered", at_the_number=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("descriptor.copy_closed.kept")
def test_closing_a_duplicate_takes_nothing_away(case: Case) -> None:
    """fasync is told of the last reference only, by __fput."""
    sock, _ = case.pair()
    case.arm(sock)

    close(duplicate(case, sock))
    case.deliver(b"x")

    case.at("delivered", **arming(case, sock))


@clause("descriptor.last_close.silent")
def test_closing_the_last_descriptor_sends_no_signal_and_ends_all(case: Case) -> None:
    """__fput has fasync remove the entry before it releases the socket."""
    sock, _ = case.pair()
    case.arm(sock)

    if case.variant == "close":
        close(sock)
    else:
        dup2(case.lab.fence.to_itself, sock)
    case.at("closed")
    attempt(case.deliver, b"x", MSG_NOSIGNAL)

    case.at("sent")


@clause("descriptor.last_close.queued")
def test_signal_in_the_queue_outlives_the_descriptor(case: Case) -> None:
    """The queue holds the number, and no reference to the file."""
    sock, _ = case.pair()
    case.arm(sock)
    case.deliver(b"x")
    case.fence()

    close(sock)

    case.at("closed")


@clause("descriptor.fork.kept")
def test_childs_copy_keeps_the_socket_armed(case: Case) -> None:
    """The owner is who it was; that the owner holds no descriptor any more doesn't matter."""
    sock, _ = case.pair()
    case.arm(sock)
    child = case.fork()

    close(sock)
    case.deliver(b"x")
    case.at("held")
    child.close(sock)
    attempt(case.deliver, b"y", MSG_NOSIGNAL)

    case.at("released")


@clause("descriptor.exec.kept")
def test_socket_stays_armed_through_exec(case: Case) -> None:
    """exec takes over the open files as they are."""
    sock, _ = case.pair()
    case.arm(sock)
    child = case.fork()
    close(sock)

    child.execute()
    case.deliver(b"x")
    case.at("executed")
    child.exit()
    attempt(case.deliver, b"y", MSG_NOSIGNAL)

    case.at("ended")


@clause("descriptor.flight.kept")
def test_descriptor_in_flight_keeps_the_socket_armed(case: Case) -> None:
    """The message holds the file, and with it the entry."""
    sock, _ = case.pair()
    case.arm(sock)
    drop = case.put_in_flight(sock)

    close(sock)
    case.deliver(b"x")
    case.at("held")
    drop()
    attempt(case.deliver, b"y", MSG_NOSIGNAL)

    case.at("released")


@clause("descriptor.peer.untouched")
def test_arming_one_side_does_not_arm_the_other(case: Case) -> None:
    """Two sockets are two files."""
    sock, peer = case.pair()
    case.arm(sock)

    send(sock, b"x", 0)

    case.at("sent", **arming(case, peer))


@clause("descriptor.accepted.fresh")
def test_accepted_socket_inherits_nothing_of_the_listeners_file(case: Case) -> None:
    """accept allocates a file of its own."""
    listener, client = connected(case)
    case.at("connected")
    sock = case.own(accept4(listener, 0), "socket")
    fresh = arming(case, sock) | flags_of(sock)

    send(client, b"x", 0)

    case.at("sent", **fresh)


@clause("descriptor.accepted.flags")
def test_accept4_gives_the_flags_that_it_is_asked_for(case: Case) -> None:
    """SOCK_NONBLOCK and SOCK_CLOEXEC are accept4's own, and arm nothing."""
    listener, _ = connected(case)
    case.at("connected")
    sock = case.own(accept4(listener, SOCK_NONBLOCK | SOCK_CLOEXEC), "socket")

    case.at("accepted", **arming(case, sock), **flags_of(sock))
