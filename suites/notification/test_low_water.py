"""SO_RCVLOWAT: from how much data on a stream is readable, and signalled."""

from native import MSG_DONTWAIT, SHUT_WR, SO_RCVLOWAT, SOL_SOCKET, getsockopt, recv, setsockopt, shutdown
from suites.catalogue import clause
from suites.lab.case import INPUT, Case, Descriptor, attempt

MARK = 10
"""Bytes."""


def marked(case: Case) -> tuple[Descriptor, Descriptor]:
    """A connection whose armed subject has the low-water mark at `MARK`."""
    sock, peer = case.pair()
    setsockopt(sock, SOL_SOCKET, SO_RCVLOWAT, MARK)
    case.arm(sock)
    return sock, peer


@clause("low_water.data.gates")
def test_data_below_the_mark_is_neither_signalled_nor_reported(case: Case) -> None:
    """The segment that reaches the mark tells of all that there is."""
    marked(case)

    case.deliver(b"12345")
    case.at("below")
    case.deliver(b"67890")

    case.at("reached")


@clause("low_water.poller.sleeps")
def test_poller_sleeps_until_the_mark_is_reached(case: Case) -> None:
    """It isn't woken before."""
    sock, _ = marked(case)
    case.sleep(case.variant, sock, INPUT)

    case.deliver(b"12345")
    case.at("below")
    case.deliver(b"67890")

    case.at("reached")


@clause("low_water.receiver.sleeps")
def test_receiver_sleeps_until_the_mark_is_reached(case: Case) -> None:
    """What MSG_DONTWAIT would take at once, who waits gets at the mark."""
    sock, _ = marked(case)
    case.sleep("recv", sock, 64, name="receiver")

    case.deliver(b"12345")
    case.at("below")
    case.deliver(b"67890")

    case.at("reached")


@clause("low_water.receive.takes_less")
def test_receive_that_asks_for_less_takes_what_there_is(case: Case) -> None:
    """The mark is of readiness: who doesn't wait, or asks for less, isn't bound by it."""
    sock, _ = marked(case)

    case.deliver(b"12345")
    case.fence()

    case.at("below", less=attempt(recv, sock, 2, 0), rest=attempt(recv, sock, 64, MSG_DONTWAIT))


@clause("low_water.end.signals")
def test_end_of_the_stream_is_told_below_the_mark(case: Case) -> None:
    """There will be no more data to reach it."""
    _, peer = marked(case)
    case.deliver(b"12345")
    case.at("below")

    shutdown(peer, SHUT_WR)

    case.at("ended")


@clause("low_water.lowered.signals")
def test_lowering_the_mark_tells_of_the_data_that_reaches_it(case: Case) -> None:
    """tcp_set_rcvlowat looks whether there is something to tell now."""
    sock, _ = marked(case)
    case.deliver(b"12345")
    case.at("below")

    setsockopt(sock, SOL_SOCKET, SO_RCVLOWAT, 5)
    case.at("lowered")
    setsockopt(sock, SOL_SOCKET, SO_RCVLOWAT, MARK)

    case.at("raised", mark=getsockopt(sock, SOL_SOCKET, SO_RCVLOWAT))


@clause("low_water.unix.is_ignored")
def test_mark_means_nothing_to_signal_and_poll_on_af_unix(case: Case) -> None:
    """Only a receiver that waits heeds it (net/unix/af_unix.c unix_stream_read_generic)."""
    sock, _ = marked(case)

    case.deliver(b"12345")

    case.at("below", mark=getsockopt(sock, SOL_SOCKET, SO_RCVLOWAT))


@clause("low_water.unix.poller_wakes")
def test_poller_wakes_below_the_mark_on_af_unix(case: Case) -> None:
    """unix_poll looks for an empty queue, not for its size."""
    sock, _ = marked(case)
    case.sleep(case.variant, sock, INPUT)

    case.deliver(b"12345")

    case.at("below")


@clause("low_water.unix.receiver_sleeps")
def test_receiver_heeds_the_mark_on_af_unix(case: Case) -> None:
    """The wait is for the mark, as on TCP, and suppresses the signals as well."""
    sock, _ = marked(case)
    case.sleep("recv", sock, 64, name="receiver")

    case.deliver(b"12345")
    case.at("below")
    case.deliver(b"67890")

    case.at("reached")
