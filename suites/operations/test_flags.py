"""The flags of a socket's open file, and the commands of fcntl that belong to files of other kinds."""

from collections.abc import Callable
from tempfile import TemporaryFile

from native import (
    F_ADD_SEALS,
    F_GET_SEALS,
    F_GETPIPE_SZ,
    F_RDLCK,
    F_SEAL_WRITE,
    F_SETLEASE,
    F_SETPIPE_SZ,
    F_WRLCK,
    FIONBIO,
    MSG_DONTWAIT,
    O_APPEND,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECT,
    O_EXCL,
    O_NOATIME,
    O_NONBLOCK,
    O_TRUNC,
    O_WRONLY,
    dup,
    fcntl,
    get_flags,
    ioctl_int,
    pipe2,
    recv,
    sendfile,
    set_flags,
    splice,
    write,
)
from suites.catalogue import clause
from suites.lab.calls import end_of
from suites.lab.case import Case, attempt


def set_nonblocking(case: Case, fd: int, on: bool) -> None:
    """Switch O_NONBLOCK in the way that the variant names."""
    if case.variant == "FIONBIO":
        ioctl_int(fd, FIONBIO, int(on))
    else:
        set_flags(fd, get_flags(fd) | O_NONBLOCK if on else get_flags(fd) & ~O_NONBLOCK)


@clause("flags.nonblock.is_the_open_files")
def test_nonblocking_is_the_open_files_and_can_be_taken_back(case: Case) -> None:
    """A duplicate shares the flag, and a receive looks at it when it begins."""
    sock, _ = case.pair()
    copy = case.own(dup(sock), "copy")

    set_nonblocking(case, sock, True)
    set_ = {"copy": int(bool(get_flags(copy) & O_NONBLOCK)), "recv": attempt(recv, copy, 1, 0)}
    set_nonblocking(case, copy, False)
    case.sleep("recv", sock, 1, name="receiver")
    case.at("cleared", cleared=int(get_flags(sock) & O_NONBLOCK), **set_)
    case.deliver(b"x")

    case.at("delivered")


@clause("flags.others.are_ignored")
def test_flags_that_belong_to_opening_are_ignored(case: Case) -> None:
    """setfl changes SETFL_MASK alone."""
    sock, _ = case.pair()
    before = get_flags(sock)

    done = attempt(set_flags, sock, O_WRONLY | O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC)

    case.at("set", before=before, set_flags=done, after=get_flags(sock))


@clause("flags.direct.is_einval")
def test_direct_is_refused_and_changes_nothing(case: Case) -> None:
    """setfl looks for a file that can before it changes any flag."""
    sock, _ = case.pair()
    before = get_flags(sock)

    refused = attempt(set_flags, sock, O_DIRECT | O_NONBLOCK)

    case.at("refused", set_flags=refused, changed=get_flags(sock) ^ before)


@clause("flags.append.is_accepted")
def test_append_is_accepted_and_changes_nothing_of_writing(case: Case) -> None:
    """The end of a socket's contents is where all writing goes."""
    sock, peer = case.pair()

    done = attempt(set_flags, sock, get_flags(sock) | O_APPEND)
    written = attempt(write, sock, b"x")
    case.fence()

    received = end_of(attempt(recv, peer, 128, MSG_DONTWAIT), 1)
    case.at("written", done=done, set=int(bool(get_flags(sock) & O_APPEND)), written=written, received=received)


@clause("flags.append.forbids_splicing")
def test_append_forbids_splicing_to_the_socket(case: Case) -> None:
    """splice and sendfile refuse what may only be appended to, before they ask what it is."""
    sock, _ = case.pair()
    out, into = (case.own(end, role) for end, role in zip(pipe2(0), ("pipe_out", "pipe_in"), strict=True))
    write(into, b"x")
    set_flags(sock, get_flags(sock) | O_APPEND)

    with TemporaryFile(buffering=0) as file:
        file.write(b"x")
        file.seek(0)
        sent = attempt(sendfile, sock, file.fileno(), 1)

    case.at("refused", splice=attempt(splice, out, sock, 1), sendfile=sent)


@clause("flags.noatime.is_the_owners")
def test_noatime_is_accepted_from_the_owner(case: Case) -> None:
    """inode_owner_or_capable is asked, and whoever makes a socket owns its inode."""
    sock, _ = case.pair()

    done = attempt(set_flags, sock, get_flags(sock) | O_NOATIME)

    case.at("set", done=done, set=int(bool(get_flags(sock) & O_NOATIME)))


COMMANDS: dict[str, Callable[[int], int]] = {
    "F_SETLEASE_read": lambda fd: fcntl(fd, F_SETLEASE, F_RDLCK),
    "F_SETLEASE_write": lambda fd: fcntl(fd, F_SETLEASE, F_WRLCK),
    "F_GET_SEALS": lambda fd: fcntl(fd, F_GET_SEALS),
    "F_ADD_SEALS": lambda fd: fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE),
    "F_GETPIPE_SZ": lambda fd: fcntl(fd, F_GETPIPE_SZ),
    "F_SETPIPE_SZ": lambda fd: fcntl(fd, F_SETPIPE_SZ, 4096),
}


def command(case: Case) -> None:
    """Give the variant's command to fcntl."""
    sock, _ = case.pair()

    case.at("asked", fcntl=attempt(COMMANDS[case.variant], sock))


@clause("flags.lease.is_einval")
def test_leases_and_seals_are_einval(case: Case) -> None:
    """Leases are for regular files, seals for files in memory."""
    command(case)


@clause("flags.pipe_size.is_ebadf")
def test_pipe_size_is_ebadf(case: Case) -> None:
    """pipe_fcntl finds no pipe."""
    command(case)
