"""Sending through the file layer: write and writev are send and sendmsg, but for what belongs to files."""

from collections.abc import Callable

from native import (
    AF_VSOCK,
    IPPROTO_TCP,
    KERNEL,
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_NOSIGNAL,
    NOWHERE,
    O_NONBLOCK,
    SHUT_WR,
    SOCK_SEQPACKET,
    TCP_REPAIR,
    VMADDR_CID_LOCAL,
    VMADDR_PORT_ANY,
    accept4,
    bind,
    close,
    connect,
    get_flags,
    getsockname,
    linger,
    listen,
    recv,
    recvmsg,
    send,
    send_at,
    sendmsg,
    set_flags,
    setsockopt,
    shutdown,
    sockaddr_vm,
    socket,
    write_at,
    writev,
)
from suites.catalogue import clause
from suites.lab.calls import end_of, length_of, memory, transmit, transmit_at
from suites.lab.case import Case, Descriptor, Plain, attempt
from suites.lab.queueing import unblock
from suites.lab.repair import NO_PROBE

ECHO_REQUEST = b"\x08\0\0\0\0\0\0\1"
"""The header of an ICMP echo request, RFC 792; the kernel fills in the checksum and the identifier."""

MANY_PAGES = 256
MAX_RW_COUNT = 0x7FFF_F000
"""include/linux/fs.h: INT_MAX rounded down to a page."""

TCP_REPAIR_QUEUE, TCP_RECV_QUEUE = 20, 1
"""linux/tcp.h: which queue of a connection under repair is written to."""

NO_PARTS: dict[str, list[bytes]] = {"none": [], "one": [b""], "three": [b"", b"", b""]}
WITH_FLAGS: dict[str, Callable[[int, int], int]] = {
    "send": lambda fd, flags: send(fd, b"x", flags),
    "sendmsg": lambda fd, flags: sendmsg(fd, [b"x"], flags),
}

GATHERING: dict[str, Callable[..., int]] = {"writev": writev, "sendmsg": sendmsg}


def fill(fd: Descriptor) -> None:
    """Send until there is no room for one byte more."""
    for size in (4096, 1):
        while attempt(send, fd, bytes(size), MSG_DONTWAIT) != "EAGAIN":
            pass


@clause("write.data.arrives")
def test_data_arrives_whichever_call_sends_it(case: Case) -> None:
    """One entry point serves all four."""
    sock, peer = case.pair()

    written = transmit(case.variant, sock, b"abc")
    case.at("written", written=written)

    case.at("received", received=end_of(attempt(recv, peer, 128, 0), 3))


@clause("write.data.comes_back")
def test_data_comes_back_whichever_call_sends_it(case: Case) -> None:
    """Loopback brings the frame to whoever listens for its type, and the kernel answers an echo request."""
    sock, _ = case.pair()

    written = transmit(case.variant, sock, ECHO_REQUEST + b"abc")
    case.fence()

    case.at("received", written=written, received=end_of(attempt(recv, sock, 128, 0), 3))


@clause("writev.parts.are_gathered")
def test_parts_are_sent_as_one(case: Case) -> None:
    """The parts are one iterator to the protocol."""
    sock, peer = case.pair()

    written = attempt(GATHERING[case.variant], sock, [b"a", b"", b"bc", b"def"])
    case.fence()

    received = end_of(attempt(recv, peer, 128, MSG_DONTWAIT), 6)
    case.at("received", written=written, received=received, left=attempt(recv, peer, 128, MSG_DONTWAIT))


@clause("write.zero.sends_nothing")
def test_write_of_no_bytes_to_a_stream_sends_nothing(case: Case) -> None:
    """A stream has no boundaries that could be sent without data."""
    sock, _ = case.pair()

    case.at("written", written=transmit(case.variant, sock, b""))


@clause("write.zero.sends_a_datagram")
def test_write_of_no_bytes_sends_an_empty_datagram(case: Case) -> None:
    """sock_write_iter has no test of the length, as sock_read_iter has."""
    sock, peer = case.pair()

    written = transmit(case.variant, sock, b"")
    case.at("written", written=written)
    attempt(recv, peer, 128, MSG_DONTWAIT)

    case.at("received", left=attempt(recv, peer, 128, MSG_DONTWAIT))


def write_nothing(case: Case) -> None:
    """Send no bytes with the call that the variant names."""
    sock, _ = case.pair()

    case.at("written", written=transmit(case.variant, sock, b""))


@clause("write.zero.is_enodata")
def test_write_of_no_bytes_to_netlink_is_refused(case: Case) -> None:
    """netlink_sendmsg sends no empty message."""
    write_nothing(case)


@clause("write.zero.is_einval")
def test_write_of_no_bytes_to_a_ping_socket_is_refused(case: Case) -> None:
    """There must be an ICMP header."""
    write_nothing(case)


@clause("writev.zero.sends_nothing")
def test_writev_of_no_bytes_sends_nothing(case: Case) -> None:
    """The file layer returns before the socket is asked."""
    sock, _ = case.pair()

    case.at("written", written=attempt(writev, sock, NO_PARTS[case.variant]))


@clause("write.full.is_eagain")
def test_full_socket_is_eagain_by_its_flag(case: Case) -> None:
    """sock_write_iter turns O_NONBLOCK into MSG_DONTWAIT, send does so itself."""
    sock, _ = case.pair()
    fill(sock)
    set_flags(sock, get_flags(sock) | O_NONBLOCK)

    written = transmit(case.variant, sock, b"x")

    case.at("full", written=written)


@clause("write.full.waits")
def test_write_to_a_full_socket_waits_for_room(case: Case) -> None:
    """MSG_DONTWAIT was for the calls that filled it."""
    sock, peer = case.pair()
    fill(sock)
    case.sleep(case.variant, sock, b"x", name="writer")
    case.at("full")

    while attempt(recv, peer, 65536, MSG_DONTWAIT) != "EAGAIN":
        pass

    case.await_return("writer")
    case.at("drained")


def write_after_the_end(case: Case) -> None:
    """End one's own sending side, then send."""
    sock, _ = case.pair()
    shutdown(sock, SHUT_WR)
    case.fence()

    case.at("written", written=transmit(case.variant, sock, b"x"))


@clause("write.epipe.signals")
def test_write_to_an_ended_stream_is_epipe_and_sigpipe(case: Case) -> None:
    """The signal is the process's own, sent by the call."""
    write_after_the_end(case)


@clause("write.epipe.is_silent")
def test_write_to_an_ended_datagram_socket_is_epipe_alone(case: Case) -> None:
    """Only stream protocols send SIGPIPE."""
    write_after_the_end(case)


@clause("write.epipe.is_ignored_by_raw")
def test_raw_socket_sends_after_its_end(case: Case) -> None:
    """__ip_append_data asks sock_alloc_send_skb, which knows the shutdown, for protocols with a header only."""
    write_after_the_end(case)


@clause("write.epipe.vsock")
def test_write_to_an_ended_vsock_stream_is_epipe(case: Case) -> None:
    """sk_stream_error sends the signal where the protocol asks it."""
    write_after_the_end(case)


@clause("write.epipe.asks_for_no_signal")
def test_msg_nosignal_is_epipe_alone(case: Case) -> None:
    """The flag is for its call alone: the next one signals."""
    sock, _ = case.pair()
    shutdown(sock, SHUT_WR)
    case.fence()

    quiet = attempt(WITH_FLAGS[case.variant], sock, MSG_NOSIGNAL)
    case.at("quiet", sent=quiet)

    case.at("loud", sent=attempt(WITH_FLAGS[case.variant], sock, 0))


@clause("write.error.reset")
def test_reset_is_told_once_and_then_there_is_a_broken_pipe(case: Case) -> None:
    """sk_stream_error prefers the socket's error, and signals for EPIPE only."""
    sock, peer = case.pair()
    linger(peer, 1, 0)
    close(peer)
    case.fence()

    case.at("first", written=transmit(case.variant, sock, b"x"))

    case.at("second", written=transmit(case.variant, sock, b"x"))


@clause("write.error.refused")
def test_refused_datagram_is_told_to_the_next_sender(case: Case) -> None:
    """The error is told in place of sending; the one after it sends, and is refused in turn."""
    sock, peer = case.pair()
    close(peer)
    send(sock, b"x", 0)
    case.fence()

    told = {name: transmit(case.variant, sock, b"x") for name in ("first", "second")}

    case.at("refused", **told)


@clause("write.error.unread")
def test_stream_whose_peer_is_gone_is_a_broken_pipe(case: Case) -> None:
    """unix_stream_sendmsg looks at the peer, not at the error that it left."""
    sock, peer = case.pair()
    send(sock, b"never read", 0)
    close(peer)

    case.at("closed", written=transmit(case.variant, sock, b"x"))


def write_from(case: Case, address: int) -> None:
    """Send from a bad address, and look whether anything arrives."""
    sock, peer = case.pair()
    unblock(sock)  # a kernel that takes the address for a lack of room says EAGAIN, instead of waiting

    refused = transmit_at(case.variant, sock, address, 64)
    case.fence()

    case.at("refused", refused=refused, arrived=attempt(recv, peer, 128, MSG_DONTWAIT))


@clause("write.nowhere.sends_nothing")
def test_bad_pointer_sends_nothing(case: Case) -> None:
    """What can't be copied isn't sent."""
    write_from(case, NOWHERE)


@clause("write.nowhere.sends_nothing_on_vsock")
def test_bad_pointer_sends_nothing_on_vsock(case: Case) -> None:
    """The transport allocates and copies in one step."""
    write_from(case, NOWHERE)


@clause("write.kernel_pointer.asks_nobody")
def test_pointer_outside_user_space_sends_nothing(case: Case) -> None:
    """access_ok refuses before the protocol is asked."""
    write_from(case, KERNEL)


@clause("write.count.must_end_in_user_space")
def test_count_that_leaves_user_space_is_efault_for_write_alone(case: Case) -> None:
    """vfs_write looks at the range before it clamps the count, send after; the clamped one is too long for a datagram."""
    sock, peer = case.pair()
    room, count = memory(case), (1 << 64) - 1

    refused = {"write": attempt(write_at, sock, room, count), "send": attempt(send_at, sock, room, count)}
    case.fence()

    case.at("refused", arrived=attempt(recv, peer, 128, MSG_DONTWAIT), **refused)


@clause("write.count.keeps_its_high_bits")
def test_count_beyond_32_bits_is_no_short_datagram(case: Case) -> None:
    """The low 32 bits of the count are those of one byte."""
    sock, peer = case.pair()

    refused = transmit_at(case.variant, sock, memory(case), (1 << 32) + 1)
    case.fence()

    case.at("refused", refused=refused, arrived=length_of(attempt(recv, peer, 128, MSG_DONTWAIT)))


@clause("write.count.sends_what_fits")
def test_count_beyond_32_bits_sends_what_fits(case: Case) -> None:
    """Sending ends where the room or the memory does."""
    sock, _ = case.pair()
    set_flags(sock, get_flags(sock) | O_NONBLOCK)

    written = transmit_at(case.variant, sock, memory(case, MANY_PAGES), 1 << 32)

    case.at("written", written=written)


def queued(sock: Descriptor, address: int, count: int) -> Plain:
    """What a write to the receive queue of a connection under repair comes to; what it put there is received again.

    tcp_send_rcvq takes as many whole pages as a packet has room for, and of the rest of the count what is less than a page.
    """
    setsockopt(sock, IPPROTO_TCP, TCP_REPAIR, 1)
    setsockopt(sock, IPPROTO_TCP, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE)
    written = attempt(write_at, sock, address, count)
    setsockopt(sock, IPPROTO_TCP, TCP_REPAIR, NO_PROBE)
    while attempt(recv, sock, 1 << 20, MSG_DONTWAIT) != "EAGAIN":
        pass
    return written


@clause("write.count.clamp_is_exact")
def test_count_is_clamped_to_the_last_whole_page_below_2_gib(case: Case) -> None:
    """Of a count that isn't whole pages, what is left over shows whether it was clamped."""
    sock, _ = case.pair()
    room = memory(case, MANY_PAGES)

    counts = {"below": MAX_RW_COUNT - 1, "largest": MAX_RW_COUNT, "above": MAX_RW_COUNT + 1, "far_above": (1 << 32) + 1}

    case.at("written", **{name: queued(sock, room, count) for name, count in counts.items()})


def write_fresh(case: Case) -> None:
    """Send on a socket that has no peer."""
    sock = case.socket()

    case.at("written", written=transmit(case.variant, sock, ECHO_REQUEST))


@clause("write.unconnected.datagram")
def test_write_without_a_destination_is_edestaddrreq(case: Case) -> None:
    """write has no way to name one."""
    write_fresh(case)


@clause("write.unconnected.unix")
def test_write_to_an_unconnected_unix_socket_is_enotconn(case: Case) -> None:
    """AF_UNIX has an errno of its own for it."""
    write_fresh(case)


@clause("write.unconnected.tcp")
def test_write_to_an_unconnected_tcp_socket_is_a_broken_pipe(case: Case) -> None:
    """sk_stream_wait_connect finds a state that no connection comes from."""
    write_fresh(case)


def send_a_record(case: Case) -> None:
    """Send on a vsock connection of SOCK_SEQPACKET, and look for the record's end."""
    listener = case.own(socket(AF_VSOCK, SOCK_SEQPACKET, 0), "listener")
    bind(listener, sockaddr_vm(VMADDR_CID_LOCAL, VMADDR_PORT_ANY))
    listen(listener, 1)
    sock = case.own(socket(AF_VSOCK, SOCK_SEQPACKET, 0), "socket")
    connect(sock, getsockname(listener))
    peer = case.own(accept4(listener, 0), "peer")

    written = transmit(case.variant, sock, b"x")
    message = recvmsg(peer, 8, 0)

    case.at("received", written=written, data=message.data, ends_record=int(bool(message.flags & MSG_EOR)))


@clause("write.seqpacket.ends_the_record")
def test_write_to_a_seqpacket_socket_ends_the_record(case: Case) -> None:
    """sock_write_iter sets MSG_EOR."""
    send_a_record(case)


@clause("send.seqpacket.leaves_the_record_open")
def test_send_to_a_seqpacket_socket_leaves_the_record_open(case: Case) -> None:
    """The flags of send are the caller's alone."""
    send_a_record(case)
