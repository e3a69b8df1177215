"""Urgent data: SIGURG to the owner, POLL_PRI to subscribers, and what is read of the urgent byte."""

from native import (
    F_OWNER_TID,
    MSG_DONTWAIT,
    MSG_OOB,
    MSG_PEEK,
    SIGURG,
    SO_OOBINLINE,
    SO_RCVBUF,
    SO_SNDBUF,
    SOL_SOCKET,
    SYS_setpgid,
    ioctl_atmark,
    recv,
    send,
    set_owner,
    set_owner_ex,
    setsockopt,
)
from suites.catalogue import clause
from suites.lab.case import Case, Plain, attempt

WINDOW = 64 << 10
"""How much a TCP receiver takes at first, whatever its buffer (RFC 7323: more needs a scaled window)."""


def urgent(fd: int, flags: int = 0) -> Plain:
    """What a read of the urgent byte comes to. It never waits; a kernel that takes it for a read of data mustn't either."""
    return attempt(recv, fd, 10, MSG_OOB | MSG_DONTWAIT | flags)


def ordinary(fd: int) -> Plain:
    """What a read of ordinary data comes to."""
    return attempt(recv, fd, 10, MSG_DONTWAIT)


def byte_arrives(case: Case) -> None:
    """Let an urgent byte come to an armed socket."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"x", MSG_OOB)

    case.at("urgent")


@clause("urgent.tcp.signals")
def test_urgent_byte_signals_four_times(case: Case) -> None:
    """tcp_urg tells of the byte, and the segment that holds it is data too."""
    byte_arrives(case)


@clause("urgent.unix.signals")
def test_urgent_byte_on_unix_signals_three_times(case: Case) -> None:
    """queue_oob sends SIGURG and POLL_PRI, then tells that there is something to read."""
    byte_arrives(case)


@clause("urgent.order.sigurg_first")
def test_sigurg_comes_before_poll_pri(case: Case) -> None:
    """The first SIGURG keeps later ones away as long as it is pending."""
    sock, _ = case.pair()
    case.arm(sock, SIGURG)

    case.deliver(b"x", MSG_OOB)

    case.at("urgent")


@clause("urgent.unarmed.sigurg")
def test_sigurg_comes_without_o_async(case: Case) -> None:
    """send_sigurg asks for the owner, and not for subscribers."""
    sock, _ = case.pair()
    set_owner(sock, case.lab.pid)

    case.deliver(b"x", MSG_OOB)
    case.at("first")
    case.deliver(b"y", MSG_OOB)

    case.at("second")


@clause("urgent.unowned.nothing")
def test_urgent_data_tells_nobody_without_an_owner(case: Case) -> None:
    """Who subscribes is the owner, too."""
    sock, _ = case.pair()
    case.arm(sock)
    set_owner(sock, 0)

    case.deliver(b"x", MSG_OOB)

    case.at("urgent")


@clause("urgent.default.sigurg_and_sigio")
def test_urgent_byte_is_sigurg_and_sigio_by_default(case: Case) -> None:
    """SIGURG has a mechanism of its own; SIGIO is for the data."""
    sock, _ = case.pair()
    case.arm(sock, 0)

    case.deliver(b"x", MSG_OOB)

    case.at("urgent")


@clause("urgent.default.no_pri")
def test_urgent_byte_is_no_poll_pri_by_default(case: Case) -> None:
    """kill_fasync passes over owners without a signal of their own; the receiver drops the byte and sleeps on."""
    sock, _ = case.pair()
    case.arm(sock, 0)
    case.sleep("recv", sock, 1, name="receiver")

    case.deliver(b"x", MSG_OOB)

    case.at("urgent")


@clause("urgent.owner.thread")
def test_owner_thread_gets_sigurg(case: Case) -> None:
    """send_sigurg has the same three kinds of owners as send_sigio."""
    sock, _ = case.pair()
    thread = case.sleep("sigtimedwait", SIGURG, name="owner")
    set_owner_ex(sock, F_OWNER_TID, thread.tid)

    case.deliver(b"x", MSG_OOB)

    case.at("urgent")


@clause("urgent.owner.group")
def test_every_member_of_the_group_gets_sigurg(case: Case) -> None:
    """send_sigurg goes through the group's processes."""
    sock, _ = case.pair()
    first, second, outsider = case.fork(), case.fork(), case.fork()
    first.call("setpgid", SYS_setpgid, 0, 0)
    second.call("setpgid", SYS_setpgid, 0, first.pid)
    set_owner(sock, -first.pid)

    case.deliver(b"x", MSG_OOB)

    case.at("urgent", leader=case.got(first), member=case.got(second), outsider=case.got(outsider))


@clause("urgent.tcp.read_once")
def test_urgent_byte_is_read_once(case: Case) -> None:
    """Its place in the stream stays, and is passed over."""
    sock, _ = case.pair()
    case.arm(sock)
    case.deliver(b"x", MSG_OOB)
    case.fence()

    case.at("peeked", recv=urgent(sock, MSG_PEEK))

    case.at("read", recv=urgent(sock), again=urgent(sock))


def read_past_the_mark(case: Case) -> None:
    """Have data before and after an urgent byte, and read it all."""
    sock, _ = case.pair()
    case.arm(sock)
    for data, flags in ((b"ab", 0), (b"c", MSG_OOB), (b"d", 0)):
        case.deliver(data, flags)
        case.fence()

    case.at("before", atmark=ioctl_atmark(sock))
    case.at("at_mark", recv=ordinary(sock), atmark=ioctl_atmark(sock))

    case.at("past", recv=ordinary(sock), atmark=ioctl_atmark(sock), oob=urgent(sock))


@clause("urgent.tcp.mark")
def test_read_stops_at_the_mark_and_then_passes_it(case: Case) -> None:
    """tcp_recvmsg ends at the mark if it has anything, and skips the byte if it has nothing."""
    read_past_the_mark(case)


def send_a_second(case: Case) -> None:
    """Let a second urgent byte come before the first was read, then read both ways."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"a", MSG_OOB)
    case.at("first")
    case.deliver(b"b", MSG_OOB)
    case.at("second")

    case.at("read", oob=urgent(sock), again=urgent(sock), recv=ordinary(sock))


@clause("urgent.tcp.second_replaces")
def test_second_urgent_byte_replaces_the_first(case: Case) -> None:
    """tcp_check_urg moves the reader past the first one, or it would be read as data."""
    send_a_second(case)


@clause("urgent.tcp.second_leaves_data")
def test_overtaken_urgent_byte_is_data(case: Case) -> None:
    """Nothing remembers where the first one was."""
    sock, _ = case.pair()
    set_owner(sock, case.lab.pid)
    for data, flags in ((b"a", 0), (b"1", MSG_OOB), (b"b", 0), (b"2", MSG_OOB)):
        case.deliver(data, flags)
        case.fence()

    case.at("read", recv=ordinary(sock), oob=urgent(sock))


@clause("urgent.tcp.last_of_many")
def test_last_of_several_bytes_is_urgent(case: Case) -> None:
    """The urgent pointer names one byte."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"abc", MSG_OOB)
    case.at("urgent")

    case.at("read", recv=ordinary(sock), oob=urgent(sock))


@clause("urgent.tcp.announced")
def test_urgent_byte_is_announced_before_it_comes(case: Case) -> None:
    """The byte waits behind more than the receiver's window; each segment before it has the pointer."""
    sock, peer = case.pair()
    set_owner(sock, case.lab.pid)
    setsockopt(peer, SOL_SOCKET, SO_SNDBUF, 1 << 20)
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, WINDOW)  # or it would grow with what is read (tcp_rcv_space_adjust)
    case.deliver(bytes(4 * WINDOW), MSG_DONTWAIT)
    case.deliver(b"x", MSG_OOB)
    case.fence()

    case.at("waiting", oob=urgent(sock))
    recv(sock, WINDOW, 0)
    case.fence()

    case.at("announced", oob=urgent(sock))


@clause("urgent.inline.stays_in_the_stream")
def test_urgent_byte_in_line_is_read_as_data(case: Case) -> None:
    """The option is asked for by the reader's calls only."""
    in_line(case)


def in_line(case: Case) -> None:
    """Let an urgent byte come to a socket with SO_OOBINLINE, and read it."""
    sock, _ = case.pair()
    case.arm(sock)
    setsockopt(sock, SOL_SOCKET, SO_OOBINLINE, 1)

    case.deliver(b"x", MSG_OOB)
    case.fence()
    case.at("urgent", oob=urgent(sock), atmark=ioctl_atmark(sock))

    case.at("read", recv=ordinary(sock), oob=urgent(sock))


@clause("urgent.none.refused")
def test_msg_oob_without_an_urgent_byte_is_refused(case: Case) -> None:
    """The call never waits."""
    sock, _ = case.pair()
    case.arm(sock)

    case.at("empty", oob=urgent(sock), atmark=ioctl_atmark(sock))
    case.deliver(b"x")
    case.fence()

    case.at("data", oob=urgent(sock), atmark=ioctl_atmark(sock))


@clause("urgent.unix.taken")
def test_unix_stream_takes_an_urgent_byte(case: Case) -> None:
    """Where it doesn't, nothing is sent at all."""
    sock, peer = case.pair()
    case.arm(sock)

    case.at("sent", send=attempt(send, peer, b"x", MSG_OOB))

    case.at("received", oob=urgent(sock))


@clause("urgent.unix.read_once")
def test_urgent_byte_on_unix_leaves_an_empty_buffer(case: Case) -> None:
    """unix_poll asks whether the queue is empty, and not whether there is anything in it."""
    sock, _ = case.pair()
    case.arm(sock)
    case.deliver(b"x", MSG_OOB)

    case.at("peeked", oob=urgent(sock, MSG_PEEK))
    case.at("read", oob=urgent(sock), again=urgent(sock))

    case.at("found_empty", recv=ordinary(sock))


@clause("urgent.unix.mark")
def test_read_of_unix_stops_at_the_mark_and_then_passes_it(case: Case) -> None:
    """manage_oob ends the read at the urgent buffer if it has anything, and drops it if it has nothing."""
    read_past_the_mark(case)


@clause("urgent.unix.last_of_many")
def test_last_of_several_bytes_on_unix_is_urgent(case: Case) -> None:
    """The last byte is taken off the message and sent by itself."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"abc", MSG_OOB)
    case.at("urgent")

    case.at("read", oob=urgent(sock), recv=ordinary(sock))


@clause("urgent.unix.second_leaves_data")
def test_second_urgent_byte_on_unix_makes_the_first_data(case: Case) -> None:
    """The socket remembers one urgent buffer; the others are like any."""
    send_a_second(case)


@clause("urgent.unix.inline")
def test_urgent_byte_of_unix_in_line_is_read_as_data(case: Case) -> None:
    """The option is asked for by the reader's calls only."""
    in_line(case)


@clause("urgent.datagram.not_sent")
def test_urgent_data_is_refused(case: Case) -> None:
    """Eight bytes, since an echo socket asks for a whole header first."""
    sock, _ = case.pair()
    case.arm(sock)

    result = attempt(send, sock, bytes(8), MSG_OOB)

    case.at("sent", send=result)


def data_is_received_as_urgent(case: Case) -> None:
    """Receive data with MSG_OOB."""
    sock, _ = case.pair()
    case.arm(sock)
    case.deliver(b"x")
    case.fence()

    case.at("received", recv=attempt(recv, sock, 1, MSG_OOB | MSG_DONTWAIT))


@clause("urgent.datagram.not_received")
def test_receiving_urgent_data_is_refused(case: Case) -> None:
    """The flag is looked at before the queue."""
    data_is_received_as_urgent(case)


@clause("urgent.packet.not_received")
def test_packet_socket_knows_no_msg_oob(case: Case) -> None:
    """packet_recvmsg refuses each flag that isn't in its list."""
    data_is_received_as_urgent(case)


@clause("urgent.udp.ignored")
def test_udp_receives_as_if_msg_oob_were_not_there(case: Case) -> None:
    """udp_recvmsg doesn't look at the flag."""
    data_is_received_as_urgent(case)


@clause("urgent.ordinary.sent")
def test_urgent_data_is_sent_as_ordinary(case: Case) -> None:
    """udpv6_sendmsg and packet_snd never look at the flag."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"x", MSG_OOB)
    case.at("delivered")

    case.at("read", recv=ordinary(sock))
