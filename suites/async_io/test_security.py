"""A security hook that refuses fcntl(2) on another's open file, or a signal to its owner, and that all stays as it was."""

import struct

from native import (
    F_DUPFD,
    F_GETFD,
    F_GETFL,
    F_GETOWN,
    F_GETOWN_EX,
    F_GETOWNER_UIDS,
    F_GETSIG,
    F_OWNER_PID,
    F_SETFD,
    F_SETFL,
    F_SETOWN,
    F_SETOWN_EX,
    F_SETSIG,
    FIOASYNC,
    FIOGETOWN,
    FIONBIO,
    FIOSETOWN,
    O_ASYNC,
    O_PATH,
    SIOCGPGRP,
    SIOCSPGRP,
    Child,
    SYS_fcntl,
    SYS_ioctl,
    SYS_openat,
    SYS_socket,
    accept4,
    connect,
    get_owner,
    getsockname,
    set_owner,
)
from suites.catalogue import clause
from suites.clauses import SUBJECT
from suites.lab.arming import arming, who
from suites.lab.calls import none
from suites.lab.case import Case, Descriptor, Plain, attempt
from suites.lab.domains import DEAF, OUTSIDER, PRIVATE, enter
from suites.lab.signals import ARMED, WATCHED

UNKNOWN_COMMAND = 999
NO_SIGNAL = 65
NOBODY = (1 << 31) - 1
"""An id far above PID_MAX_LIMIT, so that nobody ever has it."""

DISARMING = {
    "setfl": (F_SETFL, 0),
    "setown": (F_SETOWN, 0),
    "setsig": (F_SETSIG, 0),
}
COMMANDS = DISARMING | {
    "getfl": (F_GETFL, 0),
    "getown": (F_GETOWN, 0),
    "getsig": (F_GETSIG, 0),
    "getowner_uids": (F_GETOWNER_UIDS, bytearray(8)),
}
REQUESTS = {
    "fioasync": FIOASYNC,
    "fionbio": FIONBIO,
    "fiosetown": FIOSETOWN,
    "siocspgrp": SIOCSPGRP,
    "fiogetown": FIOGETOWN,
    "siocgpgrp": SIOCGPGRP,
}


def told_to(child: Child, fd: int, command: int, argument: int | bytes | bytearray) -> Plain:
    """What fcntl(2) of a child comes to."""
    return attempt(child.call, "fcntl", SYS_fcntl, fd, command, argument)


def maker_of_private(case: Case) -> Child:
    """A child in the domain whose files are no outsider's."""
    child = case.fork()
    enter(child, PRIVATE)
    return child


def socket_of(case: Case, maker: Child) -> tuple[Descriptor, int]:
    """A connected socket that a child has made, as the subject and as the number that the child has for it."""
    number = maker.call("socket", SYS_socket, case.family.domain, case.family.type, case.family.protocol)
    copy, listener = maker.copy(number), case.listener()
    connect(copy, getsockname(listener))
    case.own(accept4(listener, 0), "peer")
    return case.own(copy, SUBJECT), number


def outsider_of(case: Case) -> Child:
    """A child that holds all that the case does, and mayn't use what a private process has opened."""
    child = case.fork()
    enter(child, OUTSIDER)
    return child


@clause("security.fcntl.refused")
def test_command_that_the_hook_refuses_changes_nothing(case: Case) -> None:
    """The open file remembers the domain of who opened it, wherever its descriptors go."""
    sock, _ = socket_of(case, maker_of_private(case))
    case.arm(sock)
    outsider = outsider_of(case)

    result = told_to(outsider, sock, *COMMANDS[case.variant])

    case.at("refused", result=result, **arming(case, sock))
    case.deliver(b"x")
    case.at("delivered")


@clause("security.fcntl.arms_nothing")
def test_socket_that_the_hook_lets_nobody_arm_signals_nobody(case: Case) -> None:
    """Each of the three steps is refused by itself; who has opened the file may take them."""
    maker = maker_of_private(case)
    sock, number = socket_of(case, maker)
    outsider = outsider_of(case)

    refused = {
        "setsig": told_to(outsider, sock, F_SETSIG, ARMED),
        "setown": told_to(outsider, sock, F_SETOWN, outsider.pid),
        "setfl": told_to(outsider, sock, F_SETFL, O_ASYNC),
    }
    case.at("refused", **refused, **arming(case, sock))
    case.deliver(b"x")
    case.at("delivered", outsider=case.got(outsider))
    for command, argument in ((F_SETSIG, ARMED), (F_SETOWN, maker.pid), (F_SETFL, O_ASYNC)):
        maker.call("fcntl", SYS_fcntl, number, command, argument)
    case.deliver(b"y")
    case.fence()

    signals = [info.signo == ARMED for info in maker.drain_signals(WATCHED)]
    case.at("armed", maker=len(signals), as_armed=sum(signals))


@clause("security.fcntl.ioctl")
def test_ioctl_that_does_the_same_is_refused_too(case: Case) -> None:
    """It has a hook of its own, and SELinux asks the same of both."""
    sock, _ = socket_of(case, maker_of_private(case))
    case.arm(sock)
    outsider = outsider_of(case)

    result = attempt(outsider.call, "ioctl", SYS_ioctl, sock, REQUESTS[case.variant], bytearray(4))

    case.at("refused", result=result, **arming(case, sock))
    case.deliver(b"x")
    case.at("delivered")


@clause("security.fcntl.order")
def test_hook_is_asked_after_the_descriptor_and_before_the_argument(case: Case) -> None:
    """SELinux has nothing against a command that it doesn't know, so that one goes on to be found unknown."""
    maker = maker_of_private(case)
    sock, number = socket_of(case, maker)
    path = case.own(maker.copy(maker.call("openat", SYS_openat, -1, b"/\0", O_PATH)), "path")
    closed = case.socket("closed")
    outsider = outsider_of(case)
    outsider.close(closed)

    case.at(
        "asked",
        closed=told_to(outsider, closed, F_GETFL, 0),
        path_setfl=told_to(outsider, path, F_SETFL, 0),
        path_getfl=told_to(outsider, path, F_GETFL, 0),
        unknown=told_to(outsider, sock, UNKNOWN_COMMAND, 0),
        no_signal=told_to(outsider, sock, F_SETSIG, NO_SIGNAL),
        no_owner=told_to(outsider, sock, F_SETOWN, NOBODY),
        no_signal_by_maker=told_to(maker, number, F_SETSIG, NO_SIGNAL),
        no_owner_by_maker=told_to(maker, number, F_SETOWN, NOBODY),
    )


@clause("security.fcntl.not_asked")
def test_commands_that_selinux_does_not_know_of_are_allowed(case: Case) -> None:
    """The owner that has a type isn't in its list, though it does what F_SETOWN does."""
    sock, _ = socket_of(case, maker_of_private(case))
    case.arm(sock)
    outsider = outsider_of(case)

    allowed = {
        "getfd": told_to(outsider, sock, F_GETFD, 0),
        "setfd": told_to(outsider, sock, F_SETFD, 0),
        "dupfd": none(told_to(outsider, sock, F_DUPFD, 0)),
        "getown_ex": told_to(outsider, sock, F_GETOWN_EX, bytearray(8)),
        "setown_ex": told_to(outsider, sock, F_SETOWN_EX, struct.pack("=ii", F_OWNER_PID, outsider.pid)),
    }

    case.at("set", **allowed, owner=who(case, get_owner(sock), outsider))
    case.deliver(b"x")
    case.at("delivered", outsider=case.got(outsider))


@clause("security.signal.refused")
def test_signal_that_the_hook_refuses_is_not_sent(case: Case) -> None:
    """It judges by the domain of who set the owner, as the user ids are judged."""
    sock, _ = case.pair()
    case.arm(sock)
    deaf, other = case.fork(), case.fork()
    enter(deaf, DEAF)

    for moment, child in (("deaf", deaf), ("other", other)):
        set_owner(sock, child.pid)
        case.deliver(b"x")
        case.at(moment, child=case.got(child))
    deaf.call("fcntl", SYS_fcntl, sock, F_SETOWN, deaf.pid)
    case.deliver(b"y")

    case.at("by_itself", child=case.got(deaf))
