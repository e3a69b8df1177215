"""The calls on sockets. Addresses are bytes (`native.addresses`); options are in `native.options`."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from native._native import ffi, lib
from native.constants import SCM_RIGHTS, SOL_SOCKET
from native.memory import ADDRESS_SIZE, buffers, gathered, parts_for, parts_of, room
from native.trace import checked, done

__all__ = [
    "Control",
    "ExtendedError",
    "Message",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "listen",
    "parse_extended_error",
    "recv",
    "recvfrom",
    "recvmsg",
    "rights",
    "send",
    "sendmsg",
    "sendto",
    "shutdown",
    "socket",
    "socketcall",
    "socketcall_works",
    "socketpair",
]

Control = tuple[int, int, bytes]
"""A control message: its level, its type, its data; cmsg(3)."""

_HEADER = struct.Struct("@Nii")
CONTROL_ROOM = 1024
"""Bytes that recvmsg leaves for control messages if it isn't told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What recvmsg(2) brings. `descriptors` are those of SCM_RIGHTS messages, and now the receiver's to close."""

    data: bytes
    control: list[Control]
    flags: int
    address: bytes
    descriptors: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedError:
    """struct sock_extended_err, ip(7): an entry of the error queue. `offender` is the address of who reported it."""

    errno: int
    origin: int
    type: int
    code: int
    info: int
    data: int
    offender: bytes


def socket(domain: int, type: int, protocol: int = 0) -> int:
    """socket(2)."""
    return done("socket", (domain, type, protocol), lib.sys_socket(domain, type, protocol))


def socketpair(domain: int, type: int, protocol: int = 0) -> tuple[int, int]:
    """socketpair(2)."""
    ends = buffers.ints
    done("socketpair", (domain, type, protocol), lib.sys_socketpair(domain, type, protocol, ends))
    return ends[0], ends[1]


def socketcall(call: int, *arguments: int | bytes | bytearray) -> int:
    """socketcall(2) of the 32-bit interface: call 1 is socket, 2 bind and so on, linux/net.h.

    Bytes are passed as pointers; a bytearray holds afterwards what the call has written. Call `socketcall_works` first: where
    the kernel has no such interface, this is SIGSEGV.
    """
    memory, words = lib.low_memory(), []
    base, free = int(ffi.cast("long", memory)), 4 * len(arguments)
    places = []
    for argument in arguments:
        if isinstance(argument, int):
            words.append(argument & 0xFFFFFFFF)
        else:
            ffi.memmove(memory + free, bytes(argument), len(argument))
            places.append((free, argument))
            words.append(base + free)
            free = _aligned(free + len(argument))
    ffi.memmove(memory, struct.pack(f"={len(words)}I", *words), 4 * len(words))
    result = lib.sys_socketcall(call, base)
    for place, argument in places:
        if isinstance(argument, bytearray):
            argument[:] = ffi.unpack(memory + place, len(argument))
    return done("socketcall", (call, *arguments), result)


def socketcall_works() -> None:
    """Try socketcall in a process that it may kill. Raises CallError with ENOSYS where there is no 32-bit interface."""
    checked("socketcall", (), lib.socketcall_works())


def bind(fd: int, address: bytes) -> None:
    """bind(2)."""
    done("bind", (fd, address), lib.sys_bind(fd, address, len(address)))


def listen(fd: int, backlog: int) -> None:
    """listen(2)."""
    done("listen", (fd, backlog), lib.sys_listen(fd, backlog))


def accept4(fd: int, flags: int = 0) -> int:
    """accept4(2): a new descriptor; flags are SOCK_NONBLOCK and SOCK_CLOEXEC."""
    return done("accept4", (fd, flags), lib.sys_accept4(fd, flags))


def connect(fd: int, address: bytes) -> None:
    """connect(2)."""
    done("connect", (fd, address), lib.sys_connect(fd, address, len(address)))


def shutdown(fd: int, how: int) -> None:
    """shutdown(2): SHUT_RD, SHUT_WR or SHUT_RDWR."""
    done("shutdown", (fd, how), lib.sys_shutdown(fd, how))


def getsockname(fd: int) -> bytes:
    """getsockname(2)."""
    buffer = buffers.address
    size = done("getsockname", (fd,), lib.sys_getsockname(fd, buffer, ADDRESS_SIZE))
    return ffi.unpack(buffer, size)  # type: ignore[no-any-return]


def getpeername(fd: int) -> bytes:
    """getpeername(2)."""
    buffer = buffers.address
    size = done("getpeername", (fd,), lib.sys_getpeername(fd, buffer, ADDRESS_SIZE))
    return ffi.unpack(buffer, size)  # type: ignore[no-any-return]


def send(fd: int, data: bytes, flags: int = 0) -> int:
    """send(2): how many bytes were taken."""
    return done("send", (fd, data, flags), lib.sys_send(fd, data, len(data), flags))


def sendto(fd: int, data: bytes, flags: int, address: bytes) -> int:
    """sendto(2): how many bytes were taken."""
    result = lib.sys_sendto(fd, data, len(data), flags, address, len(address))
    return done("sendto", (fd, data, flags, address), result)


def sendmsg(
    fd: int, data: Sequence[bytes], flags: int = 0, control: Sequence[Control] = (), address: bytes = b""
) -> int:
    """sendmsg(2): how many bytes were taken. `rights` makes a control message of descriptors."""
    parts, kept = parts_of(data)
    message = ffi.new("struct msghdr *")
    message.msg_iov, message.msg_iovlen = parts, len(kept)
    if address:
        name = ffi.from_buffer("char[]", address)
        message.msg_name, message.msg_namelen = name, len(address)
    if control:
        packed = ffi.from_buffer("char[]", b"".join(map(_packed, control)))
        message.msg_control, message.msg_controllen = packed, len(packed)
    return done("sendmsg", (fd, data, flags, control, address), lib.sys_sendmsg(fd, message, flags))


def rights(descriptors: Sequence[int]) -> Control:
    """The control message that hands descriptors over: SCM_RIGHTS, unix(7)."""
    return SOL_SOCKET, SCM_RIGHTS, struct.pack(f"={len(descriptors)}i", *descriptors)


def recv(fd: int, size: int, flags: int = 0) -> bytes:
    """recv(2): up to `size` bytes. MSG_TRUNC has the kernel count more, not return more."""
    buffer = room(size)
    got = done("recv", (fd, size, flags), lib.sys_recv(fd, buffer, size, flags))
    return ffi.unpack(buffer, min(got, size))  # type: ignore[no-any-return]


def recvfrom(fd: int, size: int, flags: int = 0) -> tuple[bytes, bytes]:
    """recvfrom(2): the data, and the address it came from."""
    buffer, name = room(size), buffers.address
    length = ffi.new("unsigned int *", ADDRESS_SIZE)
    got = done("recvfrom", (fd, size, flags), lib.sys_recvfrom(fd, buffer, size, flags, name, length))
    return ffi.unpack(buffer, min(got, size)), ffi.unpack(name, length[0])


def recvmsg(fd: int, size: int | Sequence[int], flags: int = 0, control_size: int = CONTROL_ROOM) -> Message:
    """recvmsg(2) into a buffer of `size` bytes, or into several; with MSG_ERRQUEUE the error queue is read."""
    sizes = [size] if isinstance(size, int) else size
    parts, kept = parts_for(sizes)
    message, name, control = message_for(parts, control_size, len(kept))
    got = done("recvmsg", (fd, size, flags, control_size), lib.sys_recvmsg(fd, message, flags))
    return message_of(message, gathered(kept, sizes, min(got, sum(sizes))), name, control)


def message_for(parts: object, control_size: int, count: int = 1) -> tuple[Any, Any, Any]:
    """A struct msghdr with room for an address and for control messages, and the memory of both."""
    name, control = ffi.new("char[]", ADDRESS_SIZE), ffi.new("char[]", control_size)
    message = ffi.new("struct msghdr *")
    message.msg_name, message.msg_namelen = name, ADDRESS_SIZE
    message.msg_iov, message.msg_iovlen = parts, count
    message.msg_control, message.msg_controllen = control, control_size
    return message, name, control


def message_of(message: Any, data: bytes, name: Any, control: Any) -> Message:
    """What a struct msghdr holds that the kernel has filled."""
    parsed = _unpacked(ffi.unpack(control, message.msg_controllen))
    received = [part for level, kind, part in parsed if (level, kind) == (SOL_SOCKET, SCM_RIGHTS)]
    return Message(
        data=data,
        control=parsed,
        flags=message.msg_flags,
        address=ffi.unpack(name, message.msg_namelen),
        descriptors=[fd for part in received for fd in struct.unpack(f"={len(part) // 4}i", part)],
    )


def parse_extended_error(data: bytes) -> ExtendedError:
    """The data of an IP_RECVERR or IPV6_RECVERR control message, or of a netlink or packet socket's error queue."""
    if len(data) < 16:
        raise ValueError(f"{len(data)} bytes are too few for a struct sock_extended_err, which has 16")
    errno, origin, type, code, info, value = struct.unpack_from("=IBBBxII", data)
    return ExtendedError(errno=errno, origin=origin, type=type, code=code, info=info, data=value, offender=data[16:])


def _aligned(size: int) -> int:
    """CMSG_ALIGN: control messages begin at multiples of a long."""
    return (size + 7) & ~7


def _packed(control: Control) -> bytes:
    level, kind, data = control
    return _HEADER.pack(_HEADER.size + len(data), level, kind) + data.ljust(_aligned(len(data)), b"\0")


def _unpacked(control: bytes) -> list[Control]:
    messages, at = [], 0
    while at + _HEADER.size <= len(control):
        length, level, kind = _HEADER.unpack_from(control, at)
        if length < _HEADER.size:
            break
        messages.append((level, kind, control[at + _HEADER.size : at + length]))
        at += _aligned(length)
    return messages
