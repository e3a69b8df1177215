"""What a socket is from its creation on: its kind, its flags, its file, and who may use it and how it is asked for."""

import os
from collections.abc import Callable

from native import (
    AF_INET,
    AF_UNIX,
    FD_CLOEXEC,
    MSG_DONTWAIT,
    MSG_OOB,
    MSG_PEEK,
    MSG_WAITALL,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    SO_DOMAIN,
    SO_PASSCRED,
    SO_PROTOCOL,
    SO_TYPE,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOCK_PACKET,
    SOCK_RAW,
    SOCK_STREAM,
    SOL_SOCKET,
    Sleeper,
    accept4,
    close,
    connect,
    dup,
    fstat,
    fstatfs,
    get_descriptor_flags,
    get_flags,
    getsockname,
    getsockopt,
    ioctl_inq,
    openat,
    recv,
    sched_getaffinity,
    sched_setaffinity,
    send,
    set_flags,
    setsockopt,
    sleep_bind,
    sleep_socket,
    sockaddr_in,
    sockaddr_un,
    socket,
    socketcall,
    socketpair,
)
from suites.catalogue import clause
from suites.clauses import SUBJECT
from suites.lab.case import Case, Descriptor, Plain, attempt
from suites.lab.families import Family, Tcp, Udp

FLAGS = {"none": 0, "cloexec": SOCK_CLOEXEC, "nonblock": SOCK_NONBLOCK, "both": SOCK_CLOEXEC | SOCK_NONBLOCK}
OPENINGS = {"read": O_RDONLY, "write": O_WRONLY, "both": O_RDWR}
THREADS = 8
SO_PASSRIGHTS, SO_INQ = 83, 84
"""include/uapi/asm-generic/socket.h; newer than the headers of most machines."""

CALL_SOCKET, CALL_BIND, CALL_LISTEN, CALL_SOCKETPAIR, CALL_SEND, CALL_RECV = 1, 2, 4, 8, 9, 10
"""include/uapi/linux/net.h SYS_SOCKET and so on, which are other numbers than those of the system calls."""


def kind(sock: Descriptor, domain: int, type: int, protocol: int) -> dict[str, Plain]:
    """What a socket says that it is, beside what was asked for."""
    return {
        "domain": getsockopt(sock, SOL_SOCKET, SO_DOMAIN),
        "type": getsockopt(sock, SOL_SOCKET, SO_TYPE),
        "protocol": getsockopt(sock, SOL_SOCKET, SO_PROTOCOL),
        "asked_domain": domain,
        "asked_type": type,
        "asked_protocol": protocol,
    }


@clause("identity.kind.as_asked")
def test_socket_says_what_was_asked_for(case: Case) -> None:
    """Family and protocol are recorded in the sock, the type in the socket."""
    sock = case.socket()

    case.at("made", **kind(sock, case.family.domain, case.family.type, case.family.protocol))


@clause("identity.kind.tcp")
def test_kernel_chooses_tcp_for_streams(case: Case) -> None:
    """Protocol 0 stands for the first of the type's list."""
    sock = case.socket()

    case.at("made", **kind(sock, case.family.domain, case.family.type, case.family.protocol))


@clause("identity.kind.udp")
def test_kernel_chooses_udp_for_datagrams(case: Case) -> None:
    """Protocol 0 stands for the first of the type's list."""
    sock = case.socket()

    case.at("made", **kind(sock, case.family.domain, case.family.type, case.family.protocol))


@clause("identity.kind.protocol_of_the_family")
def test_protocol_that_is_the_familys_number_is_not_recorded(case: Case) -> None:
    """It is accepted as another name of 0."""
    family = case.family
    sock = case.own(socket(family.domain, family.type, family.domain), SUBJECT)

    case.at("made", **kind(sock, family.domain, family.type, family.domain))


@clause("identity.kind.ethertype")
def test_packet_sockets_ethernet_type_is_not_its_protocol(case: Case) -> None:
    """What is passed as the protocol is kept as what to listen to, and its name says it."""
    ethertype = 0x88B5
    swapped = int.from_bytes(ethertype.to_bytes(2, "big"), "little")
    sock = case.own(socket(case.family.domain, case.family.type, swapped), SUBJECT)

    name = getsockname(sock)
    case.at("made", protocol=getsockopt(sock, SOL_SOCKET, SO_PROTOCOL), named=int.from_bytes(name[2:4], "big"))


@clause("identity.kind.raw_unix")
def test_raw_unix_socket_is_a_datagram_socket(case: Case) -> None:
    """The type is changed before the sock is made."""
    sock = case.own(socket(AF_UNIX, SOCK_RAW), SUBJECT)

    case.at("made", **kind(sock, AF_UNIX, SOCK_RAW, 0))


@clause("identity.kind.old_packet")
def test_internet_packet_socket_is_a_packet_socket(case: Case) -> None:
    """The family is changed before anybody is asked."""
    sock = case.own(socket(AF_INET, SOCK_PACKET), SUBJECT)

    case.at("made", **kind(sock, AF_INET, SOCK_PACKET, 0))


# Flags.


def flags_of(fd: int, flags: int) -> dict[str, Plain]:
    """Whether a descriptor closes on exec and its file doesn't wait, beside what was asked for."""
    return {
        "closes_on_exec": int(bool(get_descriptor_flags(fd) & FD_CLOEXEC)),
        "nonblocking": int(bool(get_flags(fd) & O_NONBLOCK)),
        "asked_cloexec": int(bool(flags & SOCK_CLOEXEC)),
        "asked_nonblock": int(bool(flags & SOCK_NONBLOCK)),
    }


@clause("identity.flags.socket")
def test_socket_has_the_flags_that_were_asked_for(case: Case) -> None:
    """One is the descriptor's, the other the file's."""
    family, flags = case.family, FLAGS[case.variant]
    sock = case.own(socket(family.domain, family.type | flags, family.protocol), SUBJECT)

    case.at("made", **flags_of(sock, flags))


@clause("identity.flags.pair")
def test_both_ends_of_a_pair_have_the_flags_that_were_asked_for(case: Case) -> None:
    """They are made alike."""
    flags = FLAGS[case.variant]
    ends = socketpair(case.family.domain, case.family.type | flags)
    sock, peer = case.own(ends[0], SUBJECT), case.own(ends[1], "peer")

    case.at("first", **flags_of(sock, flags))
    case.at("second", **flags_of(peer, flags))


@clause("identity.flags.accepted")
def test_accepted_socket_has_the_flags_that_were_asked_for_and_none_of_the_listeners(case: Case) -> None:
    """Linux copies none of the listener's."""
    flags = FLAGS[case.variant]
    listener = case.listener()
    sock = case.socket("client")
    connect(sock, getsockname(listener))
    case.fence()
    set_flags(listener, get_flags(listener) | O_NONBLOCK)

    accepted = case.own(accept4(listener, flags), SUBJECT)

    case.at("accepted", **flags_of(accepted, flags))


@clause("identity.flags.accept_unknown")
def test_accept_refuses_unknown_flags_before_it_looks_for_a_connection(case: Case) -> None:
    """The flags are looked at first."""
    listener = case.listener()
    set_flags(listener, get_flags(listener) | O_NONBLOCK)

    case.at("refused", known=attempt(accept4, listener, SOCK_CLOEXEC), unknown=attempt(accept4, listener, 0x10))


# The file.


@clause("identity.file.sockfs")
def test_sockets_file_is_a_socket_in_sockfs(case: Case) -> None:
    """Its name in /proc is the inode's number, which a duplicate shares and another socket doesn't."""
    sock = case.socket()
    copy, other = case.own(dup(sock), "copy"), case.own(case.family.socket(), "other")
    inode = fstat(sock).ino

    case.at(
        "made",
        mode=fstat(sock).mode,
        file_system=fstatfs(sock),
        link=os.readlink(f"/proc/thread-self/fd/{int(sock)}").replace(str(inode), "INODE"),
        same_in_duplicate=int(fstat(copy).ino == inode),
        same_in_other=int(fstat(other).ino == inode),
    )


@clause("identity.file.cannot_be_opened")
def test_socket_cannot_be_opened_again(case: Case) -> None:
    """The link leads to the inode, and a socket's inode has no open."""
    sock = case.socket()

    outcome = attempt(openat, 0, f"/proc/thread-self/fd/{int(sock)}", OPENINGS[case.variant])

    case.at("refused", open=outcome)


# Options that came, and went.


@clause("identity.passcred.carries")
def test_sockets_that_carry_credentials_can_be_told_to(case: Case) -> None:
    """Whoever receives asks for them."""
    sock = case.socket()
    before = getsockopt(sock, SOL_SOCKET, SO_PASSCRED)

    setsockopt(sock, SOL_SOCKET, SO_PASSCRED, 1)

    case.at("set", before=before, after=getsockopt(sock, SOL_SOCKET, SO_PASSCRED))


@clause("identity.passcred.others")
def test_sockets_that_carry_no_credentials_are_not_asked(case: Case) -> None:
    """It was a bit of every socket until it became one of those for which it means something."""
    sock = case.socket()

    case.at(
        "asked",
        get=attempt(getsockopt, sock, SOL_SOCKET, SO_PASSCRED),
        set=attempt(setsockopt, sock, SOL_SOCKET, SO_PASSCRED, 1),
    )


@clause("identity.passcred.mptcp")
def test_mptcp_ignores_that_credentials_are_asked_for(case: Case) -> None:
    """It has a list of options that mean nothing to its subflows."""
    sock = case.socket()

    case.at(
        "asked",
        get=attempt(getsockopt, sock, SOL_SOCKET, SO_PASSCRED),
        set=attempt(setsockopt, sock, SOL_SOCKET, SO_PASSCRED, 1),
    )


@clause("identity.passrights.unix")
def test_unix_sockets_accept_descriptors_unless_told_not_to(case: Case) -> None:
    """The option is on from the start."""
    sock = case.socket()

    case.at("asked", get=attempt(getsockopt, sock, SOL_SOCKET, SO_PASSRIGHTS))


@clause("identity.passrights.others")
def test_other_sockets_carry_no_descriptors(case: Case) -> None:
    """Where the option is known, it is known to be AF_UNIX's."""
    sock = case.socket()

    case.at("asked", get=attempt(getsockopt, sock, SOL_SOCKET, SO_PASSRIGHTS))


@clause("identity.inq.unix_stream")
def test_unix_stream_can_say_with_each_message_how_much_is_left(case: Case) -> None:
    """It is AF_UNIX's own option under the name of all sockets."""
    sock = case.socket()

    case.at("asked", set=attempt(setsockopt, sock, SOL_SOCKET, SO_INQ, 1))


@clause("identity.inq.unix_messages")
def test_unix_messages_do_not_say_how_much_is_left(case: Case) -> None:
    """A message is whole or cut off."""
    sock = case.socket()

    case.at("asked", set=attempt(setsockopt, sock, SOL_SOCKET, SO_INQ, 1))


# SIOCINQ, which is FIONREAD.


@clause("identity.fionread.stream")
def test_stream_says_all_that_can_be_read(case: Case) -> None:
    """Bytes have no borders that would count."""
    sock, peer = case.pair()
    send(peer, b"one")
    send(peer, b"four")
    case.fence()

    case.at("sent", input=ioctl_inq(sock))


@clause("identity.fionread.vsock")
def test_vsock_says_all_that_can_be_read(case: Case) -> None:
    """The transport counts what it has received."""
    sock, peer = case.pair()
    send(peer, b"one")
    send(peer, b"four")
    recv(sock, 7, MSG_PEEK | MSG_WAITALL)

    case.at("sent", input=attempt(ioctl_inq, sock))


@clause("identity.fionread.datagram")
def test_datagram_socket_says_how_long_the_first_message_is(case: Case) -> None:
    """What one call can read."""
    sock, peer = case.pair()
    send(peer, b"one")
    send(peer, b"four")
    case.fence()

    case.at("sent", input=ioctl_inq(sock))


@clause("identity.fionread.empty")
def test_empty_datagram_is_readable_and_nothing_long(case: Case) -> None:
    """0 doesn't say that there is nothing to read."""
    sock, peer = case.pair()
    send(peer, b"")
    case.fence()

    case.at("sent", input=ioctl_inq(sock))


@clause("identity.fionread.urgent")
def test_stream_says_what_can_be_read_before_the_mark(case: Case) -> None:
    """A read stops there."""
    sock, peer = case.pair()
    send(peer, b"abc")
    send(peer, b"d", MSG_OOB)
    send(peer, b"efgh")
    case.fence()

    before = ioctl_inq(sock)
    recv(sock, 3)

    case.at("sent", before_the_mark=before, at_the_mark=ioctl_inq(sock))


@clause("identity.fionread.listener")
def test_listener_has_nothing_that_could_be_read(case: Case) -> None:
    """It is no socket of data."""
    listener = case.listener()

    case.at("listening", input=attempt(ioctl_inq, listener))


# Several threads.


def own_address(family: Family) -> bytes:
    """An address to bind to that nobody else has."""
    return family.address() if isinstance(family, (Tcp, Udp)) else sockaddr_un(b"\0sockwake first call")


def in_threads(case: Case, start: Callable[[], Sleeper]) -> list[Plain]:
    """What a call comes to that several threads make at once, on whatever CPU."""
    pinned = sched_getaffinity(0)
    sched_setaffinity(0, case.lab.cpus)
    threads = [start() for _ in range(THREADS)]
    outcomes = [error or value for value, error in (thread.outcome() for thread in threads)]
    for thread in threads:
        thread.join()
    sched_setaffinity(0, pinned)
    return outcomes


@clause("identity.threads.bind")
def test_one_of_several_threads_binds_a_fresh_socket(case: Case) -> None:
    """The lock is there before anybody can have the descriptor."""
    sock = case.socket()

    outcomes = in_threads(case, lambda: sleep_bind(sock, own_address(case.family)))

    case.at("bound", bound=outcomes.count(0), refused=outcomes.count("EINVAL"))


@clause("identity.threads.create")
def test_several_threads_make_sockets_of_their_own(case: Case) -> None:
    """Each gets a number and an inode that no other has."""
    family = case.family

    made = in_threads(case, lambda: sleep_socket(family.domain, family.type, family.protocol))

    numbers = [case.own(fd, f"socket_{i}") for i, fd in enumerate(made) if isinstance(fd, int)]
    case.at("made", numbers=len(set(numbers)), inodes=len({fstat(fd).ino for fd in numbers}))


# The 32-bit interface.


@clause("identity.socketcall.makes")
def test_socketcall_makes_the_same_socket(case: Case) -> None:
    """It leads to the same function."""
    family = case.family
    flags = SOCK_CLOEXEC | SOCK_NONBLOCK
    made = socketcall(CALL_SOCKET, family.domain, family.type | flags, family.protocol)
    sock = case.own(made, SUBJECT)

    case.at("made", **kind(sock, family.domain, family.type, family.protocol), **flags_of(sock, flags))


@clause("identity.socketcall.refuses")
def test_socketcall_refuses_the_same(case: Case) -> None:
    """Arguments are 32 bits wide, and are looked at by the same function."""
    case.at(
        "refused",
        flags=attempt(socketcall, CALL_SOCKET, AF_INET, SOCK_STREAM | 0x10, 0),
        family=attempt(socketcall, CALL_SOCKET, -1, SOCK_STREAM, 0),
        type=attempt(socketcall, CALL_SOCKET, AF_INET, 11, 0),
        protocol=attempt(socketcall, CALL_SOCKET, AF_UNIX, SOCK_STREAM, 2),
        range=attempt(socketcall, CALL_SOCKET, AF_INET, SOCK_STREAM, -1),
        pair=attempt(socketcall, CALL_SOCKETPAIR, AF_INET, SOCK_STREAM, 0, bytearray(8)),
    )


@clause("identity.socketcall.unknown")
def test_socketcall_has_no_such_call(case: Case) -> None:
    """Calls are numbered from 1 to 20."""
    case.at("refused", zero=attempt(socketcall, 0, 0), beyond=attempt(socketcall, 21, 0))


@clause("identity.socketcall.carries")
def test_socketcall_makes_pairs_and_carries_data(case: Case) -> None:
    """Pointers are 32 bits wide."""
    numbers = bytearray(8)
    socketcall(CALL_SOCKETPAIR, AF_UNIX, case.family.type, 0, numbers)
    sock = case.own(int.from_bytes(numbers[:4], "little"), SUBJECT)
    peer = case.own(int.from_bytes(numbers[4:], "little"), "peer")

    sent = socketcall(CALL_SEND, peer, b"x", 1, 0)
    received = bytearray(1)
    socketcall(CALL_RECV, sock, received, 1, MSG_DONTWAIT)

    case.at("carried", sent=sent, received=bytes(received))


@clause("identity.socketcall.listens")
def test_socketcall_binds_and_listens(case: Case) -> None:
    """The call in between is the kernel's own, and finds the same socket."""
    sock = case.own(socketcall(CALL_SOCKET, AF_INET, SOCK_STREAM, 0), SUBJECT)
    bound = socketcall(CALL_BIND, sock, sockaddr_in("127.0.0.1", 0), 16)
    listening = socketcall(CALL_LISTEN, sock, 1)
    client = case.socket("client")

    connect(client, getsockname(sock))

    case.at("listening", bind=bound, listen=listening)
    close(accept4(sock, 0))
