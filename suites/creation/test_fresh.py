"""A fresh socket's observable state."""

from native import get_owner, get_signal
from suites.catalogue import clause
from suites.lab.case import Case


@clause("fresh.stream.is_hung_up")
def test_fresh_stream_socket_has_room_and_is_hung_up(case: Case) -> None:
    """Writable, because a send would fail at once."""
    sock = case.socket()

    case.at("fresh", owner=get_owner(sock), signal=get_signal(sock))


@clause("fresh.datagram.has_room")
def test_fresh_datagram_socket_has_room(case: Case) -> None:
    """All memory is zero, and zero is the documented default."""
    sock = case.socket()

    case.at("fresh", owner=get_owner(sock), signal=get_signal(sock))
