"""What a netlink socket is told: answers, dumps, multicasts, and that messages were lost."""

import struct

from native import (
    AF_INET,
    AF_NETLINK,
    AF_UNSPEC,
    MSG_DONTWAIT,
    NETLINK_NO_ENOBUFS,
    NETLINK_ROUTE,
    SO_RCVBUF,
    SOCK_RAW,
    SOL_NETLINK,
    SOL_SOCKET,
    bind,
    close,
    if_index,
    recv,
    send,
    sendto,
    setsockopt,
    sockaddr_nl,
    socket,
)
from suites.catalogue import clause
from suites.lab import rtnetlink
from suites.lab.calls import receive_now
from suites.lab.case import Case, Descriptor, Plain, attempt
from suites.lab.rtnetlink import CREATE, REQUEST, Kind, attribute

GETLINK, GETADDR = 18, 22
DUMP = 0x300
"""rtnetlink(7), netlink(7): requests, and the flag that asks for all."""

GROUP = 1
"""A group of NETLINK_USERSOCK's, as a bit of an address."""

ROUTES = 0x40
"""RTMGRP_IPV4_ROUTE: the group to which the kernel announces routes."""

RTA_DST, RTA_OIF = 1, 4
RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RTN_UNICAST = 254, 4, 253, 1

BIG = b"x" * 4_000
"""More than the least receive buffer (SOCK_MIN_RCVBUF): one such message is always taken, and fills it."""


def asked(case: Case, kind: int, flags: int, body: bytes) -> Descriptor:
    """An armed rtnetlink socket that has sent a request."""
    sock = case.own(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "socket")
    bind(sock, sockaddr_nl(0, 0))
    case.arm(sock)
    send(sock, struct.pack("=IHHII", 16 + len(body), kind, flags | REQUEST, 1, 0) + body, 0)
    return sock


def member(case: Case, role: str = "socket", group: int = GROUP) -> Descriptor:
    """An armed socket in a group of user sockets."""
    sock = case.socket(role)
    bind(sock, sockaddr_nl(0, group))
    case.arm(sock)
    return sock


def multicast(case: Case) -> Plain:
    """What sending a big message to the group comes to."""
    sender = case.socket("sender")
    sent = attempt(sendto, sender, BIG, MSG_DONTWAIT, sockaddr_nl(0, GROUP))
    close(sender)
    return sent


def narrow_member(case: Case) -> Descriptor:
    """An armed member of the group with room for one big message."""
    sock = member(case)
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, 0)
    return sock


@clause("netlink.answer.signals")
def test_answer_signals_whether_it_grants_or_refuses(case: Case) -> None:
    """What is refused is a question about a device that isn't there."""
    device = if_index("lo") if case.variant == "granted" else 1 << 20

    asked(case, GETLINK, 0, struct.pack("=BxHiII", AF_UNSPEC, 0, device, 0, 0))

    case.at("asked")


@clause("netlink.dump.signals_each_packet")
def test_dump_signals_again_as_it_is_read(case: Case) -> None:
    """A dump of all families' addresses never ends with its first packet."""
    sock = asked(case, GETADDR, DUMP, struct.pack("=BBBBI", AF_UNSPEC, 0, 0, 0, 0))
    case.at("asked")

    recv(sock, 1 << 15, MSG_DONTWAIT)

    case.at("first_read")


@clause("netlink.multicast.signals_each_member")
def test_multicast_signals_each_member(case: Case) -> None:
    """In which order isn't promised to anybody; the stranger is in no group."""
    member(case)
    member(case, "second")
    member(case, "stranger", group=0)

    case.at("sent", send=multicast(case))


@clause("netlink.multicast.signals_news")
def test_news_of_routes_signal(case: Case) -> None:
    """The route is one to nowhere, by way of loopback."""
    sock = case.own(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "socket")
    bind(sock, sockaddr_nl(0, ROUTES))
    case.arm(sock)
    asker = case.own(rtnetlink.connect(), "asker")
    head = struct.pack("=BBBBBBBBI", AF_INET, 24, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RTN_UNICAST, 0)
    route = head + attribute(RTA_DST, bytes((198, 51, 100, 0))) + attribute(RTA_OIF, struct.pack("=I", if_index("lo")))

    rtnetlink.ask(asker, Kind.NEWROUTE, CREATE, route, "add a route")
    case.at("added")
    rtnetlink.ask(asker, Kind.DELROUTE, 0, route, "remove it")

    case.at("removed")


@clause("netlink.overrun.is_an_error")
def test_member_that_falls_behind_is_told_once(case: Case) -> None:
    """netlink_overrun reports the change to congested, and the read that empties the queue ends it."""
    sock = narrow_member(case)

    for moment in ("taken", "lost", "lost_again"):
        multicast(case)
        case.at(moment)
    case.at("read", first=receive_now(sock), second=receive_now(sock), third=receive_now(sock))
    multicast(case)
    multicast(case)

    case.at("behind_again")


@clause("netlink.overrun.stays_until_empty")
def test_member_stays_congested_until_its_queue_is_empty(case: Case) -> None:
    """The error and the congestion are two things."""
    sock = narrow_member(case)
    multicast(case)
    multicast(case)
    case.at("lost")

    taken = receive_now(sock)
    multicast(case)

    case.at("lost_again", recv=taken)


@clause("netlink.overrun.silent_on_request")
def test_member_that_doesnt_want_to_know_isnt_told(case: Case) -> None:
    """The lost message is counted, and nothing else."""
    sock = narrow_member(case)
    setsockopt(sock, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)

    multicast(case)
    case.at("taken")
    multicast(case)

    case.at("lost", first=receive_now(sock), second=receive_now(sock))


@clause("netlink.unicast.full_is_the_senders")
def test_unicast_that_finds_no_room_fails_at_the_sender(case: Case) -> None:
    """netlink_attachskb reports an overrun only for what the kernel sends."""
    sock, peer = case.pair()
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, 0)
    case.arm(sock)

    send(peer, BIG, MSG_DONTWAIT)
    case.at("taken")

    case.at("full", send=attempt(send, peer, BIG, MSG_DONTWAIT))


@clause("netlink.peer_close.is_found_by_sending")
def test_close_of_a_netlink_peer_is_found_out_by_sending(case: Case) -> None:
    """The port is looked up at each send."""
    sock, peer = case.pair()
    case.arm(sock)

    close(peer)

    case.at("closed", first=attempt(send, sock, b"x", 0), second=attempt(send, sock, b"x", 0))
