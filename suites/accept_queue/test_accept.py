"""Who waits for a connection is woken, and told by signal too."""

from native import connect, getsockname
from suites.catalogue import clause
from suites.lab.case import Case


@clause("accept.sleeper.signals")
def test_connection_wakes_a_blocked_acceptor_and_signals(case: Case) -> None:
    """connect returns before anybody has taken the connection."""
    listener = case.listener()
    case.arm(listener)
    case.sleep("accept", listener, name="acceptor")
    sock = case.socket()

    connect(sock, getsockname(listener))

    case.at("connected")
