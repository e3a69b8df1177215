"""The sanity case: it runs first and last, and shows that the target itself lives."""

from suites.catalogue import clause
from suites.lab.case import Case


@clause("sanity.signal.readable")
def test_armed_socket_signals_a_datagram(case: Case) -> None:
    """The simplest notification that there is."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"x")

    case.at("delivered")
