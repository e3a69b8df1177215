"""The calls of a case in strace's notation: names for what the numbers in arguments and results stand for.

Owns which argument of which call is a name, a mask or an address. The tables are the kernel's ABI as x86, ARM and RISC-V share
it; a number that isn't in them stays a number.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from reports.decode import POLL_BITS, mask_names, select_sets
from reports.evidence import say
from reports.lines import Step

FEW = 7
"""A mask of more names than this asks for everything, and is shown as a number."""

FAMILIES = {1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 16: "AF_NETLINK", 17: "AF_PACKET", 40: "AF_VSOCK"}
TYPES = {1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 5: "SOCK_SEQPACKET"}
TYPE_BITS = {"SOCK_NONBLOCK": 0o4000, "SOCK_CLOEXEC": 0o2000000}
SHUTDOWNS = {0: "SHUT_RD", 1: "SHUT_WR", 2: "SHUT_RDWR"}
EPOLL_ACTIONS = {1: "EPOLL_CTL_ADD", 2: "EPOLL_CTL_DEL", 3: "EPOLL_CTL_MOD"}
EPOLL_BITS = {f"EPOLL{name.removeprefix('POLL')}": bit for name, bit in POLL_BITS.items()} | {
    "EPOLLEXCLUSIVE": 1 << 28,
    "EPOLLONESHOT": 1 << 30,
    "EPOLLET": 1 << 31,
}
LEVELS = {0: "SOL_IP", 1: "SOL_SOCKET", 6: "SOL_TCP", 17: "SOL_UDP", 41: "SOL_IPV6", 284: "SOL_MPTCP"}
SOCKET_OPTIONS = {
    2: "SO_REUSEADDR", 3: "SO_TYPE", 6: "SO_BROADCAST", 7: "SO_SNDBUF", 8: "SO_RCVBUF", 9: "SO_KEEPALIVE", 10: "SO_OOBINLINE",
    12: "SO_PRIORITY", 13: "SO_LINGER", 15: "SO_REUSEPORT", 16: "SO_PASSCRED", 18: "SO_RCVLOWAT", 20: "SO_RCVTIMEO",
    21: "SO_SNDTIMEO", 30: "SO_ACCEPTCONN", 36: "SO_MARK", 37: "SO_TIMESTAMPING", 38: "SO_PROTOCOL", 39: "SO_DOMAIN",
    49: "SO_INCOMING_CPU", 60: "SO_ZEROCOPY",
}  # fmt: skip
TCP_OPTIONS = {
    1: "TCP_NODELAY", 4: "TCP_KEEPIDLE", 5: "TCP_KEEPINTVL", 6: "TCP_KEEPCNT", 8: "TCP_LINGER2", 9: "TCP_DEFER_ACCEPT",
    12: "TCP_QUICKACK", 18: "TCP_USER_TIMEOUT", 19: "TCP_REPAIR", 25: "TCP_NOTSENT_LOWAT",
}  # fmt: skip
MESSAGE_BITS = {
    "MSG_OOB": 1, "MSG_PEEK": 2, "MSG_TRUNC": 0x20, "MSG_DONTWAIT": 0x40, "MSG_EOR": 0x80, "MSG_WAITALL": 0x100,
    "MSG_ERRQUEUE": 0x2000, "MSG_NOSIGNAL": 0x4000, "MSG_MORE": 0x8000, "MSG_ZEROCOPY": 0x4000000,
}  # fmt: skip

LONG = 512
"""Arguments of more characters than this are shown as they are."""

OBSERVERS = (
    "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "close", "io_uring: poll", "aio: poll",
)  # fmt: skip
"""The calls of the observers that a case asks at a moment; poll is the first."""

PERIODS = range(1, 7)
"""How many calls together may be what repeats."""

ENOUGH = 3
"""Fewer lines than this aren't left out."""

Say = Callable[[str], str]


def strace(steps: Sequence[Step], *, whole: bool) -> str:
    """The calls, each with the µs since the case began at which it returned, and its thread's number if there are several.

    Unless they are to be shown `whole`, what the lab asks of all observers at one moment is one line, and so is what only
    repeats the lines before it.
    """
    threads = {tid: number for number, tid in enumerate(dict.fromkeys(step.tid for step in steps), 1)}
    lines = []
    for step in steps:
        thread = f"[{threads[step.tid]}] " if len(threads) > 1 else ""
        lines.append(_Line(step.t_ns, step.call, f"{thread}{step.call}({_arguments(step)}{_result(step)}"))
    shown = lines if whole else _repeated(_observed(lines))
    width = max((len(str(line.t_ns // 1000)) for line in shown), default=0)
    return "\n".join(f"{line.t_ns // 1000:{width}} {line.text}" for line in shown)


class _Line(NamedTuple):
    t_ns: int
    call: str
    text: str


def _observed(lines: Sequence[_Line]) -> list[_Line]:
    """The lines, with those of a moment's observers after the first in one: their values stand beside what was expected."""
    made: list[_Line] = []
    number = 0
    while number < len(lines):
        made.append(lines[number])
        end = number = number + 1
        if made[-1].call == OBSERVERS[0]:
            while end < len(lines) and lines[end].call in OBSERVERS[1:]:
                end += 1
        if end - number >= ENOUGH:
            made.append(_Line(lines[end - 1].t_ns, "", f"… the other observers, {end - number} calls"))
            number = end
    return made


def _repeated(lines: Sequence[_Line]) -> list[_Line]:
    """The lines, with those that only repeat the ones before them in one."""
    if len({line.text for line in lines}) > len(lines) - ENOUGH:
        return list(lines)
    made: list[_Line] = []
    number = 0
    while number < len(lines):
        period, times = max(
            ((each, _times(lines, number, each)) for each in PERIODS), key=lambda found: found[0] * found[1]
        )
        if period * times < ENOUGH:
            period, times = 1, 0
        made += lines[number : number + period]
        number += period * (times + 1)
        if times:
            what = "this" if period == 1 else f"these {period}"
            made.append(_Line(lines[number - 1].t_ns, "", f"… {what} {times} times more"))
    return made


def _times(lines: Sequence[_Line], number: int, period: int) -> int:
    """How often the lines from `number` on, so many, stand again after themselves."""
    times = 0
    while (start := number + (times + 1) * period) + period <= len(lines) and all(
        lines[number + each].text == lines[start + each].text for each in range(period)
    ):
        times += 1
    return times


def _arguments(step: Step) -> str:
    call = step.call.removeprefix("child: ")
    if call in ("getsockopt", "setsockopt"):
        return _option(step.arguments)
    says = ARGUMENTS.get(call)
    if not says or len(step.arguments) > LONG:
        return step.arguments
    parts = _SPLIT.findall(step.arguments)[:-1]
    if ", ".join(parts) != step.arguments:
        return step.arguments
    return ", ".join(says[number](part) if number in says else part for number, part in enumerate(parts))


_SPLIT = re.compile(r"""((?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\[[^]]*\]|[^'"[])*?)(?:, |$)""")
"""One argument, and a last empty one: text in quotes and lists may hold commas."""


def _result(step: Step) -> str:
    """How a call's line ends; who sleeps in a call has a line when it begins, too."""
    if step.errno:
        return f") = -1 {step.errno}" if isinstance(step.errno, str) else f") = -1 errno {step.errno}"
    if step.result is None:
        return " <unfinished ...>"
    if type(step.result) is int:
        return f") = {RESULTS.get(step.call.removeprefix('child: '), str)(step.result)}"
    return f") = {say(step.result)}"


def _option(arguments: str) -> str:
    """Level and name of a socket option, where they are numbers."""
    fd, *rest = arguments.split(", ")
    if len(rest) > 1 and rest[0] in ("1", "6") and _NUMBER.fullmatch(rest[1]):
        names = SOCKET_OPTIONS if rest[0] == "1" else TCP_OPTIONS
        rest[1] = names.get(int(rest[1]), rest[1])
    if len(rest) > 1 and _NUMBER.fullmatch(rest[0]):
        rest[0] = LEVELS.get(int(rest[0]), rest[0])
    return ", ".join((fd, *rest))


_NUMBER = re.compile("[0-9]{1,12}")


def _name(names: Mapping[int, str]) -> Say:
    return lambda text: names.get(int(text), text) if _NUMBER.fullmatch(text) else text


def _mask(bits: Mapping[str, int]) -> Say:
    def names(text: str) -> str:
        if not _NUMBER.fullmatch(text):
            return text
        found = mask_names(int(text), bits)
        return "|".join(found) or "0" if len(found) <= FEW else hex(int(text))

    return names


def _type(text: str) -> str:
    """A socket's type and its flags."""
    if not _NUMBER.fullmatch(text):
        return text
    number = int(text)
    flags = sum(TYPE_BITS.values())
    return "|".join([TYPES.get(number & ~flags, str(number & ~flags)), *mask_names(number & flags, TYPE_BITS)])


def _address(text: str) -> str:
    """An address of AF_INET or AF_INET6 as it is written; another one stays as it is."""
    if text[:1] not in ("'", '"') or text[:1] != text[-1:]:
        return text
    try:
        data = ast.literal_eval(f"b{text}")
    except (ValueError, SyntaxError):
        return text
    port = int.from_bytes(data[2:4], "big")
    if data[:2] == b"\2\0" and len(data) == 16:
        return f"{ip_address(data[4:8])}:{port}"
    if data[:2] == b"\n\0" and len(data) == 28:
        return f"[{ip_address(data[8:24])}]:{port}"
    return text


_POLL: dict[int, Say] = {1: _mask(POLL_BITS)}
_FLAGS: dict[int, Say] = {2: _mask(MESSAGE_BITS)}
_SOCKET: dict[int, Say] = {0: _name(FAMILIES), 1: _type}
_TO: dict[int, Say] = {1: _address}

ARGUMENTS: dict[str, dict[int, Say]] = {
    "socket": _SOCKET,
    "socketpair": _SOCKET,
    "bind": _TO,
    "connect": _TO,
    "sendto": _FLAGS | {3: _address},
    "send": _FLAGS,
    "recv": _FLAGS,
    "recvmsg": _FLAGS,
    "shutdown": {1: _name(SHUTDOWNS)},
    "epoll_ctl": {1: _name(EPOLL_ACTIONS), 3: _mask(EPOLL_BITS)},
    "poll": _POLL,
    "ppoll": _POLL,
    "io_uring: poll": _POLL,
    "aio: poll": _POLL,
}
"""How the arguments of a call are said, by their place."""


def _poll_result(mask: int) -> str:
    return "|".join(mask_names(mask, POLL_BITS)) or "0"


RESULTS: dict[str, Callable[[int], str]] = {
    "poll": _poll_result,
    "io_uring: poll": _poll_result,
    "aio: poll": _poll_result,
    "select": lambda mask: select_sets(mask).partition(" ")[0],
}
"""Calls whose result is recorded as a mask."""
