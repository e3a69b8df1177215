"""What a target can do, found out by trying it, never by asking for its version.

Owns the probes. All run once for a run, in a process with a namespace of its own, so that a probe that hangs or breaks something
hurts nobody. It closes nothing: its end does that, and isn't waited for, since the kernel takes its time over links and packet
sockets. A case whose capability is missing is SKIP, with the probe and its error as the reason.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from signal import SIGBUS, SIGKILL, SIGSEGV
from typing import TypedDict

from native import (
    AF_INET,
    AF_INET6,
    AF_VSOCK,
    IPPROTO_TCP,
    IPPROTO_UDPLITE,
    MSG_DONTWAIT,
    MSG_OOB,
    O_ASYNC,
    POLL_ALL,
    SIG_BLOCK,
    SOCK_DGRAM,
    SOCK_SEQPACKET,
    TCP_REPAIR,
    VMADDR_CID_LOCAL,
    VMADDR_PORT_ANY,
    AioContext,
    CallError,
    DeadlineExpired,
    Ring,
    SYS_socket,
    bind,
    close,
    connect,
    deadline_start,
    drain_signals,
    fence,
    fork_child,
    get_flags,
    get_owner_uids,
    getsockname,
    listen,
    module,
    recv,
    sched_getaffinity,
    sched_setaffinity,
    send,
    set_flags,
    set_owner,
    set_signal,
    setsockopt,
    sigprocmask,
    sigqueue,
    sleep_recv,
    sockaddr_in6,
    sockaddr_vm,
    socket,
    socketcall_works,
    tcp_info,
)
from suites.lab.actors import USERS, become, child_with_account
from suites.lab.counters import NotTold
from suites.lab.domains import SOCKETLESS, enter
from suites.lab.families import FAMILIES, Modular
from suites.lab.fence import Fence
from suites.lab.links import HeldLink, SlowLink, SwitchedLink
from suites.lab.listeners import try_kernel_listener, try_user_listener
from suites.lab.modular import Borrowed, may_unload
from suites.lab.namespace import NamespaceError, enter_network, sysctls
from suites.lab.rtnetlink import Refused
from suites.lab.signals import ARMED, WATCHED
from suites.lab.sock_diag import NotDestroyed, destroy

DEADLINES = 2
"""How many of a case's deadlines a probe may take."""

BURSTS, BURST = 200, 16
"""How often at most, and behind how many segments, the fence is tried: who delivers late does so in one burst of fifty."""

FEWEST, SECONDS = 10, 0.5
"""How often at least, and past which time no more: on a busy machine a burst takes long, with everybody's turns in between."""

WAKES = 10
"""How often the fence is tried behind a wake."""


FAULTS = {int(SIGBUS), int(SIGSEGV)}
"""Signals that an emulator needs for itself."""


class Capability(TypedDict):
    """Whether it is there, and how that was found out."""

    ok: bool
    how: str


class Found(TypedDict):
    """What probing brings back."""

    capabilities: dict[str, Capability]
    sysctls: dict[str, str]


NOT_PROBED = Found(capabilities={}, sysctls={})
"""In place of what a worker is to find out for itself."""


class Late(Exception):
    """What was sent arrived after a fence behind it."""


def _one_queue() -> str:
    return _try_fence(own_queues=False)


def _fence() -> str:
    try:
        return _try_fence(own_queues=False)
    except Late as late:
        return f"{late}; with connections of TCP, {_try_fence(own_queues=True)}"


@cache
def _try_fence(own_queues: bool) -> str:
    """As in a lab: pinned, behind data, its signals and whom it wakes; under load, on every CPU and of many connections."""
    cpus = sorted(sched_getaffinity(0))
    loads = [_keep_busy(cpu) for cpu in cpus]
    try:
        sched_setaffinity(0, {cpus[0]})
        sigprocmask(SIG_BLOCK, WATCHED)
        fence = Fence(own_queues)
        pairs = [FAMILIES["tcp4"].pair() for _ in range(BURST)]
        for fd, _ in pairs:
            set_signal(fd, ARMED)
            set_owner(fd, os.getpid())
            set_flags(fd, get_flags(fd) | O_ASYNC)
        fence.passes(FAMILIES["tcp4"].legs)
        drain_signals(WATCHED)
        began, number = time.monotonic(), 0
        while number < FEWEST or (number < BURSTS and time.monotonic() < began + SECONDS):
            number += 1
            for _, peer in pairs:
                send(peer, b"x", 0)
            fence.passes(1)
            signals = len(drain_signals(WATCHED))
            segments = sum(_has_come(fd) for fd, _ in pairs)
            if signals != BURST or segments != BURST:
                raise Late(
                    f"behind burst {number} of {BURST} segments, the fence came before {BURST - segments} of them "
                    f"and before {BURST - signals} of their signals"
                )
        _try_waking(fence, *pairs[0])
    finally:
        for pid in loads:
            os.kill(pid, SIGKILL)
            os.waitpid(pid, 0)
        sched_setaffinity(0, set(cpus))
    return (
        f"all of {number} bursts of {BURST} segments, and their signals, were there after the fence behind them, "
        f"and who was woken was awake {WAKES} times"
    )


def _has_come(fd: int) -> bool:
    """Whether a byte has, which is taken."""
    try:
        return recv(fd, 1, MSG_DONTWAIT) != b""
    except CallError:
        return False


def _try_waking(fence: Fence, fd: int, peer: int) -> None:
    for number in range(1, WAKES + 1):
        sleeper = sleep_recv(fd, 1)
        sleeper.await_asleep()
        send(peer, b"x", 0)
        fence.passes(1)
        looks_asleep = sleeper.state() == "S" and not sleeper.done
        sleeper.join()
        if looks_asleep:
            raise Late(f"the fence came before the turn of whom wake {number} had woken")


def _keep_busy(cpu: int) -> int:
    """A child that keeps a CPU busy for as long as its parent lives."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        sched_setaffinity(0, {cpu})
        while os.getppid() == parent:
            pass
        os._exit(0)
    return pid


def _ipv6() -> str:
    fd = socket(AF_INET6, FAMILIES["udp6"].type, 0)
    bind(fd, sockaddr_in6("::1", 0))
    connect(fd, getsockname(fd))
    fence(fd, 1)
    close(fd)
    return "a datagram to ::1 came back"


def _family(name: str) -> Callable[[], str]:
    def probe() -> str:
        FAMILIES[name].pair()
        return "a pair of sockets was made"

    return probe


def _packet() -> str:
    family = FAMILIES["packet"]
    fd, peer = family.pair()
    family.deliver(fd, peer, b"x", 0)
    return "a frame was sent on a packet socket"


def _siginfo() -> str:
    fd, peer = FAMILIES["unix-stream"].pair()
    set_signal(fd, ARMED)
    close(fd)
    close(peer)
    return "F_SETSIG was accepted on a socket"


def _blocked_faults() -> str:
    """In a process of its own, which ends with the signal blocked: where it can't be fetched it would kill who unblocks it."""
    child = os.fork()
    if child == 0:
        sigprocmask(SIG_BLOCK, FAULTS)
        for signo in FAULTS:
            sigqueue(os.getpid(), signo, 0)
        os._exit(len(FAULTS) - len(drain_signals(FAULTS)))
    _, status = os.waitpid(child, 0)
    if status:
        raise Refused("SIGSEGV and SIGBUS that were blocked and sent couldn't be fetched")
    return "SIGSEGV and SIGBUS were blocked, sent and fetched"


def _tcp_info() -> str:
    fd = FAMILIES["tcp4"].socket()
    try:
        tcp_info(fd)
    except ValueError as error:  # it isn't an errno that says so
        raise Refused(str(error)) from None
    close(fd)
    return "TCP_INFO was read"


def _switches() -> str:
    fd, peer = FAMILIES["unix-dgram"].pair()
    sleeper = sleep_recv(fd, 1)
    sleeper.await_asleep()
    try:
        sleeper.switches()
    finally:
        send(peer, b"x", 0)
        sleeper.join()
    return "the kernel said how often a thread has gone to sleep"


def _io_uring() -> str:
    Ring().poll(FAMILIES["unix-dgram"].socket(), POLL_ALL)
    return "IORING_OP_POLL_ADD was answered"


def _aio() -> str:
    AioContext().poll(FAMILIES["unix-dgram"].socket(), POLL_ALL)
    return "IOCB_CMD_POLL was answered"


def _neighbours() -> str:
    HeldLink()
    return "a veth pair was made and its neighbours can be left unresolved"


def _shaper() -> str:
    SlowLink().shape()
    return "a token bucket filter was put on a veth device"


def _tcp_repair() -> str:
    fd = FAMILIES["tcp4"].socket()
    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, 1)
    return "TCP_REPAIR was set"


def _sock_destroy() -> str:
    fd, peer = FAMILIES["tcp4"].pair()
    destroy(fd, getsockname(peer))
    return "sock_diag destroyed a TCP socket"


def _setuid() -> str:
    child = fork_child()
    become(child, *USERS)
    child.exit()
    return "a process took on three user ids that aren't its own"


def _refusing_hook() -> str:
    child = fork_child()
    enter(child, SOCKETLESS)
    try:
        child.call("socket", SYS_socket, AF_INET, SOCK_DGRAM, 0)
    except CallError:
        child.exit()
        return "a process entered a domain of SELinux's that makes no sockets, and was refused one"
    raise Refused("a process entered a domain of SELinux's that makes no sockets, and made one")


def _account() -> str:
    sigprocmask(SIG_BLOCK, WATCHED)
    crowd, loner = fork_child(), child_with_account(fork_child, 1)
    sigqueue(crowd.pid, ARMED, 0)
    sigqueue(loner.pid, ARMED, 0)
    loner.exit()
    crowd.exit()
    return "a process whose limit is one pending signal got it while another process had one pending"


def _owner_uids() -> str:
    get_owner_uids(FAMILIES["unix-stream"].socket())
    return "F_GETOWNER_UIDS answered"


def _unix_oob() -> str:
    send(FAMILIES["unix-stream"].pair()[0], b"x", MSG_OOB)
    return "an AF_UNIX stream socket took an urgent byte"


def _sysctl(name: str) -> Callable[[], str]:
    path = Path("/proc/sys/net", name)

    def probe() -> str:
        try:
            path.write_text(path.read_text())
        except OSError as error:  # the kernel may not have it; a network of a user namespace neither, or only to read
            raise CallError("open", (str(path),), error.errno or 0) from None
        return f"{path} was read and written"

    return probe


def _links() -> str:
    SwitchedLink().down()
    return "a veth pair was made and switched off"


def _udplite() -> str:
    socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)
    return "a UDP-Lite socket was made"


def _vsock_seqpacket() -> str:
    listener = socket(AF_VSOCK, SOCK_SEQPACKET, 0)
    bind(listener, sockaddr_vm(VMADDR_CID_LOCAL, VMADDR_PORT_ANY))
    listen(listener, 1)
    connect(socket(AF_VSOCK, SOCK_SEQPACKET, 0), getsockname(listener))
    return "a connection of SOCK_SEQPACKET over vsock was made"


def _slabinfo() -> str:
    try:
        names = {line.split()[0] for line in Path("/proc/slabinfo").read_text().splitlines()}
    except OSError as error:
        raise Refused(f"/proc/slabinfo can't be read: {error.strerror}") from None
    if not {"TCP", "TCPv6"} <= names:
        raise Refused("/proc/slabinfo has no caches for TCP and TCPv6")
    return "/proc/slabinfo has the caches of TCP and TCPv6"


def _socketcall() -> str:
    socketcall_works()
    return "a process made a socket by int 0x80"


def _modules() -> str:
    """Phonet has a module on every kernel that was looked at. Nothing is loaded where it couldn't be unloaded."""
    may_unload()
    family = FAMILIES["phonet"]
    assert isinstance(family, Modular)
    borrowed = Borrowed(family)
    try:
        close(family.socket())
        found = module(family.module)
    finally:
        borrowed.give_back()
    if found is None or found.references is None:
        raise Refused("a Phonet socket was made, and /proc/modules doesn't say who holds its module")
    return "a module was loaded by a socket, and unloaded"


def _sctp() -> str:
    """Once it is loaded it can't be unloaded, so it isn't loaded for this."""
    if module("sctp") is None:
        raise Refused("the module sctp isn't loaded")
    FAMILIES["sctp"].pair()
    return "an SCTP connection was made"


def _pty() -> str:
    try:
        os.openpty()
    except OSError as error:  # no devpts is mounted, or the kernel has none
        raise CallError("openpty", (), error.errno or 0) from None
    return "a pseudoterminal was opened"


PROBES: dict[str, Callable[[], str]] = {
    "one_queue": _one_queue,
    "fence": _fence,
    "pty": _pty,
    "siginfo": _siginfo,
    "blocked_faults": _blocked_faults,
    "tcp_info": _tcp_info,
    "switches": _switches,
    "io_uring": _io_uring,
    "aio": _aio,
    "ipv6": _ipv6,
    "raw": _family("raw4"),
    "ping": _family("ping"),
    "mptcp": _family("mptcp"),
    "vsock": _family("vsock"),
    "vsock_seqpacket": _vsock_seqpacket,
    "packet": _packet,
    "netlink": _family("netlink"),
    "neighbours": _neighbours,
    "shaper": _shaper,
    "links": _links,
    "slabinfo": _slabinfo,
    "socketcall": _socketcall,
    "somaxconn": _sysctl("core/somaxconn"),
    "migration": _sysctl("ipv4/tcp_migrate_req"),
    "setuid": _setuid,
    "account": _account,
    "refusing_hook": _refusing_hook,
    "owner_uids": _owner_uids,
    "unix_oob": _unix_oob,
    "sock_destroy": _sock_destroy,
    "tcp_repair": _tcp_repair,
    "udplite": _udplite,
    "kernel_listener": try_kernel_listener,
    "user_listener": try_user_listener,
    "modules": _modules,
    "sctp": _sctp,
}


def probe(deadline: float) -> Found:
    """Try every capability in a child process; `deadline` is a case's, in seconds.

    Raises NamespaceError if there can be no namespace at all.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:  # a grandchild is init's to wait for
            try:
                answer = json.dumps(_probe_all(deadline)).encode()
                os.closerange(0, writer)
                os.write(writer, answer)
                os.close(writer)  # or the end of the answer would wait for all that exiting closes
            finally:
                os._exit(0)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        raise NamespaceError("the kernel ended the process that tried what it can do; its log (dmesg) may say why")
    found = json.loads(answer)
    if "refused" in found:
        raise NamespaceError(found["refused"])
    return Found(capabilities=found["capabilities"], sysctls=found["sysctls"])


def _probe_all(deadline: float) -> object:
    try:
        enter_network()
    except NamespaceError as error:
        return {"refused": str(error)}
    return {"capabilities": {name: _try(attempt, deadline) for name, attempt in PROBES.items()}, "sysctls": sysctls()}


def _try(attempt: Callable[[], str], deadline: float) -> Capability:
    deadline_start(int(DEADLINES * deadline * 1e9))
    try:
        return Capability(ok=True, how=attempt())
    except (CallError, Late, Refused, NotDestroyed, NotTold) as error:
        return Capability(ok=False, how=f"tried, and got {error}")
    except DeadlineExpired as error:
        return Capability(ok=False, how=f"tried, and it hung in {error.call}")
    except Exception as error:  # a probe that fails in a way of its own is an answer too, and must name itself
        print(f"sockwake: probing failed: {error!r}", file=sys.stderr)
        return Capability(ok=False, how=f"tried, and got {type(error).__name__}: {error}")
