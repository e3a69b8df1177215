"""Arming: owner, O_ASYNC and signal; which calls set them, and which refuse to."""

from collections.abc import Callable
from os import openpty
from pathlib import Path

from native import (
    EPOLL_CTL_ADD,
    F_GETFD,
    F_GETFL,
    F_GETOWN,
    F_GETSIG,
    F_SETFD,
    F_SETFL,
    F_SETOWN,
    F_SETSIG,
    O_ASYNC,
    O_DIRECT,
    O_PATH,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    POLL_ALL,
    SHUT_RD,
    SHUT_RDWR,
    accept4,
    close,
    connect,
    dup,
    epoll_create1,
    epoll_ctl,
    fcntl,
    fstat,
    get_flags,
    get_owner,
    get_owner_ex,
    getsockname,
    ioctl_async,
    ioctl_getown,
    ioctl_gpgrp,
    ioctl_setown,
    ioctl_spgrp,
    linger,
    openat,
    pipe2,
    poll_one,
    read,
    recv,
    set_flags,
    set_owner,
    set_owner_ex,
    set_signal,
    shutdown,
    so_error,
)
from suites.catalogue import clause
from suites.lab.arming import arming, is_async, who
from suites.lab.calls import made, pair_made
from suites.lab.case import INPUT, Case, attempt
from suites.lab.signals import ARMED

NOBODY = 0x7FFF_FFFE
"""A number that no process has: PID_MAX_LIMIT is 4 Mi."""

INT_MIN = -0x8000_0000
UNKNOWN = (99, 0x7FFF_FFFF)
"""Commands that fcntl has never had."""

SETTERS: dict[str, Callable[[int, int], None]] = {"setown": ioctl_setown, "spgrp": ioctl_spgrp}
"""The two names of one ioctl."""


def set_async(fd: int, on: int) -> int:
    """F_SETFL with O_ASYNC on or off; its result."""
    flags = get_flags(fd)
    return fcntl(fd, F_SETFL, flags | O_ASYNC if on else flags & ~O_ASYNC)


def file_without_fasync(case: Case) -> int:
    """A file that has no fasync operation, of the kind that the variant names."""
    match case.variant:
        case "null":
            return case.own(openat(-1, "/dev/null", O_RDONLY), "file")
        case "regular":
            return case.own(openat(-1, "/proc/self/exe", O_RDONLY), "file")
        case _:
            return case.own(epoll_create1(0), "file")


@clause("arming.data.signals")
def test_each_message_signals_the_owner_of_an_armed_socket(case: Case) -> None:
    """Owner and O_ASYNC are all it needs; the signal is sent where the data is queued."""
    sock, _ = case.pair()
    case.arm(sock)

    case.deliver(b"x")
    case.at("first")
    case.deliver(b"y")

    case.at("second")


@clause("arming.order.free")
def test_owner_signal_and_flag_may_be_set_in_any_order(case: Case) -> None:
    """Each is a field of the open file, and all are read when the event comes."""
    sock, _ = case.pair()
    for step in case.variant.split("_"):
        match step:
            case "signal":
                set_signal(sock, ARMED)
            case "owner":
                set_owner(sock, case.lab.pid)
            case _:
                set_async(sock, 1)

    case.deliver(b"x")

    case.at("delivered", **arming(case, sock))


@clause("arming.listener.signals")
def test_queued_connection_signals_the_owner_of_the_listener(case: Case) -> None:
    """To a listener a connection is what data is to others: sk_data_ready."""
    listener = case.listener()
    case.arm(listener)
    sock = case.socket()

    connect(sock, getsockname(listener))

    case.at("connected")


@clause("arming.error.direct")
def test_reset_signals_without_any_mark(case: Case) -> None:
    """IO asks for no mark and heeds none."""
    sock, peer = case.pair()
    case.arm(sock)

    linger(peer, 1, 0)
    close(peer)

    case.at("reset")


@clause("arming.state.silent")
def test_arming_a_readable_socket_sends_no_signal(case: Case) -> None:
    """Signals tell of events, and arming isn't one."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()

    case.arm(sock)
    case.at("armed")
    case.deliver(b"y")

    case.at("next")


@clause("arming.wakeup.silent")
def test_state_change_wakes_a_poller_and_sends_no_signal(case: Case) -> None:
    """sock_def_wakeup knows the sleepers only."""
    sock, _ = case.pair()
    case.arm(sock)
    case.sleep("poll", sock, INPUT)

    shutdown(sock, SHUT_RD)

    case.at("shut")


@clause("arming.owner_alone.silent")
def test_owner_without_o_async_gets_no_signal(case: Case) -> None:
    """sk_wake_async looks at SOCK_FASYNC first."""
    sock, _ = case.pair()
    set_signal(sock, ARMED)
    set_owner(sock, case.lab.pid)

    case.deliver(b"x")

    case.at("delivered", **arming(case, sock))


@clause("arming.async_alone.silent")
def test_o_async_without_an_owner_signals_nobody(case: Case) -> None:
    """send_sigio finds no pid to send to."""
    sock, _ = case.pair()
    set_signal(sock, ARMED)
    set_flags(sock, get_flags(sock) | O_ASYNC)

    case.deliver(b"x")

    case.at("delivered", **arming(case, sock))


@clause("arming.owner.taken_away")
def test_socket_whose_owner_was_taken_away_signals_nobody(case: Case) -> None:
    """F_SETOWN of 0 puts the file back to nobody's."""
    sock, _ = case.pair()
    case.arm(sock)

    set_owner(sock, 0)
    case.deliver(b"x")
    case.at("nobodys", **arming(case, sock))
    set_owner(sock, case.lab.pid)
    case.deliver(b"y")

    case.at("owned", **arming(case, sock))


@clause("arming.disarmed.silent")
def test_disarmed_socket_sends_no_signal_until_it_is_armed_again(case: Case) -> None:
    """Owner and signal stay as they are, so O_ASYNC alone arms it again."""
    sock, _ = case.pair()
    case.arm(sock)
    match case.variant:
        case "fcntl":
            set_async(sock, 0)
        case "ioctl":
            ioctl_async(sock, 0)
        case _:
            set_async(case.own(dup(sock), "copy"), 0)

    case.deliver(b"x")
    case.at("disarmed", **arming(case, sock))
    ioctl_async(sock, 1)
    case.deliver(b"y")

    case.at("rearmed", **arming(case, sock))


@clause("arming.twice.once")
def test_o_async_set_twice_signals_once(case: Case) -> None:
    """fasync is called for a change only, and its positive result isn't F_SETFL's."""
    sock, _ = case.pair()
    case.arm(sock)
    set_async(sock, 0)
    first = attempt(set_async, sock, 1)
    match case.variant:
        case "fcntl":
            second = attempt(set_async, sock, 1)
        case "ioctl":
            second = attempt(ioctl_async, sock, 1)
        case _:
            second = attempt(set_async, case.own(dup(sock), "copy"), 1)

    case.deliver(b"x")
    case.at("delivered", first=first, second=second)
    set_async(sock, 0)
    case.deliver(b"y")

    case.at("disarmed", async_on=is_async(sock))


@clause("arming.flag.shared")
def test_o_async_is_the_open_files_and_not_the_descriptors(case: Case) -> None:
    """fcntl and FIOASYNC change one bit, which every duplicate shows."""
    sock, _ = case.pair()
    copy = case.own(dup(sock), "copy")
    change = set_async if case.variant == "fcntl" else ioctl_async

    change(sock, 1)
    case.at("on", original=is_async(sock), duplicate=is_async(copy))
    change(copy, 0)

    case.at("off", original=is_async(sock), duplicate=is_async(copy))


@clause("arming.fdinfo.shown")
def test_fdinfo_shows_o_async(case: Case) -> None:
    """The line `flags` is f_flags in octal."""
    sock = case.socket()

    def shown() -> int:
        info = Path(f"/proc/self/fdinfo/{int(sock)}").read_text()
        return int(bool(int(info.partition("flags:")[2].split()[0], 8) & O_ASYNC))

    case.at("fresh", in_fdinfo=shown())
    case.arm(sock)
    case.at("armed", in_fdinfo=shown())
    case.disarm(sock)

    case.at("disarmed", in_fdinfo=shown())


@clause("arming.creation.refused")
def test_no_socket_is_made_with_o_async(case: Case) -> None:
    """SOCK_NONBLOCK and SOCK_CLOEXEC are the only flags that fit beside a type."""
    family = case.family
    sock = case.socket()

    case.at(
        "refused",
        socket=made(case, family.domain, family.type | O_ASYNC, family.protocol),
        socketpair=pair_made(case, family.domain, family.type | O_ASYNC, family.protocol),
        accept4=attempt(accept4, sock, O_ASYNC),
    )


def arm_after_shutdown(case: Case) -> None:
    """Shut the subject of a pair down in both directions, arm it, and observe."""
    sock, _ = case.pair()
    shutdown(sock, SHUT_RDWR)

    set_owner(sock, case.lab.pid)
    result = attempt(set_async, sock, 1)

    case.at("armed", result=result, async_on=is_async(sock))


@clause("arming.shut.accepted")
def test_socket_that_is_shut_down_can_be_armed(case: Case) -> None:
    """fasync asks for a sock, not for a connection."""
    arm_after_shutdown(case)


@clause("arming.shut.mptcp")
def test_mptcp_socket_that_is_shut_down_can_be_armed(case: Case) -> None:
    """A worker handles what the peer says of the shutdown, sooner or later."""
    arm_after_shutdown(case)


@clause("arming.owner.forced")
def test_owner_is_set_again_and_again(case: Case) -> None:
    """f_setown is called with force: who owned the file before doesn't matter."""
    sock, _ = case.pair()
    child = case.fork()
    case.arm(sock)
    seen = []
    for owner in (child.pid, child.pid, case.lab.pid, 0, child.pid, case.lab.pid):
        set_owner(sock, owner)
        seen.append(who(case, get_owner(sock), child))

    case.deliver(b"x")

    case.at("delivered", seen=", ".join(seen))


@clause("arming.ioctl.owner")
def test_ioctl_sets_the_owner_that_fcntl_reads(case: Case) -> None:
    """Two ioctls set it, two read it, and all are f_setown and f_getown."""
    sock, _ = case.pair()
    set_signal(sock, ARMED)
    SETTERS[case.variant](sock, case.lab.pid)
    ioctl_async(sock, 1)

    case.deliver(b"x")

    case.at(
        "delivered",
        getown=who(case, get_owner(sock)),
        fiogetown=who(case, ioctl_getown(sock)),
        siocgpgrp=who(case, ioctl_gpgrp(sock)),
        type=get_owner_ex(sock).type,
    )


@clause("arming.ioctl.group")
def test_ioctl_sets_a_group_as_its_negated_number(case: Case) -> None:
    """The ioctls read a group back without the ambiguity of F_GETOWN's answer."""
    sock = case.socket()
    child = case.fork()
    child.lead_group()

    SETTERS[case.variant](sock, -child.pid)

    case.at(
        "set",
        getown=who(case, get_owner(sock), child),
        fiogetown=who(case, ioctl_getown(sock), child),
        siocgpgrp=who(case, ioctl_gpgrp(sock), child),
        type=get_owner_ex(sock).type,
    )


@clause("arming.ioctl.refused")
def test_ioctl_refuses_owners_as_fcntl_does_and_keeps_the_old_one(case: Case) -> None:
    """f_setown looks the number up before it changes anything."""
    sock, _ = case.pair()
    case.arm(sock)
    change = SETTERS[case.variant]
    refused = {
        "process": attempt(change, sock, NOBODY),
        "group": attempt(change, sock, -NOBODY),
        "int_min": attempt(change, sock, INT_MIN),
    }

    case.deliver(b"x")

    case.at("delivered", **refused, owner=who(case, get_owner(sock)))


@clause("arming.ioctl.sockets_only")
def test_ioctls_of_the_owner_are_for_sockets_only(case: Case) -> None:
    """A pipe has an owner too, and fcntl sets it."""
    reader, writer = (case.own(end, role) for end, role in zip(pipe2(0), ("reader", "writer"), strict=True))

    case.at(
        "refused",
        setown=attempt(ioctl_setown, reader, case.lab.pid),
        spgrp=attempt(ioctl_spgrp, reader, case.lab.pid),
        getown=attempt(ioctl_getown, writer),
        gpgrp=attempt(ioctl_gpgrp, writer),
        fcntl=attempt(set_owner, reader, case.lab.pid),
        owner=who(case, get_owner(reader)),
    )


@clause("arming.no_fasync.ignored")
def test_f_setfl_ignores_o_async_on_a_file_without_fasync(case: Case) -> None:
    """Setting the bit is fasync's work, so it isn't even recorded."""
    fd = file_without_fasync(case)
    result = attempt(set_async, fd, 1)

    case.at("set", result=result, async_on=is_async(fd))


@clause("arming.no_fasync.enotty")
def test_fioasync_is_refused_on_a_file_without_fasync(case: Case) -> None:
    """Only a change needs fasync, and there is none in taking off what isn't on."""
    fd = file_without_fasync(case)

    case.at("asked", on=attempt(ioctl_async, fd, 1), off=attempt(ioctl_async, fd, 0), async_on=is_async(fd))


@clause("arming.open.recorded")
def test_open_records_o_async_that_nothing_can_take_off(case: Case) -> None:
    """do_dentry_open keeps what it is given, and there is no fasync to change it."""
    fd = case.own(openat(-1, "/proc/self/exe", O_RDONLY | O_ASYNC), "file")
    opened = is_async(fd)

    case.at(
        "opened",
        opened=opened,
        fcntl=attempt(set_async, fd, 0),
        ioctl=attempt(ioctl_async, fd, 0),
        left=is_async(fd),
    )


@clause("arming.refused.unchanged")
def test_f_setfl_that_fails_leaves_o_async_as_it_was(case: Case) -> None:
    """O_DIRECT isn't for sockets, and is looked at before O_ASYNC."""
    sock, _ = case.pair()
    case.arm(sock)
    flags = get_flags(sock)
    off = attempt(fcntl, sock, F_SETFL, (flags | O_DIRECT) & ~O_ASYNC)
    case.deliver(b"x")
    case.at("still_on", result=off, async_on=is_async(sock))

    case.disarm(sock)
    on = attempt(fcntl, sock, F_SETFL, flags | O_DIRECT)
    case.deliver(b"y")

    case.at("still_off", result=on, async_on=is_async(sock))


@clause("arming.fasync.fails")
def test_error_of_fasync_is_the_error_of_f_setfl(case: Case) -> None:
    """A terminal that was hung up has a fasync that does nothing but fail."""
    master, slave = (case.own(end, role) for end, role in zip(openpty(), ("master", "slave"), strict=True))
    alive = attempt(set_async, slave, 1), attempt(set_async, slave, 0)

    close(master)

    case.at(
        "hung_up",
        on_before=alive[0],
        off_before=alive[1],
        fcntl=attempt(set_async, slave, 1),
        ioctl=attempt(ioctl_async, slave, 1),
        async_on=is_async(slave),
    )


@clause("arming.closed.ebadf")
def test_every_command_on_a_number_that_is_not_open_is_ebadf(case: Case) -> None:
    """The descriptor is looked up before the command, so an unknown one says the same."""
    number = dup(case.socket())
    close(number)

    case.at(
        "asked",
        F_GETFL=attempt(fcntl, number, F_GETFL),
        F_SETFL=attempt(fcntl, number, F_SETFL, O_ASYNC),
        F_GETOWN=attempt(get_owner, number),
        F_SETOWN=attempt(fcntl, number, F_SETOWN, case.lab.pid),
        F_GETOWN_EX=attempt(get_owner_ex, number),
        F_SETOWN_EX=attempt(set_owner_ex, number, 1, case.lab.pid),
        F_GETSIG=attempt(fcntl, number, F_GETSIG),
        F_SETSIG=attempt(fcntl, number, F_SETSIG, ARMED),
        unknown=attempt(fcntl, number, UNKNOWN[0]),
        FIOASYNC=attempt(ioctl_async, number, 1),
        FIOSETOWN=attempt(ioctl_setown, number, case.lab.pid),
        FIOGETOWN=attempt(ioctl_getown, number),
    )


@clause("arming.unknown.einval")
def test_unknown_command_is_einval_and_changes_nothing(case: Case) -> None:
    """do_fcntl begins with this error and has no case for the command."""
    sock, _ = case.pair()
    case.arm(sock)
    small, large = (attempt(fcntl, sock, command, 1) for command in UNKNOWN)

    case.at("asked", small=small, large=large, **arming(case, sock))


@clause("arming.path.permitted")
def test_o_path_descriptor_of_a_socket_permits_what_concerns_the_descriptor(case: Case) -> None:
    """check_fcntl_cmd lists the commands; the copy is of the same kind."""
    sock = case.socket()
    fd = case.own(openat(-1, f"/proc/self/fd/{int(sock)}", O_PATH), "path")
    copy = case.own(dup(fd), "copy")

    case.at(
        "asked",
        is_path=int(bool(get_flags(fd) & O_PATH)),
        copy_is_path=int(bool(get_flags(copy) & O_PATH)),
        F_GETFD=attempt(fcntl, fd, F_GETFD),
        F_SETFD=attempt(fcntl, fd, F_SETFD, 0),
        same_inode=int(fstat(fd).ino == fstat(sock).ino),
    )


@clause("arming.path.enxio")
def test_socket_can_not_be_opened_by_the_link_to_its_descriptor(case: Case) -> None:
    """sock_no_open stands in the way of all but O_PATH, so no second open file comes of one socket."""
    path = f"/proc/self/fd/{int(case.socket())}"

    case.at(
        "asked",
        reading=attempt(openat, -1, path, O_RDONLY),
        writing=attempt(openat, -1, path, O_WRONLY),
        both=attempt(openat, -1, path, O_RDWR | O_ASYNC),
    )


@clause("arming.path.ebadf")
def test_o_path_descriptor_of_a_socket_can_not_be_armed_or_used(case: Case) -> None:
    """To all but a few calls such a descriptor isn't open; the unknown command isn't among them either."""
    sock = case.socket()
    fd = case.own(openat(-1, f"/proc/self/fd/{int(sock)}", O_PATH), "path")
    epoll = case.own(epoll_create1(0), "epoll")

    case.at(
        "asked",
        F_SETFL=attempt(fcntl, fd, F_SETFL, O_ASYNC),
        F_GETOWN=attempt(fcntl, fd, F_GETOWN),
        F_SETOWN=attempt(fcntl, fd, F_SETOWN, case.lab.pid),
        F_GETSIG=attempt(fcntl, fd, F_GETSIG),
        F_SETSIG=attempt(fcntl, fd, F_SETSIG, ARMED),
        unknown=attempt(fcntl, fd, UNKNOWN[0]),
        FIOASYNC=attempt(ioctl_async, fd, 1),
        FIOSETOWN=attempt(ioctl_setown, fd, case.lab.pid),
        read=attempt(read, fd, 1),
        recv=attempt(recv, fd, 1),
        getsockopt=attempt(so_error, fd),
        epoll_ctl=attempt(epoll_ctl, epoll, EPOLL_CTL_ADD, fd, POLL_ALL, 0),
        poll_of_it=poll_one(fd, POLL_ALL),
    )
