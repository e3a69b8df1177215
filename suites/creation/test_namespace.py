"""A socket's network namespace: its creator's, kept wherever the creator goes, and kept alive."""

import os
import struct
from pathlib import Path

from native import (
    AF_INET,
    AF_INET6,
    CLONE_NEWNET,
    FD_CLOEXEC,
    SIOCGSKNS,
    SOL_SOCKET,
    CallError,
    Child,
    SYS_accept4,
    SYS_bind,
    SYS_getsockopt,
    SYS_ioctl,
    SYS_setns,
    SYS_socket,
    SYS_unshare,
    bind,
    connect,
    get_descriptor_flags,
    getsockname,
    getsockopt_bytes,
    if_index,
    ioctl_skns,
    pipe2,
    sockaddr_in,
    sockaddr_in6,
    sockaddr_un,
)
from suites.catalogue import clause
from suites.lab import rtnetlink
from suites.lab.case import Case, Descriptor, Plain, attempt
from suites.lab.counters import sockstat
from suites.lab.links import await_end_of, lay_link
from suites.lab.privileges import drop_capabilities

SO_NETNS_COOKIE = 71
"""include/uapi/asm-generic/socket.h; newer than the headers of some machines."""

SIOCGIFINDEX = 0x8933
"""include/uapi/linux/sockios.h: the index of a device in the network of the socket that is asked."""


def network() -> str:
    """The lab's network namespace, as /proc names it."""
    return os.readlink("/proc/thread-self/ns/net")


def network_of(child: Child, fd: int) -> str:
    """The network namespace of a child's socket, as the kernel says to the child."""
    found = child.call("ioctl", SYS_ioctl, fd, SIOCGSKNS, 0)
    name = os.readlink(f"/proc/{child.pid}/fd/{found}")
    child.close(found)
    return name


def go_elsewhere(case: Case) -> tuple[Child, str]:
    """A child in a network namespace of its own, and the namespace's name."""
    child = case.fork()
    child.call("unshare", SYS_unshare, CLONE_NEWNET)
    return child, os.readlink(f"/proc/{child.pid}/ns/net")


def come_back(child: Child, fd: Descriptor) -> None:
    """Have a child enter the network namespace that a socket of the lab's belongs to."""
    here = child.call("ioctl", SYS_ioctl, fd, SIOCGSKNS, 0)
    child.call("setns", SYS_setns, here, CLONE_NEWNET)
    child.close(here)


def made_by(child: Child, case: Case) -> int:
    """A socket of the case's family that a child makes."""
    return child.call("socket", SYS_socket, case.family.domain, case.family.type, case.family.protocol)


@clause("namespace.creator.kept")
def test_socket_stays_in_its_creators_namespace(case: Case) -> None:
    """The sock holds its namespace, and a process only says where new ones are made."""
    sock = case.socket()
    child, there = go_elsewhere(case)
    made = made_by(child, case)
    inherited = network_of(child, sock)

    come_back(child, sock)

    case.at(
        "back",
        inherited_is_here=int(inherited == network()),
        made_is_there=int(network_of(child, made) == there),
        here_is_there=int(network() == there),
    )


@clause("namespace.creator.accepted")
def test_accepted_socket_belongs_to_the_listeners_namespace(case: Case) -> None:
    """It was made when the connection was, not by who accepts it."""
    listener = case.listener()
    sock = case.socket()
    connect(sock, getsockname(listener))
    case.fence()
    child, there = go_elsewhere(case)

    accepted = child.call("accept4", SYS_accept4, listener, 0, 0, 0)

    found = network_of(child, accepted)
    case.at("accepted", is_here=int(found == network()), is_there=int(found == there))


@clause("namespace.creator.addresses")
def test_address_is_taken_in_the_sockets_namespace(case: Case) -> None:
    """The table that is searched is the socket's own network's."""
    taken, inherited = case.socket("taken"), case.socket()
    address = {AF_INET: sockaddr_in("0.0.0.0", 0), AF_INET6: sockaddr_in6("::", 0)}.get(case.family.domain)
    bind(taken, address or sockaddr_un(b"\0sockwake taken"))
    address = getsockname(taken)
    child, _ = go_elsewhere(case)
    made = made_by(child, case)

    case.at(
        "bound",
        inherited=attempt(child.call, "bind", SYS_bind, inherited, address, len(address)),
        made=attempt(child.call, "bind", SYS_bind, made, address, len(address)),
    )


# SIOCGSKNS.


@clause("namespace.asked.descriptor")
def test_namespace_of_a_socket_can_be_had_as_a_descriptor(case: Case) -> None:
    """It is a file of nsfs, open for good and closed on exec."""
    sock = case.socket()

    found = case.own(ioctl_skns(sock), "namespace")

    link = os.readlink(f"/proc/thread-self/fd/{int(found)}")
    case.at("asked", is_here=int(link == network()), closes_on_exec=get_descriptor_flags(found) & FD_CLOEXEC)


@clause("namespace.asked.without_privilege")
def test_namespace_is_shown_only_to_its_administrator(case: Case) -> None:
    """Who has it may enter it."""
    sock = case.socket()
    child = case.fork()
    drop_capabilities(child)

    case.at("refused", ioctl=attempt(child.call, "ioctl", SYS_ioctl, sock, SIOCGSKNS, 0))


@clause("namespace.asked.not_a_socket")
def test_other_files_have_no_network(case: Case) -> None:
    """The ioctl is one of sockets."""
    reader, writer = pipe2()
    ends = case.own(reader, "reader"), case.own(writer, "writer")
    namespace = case.own(ioctl_skns(case.socket()), "namespace")

    case.at("refused", pipe=attempt(ioctl_skns, ends[0]), namespace=attempt(ioctl_skns, namespace))


def cookie(child: Child, fd: int) -> Plain | bytes:
    """What a child reads as the cookie of a socket's namespace."""
    value = bytearray(8)
    try:
        child.call(
            "getsockopt", SYS_getsockopt, fd, SOL_SOCKET, SO_NETNS_COOKIE, value, bytearray(struct.pack("=I", 8))
        )
    except CallError as error:
        return error.name
    return bytes(value)


@clause("namespace.asked.cookie")
def test_namespace_has_a_number_of_its_own(case: Case) -> None:
    """Unlike an inode's, it is never given again."""
    sock, other = case.socket(), case.socket("other")
    child, _ = go_elsewhere(case)
    made = made_by(child, case)

    asked = attempt(lambda: len(getsockopt_bytes(sock, SOL_SOCKET, SO_NETNS_COOKIE, 8)))

    here, also_here, there = cookie(child, sock), cookie(child, other), cookie(child, made)
    case.at("asked", size=asked, same_here=int(here == also_here), same_there=int(here == there))


# What holds a namespace.


def in_use(child: Child) -> int:
    """`sockets: used` of the network that a child is in."""
    return sockstat(net=Path(f"/proc/{child.pid}/net"))["sockets"]["used"]


@clause("namespace.held.kernel_sockets")
def test_kernels_own_sockets_are_not_counted(case: Case) -> None:
    """A new network has some from the start; they hold no reference to it."""
    child, _ = go_elsewhere(case)
    before = in_use(child)

    made_by(child, case)

    case.at("made", before=before, after=in_use(child))


@clause("namespace.held.alive")
def test_socket_keeps_its_namespace_alive(case: Case) -> None:
    """Networks are taken down in the order in which they were left: the second's end is the first's fence."""
    sock = case.socket()
    netlink = case.own(rtnetlink.connect(), "netlink")
    child, _ = go_elsewhere(case)
    lay_link(netlink, "kept", child)
    made = made_by(child, case)
    child.call("unshare", SYS_unshare, CLONE_NEWNET)
    lay_link(netlink, "left", child)

    come_back(child, sock)
    await_end_of("left")

    device = bytearray(b"keptp".ljust(40, b"\0"))
    alive = attempt(child.call, "ioctl", SYS_ioctl, made, SIOCGIFINDEX, device)
    case.at("left", link=int(if_index("kept") > 0), device=alive)
    child.close(made)
    await_end_of("kept")
    case.at("closed", link=attempt(if_index, "kept"))
