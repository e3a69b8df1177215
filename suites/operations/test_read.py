"""Receiving through the file layer: read and readv are recv and recvmsg, but for what belongs to files."""

from collections.abc import Callable

from native import (
    KERNEL,
    MSG_DONTWAIT,
    MSG_PEEK,
    MSG_TRUNC,
    NOWHERE,
    O_NONBLOCK,
    RWF_NOWAIT,
    SHUT_WR,
    close,
    get_flags,
    linger,
    lseek,
    memory_at,
    pread,
    preadv2,
    pwrite,
    pwritev2,
    read_at,
    readv,
    readv_at,
    recv,
    recv_at,
    recvmsg,
    recvmsg_at,
    send,
    set_flags,
    shutdown,
)
from suites.catalogue import clause
from suites.lab.calls import PAGE, end_of, memory, receive, receive_at
from suites.lab.case import Case, Descriptor, attempt

TOO_MANY = 1025
"""One more than UIO_MAXIOV."""

COUNTS = {"LONG_MAX": (1 << 63) - 1, "SIZE_MAX": (1 << 64) - 1}
"""Counts that no address of user space can be followed by."""

WITH_FLAGS: dict[str, Callable[..., object]] = {"recv": recv, "recvmsg": recvmsg}
SCATTERING: dict[str, Callable[..., object]] = {"readv": readv, "recvmsg": recvmsg}


def nonblocking_pair(case: Case) -> tuple[Descriptor, Descriptor]:
    """A pair whose subject has O_NONBLOCK."""
    sock, peer = case.pair()
    set_flags(sock, get_flags(sock) | O_NONBLOCK)
    return sock, peer


@clause("read.stream.takes_what_is_there")
def test_stream_gives_its_bytes_in_order_to_each_call(case: Case) -> None:
    """A stream has no boundaries: a call takes what fits and what is there."""
    sock, _ = nonblocking_pair(case)
    case.deliver(b"abc")
    case.deliver(b"def")
    case.fence()

    taken = {name: receive(case.variant, sock, 4) for name in ("first", "second", "third")}

    case.at("received", **taken)


@clause("read.datagram.takes_one")
def test_datagram_is_cut_to_the_buffer_and_its_rest_is_lost(case: Case) -> None:
    """Each call takes one datagram, whatever fits of it."""
    sock, _ = nonblocking_pair(case)
    case.deliver(b"abcdef")
    case.deliver(b"xyz")
    case.fence()

    first = receive_at(case.variant, sock, memory(case), 2)
    second = end_of(receive(case.variant, sock, 128), 3)

    case.at("received", first=first, second=second, third=receive(case.variant, sock, 128))


@clause("read.empty.is_eagain")
def test_empty_socket_is_eagain_by_its_flag(case: Case) -> None:
    """sock_read_iter turns O_NONBLOCK into MSG_DONTWAIT, recv does so itself."""
    sock, _ = nonblocking_pair(case)

    case.at("empty", first=receive(case.variant, sock, 1), second=receive(case.variant, sock, 1))


@clause("read.dontwait.is_not_sticky")
def test_call_after_msg_dontwait_waits_again(case: Case) -> None:
    """MSG_DONTWAIT is handed to the protocol with the one call, and leaves no trace in the file."""
    sock, _ = case.pair()

    once = attempt(WITH_FLAGS[case.variant], sock, 1, MSG_DONTWAIT)
    nonblocking = int(bool(get_flags(sock) & O_NONBLOCK))
    case.sleep(case.variant, sock, 1, name="receiver")
    case.at("waiting", dontwait=once, nonblocking=nonblocking)
    case.deliver(b"x")

    case.at("delivered")


@clause("read.waits.until_data")
def test_read_waits_for_the_data(case: Case) -> None:
    """What is underneath may be asynchronous; the call isn't."""
    sock, _ = case.pair()
    case.sleep(case.variant, sock, 1, name="receiver")
    case.at("empty")

    case.deliver(b"x")

    case.at("delivered")


@clause("read.end.is_zero")
def test_end_of_stream_is_zero_again_and_again(case: Case) -> None:
    """The end isn't consumed by being read."""
    sock, peer = case.pair()
    case.deliver(b"x")
    shutdown(peer, SHUT_WR)
    case.fence()

    read = {name: receive(case.variant, sock, 4) for name in ("data", "end", "again")}

    case.at("ended", **read)


def reset_and_receive(case: Case) -> None:
    """Have the peer reset the connection, then receive three times."""
    sock, peer = case.pair()
    linger(peer, 1, 0)
    close(peer)
    case.fence()

    told = {name: receive(case.variant, sock, 4) for name in ("first", "second", "third")}

    case.at("reset", **told)


@clause("read.error.reset")
def test_reset_is_told_once_and_then_the_end(case: Case) -> None:
    """sock_error gives the error to whoever asks first."""
    reset_and_receive(case)


@clause("read.error.refused")
def test_refused_datagram_is_told_to_the_next_receiver(case: Case) -> None:
    """The ICMP error of what was sent waits in the socket for any call."""
    sock, peer = nonblocking_pair(case)
    close(peer)
    send(sock, b"x", 0)
    case.fence()

    told = {name: receive(case.variant, sock, 4) for name in ("first", "second")}

    case.at("refused", **told)


@clause("read.error.unread")
def test_data_comes_before_the_error_of_an_unread_close(case: Case) -> None:
    """unix_stream_read_generic looks at the error only where there is no data."""
    sock, peer = case.pair()
    send(sock, b"never read", 0)
    case.deliver(b"x")
    close(peer)

    told = {name: receive(case.variant, sock, 4) for name in ("data", "error", "end")}

    case.at("closed", **told)


@clause("read.zero.takes_nothing")
def test_read_of_no_bytes_returns_at_once(case: Case) -> None:
    """sock_read_iter answers 0 before the protocol is asked."""
    sock, _ = case.pair()

    empty = receive_at(case.variant, sock, NOWHERE, 0)
    case.deliver(b"x")
    case.fence()

    case.at("delivered", empty=empty, readable=receive_at(case.variant, sock, NOWHERE, 0))


@clause("read.zero.leaves_the_error")
def test_read_of_no_bytes_tells_no_error(case: Case) -> None:
    """The error is the protocol's, which isn't asked."""
    sock, peer = case.pair()
    linger(peer, 1, 0)
    close(peer)
    case.fence()

    case.at("reset", read=attempt(read_at, sock, NOWHERE, 0))


def receive_no_bytes(case: Case) -> None:
    """recv of no bytes, before and after data has arrived."""
    sock, _ = case.pair()

    empty = attempt(recv, sock, 0, MSG_DONTWAIT)
    case.deliver(b"x")
    case.fence()

    case.at("delivered", empty=empty, readable=attempt(recv, sock, 0, MSG_DONTWAIT))


@clause("recv.zero.leaves_the_stream")
def test_recv_of_no_bytes_takes_nothing_from_a_stream(case: Case) -> None:
    """recv asks the protocol, which has nothing to copy."""
    receive_no_bytes(case)


@clause("recv.zero.returns_at_once")
def test_recv_of_no_bytes_returns_before_looking_for_data(case: Case) -> None:
    """The length is looked at first."""
    receive_no_bytes(case)


@clause("recv.zero.takes_a_datagram")
def test_recv_of_no_bytes_takes_a_datagram(case: Case) -> None:
    """A datagram is taken whole, and cut to nothing."""
    sock, _ = case.pair()
    empty = attempt(recv, sock, 0, MSG_DONTWAIT)
    case.deliver(b"x")
    case.fence()

    taken = attempt(recv, sock, 0, MSG_DONTWAIT)

    case.at("taken", empty=empty, taken=taken, left=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("read.count.must_end_in_user_space")
def test_count_that_leaves_user_space_is_efault_for_read_alone(case: Case) -> None:
    """vfs_read looks at the range before it clamps the count, recv after."""
    sock, _ = nonblocking_pair(case)
    case.deliver(b"x")
    case.fence()
    room, count = memory(case), COUNTS[case.variant]

    case.at("refused", read=attempt(read_at, sock, room, count))
    attempt(recv_at, sock, room, count)

    case.at("taken", last=memory_at(room, PAGE).rstrip(b"\0")[-1:])


@clause("read.count.is_clamped")
def test_count_beyond_32_bits_takes_what_is_there(case: Case) -> None:
    """A protocol that keeps the length in 32 bits would see none at all if the count weren't clamped."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()
    room = memory(case)

    receive_at(case.variant, sock, room, 1 << 32)

    case.at("taken", last=memory_at(room, PAGE).rstrip(b"\0")[-1:])


def receive_to(case: Case, address: int) -> None:
    """Receive to a bad address, then properly."""
    sock, _ = nonblocking_pair(case)
    case.deliver(b"x")
    case.fence()

    refused = receive_at(case.variant, sock, address, 128)

    case.at("refused", refused=refused, then=end_of(receive(case.variant, sock, 128), 1))


@clause("read.nowhere.keeps_the_stream")
def test_bad_pointer_leaves_the_stream_as_it_was(case: Case) -> None:
    """What wasn't copied isn't consumed."""
    receive_to(case, NOWHERE)


@clause("read.nowhere.keeps_the_vsock_stream")
def test_bad_pointer_leaves_the_vsock_stream_as_it_was(case: Case) -> None:
    """What wasn't copied isn't consumed."""
    receive_to(case, NOWHERE)


@clause("read.nowhere.loses_the_datagram")
def test_bad_pointer_loses_the_datagram(case: Case) -> None:
    """The datagram leaves the queue before it is copied, and doesn't come back."""
    receive_to(case, NOWHERE)


@clause("read.kernel_pointer.asks_nobody")
def test_pointer_outside_user_space_loses_nothing(case: Case) -> None:
    """access_ok refuses before the protocol is asked."""
    receive_to(case, KERNEL)


@clause("readv.parts.are_filled_in_order")
def test_data_is_scattered_over_the_parts_in_order(case: Case) -> None:
    """One entry point serves one buffer and many."""
    sock, _ = nonblocking_pair(case)
    case.deliver(b"abcdef")
    case.fence()

    taken = attempt(SCATTERING[case.variant], sock, [1, 0, 2, 64])

    case.at("received", taken=end_of(taken, 6))


@clause("readv.parts.are_counted")
def test_number_of_parts_is_checked_first(case: Case) -> None:
    """import_iovec refuses what it can't import, before the socket is asked."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()
    parts = [(memory(case), 1)] * TOO_MANY

    read = {f"of_{count}": attempt(readv_at, sock, parts, count) for count in (0, TOO_MANY)}

    case.at("read", negative=attempt(readv_at, sock, parts, -1), **read)


@clause("readv.parts.have_lengths")
def test_lengths_of_parts_are_checked_first(case: Case) -> None:
    """A length is signed, and its range must lie in user space."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()
    room = memory(case)
    negative, largest = (room, 1 << 63), (room, (1 << 63) - 1)

    refused = {
        "negative": attempt(readv_at, sock, [(room, 1), negative]),
        "huge": attempt(readv_at, sock, [largest, largest]),
        "nowhere": attempt(readv_at, sock, [(NOWHERE, 0), (KERNEL, 1)]),
    }

    case.at("refused", **refused)


@clause("recvmsg.parts.are_counted")
def test_too_many_parts_are_emsgsize_for_recvmsg(case: Case) -> None:
    """copy_msghdr_from_user has an errno of its own for what readv calls EINVAL."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()

    case.at("refused", recvmsg=attempt(recvmsg_at, sock, [(memory(case), 1)] * TOO_MANY, MSG_DONTWAIT))


POSITIONED: dict[str, Callable[[int], object]] = {
    "pread": lambda sock: pread(sock, 1, 0),
    "pwrite": lambda sock: pwrite(sock, b"x", 0),
    "preadv2": lambda sock: preadv2(sock, 1, 0, 0),
    "pwritev2": lambda sock: pwritev2(sock, b"x", 0, 0),
    "lseek": lambda sock: lseek(sock, 0, 1),
}


@clause("read.position.is_espipe")
def test_call_with_a_position_is_refused(case: Case) -> None:
    """A socket is opened as a stream: no FMODE_LSEEK, FMODE_PREAD or FMODE_PWRITE."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()

    case.at("refused", call=attempt(POSITIONED[case.variant], sock))


@clause("read.position.is_the_files_own")
def test_preadv2_and_pwritev2_without_a_position_are_read_and_write(case: Case) -> None:
    """Position -1 is the file's own, which on a socket means nothing and stays 0."""
    sock, peer = nonblocking_pair(case)
    case.deliver(b"abc")
    case.fence()

    read = [attempt(preadv2, sock, 2, -1, 0) for _ in range(2)]
    written = attempt(pwritev2, sock, b"xyz", -1, 0)
    case.fence()

    case.at("read", first=read[0], second=read[1], written=written, arrived=attempt(recv, peer, 8, MSG_DONTWAIT))


@clause("read.nowait.is_honoured")
def test_rwf_nowait_on_a_blocking_socket(case: Case) -> None:
    """kiocb_set_rw_flags asks for FMODE_NOWAIT, which sock_alloc_file gives since 6.5."""
    sock, _ = case.pair()

    empty = attempt(preadv2, sock, 1, -1, RWF_NOWAIT)
    case.deliver(b"x")
    case.fence()
    case.at("delivered", empty=empty)
    readable = end_of(attempt(preadv2, sock, 128, -1, RWF_NOWAIT), 1)

    case.at("read", readable=readable, write=attempt(pwritev2, sock, b"x", -1, RWF_NOWAIT))


@clause("read.rwf.unknown_is_refused")
def test_unknown_rwf_flag_is_refused(case: Case) -> None:
    """kiocb_set_rw_flags knows its flags, and the socket isn't asked."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()

    case.at("refused", unknown=attempt(preadv2, sock, 1, -1, 1 << 30))


@clause("recv.peek.keeps_everything")
def test_peeking_keeps_the_data_and_the_readiness(case: Case) -> None:
    """The data is copied and stays in the queue."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()

    peeked = [end_of(attempt(recv, sock, 128, MSG_PEEK), 1) for _ in range(2)]
    case.at("peeked", first=peeked[0], second=peeked[1])

    case.at("taken", taken=end_of(attempt(recv, sock, 128, 0), 1))


def receive_with_flags(case: Case) -> None:
    """Receive with three flags at once, before and after a datagram has arrived."""
    sock, _ = case.pair()
    flags = MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC
    empty = attempt(recv, sock, 4, flags)
    case.deliver(b"abcdef")
    case.fence()
    room = memory(case)

    peeked = attempt(recv_at, sock, room, 2, flags)
    cut = attempt(recv_at, sock, room, 2, MSG_DONTWAIT)

    case.at("taken", empty=empty, peeked=peeked, cut=cut, left=attempt(recv, sock, 4, MSG_DONTWAIT))


@clause("recv.flags.add_up")
def test_flags_of_a_receive_work_together(case: Case) -> None:
    """Each flag reaches the protocol for itself."""
    receive_with_flags(case)


@clause("recv.flags.count_the_ip_header")
def test_flags_of_a_receive_work_together_on_a_raw_socket(case: Case) -> None:
    """Each flag reaches the protocol for itself; the header is part of the datagram."""
    receive_with_flags(case)
