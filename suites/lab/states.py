"""Ways into the states of a socket that the cases of more than one table of states take.

The subject is armed. Where a question would change what is asked about, as reading an error does, it is put to a twin: a socket
brought into the same state under a role of its own, and not armed, so that no signal is its.
"""

from __future__ import annotations

from native import O_NONBLOCK, get_flags, read, set_flags, write
from suites.clauses import SUBJECT
from suites.lab.case import Case, Descriptor, arranging, attempt

READER, WRITER = "reader", "writer"
"""The roles of twins: whose read, and whose write, is asked."""


@arranging
def fresh(case: Case, role: str = SUBJECT) -> Descriptor:
    """A fresh socket that doesn't block."""
    return ready(case, case.own(case.family.socket(), role))


@arranging
def connected(case: Case, role: str = SUBJECT) -> tuple[Descriptor, Descriptor]:
    """Two connected sockets: the subject or a twin, which doesn't block, and its peer."""
    fd, peer = case.family.pair()
    return ready(case, case.own(fd, role)), case.own(peer, "peer" if role == SUBJECT else f"{role}_peer")


def asked(case: Case, reader: Descriptor, writer: Descriptor, data: bytes = b"x") -> None:
    """The moment `asked`: what read and write come to in this state, of the same socket or of twins."""
    case.at("asked", read=attempt(read, reader, 8), write=attempt(write, writer, data))


def ready(case: Case, sock: Descriptor) -> Descriptor:
    """Have a socket not block, and arm it if it is the subject."""
    set_flags(sock, get_flags(sock) | O_NONBLOCK)
    if sock.role == SUBJECT:
        case.arm(sock)
    return sock
