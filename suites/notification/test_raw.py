"""A raw socket is made readable by local delivery, beside whoever else receives the packet."""

import struct

from native import (
    AF_INET,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_UDP,
    MSG_DONTWAIT,
    SHUT_WR,
    SOCK_DGRAM,
    SOCK_RAW,
    bind,
    close,
    connect,
    getsockname,
    recv,
    send,
    sendto,
    setsockopt_bytes,
    shutdown,
    sockaddr_in,
    sockaddr_in6,
    socket,
)
from suites.catalogue import clause
from suites.lab.calls import receive_now
from suites.lab.case import Case, Descriptor, attempt, plain
from suites.lab.icmp import complain

SOL_RAW, ICMP_FILTER = 255, 1
"""raw(7); linux/icmp.h, which can't be included beside netinet/ip_icmp.h."""

DEST_UNREACH = 3
"""An ICMP type (RFC 792)."""

QUOTED = 8
"""How much of a packet's payload an ICMP error quotes at least, in bytes (RFC 792)."""

IP_HEADER = 20
"""What a raw IPv4 socket's data begins with, in bytes."""


def loopback(case: Case) -> bytes:
    """An address on this machine; not the fence's, whose datagrams a raw socket would hear."""
    return sockaddr_in("127.0.0.2", 0) if case.family.domain == AF_INET else sockaddr_in6("::1", 0)


def udp_socket(case: Case, role: str = "udp") -> Descriptor:
    """A UDP socket that is bound to loopback."""
    udp = case.own(socket(case.family.domain, SOCK_DGRAM, 0), role)
    bind(udp, loopback(case))
    return udp


def deliver_and_read(case: Case, data: bytes, header: int) -> None:
    """Deliver one packet, and read it with all that comes before its payload."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(data)
    case.at("delivered")

    packet = recv(sock, 64, MSG_DONTWAIT)
    case.at("read", length=len(packet), payload=plain(packet[header:]))


@clause("raw.delivery.brings_the_header")
def test_raw_packet_comes_with_its_header(case: Case) -> None:
    """The copy is made before the transport's header is looked for."""
    deliver_and_read(case, b"x", IP_HEADER)


@clause("raw.delivery.brings_the_payload")
def test_raw_ipv6_packet_comes_without_its_header(case: Case) -> None:
    """Extension headers may lie between, so IPv6 looks for sockets at the last one."""
    deliver_and_read(case, b"x", 0)


@clause("raw.delivery.empty_is_a_header")
def test_empty_raw_packet_is_a_header(case: Case) -> None:
    """So a raw IPv4 socket never receives nothing."""
    deliver_and_read(case, b"", IP_HEADER)


@clause("raw.delivery.reaches_each_socket")
def test_raw_packet_is_delivered_to_each_socket(case: Case) -> None:
    """In which order isn't promised to anybody."""
    sock, _ = case.pair()
    second = case.socket("second")
    bind(second, getsockname(sock))
    case.arm(sock)
    case.arm(second)

    case.deliver(b"x")
    case.at("delivered")

    case.at("read", recv=receive_now(sock))


@clause("raw.delivery.copies_udp")
def test_udp_datagram_is_delivered_to_raw_sockets_too(case: Case) -> None:
    """ip_protocol_deliver_rcu asks for raw sockets before it hands the packet on."""
    sock = case.own(socket(case.family.domain, SOCK_RAW, IPPROTO_UDP), "socket")
    bind(sock, loopback(case))
    udp = udp_socket(case)
    case.arm(sock)
    case.arm(udp)

    sender = case.own(socket(case.family.domain, SOCK_DGRAM, 0), "sender")
    sendto(sender, b"x", 0, getsockname(udp))

    case.at("delivered")


@clause("raw.delivery.is_for_the_connection")
def test_connected_raw_socket_doesnt_hear_others(case: Case) -> None:
    """The stranger sends from the subject's own address, which isn't the peer's."""
    sock, _ = case.pair()
    case.arm(sock)

    stranger = case.socket("stranger")
    sendto(stranger, b"x", 0, getsockname(sock))
    case.fence()

    case.at("sent", recv=receive_now(sock))


def send_what_nobody_speaks(case: Case, size: int = QUOTED) -> None:
    """Have a connected armed subject send so many bytes where no socket of its protocol is."""
    sock, peer = case.pair()
    close(peer)
    case.arm(sock)

    send(sock, b"x" * size, 0)

    case.at("refused")


@clause("raw.error.protocol_unreachable")
def test_protocol_that_nobody_speaks_is_an_error(case: Case) -> None:
    """No raw socket wanted the packet, and no handler is there for its protocol."""
    send_what_nobody_speaks(case)


@clause("raw.error.unknown_header")
def test_header_that_nobody_knows_is_an_error(case: Case) -> None:
    """No raw socket wanted the packet, and no handler is there for its next header."""
    send_what_nobody_speaks(case)


@clause("raw.error.too_short_to_be_told")
def test_error_about_a_very_short_packet_isnt_told(case: Case) -> None:
    """One byte less than what icmp_socket_deliver and icmpv6_notify look for."""
    send_what_nobody_speaks(case, QUOTED - 1)


@clause("raw.error.unconnected_is_silent")
def test_unconnected_raw_socket_isnt_told_of_an_error(case: Case) -> None:
    """The subject's packet is quoted, and raw_err finds no connection."""
    sock, other = case.socket(), case.socket("other")
    bind(sock, loopback(case))
    bind(other, loopback(case))
    case.arm(sock)

    complain(case, "port unreachable", sock, other)

    case.at("told")


def refused_beside_a_raw_socket(case: Case, filtered: int = 0) -> Descriptor:
    """Have a UDP socket's datagram refused while an armed raw ICMP socket listens."""
    protocol = IPPROTO_ICMP if case.family.domain == AF_INET else IPPROTO_ICMPV6
    sock = case.own(socket(case.family.domain, SOCK_RAW, protocol), "socket")
    if filtered:
        setsockopt_bytes(sock, SOL_RAW, ICMP_FILTER, struct.pack("=I", filtered))
    udp, closed = udp_socket(case), udp_socket(case, "closed")
    connect(udp, getsockname(closed))
    close(closed)
    case.arm(sock)
    case.arm(udp)
    send(udp, b"x", 0)
    return sock


@clause("raw.icmp.hears_what_udp_is_told")
def test_raw_icmp_socket_hears_what_udp_is_told(case: Case) -> None:
    """One packet is data to the one and an error to the other."""
    refused_beside_a_raw_socket(case)

    case.at("refused")


@clause("raw.icmp.filter_keeps_out")
def test_filtered_icmp_message_is_no_event(case: Case) -> None:
    """icmp_filter looks at the type before a copy is made."""
    sock = refused_beside_a_raw_socket(case, filtered=1 << DEST_UNREACH)

    case.at("refused", recv=receive_now(sock))


@clause("raw.shutdown.write_doesnt_hold")
def test_raw_socket_sends_on_after_its_own_shutdown(case: Case) -> None:
    """__ip_append_data allocates through sock_alloc_send_skb only for who has a transport header."""
    sock, peer = case.pair()
    case.arm(sock)
    case.arm(peer)

    done = attempt(shutdown, sock, SHUT_WR)
    case.at("shut", shutdown=done)

    sent = attempt(send, sock, b"x", 0)
    case.fence()
    case.at("sent", send=sent)
