"""What an accepted socket has of its listener, and what it hasn't."""

import struct
from typing import NamedTuple

from native import (
    FD_CLOEXEC,
    IP_RECVERR,
    IP_TOS,
    IP_TTL,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_RECVERR,
    IPV6_TCLASS,
    IPV6_UNICAST_HOPS,
    O_ASYNC,
    O_NONBLOCK,
    SO_ACCEPTCONN,
    SO_KEEPALIVE,
    SO_LINGER,
    SO_MARK,
    SO_OOBINLINE,
    SO_PASSCRED,
    SO_PRIORITY,
    SO_RCVBUF,
    SO_RCVLOWAT,
    SO_RCVTIMEO,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SO_SNDBUF,
    SO_SNDTIMEO,
    SO_ZEROCOPY,
    SOL_SOCKET,
    TCP_CONGESTION,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_LINGER2,
    TCP_MAXSEG,
    TCP_NODELAY,
    TCP_NOTSENT_LOWAT,
    TCP_USER_TIMEOUT,
    get_descriptor_flags,
    get_flags,
    get_owner,
    get_signal,
    getsockopt,
    getsockopt_bytes,
    send,
    set_descriptor_flags,
    setsockopt,
    setsockopt_bytes,
)
from suites.catalogue import clause
from suites.lab.case import Case
from suites.lab.queueing import connected, taken, unblock


class Option(NamedTuple):
    """An option, and a value for it that isn't its default."""

    level: int
    name: int
    value: bytes

    def set(self, fd: int) -> None:
        """Set it."""
        setsockopt_bytes(fd, self.level, self.name, self.value)

    def get(self, fd: int) -> int:
        """What it is now: its bytes as one number, the first one lowest."""
        return int.from_bytes(getsockopt_bytes(fd, self.level, self.name, len(self.value)), "little")


def of_int(level: int, name: int, value: int) -> Option:
    """An option that is an int."""
    return Option(level, name, struct.pack("=i", value))


OPTIONS = {
    "so_rcvbuf": of_int(SOL_SOCKET, SO_RCVBUF, 20_000),
    "so_sndbuf": of_int(SOL_SOCKET, SO_SNDBUF, 20_000),
    "so_keepalive": of_int(SOL_SOCKET, SO_KEEPALIVE, 1),
    "so_oobinline": of_int(SOL_SOCKET, SO_OOBINLINE, 1),
    "so_rcvlowat": of_int(SOL_SOCKET, SO_RCVLOWAT, 7),
    "so_reuseaddr": of_int(SOL_SOCKET, SO_REUSEADDR, 1),
    "so_reuseport": of_int(SOL_SOCKET, SO_REUSEPORT, 1),
    "so_mark": of_int(SOL_SOCKET, SO_MARK, 7),
    "so_linger": Option(SOL_SOCKET, SO_LINGER, struct.pack("=ii", 1, 7)),
    "so_rcvtimeo": Option(SOL_SOCKET, SO_RCVTIMEO, struct.pack("@ll", 7, 0)),
    "so_sndtimeo": Option(SOL_SOCKET, SO_SNDTIMEO, struct.pack("@ll", 7, 0)),
    "so_zerocopy": of_int(SOL_SOCKET, SO_ZEROCOPY, 1),
    "so_priority": of_int(SOL_SOCKET, SO_PRIORITY, 5),
    "tcp_nodelay": of_int(IPPROTO_TCP, TCP_NODELAY, 1),
    "tcp_keepidle": of_int(IPPROTO_TCP, TCP_KEEPIDLE, 77),
    "tcp_keepintvl": of_int(IPPROTO_TCP, TCP_KEEPINTVL, 7),
    "tcp_keepcnt": of_int(IPPROTO_TCP, TCP_KEEPCNT, 7),
    "tcp_linger2": of_int(IPPROTO_TCP, TCP_LINGER2, 7),
    "tcp_user_timeout": of_int(IPPROTO_TCP, TCP_USER_TIMEOUT, 7_000),
    "tcp_congestion": Option(IPPROTO_TCP, TCP_CONGESTION, b"reno".ljust(16, b"\0")),
    "tcp_notsent_lowat": of_int(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 7_000),
    "ip_tos": of_int(IPPROTO_IP, IP_TOS, 0x10),
    "ip_ttl": of_int(IPPROTO_IP, IP_TTL, 77),
    "ip_recverr": of_int(IPPROTO_IP, IP_RECVERR, 1),
    "ipv6_tclass": of_int(IPPROTO_IPV6, IPV6_TCLASS, 0x10),
    "ipv6_unicast_hops": of_int(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 77),
    "ipv6_recverr": of_int(IPPROTO_IPV6, IPV6_RECVERR, 1),
}
"""What a listener may have set, by the name that clauses use."""


def compare(case: Case) -> None:
    """Set an option on a listener, and see what a fresh socket, the listener and what it accepts have of it."""
    option = OPTIONS[case.variant]
    listener = case.listener()
    fresh = case.socket("fresh")
    option.set(listener)
    connected(case, listener)

    child = taken(case, listener)

    case.at("accepted", of_fresh=option.get(fresh), of_listener=option.get(listener), of_child=option.get(child))


@clause("inheritance.options.tcp")
def test_accepted_tcp_socket_has_its_listener_s_options(case: Case) -> None:
    """The child's sock is a copy of the listener's."""
    compare(case)


@clause("inheritance.options.ipv4")
def test_accepted_socket_has_its_listener_s_ip_options(case: Case) -> None:
    """They are part of the sock that is copied."""
    compare(case)


@clause("inheritance.options.ipv6")
def test_accepted_socket_has_its_listener_s_ipv6_options(case: Case) -> None:
    """They are part of the sock that is copied."""
    compare(case)


@clause("inheritance.options.priority")
def test_priority_isn_t_inherited(case: Case) -> None:
    """sk_clone sets it to 0."""
    compare(case)


@clause("inheritance.options.unix")
def test_accepted_unix_socket_has_nothing_of_its_listener_s_options(case: Case) -> None:
    """connect has made its sock anew, and accept only hands over who may see credentials."""
    compare(case)


@clause("inheritance.options.passcred")
def test_accepted_unix_socket_passes_credentials_as_its_listener_does(case: Case) -> None:
    """unix_accept has it inherit this flag, because the first message may be there already."""
    listener = case.listener()
    setsockopt(listener, SOL_SOCKET, SO_PASSCRED, 1)
    sock = connected(case, listener)

    child = taken(case, listener)

    passing = {name: getsockopt(fd, SOL_SOCKET, SO_PASSCRED) for name, fd in (("client", sock), ("child", child))}
    case.at("accepted", **passing)


@clause("inheritance.options.maxseg")
def test_segment_size_is_inherited_less_what_was_negotiated(case: Case) -> None:
    """Timestamps take 12 bytes of each segment."""
    listener = case.listener()
    setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, 900)
    sock = connected(case, listener)

    child = taken(case, listener)

    sizes = {name: getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG) for name, fd in (("child_mss", child), ("client_mss", sock))}
    case.at("accepted", **sizes)


@clause("inheritance.moment.is_the_handshake")
def test_options_are_inherited_when_the_connection_comes(case: Case) -> None:
    """What the listener is set to between that and accept is too late."""
    listener = case.listener()
    setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, 1)
    connected(case, listener)
    setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, 0)
    setsockopt(listener, SOL_SOCKET, SO_OOBINLINE, 1)

    child = taken(case, listener)

    facts = {"keepalive": SO_KEEPALIVE, "oobinline": SO_OOBINLINE}
    case.at("accepted", **{name: getsockopt(child, SOL_SOCKET, option) for name, option in facts.items()})


@clause("inheritance.listening.ends")
def test_accepted_socket_does_not_listen(case: Case) -> None:
    """That is a state, and the copy has another."""
    listener = case.listener()
    connected(case, listener)

    child = taken(case, listener)

    listens = {"listener": listener, "child": child}
    case.at(
        "accepted", **{f"{name}_listens": getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN) for name, fd in listens.items()}
    )


@clause("inheritance.file.is_new")
def test_accepted_socket_has_neither_flags_nor_owner_of_its_listener(case: Case) -> None:
    """They belong to the open file, and accept opens a new one: what comes to it is told to nobody."""
    listener = case.listener()
    case.arm(listener)
    unblock(listener)
    set_descriptor_flags(listener, FD_CLOEXEC)
    sock = connected(case, listener)
    case.at("connected")

    child = taken(case, listener)
    flags = get_flags(child)
    send(sock, b"x", 0)

    case.at(
        "sent",
        async_=int(flags & O_ASYNC != 0),
        nonblock=int(flags & O_NONBLOCK != 0),
        cloexec=get_descriptor_flags(child),
        owner=get_owner(child),
        signal=get_signal(child),
    )
