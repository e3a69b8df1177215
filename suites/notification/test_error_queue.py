"""The error queue: what isn't an error arrives there as well, and poll says so."""

from native import (
    AF_INET,
    IP_RECVERR,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_RECVERR,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_ZEROCOPY,
    SO_EE_ORIGIN_ICMP,
    SO_EE_ORIGIN_ICMP6,
    SO_EE_ORIGIN_TIMESTAMPING,
    SO_EE_ORIGIN_ZEROCOPY,
    SO_SELECT_ERR_QUEUE,
    SO_TIMESTAMPING,
    SO_ZEROCOPY,
    SOF_TIMESTAMPING_OPT_TSONLY,
    SOF_TIMESTAMPING_SOFTWARE,
    SOF_TIMESTAMPING_TX_ACK,
    SOF_TIMESTAMPING_TX_SCHED,
    SOF_TIMESTAMPING_TX_SOFTWARE,
    SOL_SOCKET,
    CallError,
    connect,
    errno_name,
    parse_extended_error,
    recv,
    recvmsg,
    send,
    setsockopt,
    sockaddr_in,
    sockaddr_in6,
)
from suites.catalogue import clause
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.queueing import unblock
from suites.lab.repair import connected_to

STAMPS = {
    "scheduled": SOF_TIMESTAMPING_TX_SCHED,
    "sent": SOF_TIMESTAMPING_TX_SOFTWARE,
    "acknowledged": SOF_TIMESTAMPING_TX_ACK,
}
ORIGINS = {
    SO_EE_ORIGIN_ICMP: "ICMP",
    SO_EE_ORIGIN_ICMP6: "ICMP",
    SO_EE_ORIGIN_TIMESTAMPING: "a time stamp",
    SO_EE_ORIGIN_ZEROCOPY: "zero copy",
}
HANGUP = 0
"""What a poller asks for that waits for error and hang-up alone: they come unasked."""


def stamp(fd: Descriptor, what: int) -> None:
    """Ask for a time stamp of each packet's way, without the packet."""
    flags = what | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, flags)


def entry(fd: Descriptor) -> str:
    """What the oldest entry of the error queue is about: its origin and errno; or the errno of having none."""
    try:
        message = recvmsg(fd, 0, MSG_ERRQUEUE)
    except CallError as error:
        return error.name
    kinds = {(IPPROTO_IP, IP_RECVERR), (IPPROTO_IPV6, IPV6_RECVERR)}
    (data,) = [data for level, kind, data in message.control if (level, kind) in kinds]
    found = parse_extended_error(data)
    return ORIGINS[found.origin] + (f": {errno_name(found.errno)}" if found.errno else "")


@clause("error_queue.zero_copy.signals")
def test_completion_of_a_zero_copy_send_is_an_error_event(case: Case) -> None:
    """The completion waits in the error queue, and nothing has gone wrong."""
    sock, _ = case.pair()
    setsockopt(sock, SOL_SOCKET, SO_ZEROCOPY, 1)
    case.arm(sock)

    sent = attempt(send, sock, b"x", MSG_ZEROCOPY)
    case.at("completed", send=sent)

    case.at("read", entry=entry(sock), again=entry(sock))


def send_with_a_stamp(case: Case) -> None:
    """Send from an armed socket that asks for a time stamp, then read what there is on its error queue."""
    sock, _ = case.pair()
    stamp(sock, STAMPS[case.variant])
    case.arm(sock)

    send(sock, b"x", 0)
    case.at("stamped")

    case.at("read", entry=entry(sock), again=entry(sock))


@clause("error_queue.time_stamp.signals")
def test_time_stamp_is_an_error_event(case: Case) -> None:
    """It is on the queue before send returns: loopback sends, delivers and acknowledges at once."""
    send_with_a_stamp(case)


@clause("error_queue.datagram.signals")
def test_time_stamp_of_a_datagram_is_an_error_event(case: Case) -> None:
    """datagram_poll looks at the error queue as tcp_poll does."""
    send_with_a_stamp(case)


@clause("error_queue.next.signals_again")
def test_reading_an_entry_tells_of_the_next_one(case: Case) -> None:
    """sock_dequeue_err_skb reports anew while there is one left."""
    sock, _ = case.pair()
    stamp(sock, SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE)
    case.arm(sock)

    send(sock, b"x", 0)
    case.at("stamped")
    case.at("first", entry=entry(sock))

    case.at("second", entry=entry(sock))


@clause("error_queue.receiver.goes_on")
def test_entry_on_the_error_queue_stops_no_receive(case: Case) -> None:
    """There is an event but no error: SO_ERROR has none to give."""
    sock, _ = case.pair()
    stamp(sock, SOF_TIMESTAMPING_TX_SOFTWARE)
    send(sock, b"x", 0)
    case.fence()

    empty = attempt(recv, sock, 1, MSG_DONTWAIT)
    case.deliver(b"y")
    case.fence()

    case.at("delivered", empty=empty, recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("error_queue.poller.wakes")
def test_entry_wakes_a_poller_that_asked_for_nothing(case: Case) -> None:
    """sock_def_error_report wakes with the key of an error."""
    sock, _ = case.pair()
    stamp(sock, SOF_TIMESTAMPING_TX_SOFTWARE)
    case.sleep(case.variant, sock, HANGUP)

    send(sock, b"x", 0)

    case.at("stamped")


@clause("error_queue.selected.stream")
def test_tcp_knows_no_exceptional_state_of_the_error_queue(case: Case) -> None:
    """tcp_poll doesn't look at SO_SELECT_ERR_QUEUE."""
    sock, _ = case.pair()
    setsockopt(sock, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1)
    stamp(sock, SOF_TIMESTAMPING_TX_SOFTWARE)
    case.arm(sock)

    send(sock, b"x", 0)

    case.at("stamped")


@clause("error_queue.selected.datagram")
def test_udp_reports_the_error_queue_as_exceptional_if_asked_to(case: Case) -> None:
    """So that select can tell it from input: it has a set for that."""
    sock, _ = case.pair()
    setsockopt(sock, SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1)
    stamp(sock, SOF_TIMESTAMPING_TX_SOFTWARE)
    case.arm(sock)

    send(sock, b"x", 0)

    case.at("stamped")


def ask_for_reports(sock: Descriptor, domain: int) -> None:
    """Set IP_RECVERR or IPV6_RECVERR."""
    setsockopt(sock, *((IPPROTO_IP, IP_RECVERR) if domain == AF_INET else (IPPROTO_IPV6, IPV6_RECVERR)), 1)


def give_up_neighbour(case: Case, report: bool) -> Descriptor:
    """An armed socket in SYN_SENT whose SYN waits for a neighbour that the kernel is then told to give up."""
    link, domain = case.lab.held_link(), case.family.domain
    host = link.silent_neighbour(domain)
    sock = case.socket()
    if report:
        ask_for_reports(sock, domain)
    unblock(sock)
    case.arm(sock)
    attempt(connect, sock, sockaddr_in(host, 9) if domain == AF_INET else sockaddr_in6(host, 9))
    case.at("pending")
    link.forget(domain, host)
    return sock


@clause("error_queue.unreachable.ipv4")
def test_unreachable_neighbour_is_two_error_events_on_ipv4(case: Case) -> None:
    """ip_icmp_error queues the message without being asked to, and that is told as well as the error."""
    sock = give_up_neighbour(case, report=False)
    case.at("unreachable")

    case.at("read", entry=entry(sock), again=entry(sock))


@clause("error_queue.unreachable.ipv6")
def test_unreachable_neighbour_is_one_error_event_on_ipv6(case: Case) -> None:
    """ipv6_icmp_error asks for IPV6_RECVERR first."""
    sock = give_up_neighbour(case, report=False)
    case.fence()

    case.at("unreachable", entry=entry(sock))


@clause("error_queue.unreachable.reported")
def test_unreachable_neighbour_is_two_error_events_if_reports_are_asked_for(case: Case) -> None:
    """The message on the queue is told, and the error."""
    sock = give_up_neighbour(case, report=True)
    case.at("unreachable")

    case.at("read", entry=entry(sock), again=entry(sock))


@clause("error_queue.established.is_silent")
def test_unreachable_neighbour_is_nothing_to_an_established_connection(case: Case) -> None:
    """The error is remembered for the case that the connection times out."""
    link, domain = case.lab.held_link(), case.family.domain
    host = link.silent_neighbour(domain)
    sock = connected_to(case, host)
    case.arm(sock)

    send(sock, b"x", 0)
    link.forget(domain, host)
    case.fence()

    case.at("unreachable", entry=entry(sock))


@clause("error_queue.established.reported")
def test_unreachable_neighbour_is_an_error_to_who_asked_for_reports(case: Case) -> None:
    """The connection goes on all the same."""
    link, domain = case.lab.held_link(), case.family.domain
    host = link.silent_neighbour(domain)
    sock = connected_to(case, host)
    ask_for_reports(sock, domain)
    case.arm(sock)

    send(sock, b"x", 0)
    link.forget(domain, host)
    case.fence()

    case.at("unreachable", entry=entry(sock))
