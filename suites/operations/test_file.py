"""A socket as a file: what calls that belong to files of other kinds make of it."""

import os
import struct
from collections.abc import Callable

from native import (
    F_NOTIFY,
    F_OFD_SETLK,
    F_SETLK,
    F_SETLKW,
    F_UNLCK,
    F_WRLCK,
    LOCK_EX,
    LOCK_NB,
    LOCK_SH,
    LOCK_UN,
    MAP_PRIVATE,
    MAP_SHARED,
    O_CREAT,
    O_PATH,
    O_RDONLY,
    O_RDWR,
    O_TRUNC,
    POSIX_FADV_DONTNEED,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    CallError,
    Child,
    SYS_fcntl,
    close,
    dup,
    fallocate,
    fchdir,
    fchmod,
    fchown,
    fcntl,
    fdatasync,
    fgetxattr,
    flistxattr,
    flock,
    fsetxattr,
    fstat,
    fstatfs,
    fsync,
    ftruncate,
    futimens,
    get_lock,
    getdents64,
    mmap,
    munmap,
    openat,
    pipe2,
    posix_fadvise,
    readahead,
    recv,
    set_lock,
    syncfs,
    write,
)
from suites.catalogue import clause
from suites.lab.calls import PAGE, receive, transmit
from suites.lab.case import Case, Plain, attempt

PROTOCOL_NAME = "system.sockprotoname"
FLOCK = "@hhqqi4x"
"""struct flock: type, whence, start, length, pid."""

A_TIME = 1_000_000_000
"""A time that isn't now, in seconds."""


def proc_path(fd: int) -> str:
    """The path of an open descriptor."""
    return f"/proc/thread-self/fd/{int(fd)}"


@clause("file.closed.is_ebadf")
def test_call_on_a_closed_descriptor_is_ebadf(case: Case) -> None:
    """The descriptor is looked up before anything else."""
    sock = case.socket()
    close(sock)

    received = {call: receive(call, sock, 1) for call in ("read", "readv", "recv", "recvmsg")}
    sent = {call: transmit(call, sock, b"x") for call in ("write", "writev", "send", "sendmsg")}

    case.at("closed", **received, **sent)


@clause("file.path.is_ebadf")
def test_call_on_a_path_descriptor_is_ebadf(case: Case) -> None:
    """O_PATH is a place, not an open file."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()
    path = case.own(openat(-1, proc_path(sock), O_PATH), "path")

    received = {call: receive(call, path, 1) for call in ("read", "readv", "recv", "recvmsg")}
    sent = {call: transmit(call, path, b"x") for call in ("write", "writev", "send", "sendmsg")}

    case.at("asked", same_inode=int(fstat(path).ino == fstat(sock).ino), **received, **sent)


@clause("file.other.is_enotsock")
def test_socket_call_on_another_file_is_enotsock_where_read_works(case: Case) -> None:
    """sockfd_lookup_light looks for socket_file_ops, vfs_read asks whatever file it is."""
    ends = [case.own(end, role) for end, role in zip(pipe2(0), ("pipe_out", "pipe_in"), strict=True)]
    write(ends[1], b"x")

    received = {call: receive(call, ends[0], 1) for call in ("recv", "recvmsg", "read")}
    sent = {call: transmit(call, ends[1], b"x") for call in ("send", "sendmsg", "write")}

    case.at("asked", **received, **sent)


@clause("file.open.is_enxio")
def test_opening_a_socket_by_its_path_is_enxio(case: Case) -> None:
    """sockfs gives its inodes an open that refuses."""
    sock, _ = case.pair()
    flags = {"read": O_RDONLY, "write": O_RDWR, "truncate": O_RDWR | O_TRUNC, "create": O_RDWR | O_CREAT}

    case.at("asked", opened=attempt(openat, -1, proc_path(sock), flags[case.variant]))


@clause("file.stat.is_a_socket")
def test_fstat_says_what_a_fresh_socket_is(case: Case) -> None:
    """new_inode_pseudo gives an inode, sock_alloc its mode and its owner."""
    sock = case.socket()
    status = fstat(sock)
    link = f"socket:[{status.ino}]"

    case.at(
        "asked",
        mode=status.mode,
        nlink=status.nlink,
        size=status.size,
        blksize=status.blksize,
        is_own=int(status.uid == case.lab.uid),
        link_names_inode=int(os.readlink(proc_path(sock)) == link),
        file_system=fstatfs(sock),
    )


@clause("file.stat.can_be_changed")
def test_mode_times_and_owner_can_be_set_and_mean_nothing(case: Case) -> None:
    """Nobody asks a socket's inode for permission."""
    sock, _ = case.pair()
    own = fstat(sock)

    changed = {
        "chmod": attempt(fchmod, sock, 0),
        "chown": attempt(fchown, sock, own.uid, own.gid),
        "utimens": attempt(futimens, sock, A_TIME),
    }
    now = fstat(sock)
    case.deliver(b"x")
    case.fence()

    case.at("changed", mode=now.mode, mtime=now.mtime, received=attempt(recv, sock, 1, 0), **changed)


MAPPINGS = {
    "shared": (PROT_READ, MAP_SHARED),
    "private": (PROT_READ, MAP_PRIVATE),
    "writable": (PROT_READ | PROT_WRITE, MAP_SHARED),
    "executable": (PROT_READ | PROT_EXEC, MAP_SHARED),
}


def map_it(case: Case) -> None:
    """Map a page of the socket as the variant says."""
    sock, _ = case.pair()
    mapped: Plain = 0
    try:
        munmap(mmap(sock, PAGE, *MAPPINGS[case.variant]), PAGE)
    except CallError as error:
        mapped = error.name

    case.at("mapped", mmap=mapped)


@clause("file.mmap.tcp_can_be_read")
def test_tcp_can_be_mapped_to_be_read(case: Case) -> None:
    """The mapping is where TCP_ZEROCOPY_RECEIVE puts pages."""
    map_it(case)


@clause("file.mmap.tcp_cannot_be_written")
def test_tcp_cannot_be_mapped_to_be_written_or_run(case: Case) -> None:
    """The pages are the packets'."""
    map_it(case)


@clause("file.mmap.others_have_none")
def test_most_sockets_have_nothing_to_map(case: Case) -> None:
    """sock_no_mmap."""
    map_it(case)


@clause("file.mmap.packet_needs_a_ring")
def test_packet_socket_without_a_ring_has_nothing_to_map(case: Case) -> None:
    """packet_mmap maps exactly the ring."""
    map_it(case)


SIZED: dict[str, Callable[[int], object]] = {
    "ftruncate": lambda fd: ftruncate(fd, 0),
    "fsync": fsync,
    "fdatasync": fdatasync,
    "readahead": lambda fd: readahead(fd, 0, 1),
}
DIRECTORY: dict[str, Callable[[int], object]] = {
    "F_NOTIFY": lambda fd: fcntl(fd, F_NOTIFY, 1),
    "openat": lambda fd: openat(fd, "x", O_RDONLY),
    "fchdir": fchdir,
    "getdents64": lambda fd: getdents64(fd, PAGE),
}
ADVICE: dict[str, Callable[[int], object]] = {
    "posix_fadvise": lambda fd: posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED),
    "syncfs": syncfs,
}


def ask_with_data(case: Case, calls: dict[str, Callable[[int], object]]) -> None:
    """Make the variant's call on a socket that has data, which is to stay."""
    sock, _ = case.pair()
    case.deliver(b"x")
    case.fence()

    case.at("asked", call=attempt(calls[case.variant], sock))


@clause("file.size.is_einval")
def test_call_about_the_contents_is_einval(case: Case) -> None:
    """There are no contents to cut, to write out or to read ahead."""
    ask_with_data(case, SIZED)


@clause("file.allocation.is_enodev")
def test_fallocate_is_enodev(case: Case) -> None:
    """vfs_fallocate wants a regular file or a block device."""
    ask_with_data(case, {"fallocate": lambda fd: fallocate(fd, 0, 0, 1)})


@clause("file.advice.is_taken")
def test_advice_and_syncfs_succeed_and_do_nothing(case: Case) -> None:
    """They act on what backs the file, which for sockfs is nothing."""
    ask_with_data(case, ADVICE)


@clause("file.directory.is_enotdir")
def test_call_about_a_directory_is_enotdir(case: Case) -> None:
    """dnotify watches directories, so it has nothing to do when a socket closes."""
    ask_with_data(case, DIRECTORY)


@clause("file.xattr.is_the_protocols_name")
def test_extended_attribute_names_the_protocol(case: Case) -> None:
    """sockfs answers with the name that the directory entry has."""
    sock = case.socket()

    listed = int(PROTOCOL_NAME in flistxattr(sock))

    case.at("asked", listed=listed, value=fgetxattr(sock, PROTOCOL_NAME).rstrip(b"\0"))


@clause("file.xattr.is_the_unix_streams_name")
def test_extended_attribute_names_the_unix_stream_protocol(case: Case) -> None:
    """AF_UNIX streams have a protocol of their own since sockets of theirs can be redirected."""
    sock = case.socket()

    case.at("asked", value=fgetxattr(sock, PROTOCOL_NAME).rstrip(b"\0"))


@clause("file.xattr.of_the_user")
def test_user_attribute_on_a_socket(case: Case) -> None:
    """xattr_permission decides by the file's type."""
    sock = case.socket()

    stored = attempt(fsetxattr, sock, "user.sockwake", b"x")

    case.at("stored", stored=stored, value=attempt(fgetxattr, sock, "user.sockwake"))


@clause("file.flock.succeeds")
def test_flock_locks_the_open_file(case: Case) -> None:
    """A duplicate is the same open file, and the peer another."""
    sock, peer = case.pair()
    copy = case.own(dup(sock), "copy")

    locked = attempt(flock, sock, LOCK_EX | LOCK_NB)
    others = {"copy": attempt(flock, copy, LOCK_SH | LOCK_NB), "peer": attempt(flock, peer, LOCK_EX | LOCK_NB)}

    case.at("locked", locked=locked, unlocked=attempt(flock, sock, LOCK_UN), **others)


def child_locks(child: Child, fd: int) -> Plain:
    """What a write lock over the whole file comes to in another process; it is given back."""
    try:
        child.call("fcntl", SYS_fcntl, fd, F_SETLK, struct.pack(FLOCK, F_WRLCK, 0, 0, 0, 0))
        child.call("fcntl", SYS_fcntl, fd, F_SETLK, struct.pack(FLOCK, F_UNLCK, 0, 0, 0, 0))
    except CallError as error:
        return error.name
    return 0


@clause("file.lock.excludes_other_processes")
def test_record_lock_keeps_another_process_out(case: Case) -> None:
    """A lock belongs to the process and the inode, and both processes have the same inode."""
    sock, _ = case.pair()
    child = case.fork()

    locked = attempt(set_lock, sock, {"F_SETLK": F_SETLK, "F_SETLKW": F_SETLKW}[case.variant], F_WRLCK)
    refused = child_locks(child, sock)
    case.at("locked", locked=locked, others=refused, own=get_lock(sock, F_WRLCK).type)
    unlocked = attempt(set_lock, sock, F_SETLK, F_UNLCK)

    case.at("unlocked", unlocked=unlocked, others=child_locks(child, sock))


@clause("file.lock.goes_with_any_descriptor")
def test_record_lock_goes_when_any_descriptor_of_the_socket_is_closed(case: Case) -> None:
    """locks_remove_posix runs at every close, a socket's too."""
    sock, _ = case.pair()
    child = case.fork()
    copy = case.own(dup(sock), "copy")
    set_lock(sock, F_SETLK, F_WRLCK)
    case.at("locked", others=child_locks(child, sock))

    close(copy)

    case.at("closed", others=child_locks(child, sock))


@clause("file.lock.of_the_open_file_stays")
def test_lock_of_the_open_file_stays_with_it(case: Case) -> None:
    """Such a lock belongs to the open file: its own process is another owner."""
    sock, _ = case.pair()
    copy = case.own(dup(sock), "copy")

    locked = attempt(set_lock, sock, F_OFD_SETLK, F_WRLCK)
    case.at("locked", locked=locked, again=attempt(set_lock, copy, F_OFD_SETLK, F_WRLCK))
    close(copy)

    case.at("closed", own_process=attempt(set_lock, sock, F_SETLK, F_WRLCK))
