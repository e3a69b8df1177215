"""The calls: each is made once on the kernel that runs here, and errors name call, arguments and errno."""

from __future__ import annotations

import ast
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import native
from native import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_PACKET,
    AF_UNIX,
    AF_UNSPEC,
    AF_VSOCK,
    CLOSE_RANGE_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLIN,
    EPOLLONESHOT,
    EPOLLOUT,
    F_GETOWN,
    F_OFD_SETLK,
    F_OWNER_PGRP,
    F_OWNER_PID,
    F_SETLK,
    F_UNLCK,
    F_WRLCK,
    FD_CLOEXEC,
    FIONBIO,
    FIONREAD,
    IP_RECVERR,
    IPPROTO_IP,
    IPPROTO_TCP,
    LOCK_EX,
    LOCK_NB,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    NETLINK_USERSOCK,
    O_ASYNC,
    O_CLOEXEC,
    O_NONBLOCK,
    POLL_ALL,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLNVAL,
    POLLOUT,
    POLLPRI,
    POLLRDNORM,
    READ,
    RLIMIT_NOFILE,
    RWF_NOWAIT,
    SHUT_WR,
    SO_EE_ORIGIN_ICMP,
    SO_ERROR,
    SO_LINGER,
    SO_SNDBUF,
    SO_TYPE,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_CLOSE,
    TCP_ESTABLISHED,
    TCP_NODELAY,
    WRITE,
    CallError,
    DeadlineExpired,
    accept4,
    bind,
    close,
    connect,
    getpeername,
    getsockname,
    listen,
    poll_one,
    read,
    recv,
    send,
    sockaddr_in,
    socket,
    socketpair,
    trace,
    write,
)
from tests.process import close_if_open, leaves_nothing_behind, pair

__all__ = ["leaves_nothing_behind", "pair"]

Pair = tuple[int, int]
MS = 1_000_000


@pytest.fixture
def udp() -> Iterator[int]:
    """A UDP socket that is connected to itself."""
    fd = socket(AF_INET, SOCK_DGRAM)
    bind(fd, sockaddr_in("127.0.0.1", 0))
    connect(fd, getsockname(fd))
    yield fd
    close(fd)


@pytest.fixture
def tcp() -> Iterator[Pair]:
    """A TCP connection over loopback: who connected, and who was accepted."""
    listener = socket(AF_INET, SOCK_STREAM)
    bind(listener, sockaddr_in("127.0.0.1", 0))
    listen(listener, 1)
    fd = socket(AF_INET, SOCK_STREAM)
    connect(fd, getsockname(listener))
    peer = accept4(listener, SOCK_CLOEXEC)
    close(listener)
    yield fd, peer
    for end in (fd, peer):
        native.linger(end, 1, 0)
        close(end)


class Named(int):
    """A descriptor that knows what it is, as cases have them."""


class TestErrors:
    def test_call_error_names_call_arguments_and_errno(self, pair: Pair) -> None:
        with pytest.raises(CallError) as caught:
            recv(pair[0], 16, MSG_DONTWAIT)

        error = caught.value
        assert (error.call, error.arguments, error.errno, error.name) == ("recv", (pair[0], 16, 64), 11, "EAGAIN")
        assert str(error) == f"recv({pair[0]}, 16, 64): EAGAIN"

    def test_call_error_survives_pickling(self) -> None:
        error = pickle.loads(pickle.dumps(CallError("close", (3,), 9)))

        assert (str(error), error.errno) == ("close(3): EBADF", 9)

    def test_deadline_expired_names_the_call(self) -> None:
        assert str(DeadlineExpired("recv", (3, 1, 0))) == "the deadline passed in recv(3, 1, 0)"

    @pytest.mark.parametrize(
        ("number", "name"), [(11, "EAGAIN"), (95, "EOPNOTSUPP"), (512, "ERESTARTSYS"), (4000, "errno 4000")]
    )
    def test_errno_has_the_name_that_linux_gives_it(self, number: int, name: str) -> None:
        assert native.errno_name(number) == name


class TestTrace:
    def test_steps_are_kept_from_start_to_stop(self, pair: Pair) -> None:
        fd = Named(pair[0])
        trace.start()
        send(fd, b"x", 0)
        with pytest.raises(CallError):
            recv(fd, 1, MSG_DONTWAIT)
        steps = trace.so_far()
        trace.stop()
        send(fd, b"x", 0)

        tid = native.gettid()
        assert [step[1:] for step in steps] == [(tid, "send", (fd, b"x", 0), 1, 0), (tid, "recv", (fd, 1, 64), -1, 11)]
        assert steps[0][3][0] is fd
        assert steps[0][0] <= steps[1][0]

    def test_times_are_the_clocks_though_it_is_not_asked_at_each_call(self, pair: Pair) -> None:
        trace.start()
        before = time.monotonic_ns()
        send(pair[0], b"x", 0)
        after = time.monotonic_ns()
        ((at, *_),) = trace.so_far()
        trace.stop()

        assert before - MS <= at <= after + MS  # ms: being preempted between the readings of the two clocks

    def test_nothing_is_kept_unless_asked_for(self) -> None:
        native.gettid()

        assert trace.steps is None
        assert trace.so_far() == []


class TestConstants:
    def test_every_name_in_the_list_is_compiled_in(self) -> None:
        path = native.constants.__file__
        assert path is not None
        listed = [
            node.target.id
            for node in ast.parse(Path(path).read_text()).body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        ]

        assert len(listed) == len(set(listed)) > 300
        assert all(isinstance(getattr(native, name), int) for name in listed)

    def test_values_are_those_of_the_headers(self) -> None:
        assert (native.SIGRTMIN, native.SIGRTMAX, native.SIGIO, native.POLL_HUP) == (34, 64, 29, 6)
        assert POLL_ALL & (POLLERR | POLLHUP | POLLNVAL) == 0


class TestDescriptors:
    def test_read_and_write_in_all_their_forms(self, pair: Pair, tmp_path: Path) -> None:
        fd, peer = pair
        assert write(fd, b"abc") == 3
        assert read(peer, 10) == b"abc"
        assert native.writev(fd, [b"ab", b"cde"]) == 5
        assert native.readv(peer, [1, 10]) == b"abcde"
        send(fd, b"x")
        assert native.preadv2(peer, 1, -1, 0) == b"x"
        with pytest.raises(CallError, match="EAGAIN"):
            native.preadv2(peer, 1, -1, RWF_NOWAIT)
        with pytest.raises(CallError, match="ESPIPE"):
            native.pread(peer, 1, 0)
        file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
        assert native.pwrite(file, b"hello", 2) == 5
        assert native.pread(file, 3, 2) == b"hel"
        close(file)

    def test_read_takes_more_than_the_buffer_that_stands_ready(self, pair: Pair) -> None:
        native.setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, 200_000)
        sent = send(pair[0], b"x" * 100_000, MSG_DONTWAIT)

        assert sent > 65_536
        assert recv(pair[1], 200_000) == b"x" * sent

    def test_descriptors_are_copied_and_closed(self, pair: Pair) -> None:
        copy = native.dup(pair[0])
        other = native.dup3(copy, native.dup(copy), O_CLOEXEC)
        assert native.dup2(copy, other) == other
        assert native.fstat(copy).ino == native.fstat(pair[0]).ino
        native.close_range(other, other, CLOSE_RANGE_CLOEXEC)
        assert native.get_descriptor_flags(other) == FD_CLOEXEC
        native.close_range(copy, copy)
        close(other)

        with pytest.raises(CallError, match=r"close\(\d+\): EBADF"):
            close(copy)

    def test_pipe_reads_what_was_written(self) -> None:
        reader, writer = native.pipe2(O_NONBLOCK)
        write(writer, b"x")

        assert read(reader, 2) == b"x"
        close(reader)
        close(writer)


class TestFileControl:
    def test_flags_are_read_and_set(self, pair: Pair) -> None:
        native.set_flags(pair[0], native.get_flags(pair[0]) | O_ASYNC | O_NONBLOCK)
        native.set_descriptor_flags(pair[0], FD_CLOEXEC)

        assert native.get_flags(pair[0]) & (O_ASYNC | O_NONBLOCK) == O_ASYNC | O_NONBLOCK
        assert native.get_descriptor_flags(pair[0]) == FD_CLOEXEC

    def test_owner_is_read_as_it_was_set(self, pair: Pair) -> None:
        fd, pid = pair[0], os.getpid()
        native.set_owner(fd, pid)
        assert (native.get_owner(fd), native.get_owner_ex(fd)) == (pid, (F_OWNER_PID, pid))
        assert native.get_owner_uids(fd) == (os.getuid(), os.geteuid())
        native.set_owner_ex(fd, F_OWNER_PID, 0)
        assert native.get_owner(fd) == 0

    def test_owning_group_is_no_error_whatever_its_id(self, pair: Pair) -> None:
        fd, group = pair[0], os.getpgrp()
        native.set_owner(fd, -group)

        assert native.get_owner(fd) == native.ioctl_getown(fd) == native.ioctl_gpgrp(fd) == -group
        assert native.get_owner_ex(fd) == (F_OWNER_PGRP, group)

    def test_owner_of_a_closed_descriptor_is_an_error(self) -> None:
        with pytest.raises(CallError, match=r"fcntl\(999, F_GETOWN\): EBADF"):
            native.get_owner(999)

    def test_signal_is_read_as_it_was_set(self, pair: Pair) -> None:
        native.set_signal(pair[0], 40)

        assert native.get_signal(pair[0]) == 40

    def test_raw_fcntl_passes_the_kernel_s_answer_on(self, pair: Pair) -> None:
        assert native.fcntl(pair[0], F_GETOWN) == 0
        with pytest.raises(CallError, match=r"fcntl\(\d+, 12345, 0\): EINVAL"):
            native.fcntl(pair[0], 12345)

    def test_locks_are_seen_by_another_description(self, tmp_path: Path) -> None:
        path = tmp_path / "locked"
        fd, other = os.open(path, os.O_RDWR | os.O_CREAT), os.open(path, os.O_RDWR)
        native.set_lock(fd, F_OFD_SETLK, F_WRLCK, 2, 3)

        held = native.get_lock(other, F_WRLCK)
        assert (held.type, held.start, held.length, held.pid) == (F_WRLCK, 2, 3, -1)
        with pytest.raises(CallError, match="EAGAIN"):
            native.set_lock(other, F_SETLK, F_WRLCK)
        native.set_lock(fd, F_OFD_SETLK, F_UNLCK)
        assert native.get_lock(other, F_WRLCK).type == F_UNLCK
        native.flock(fd, LOCK_EX)
        with pytest.raises(CallError, match="EAGAIN"):
            native.flock(other, LOCK_EX | LOCK_NB)
        close(fd)
        close(other)

    def test_directory_can_be_watched(self, tmp_path: Path) -> None:
        fd = os.open(tmp_path, os.O_RDONLY)
        native.notify(fd, native.DN_CREATE)
        native.notify(fd, 0)
        close(fd)

    def test_ioctls_of_sockets(self, pair: Pair, tcp: Pair) -> None:
        fd, peer = pair
        native.ioctl_async(fd, 1)
        assert native.get_flags(fd) & O_ASYNC
        native.ioctl_setown(fd, os.getpid())
        assert native.ioctl_getown(fd) == os.getpid()
        native.ioctl_spgrp(fd, 0)
        assert native.ioctl_gpgrp(fd) == 0
        send(fd, b"abc")
        assert (native.ioctl_inq(peer), native.ioctl_int(peer, FIONREAD)) == (3, 3)
        assert native.ioctl_outq(fd) > 0
        assert native.ioctl_outqnsd(tcp[0]) == native.ioctl_outq(tcp[0]) == 0
        assert native.ioctl_atmark(tcp[1]) == 0
        native.ioctl_int(fd, FIONBIO, 1)
        assert native.get_flags(fd) & O_NONBLOCK
        with pytest.raises(CallError, match=r"ioctl\(\d+, SIOCOUTQNSD, 0\): "):
            native.ioctl_outqnsd(native_file := os.open("/dev/null", os.O_RDONLY))
        close(native_file)
        with pytest.raises(CallError, match=r"ioctl\(\d+, 1, 0\): ENOTTY"):
            native.ioctl(fd, 1)

    def test_network_namespace_of_a_socket_is_a_descriptor(self, pair: Pair) -> None:
        if os.geteuid() != 0:  # it takes CAP_NET_ADMIN over that namespace
            with pytest.raises(CallError, match=r"SIOCGSKNS.*EPERM"):
                native.ioctl_skns(pair[0])
            return
        fd = native.ioctl_skns(pair[0])

        assert native.fstat(fd).ino == native.census().net_namespace
        close(fd)


class TestSockets:
    def test_connection_has_names_at_both_ends(self, tcp: Pair) -> None:
        assert getsockname(tcp[0]) == getpeername(tcp[1])
        family, host, port = native.parse_sockaddr(getpeername(tcp[0]))
        assert (family, host) == (AF_INET, "127.0.0.1")
        assert isinstance(port, int)

    def test_datagrams_are_sent_and_received(self, udp: int) -> None:
        own = getsockname(udp)
        assert native.sendto(udp, b"abc", 0, own) == 3
        assert native.recvfrom(udp, 10) == (b"abc", own)
        assert native.sendmsg(udp, [b"d", b"ef"], address=own) == 3
        message = native.recvmsg(udp, 2, MSG_PEEK)
        assert (message.data, message.flags & MSG_TRUNC, message.address) == (b"de", MSG_TRUNC, own)
        assert recv(udp, 2, MSG_TRUNC) == b"de"

    def test_urgent_byte_is_exceptional(self, tcp: Pair) -> None:
        send(tcp[0], b"u", MSG_OOB)

        assert poll_one(tcp[1], POLLPRI, 1000) == POLLPRI
        assert native.select_one(tcp[1]) & native.EXCEPT
        assert recv(tcp[1], 1, MSG_OOB) == b"u"

    def test_shut_down_is_the_end(self, pair: Pair) -> None:
        native.shutdown(pair[0], SHUT_WR)

        assert recv(pair[1], 1) == b""

    def test_descriptors_travel(self, pair: Pair) -> None:
        native.sendmsg(pair[0], [b"x"], 0, [native.rights([pair[0], pair[1]])])

        message = native.recvmsg(pair[1], 10)
        assert (message.data, len(message.descriptors), len(message.control)) == (b"x", 2, 1)
        assert [native.fstat(fd).ino for fd in message.descriptors] == [native.fstat(fd).ino for fd in pair]
        for fd in message.descriptors:
            close(fd)

    def test_error_queue_says_who_refused(self, udp: int) -> None:
        nobody = socket(AF_INET, SOCK_DGRAM)
        bind(nobody, sockaddr_in("127.0.0.1", 0))
        address = getsockname(nobody)
        close(nobody)
        fd = socket(AF_INET, SOCK_DGRAM)
        native.setsockopt(fd, IPPROTO_IP, IP_RECVERR, 1)
        native.sendto(fd, b"lost", 0, address)
        native.fence(udp)

        message = native.recvmsg(fd, 10, MSG_ERRQUEUE)
        (control,) = message.control
        error = native.parse_extended_error(control[2])
        assert (message.data, message.address) == (b"lost", address)
        assert (native.errno_name(error.errno), error.origin) == ("ECONNREFUSED", SO_EE_ORIGIN_ICMP)
        assert native.parse_sockaddr(error.offender)[:2] == (AF_INET, "127.0.0.1")
        close(fd)

    def test_extended_error_that_is_cut_off_is_refused(self) -> None:
        with pytest.raises(ValueError, match="15 bytes are too few"):
            native.parse_extended_error(bytes(15))


class TestAddresses:
    def test_addresses_are_read_as_they_were_made(self) -> None:
        parse = native.parse_sockaddr
        assert parse(sockaddr_in("127.0.0.2", 80)) == (AF_INET, "127.0.0.2", 80)
        assert parse(native.sockaddr_in6("fe80::1", 80, 5, 3)) == (AF_INET6, "fe80::1", 80, 5, 3)
        assert parse(native.sockaddr_un(b"/run/x")) == (AF_UNIX, b"/run/x")
        assert parse(native.sockaddr_un(b"\0abstract")) == (AF_UNIX, b"\0abstract")
        assert parse(native.sockaddr_ll(7, 0x88B5, b"\2\0\0\0\0\1")) == (AF_PACKET, 7, 0x88B5, b"\2\0\0\0\0\1", 0, 0)
        assert parse(native.sockaddr_nl(9, 2)) == (AF_NETLINK, 9, 2)
        assert parse(native.sockaddr_vm(1, 1024)) == (AF_VSOCK, 1, 1024)
        assert parse(native.sockaddr_unspec()) == (AF_UNSPEC, bytes(14))
        assert parse(b"") == ()

    def test_address_that_is_cut_off_is_refused(self) -> None:
        with pytest.raises(ValueError, match="5 bytes are too few for a socket address of family 2"):
            native.parse_sockaddr(sockaddr_in("127.0.0.1", 1)[:5])

    @pytest.mark.parametrize("name", [b"", b"\0sockwake-test"])
    def test_kernel_takes_abstract_names(self, name: bytes) -> None:
        fd = socket(AF_UNIX, SOCK_DGRAM)
        bind(fd, native.sockaddr_un(name))

        family, found = native.parse_sockaddr(getsockname(fd))
        assert family == AF_UNIX
        assert isinstance(found, bytes)
        assert found == name or (not name and found.startswith(b"\0"))
        close(fd)

    def test_kernel_takes_netlink_addresses(self) -> None:
        fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_USERSOCK)
        bind(fd, native.sockaddr_nl(0, 0))

        assert native.parse_sockaddr(getsockname(fd))[0] == AF_NETLINK
        close(fd)

    def test_connection_ends_at_an_address_without_family(self, udp: int) -> None:
        connect(udp, native.sockaddr_unspec())

        with pytest.raises(CallError, match="ENOTCONN"):
            getpeername(udp)


class TestOptions:
    def test_options_are_read_as_they_were_set(self, tcp: Pair) -> None:
        native.setsockopt(tcp[0], IPPROTO_TCP, TCP_NODELAY, 1)
        assert native.getsockopt(tcp[0], IPPROTO_TCP, TCP_NODELAY) == 1
        assert native.getsockopt(tcp[0], SOL_SOCKET, SO_TYPE) == SOCK_STREAM
        native.linger(tcp[0], 1, 5)
        assert native.getsockopt_bytes(tcp[0], SOL_SOCKET, SO_LINGER, 8) == b"\1\0\0\0\5\0\0\0"
        native.setsockopt_bytes(tcp[0], SOL_SOCKET, SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert native.getsockopt_bytes(tcp[0], SOL_SOCKET, SO_LINGER, 8) == b"\1" + bytes(7)
        with pytest.raises(CallError, match=r"setsockopt\(\d+, 1, 4, 1\): ENOPROTOOPT"):
            native.setsockopt(tcp[0], SOL_SOCKET, SO_ERROR, 1)

    def test_reset_leaves_one_pending_error(self, tcp: Pair) -> None:
        connect(tcp[1], native.sockaddr_unspec())
        assert poll_one(tcp[0], POLLIN, 1000) & POLLERR

        assert [native.errno_name(native.so_error(tcp[0])), native.so_error(tcp[0])] == ["ECONNRESET", 0]

    def test_memory_of_a_socket_is_what_it_sent(self, pair: Pair) -> None:
        send(pair[0], b"x" * 1000)

        memory = native.so_meminfo(pair[0])
        assert memory.wmem_alloc == native.ioctl_outq(pair[0]) > 1000
        assert memory.sndbuf == native.getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF)
        assert memory.drops == 0

    def test_tcp_info_reads_as_far_as_the_kernel_goes(self, tcp: Pair) -> None:
        info = native.tcp_info(tcp[0])
        fresh = socket(AF_INET, SOCK_STREAM)

        assert (info.state, info.total_retrans, info.bytes_acked) == (TCP_ESTABLISHED, 0, 1)
        assert native.tcp_info(fresh).state == TCP_CLOSE
        close(fresh)

    def test_tcp_info_of_an_old_kernel_lacks_what_is_newer(self) -> None:
        info = native.parse_tcp_info(bytes([1]) + bytes(103 + 8))

        assert (info.state, info.pacing_rate, info.max_pacing_rate) == (1, 0, None)

    def test_tcp_info_that_is_cut_off_is_refused(self) -> None:
        with pytest.raises(ValueError, match="103 bytes are too few"):
            native.parse_tcp_info(bytes(103))


class TestPolling:
    def test_poll_says_what_is_ready(self, pair: Pair) -> None:
        send(pair[0], b"x")

        assert native.poll([(pair[0], POLLIN | POLLOUT), (pair[1], POLLIN), (999, POLLIN)], 0) == [
            POLLOUT,
            POLLIN,
            POLLNVAL,
        ]
        assert native.ppoll([(pair[1], POLLIN)], None, [40]) == [POLLIN]
        assert native.ppoll([(pair[0], POLLIN)], 0) == [0]
        assert poll_one(pair[1], POLL_ALL) & (POLLIN | POLLRDNORM) == POLLIN | POLLRDNORM

    def test_select_says_what_is_ready(self, pair: Pair) -> None:
        send(pair[0], b"x")

        assert native.select_one(pair[1]) == READ | WRITE
        assert native.select([*pair], [*pair], [*pair]) == ([pair[1]], [*pair], [])
        assert native.pselect6([pair[0]], [], [], 0, [40]) == ([], [], [])

    def test_select_knows_descriptors_above_fd_setsize(self, pair: Pair) -> None:
        high = 3_000
        soft, hard = native.getrlimit(RLIMIT_NOFILE)
        native.prlimit(RLIMIT_NOFILE, max(soft, high + 1), hard)
        os.dup2(pair[0], high)

        assert native.select_one(high) == WRITE
        assert native.select([], [high], []) == ([], [high], [])
        close(high)
        native.prlimit(RLIMIT_NOFILE, soft, hard)

    def test_select_refuses_what_is_no_descriptor(self, pair: Pair) -> None:
        with pytest.raises(ValueError, match="can't hold descriptor -1"):
            native.select([-1], [], [])
        with pytest.raises(CallError, match=r"select\(-1, 0\): EBADF"):
            native.select_one(-1)

    def test_epoll_says_what_is_ready(self, pair: Pair) -> None:
        epoll = native.epoll_create1(0)
        native.epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], EPOLLIN, 2**64 - 1)
        assert native.epoll_wait(epoll, 4, 0) == []
        native.epoll_ctl(epoll, EPOLL_CTL_MOD, pair[0], EPOLLOUT | EPOLLONESHOT, 7)
        assert native.epoll_pwait2(epoll, 4, None) == [(EPOLLOUT, 7)]
        assert native.epoll_pwait2(epoll, 4, 0, [40]) == []
        native.epoll_ctl(epoll, EPOLL_CTL_DEL, pair[0])
        with pytest.raises(CallError, match=r"epoll_wait\(\d+, 0, 0\): EINVAL"):
            native.epoll_wait(epoll, 0, 0)
        close(epoll)

    def test_epoll_has_room_for_many(self) -> None:
        epoll = native.epoll_create1(0)
        ends = [end for _ in range(150) for end in socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK)]
        for end in ends:
            native.epoll_ctl(epoll, EPOLL_CTL_ADD, end, EPOLLOUT, end)

        assert sorted(data for _, data in native.epoll_wait(epoll, 300, 0)) == ends
        for end in (*ends, epoll):
            close_if_open(end)


class TestNamespaces:
    def test_limits_are_read_as_they_were_set(self) -> None:
        soft, hard = native.getrlimit(RLIMIT_NOFILE)

        assert native.prlimit(RLIMIT_NOFILE, soft - 1, hard) == (soft, hard)
        assert native.prlimit(RLIMIT_NOFILE, soft, hard) == (soft - 1, hard)

    def test_thread_runs_where_it_is_told_to(self) -> None:
        cpus = native.sched_getaffinity(0)

        native.sched_setaffinity(0, {min(cpus)})
        assert native.sched_getaffinity(0) == {min(cpus)}
        native.sched_setaffinity(0, cpus)
        native.sched_yield()
        assert native.gettid() == os.getpid()

    def test_devices_have_numbers(self) -> None:
        assert native.if_index("lo") == 1
        with pytest.raises(CallError, match=r"if_index\(no-such-device\): ENODEV"):
            native.if_index("no-such-device")

    def test_namespaces_are_asked_for_by_what_the_kernel_refuses(self, pair: Pair) -> None:
        with pytest.raises(CallError, match="EINVAL"):
            native.unshare(1)
        with pytest.raises(CallError, match="EINVAL"):
            native.setns(pair[0], 0)
