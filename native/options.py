"""Socket options: getsockopt(2) and setsockopt(2), and the answers that have a shape of their own."""

from __future__ import annotations

import struct
from errno import EBADMSG
from typing import NamedTuple

from native._native import ffi, lib
from native.constants import IPPROTO_TCP, SO_ERROR, SO_MEMINFO, SOL_SOCKET, TCP_INFO
from native.errors import CallError
from native.memory import buffers, room
from native.trace import done

__all__ = [
    "TCP_CLOSE",
    "TCP_CLOSE_WAIT",
    "TCP_CLOSING",
    "TCP_ESTABLISHED",
    "TCP_FIN_WAIT1",
    "TCP_FIN_WAIT2",
    "TCP_LAST_ACK",
    "TCP_LISTEN",
    "TCP_NEW_SYN_RECV",
    "TCP_SYN_RECV",
    "TCP_SYN_SENT",
    "TCP_TIME_WAIT",
    "SocketMemory",
    "TcpInfo",
    "attach_filter",
    "getsockopt",
    "getsockopt_bytes",
    "linger",
    "parse_tcp_info",
    "setsockopt",
    "setsockopt_bytes",
    "so_error",
    "so_meminfo",
    "tcp_info",
]


# What tcp_info says in `state`: include/net/tcp_states.h. The headers that the kernel exports have no names for them.
TCP_ESTABLISHED = 1
TCP_SYN_SENT = 2
TCP_SYN_RECV = 3
TCP_FIN_WAIT1 = 4
TCP_FIN_WAIT2 = 5
TCP_TIME_WAIT = 6
TCP_CLOSE = 7
TCP_CLOSE_WAIT = 8
TCP_LAST_ACK = 9
TCP_LISTEN = 10
TCP_CLOSING = 11
TCP_NEW_SYN_RECV = 12


class SocketMemory(NamedTuple):
    """SO_MEMINFO, Linux 4.12 (sk_get_meminfo in net/core/sock.c): bytes, but for `drops`, which counts packets."""

    rmem_alloc: int
    rcvbuf: int
    wmem_alloc: int
    sndbuf: int
    fwd_alloc: int
    wmem_queued: int
    optmem: int
    backlog: int
    drops: int


class TcpInfo(NamedTuple):
    """struct tcp_info, linux/tcp.h: times in µs, those since the last segments in ms. None: newer than the kernel."""

    state: int
    ca_state: int
    retransmits: int
    probes: int
    backoff: int
    options: int
    wscales: int
    delivery_flags: int
    rto: int
    ato: int
    snd_mss: int
    rcv_mss: int
    unacked: int
    sacked: int
    lost: int
    retrans: int
    fackets: int
    last_data_sent: int
    last_ack_sent: int
    last_data_recv: int
    last_ack_recv: int
    pmtu: int
    rcv_ssthresh: int
    rtt: int
    rttvar: int
    snd_ssthresh: int
    snd_cwnd: int
    advmss: int
    reordering: int
    rcv_rtt: int
    rcv_space: int
    total_retrans: int
    pacing_rate: int | None = None
    max_pacing_rate: int | None = None
    bytes_acked: int | None = None
    bytes_received: int | None = None
    segs_out: int | None = None
    segs_in: int | None = None
    notsent_bytes: int | None = None
    min_rtt: int | None = None
    data_segs_in: int | None = None
    data_segs_out: int | None = None
    delivery_rate: int | None = None
    busy_time: int | None = None
    rwnd_limited: int | None = None
    sndbuf_limited: int | None = None
    delivered: int | None = None
    delivered_ce: int | None = None
    bytes_sent: int | None = None
    bytes_retrans: int | None = None
    dsack_dups: int | None = None
    reord_seen: int | None = None
    rcv_ooopack: int | None = None
    snd_wnd: int | None = None
    rcv_wnd: int | None = None


_TCP_INFO = ["8B24I", *"QQQQIIIIIIQQQQIIQQIIIII"]
"""The fields of struct tcp_info in order: those that Linux has had since 2.6, then each that was added."""


def getsockopt(fd: int, level: int, name: int) -> int:
    """getsockopt(2) of an int."""
    ints = buffers.ints
    done("getsockopt", (fd, level, name), lib.sys_getsockopt_int(fd, level, name, ints))
    return ints[0]  # type: ignore[no-any-return]


def getsockopt_bytes(fd: int, level: int, name: int, size: int) -> bytes:
    """getsockopt(2) of up to `size` bytes."""
    buffer = room(size)
    got = done("getsockopt", (fd, level, name, size), lib.sys_getsockopt(fd, level, name, buffer, size))
    return ffi.unpack(buffer, min(got, size))  # type: ignore[no-any-return]


def setsockopt(fd: int, level: int, name: int, value: int) -> None:
    """setsockopt(2) of an int."""
    done("setsockopt", (fd, level, name, value), lib.sys_setsockopt_int(fd, level, name, value))


def setsockopt_bytes(fd: int, level: int, name: int, value: bytes) -> None:
    """setsockopt(2) of bytes."""
    done("setsockopt", (fd, level, name, value), lib.sys_setsockopt(fd, level, name, value, len(value)))


def attach_filter(fd: int, size: int) -> None:
    """SO_ATTACH_FILTER, socket(7), with one instruction: `size` bytes of each packet get through, with 0 none does."""
    done("setsockopt", (fd, "SO_ATTACH_FILTER", size), lib.sys_attach_filter(fd, size))


def linger(fd: int, on: int, seconds: int) -> None:
    """SO_LINGER, socket(7): on with 0 seconds, closing a TCP connection resets it."""
    done("setsockopt", (fd, "SO_LINGER", on, seconds), lib.sys_set_linger(fd, on, seconds))


def so_error(fd: int) -> int:
    """SO_ERROR: the pending errno, 0 for none; reading it clears it."""
    ints = buffers.ints
    done("getsockopt", (fd, "SO_ERROR"), lib.sys_getsockopt_int(fd, SOL_SOCKET, SO_ERROR, ints))
    return ints[0]  # type: ignore[no-any-return]


def so_meminfo(fd: int) -> SocketMemory:
    """SO_MEMINFO: what the socket's queues are charged with; asking changes nothing. Raises EBADMSG where less comes."""
    buffer = buffers.data
    size = 4 * len(SocketMemory._fields)
    arguments = fd, "SO_MEMINFO"
    if done("getsockopt", arguments, lib.sys_getsockopt(fd, SOL_SOCKET, SO_MEMINFO, buffer, size)) < size:
        raise CallError("getsockopt", arguments, EBADMSG)
    return SocketMemory._make(struct.unpack("=9I", ffi.unpack(buffer, size)))


def tcp_info(fd: int) -> TcpInfo:
    """TCP_INFO, tcp(7); the kernel says how much of it it knows."""
    buffer = buffers.data
    got = done("getsockopt", (fd, "TCP_INFO"), lib.sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, buffer, 512))
    return parse_tcp_info(ffi.unpack(buffer, got))


def parse_tcp_info(data: bytes) -> TcpInfo:
    """struct tcp_info as far as `data` goes. Raises ValueError where it lacks fields that all kernels have."""
    fields = "="
    for field in _TCP_INFO:
        if struct.calcsize(fields + field) > len(data):
            break
        fields += field
    if fields == "=":
        raise ValueError(f"{len(data)} bytes are too few for a struct tcp_info, which has 104 or more")
    return TcpInfo(*struct.unpack_from(fields, data))
