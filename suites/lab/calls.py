"""The calls that receive and the calls that send, by name: a clause that says the same of several takes them as its variants."""

from __future__ import annotations

from collections.abc import Callable

import native
from native import MAP_ANONYMOUS, MAP_PRIVATE, MSG_DONTWAIT, PROT_READ, PROT_WRITE, mmap, munmap
from suites.clauses import SUBJECT
from suites.lab.case import Case, Plain, attempt

PAGE = 4096
LOW = 1 << 40
"""Where a case's own memory is put: in the middle of user space, so that counts of many GiB from there still end in it."""

_RECEIVING: dict[str, Callable[[int, int], object]] = {
    "read": native.read,
    "readv": lambda fd, size: native.readv(fd, [size]),
    "recv": native.recv,
    "recvmsg": native.recvmsg,
}
_SENDING: dict[str, Callable[[int, bytes], int]] = {
    "write": native.write,
    "writev": lambda fd, data: native.writev(fd, [data]),
    "send": native.send,
    "sendmsg": lambda fd, data: native.sendmsg(fd, [data]),
}
_RECEIVING_AT: dict[str, Callable[[int, int, int], int]] = {
    "read": native.read_at,
    "readv": lambda fd, address, size: native.readv_at(fd, [(address, size)]),
    "recv": native.recv_at,
    "recvmsg": lambda fd, address, size: native.recvmsg_at(fd, [(address, size)]),
}
_SENDING_AT: dict[str, Callable[[int, int, int], int]] = {
    "write": native.write_at,
    "writev": lambda fd, address, size: native.writev_at(fd, [(address, size)]),
    "send": native.send_at,
    "sendmsg": lambda fd, address, size: native.sendmsg_at(fd, [(address, size)]),
}


def port_of(fd: int) -> int:
    """The port of a socket's own Internet address; 0 for none."""
    return int.from_bytes(native.getsockname(fd)[2:4], "big")


def receive(call: str, fd: int, size: int) -> Plain:
    """What read, readv, recv or recvmsg of up to `size` bytes comes to, without flags."""
    return attempt(_RECEIVING[call], fd, size)


def receive_now(fd: int, size: int = 1) -> Plain:
    """What recv of up to `size` bytes without waiting comes to."""
    return attempt(native.recv, fd, size, native.MSG_DONTWAIT)


def shut_ourselves(case: Case, how: int) -> None:
    """Shut the armed subject of a pair itself, and see what receiving comes to: the moment is called `shut`."""
    sock, _ = case.pair()
    case.arm(sock)

    done = attempt(native.shutdown, sock, how)
    case.fence()

    case.at("shut", shutdown=done, recv=receive_now(sock))


def transmit(call: str, fd: int, data: bytes) -> Plain:
    """What write, writev, send or sendmsg of this data comes to, without flags."""
    return attempt(_SENDING[call], fd, data)


def receive_at(call: str, fd: int, address: int, size: int) -> Plain:
    """Like `receive`, to an address; comes to the count."""
    return attempt(_RECEIVING_AT[call], fd, address, size)


def transmit_at(call: str, fd: int, address: int, size: int) -> Plain:
    """Like `transmit`, from an address."""
    return attempt(_SENDING_AT[call], fd, address, size)


def end_of(data: Plain, size: int) -> Plain:
    """The last `size` bytes of what was received: the payload alone, where a family puts its header before it."""
    return f"data:{data[-size:]}" if isinstance(data, str) and data.startswith("data:") else data


def length_of(data: Plain) -> Plain:
    """How many bytes were received; an errno stays what it is. For data without bytes that must be escaped."""
    return len(data) - len("data:") if isinstance(data, str) and data.startswith("data:") else data


def memory(case: Case, pages: int = 1) -> int:
    """The address of zeroed memory that is the case's own."""
    address = mmap(-1, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, LOW)
    case.afterwards(lambda: munmap(address, pages * PAGE))
    return address


def fill_queue(sock: int) -> None:
    """Send datagrams until no more is taken, where their number is limited and not the sender's room.

    They are as large as that allows, so that a kernel which counts bytes instead is full soon, and to the byte.
    """
    while attempt(native.send, sock, bytes(1024), MSG_DONTWAIT) == 1024:
        pass


def made(case: Case, domain: int, type: int, protocol: int = 0) -> Plain:
    """What socket(2) comes to: 0 for a socket, which is the case's subject, or the errno."""
    try:
        case.own(native.socket(domain, type, protocol), SUBJECT)
    except native.CallError as error:
        return error.name
    return 0


def pair_made(case: Case, domain: int, type: int, protocol: int = 0) -> Plain:
    """What socketpair(2) comes to: 0 for two sockets, which are the case's, or the errno."""
    try:
        for fd, role in zip(native.socketpair(domain, type, protocol), ("one", "other"), strict=True):
            case.own(fd, role)
    except native.CallError as error:
        return error.name
    return 0


def made_by(child: native.Child, domain: int, type: int, protocol: int = 0) -> Plain:
    """What socket(2) of a child comes to: 0 for a socket, which the child keeps, or the errno."""
    return none(attempt(child.call, "socket", native.SYS_socket, domain, type, protocol))


def pair_made_by(child: native.Child, domain: int, type: int, protocol: int = 0) -> Plain:
    """What socketpair(2) of a child comes to: 0 for a pair, which the child keeps, or the errno."""
    return none(attempt(child.call, "socketpair", native.SYS_socketpair, domain, type, protocol, bytearray(8)))


def none(outcome: Plain) -> Plain:
    """An outcome without the descriptor's number, which says nothing."""
    return 0 if isinstance(outcome, int) else outcome
