"""A network of one's own: namespaces, loopback, and the sysctls that outcomes depend on.

Owns what a process does once, before its first case, so that parallel workers, fixed ports, counters and sysctls never meet
and the host's network is never touched.
"""

from __future__ import annotations

import getpass
import os
import socket as addresses
import struct
from contextlib import suppress
from pathlib import Path

from native import AF_INET, AF_INET6, CLONE_NEWNET, CLONE_NEWUSER, CallError, close, if_index, if_up, unshare
from suites.lab import rtnetlink
from suites.lab.families import SECOND_HOST6

CAP_SYS_ADMIN = 21

PINNED = {
    "net/ipv4/icmp_ratemask": "0",
    "net/ipv4/ip_local_port_range": "32768 60999",
    "net/ipv4/ping_group_range": "0 0",
    "net/ipv4/tcp_abort_on_overflow": "0",
    "net/ipv4/tcp_fin_timeout": "60",
    "net/ipv4/tcp_moderate_rcvbuf": "1",
    "net/ipv4/tcp_notsent_lowat": "4294967295",
    "net/ipv4/tcp_rmem": "4096 131072 6291456",
    "net/ipv4/tcp_sack": "1",
    "net/ipv4/tcp_syncookies": "1",
    "net/ipv4/tcp_timestamps": "1",
    "net/ipv4/tcp_tw_reuse": "2",
    "net/ipv4/tcp_window_scaling": "1",
    "net/ipv4/tcp_wmem": "4096 16384 4194304",
    "net/ipv6/icmp/ratemask": "128",
}
"""sysctls of the namespace, at their kernel defaults whatever the host's are; what a kernel lacks or won't change is left.

Not at their defaults are the masks of limited ICMP messages, which name no error: the limit is the machine's (icmp_global_allow).
"""

NOTED = (
    "net/core/wmem_default",
    "net/core/wmem_max",
    "net/core/rmem_default",
    "net/core/rmem_max",
    "net/core/somaxconn",
)
"""sysctls that belong to the machine, or whose default is a fact of the kernel: recorded as found."""

IFA_ADDRESS, IFA_F_NODAD = 1, 2
RTA_DST, RTA_OIF, RTA_METRICS = 1, 4, 8
RTAX_LOCK, RTAX_RTO_MIN, RTAX_QUICKACK = 1, 13, 15
RT_TABLE_LOCAL, RTN_LOCAL = 255, 2
RTO_MIN_MS = 60_000
_SCOPE = {AF_INET: 254, AF_INET6: 0}


class NamespaceError(Exception):
    """No namespace can be had; the message says what to do about it."""


def enter_user() -> None:
    """Where the process may not make a network namespace, make a user namespace in which it may, as its root.

    Must run while the process has one thread (user_namespaces(7)). Raises NamespaceError where user namespaces are forbidden.
    """
    if _has_capability(CAP_SYS_ADMIN):
        return
    uid, gid = os.getuid(), os.getgid()
    os.environ.setdefault("LOGNAME", getpass.getuser())  # inside it is root's, and pytest names its folders by it
    try:
        unshare(CLONE_NEWUSER)
    except CallError as error:
        raise NamespaceError(
            f"sockwake needs a network namespace of its own and this user may not make a user namespace ({error.name}): "
            "run it as root, or allow them (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone or "
            "kernel.apparmor_restrict_unprivileged_userns)"
        ) from None
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    try:
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except PermissionError as error:
        raise NamespaceError(f"the kernel refused to map this user into its namespace: {error}") from None


def enter_network() -> None:
    """Give the calling thread, and all that it starts, an empty network with loopback up and the sysctls pinned."""
    try:
        unshare(CLONE_NEWNET)
    except CallError as error:
        raise NamespaceError(
            f"sockwake needs a network namespace of its own and the kernel refuses one ({error.name}): run it as root with "
            "CAP_SYS_ADMIN, or as a user who may make user namespaces, on a kernel built with CONFIG_NET_NS"
        ) from None
    if_up("lo")
    _add_address()
    _pin_routes()
    for name, value in PINNED.items():
        path = Path("/proc/sys", name)
        if path.exists():
            with suppress(OSError):  # gVisor shows some and takes no value, or not this one; the record has what holds
                path.write_text(value)


def _add_address() -> None:
    """Give loopback a second IPv6 address, where there is IPv6: two raw sockets hear each other's only."""
    fd = rtnetlink.connect()
    packed = addresses.inet_pton(AF_INET6, SECOND_HOST6)
    head = struct.pack("=BBBBI", AF_INET6, 8 * len(packed), IFA_F_NODAD, 0, if_index("lo"))
    body = head + rtnetlink.attribute(IFA_ADDRESS, packed)
    with suppress(rtnetlink.Refused):
        rtnetlink.ask(fd, rtnetlink.Kind.NEWADDR, rtnetlink.CREATE, body, f"give loopback {SECOND_HOST6}")
    close(fd)


def _pin_routes() -> None:
    """Have none of TCP's timers act on loopback while a case runs: acknowledge at once, retransmit and probe after a minute.

    A delayed acknowledgement or a window probe would change what is charged to a socket in the middle of a case. Where the
    kernel has no such routes, its own timers hold.
    """
    fd = rtnetlink.connect()
    metrics = b"".join(
        rtnetlink.attribute(metric, struct.pack("=I", value))
        for metric, value in ((RTAX_LOCK, 1 << RTAX_RTO_MIN), (RTAX_RTO_MIN, RTO_MIN_MS), (RTAX_QUICKACK, 1))
    )
    for family, host in ((AF_INET, "127.0.0.1"), (AF_INET6, "::1")):
        packed = addresses.inet_pton(family, host)
        head = struct.pack("=BBBBBBBBI", family, 8 * len(packed), 0, 0, RT_TABLE_LOCAL, 2, _SCOPE[family], RTN_LOCAL, 0)
        out = rtnetlink.attribute(RTA_OIF, struct.pack("=I", if_index("lo")))
        body = head + rtnetlink.attribute(RTA_DST, packed) + out + rtnetlink.attribute(RTA_METRICS, metrics)
        with suppress(rtnetlink.Refused):
            if family == AF_INET6:
                # The kernel's own has metric 0, which no request can name, and would go before this one.
                rtnetlink.ask(fd, rtnetlink.Kind.DELROUTE, 0, head + out + rtnetlink.attribute(RTA_DST, packed), "")
            rtnetlink.ask(
                fd, rtnetlink.Kind.NEWROUTE, rtnetlink.CREATE | rtnetlink.REPLACE, body, f"replace the route to {host}"
            )
    close(fd)


def sysctls() -> dict[str, str]:
    """The sysctls that outcomes depend on, as they stand in the calling thread's network."""
    paths = {name: Path("/proc/sys", name) for name in (*PINNED, *NOTED)}
    return {name: " ".join(path.read_text().split()) for name, path in paths.items() if path.exists()}


def _has_capability(number: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return os.geteuid() == 0
