"""Write space from empty to full and back: what each packet is charged, whether poll finds room, and when POLL_OUT comes."""

from native import drain_signals
from suites.catalogue import clause
from suites.lab.case import OUTPUT, Case, Plain, attempt
from suites.lab.outbox import Outbox
from suites.lab.signals import WATCHED

SNDBUF = 24_000
"""The send buffer in bytes: no packet's charge ends on its half, its quarter or its two thirds."""

NEVER = -1


class Curve:
    """What was seen at each step: the charge, whether there was room, and how many signals had come since the step before."""

    def __init__(self, case: Case, box: Outbox) -> None:
        self._case = case
        self._box = box
        self.charges: list[int] = []
        self.room: list[int] = []
        self.signalled: list[int] = []

    def look(self) -> int:
        """Look once more; returns the charge. The signals are fetched first, since a poll marks the socket for others."""
        self._case.fence()
        self.signalled.append(len(drain_signals(WATCHED)))
        self.charges.append(self._box.charge())
        self.room.append(int(bool(self._case.ask("poll", self._box.socket, OUTPUT))))
        return self.charges[-1]

    def facts(self) -> dict[str, Plain]:
        """The curve, and the charges between which room went or came."""
        steps = list(zip(self.charges, self.room, strict=True))
        return {
            "charges": self.charges,
            "room": self.room,
            "most_with": max((charge for charge, room in steps if room), default=NEVER),
            "least_without": min((charge for charge, room in steps if not room), default=NEVER),
            "sent": sum(self.signalled),
        }

    def signals(self) -> dict[str, Plain]:
        """When signals came, and what was charged at the first."""
        at = (charge for charge, count in zip(self.charges, self.signalled, strict=True) if count)
        return {"signalled": self.signalled, "first_at": next(at, NEVER)}


def fill_and_drain(case: Case) -> None:
    """Fill an armed socket packet by packet until a send is refused, and give all back piece by piece."""
    box = case.outbox()
    box.room(SNDBUF)
    case.arm(box.socket)

    filling, taken = Curve(case, box), NEVER
    sent: Plain = 0
    while isinstance(sent, int):
        charge = filling.look()
        sent = attempt(box.send)
        taken = charge if sent == len(box.payload) else taken
    case.at("filled", **filling.facts(), taken=taken, refused=charge, send=sent)

    draining = Curve(case, box)
    while draining.look():
        box.let_go()
    case.at("drained", **draining.facts(), **draining.signals())


@clause("room.curve.packets")
def test_room_goes_and_comes_back_at_one_charge(case: Case) -> None:
    """poll, the refusal and the write-space callback each look at the one account, with boundaries of their own."""
    fill_and_drain(case)


@clause("room.curve.raw")
def test_raw_socket_fills_its_buffer_twice_over(case: Case) -> None:
    """Only what poll reports is bound to half of the send buffer."""
    fill_and_drain(case)


@clause("room.curve.ping")
def test_icmp_echo_socket_fills_its_buffer_as_its_kernel_allocates(case: Case) -> None:
    """The size of the header that ping_v4_sendmsg names decides who allocates."""
    fill_and_drain(case)
