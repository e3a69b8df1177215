"""The test bench: sleepers, children, the deadline, masks of other threads, the fence and the census."""

from __future__ import annotations

import collections
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import native
from native import (
    AF_INET,
    AF_UNIX,
    EPOLL_CTL_ADD,
    EPOLLIN,
    MSG_DONTWAIT,
    POLLIN,
    POLLOUT,
    POLLPRI,
    READ,
    SIG_BLOCK,
    SIGPIPE,
    SIGRTMIN,
    SIGUSR1,
    SOCK_DGRAM,
    SOCK_STREAM,
    CallError,
    DeadlineExpired,
    Sleeper,
    bind,
    census,
    close,
    connect,
    deadline_start,
    getsockname,
    listen,
    recv,
    send,
    sleep_recv,
    sockaddr_in,
    sockaddr_un,
    socket,
    socketpair,
    trace,
)
from tests.process import end, leaves_nothing_behind, pair

__all__ = ["leaves_nothing_behind", "pair"]

Pair = tuple[int, int]
MS = 1_000_000
SECOND = 1000 * MS


def fill(fd: int) -> None:
    """Send until there is no room."""
    with pytest.raises(CallError, match="EAGAIN"):
        collections.deque(iter(lambda: send(fd, b"x" * 4096, MSG_DONTWAIT), 0), maxlen=0)


def of_thread(tid: int, signals: str) -> int:
    """A set of signals that a thread's status in /proc names, as bits, signal 1 the lowest."""
    status = Path(f"/proc/self/task/{tid}/status").read_text()
    return int(status.partition(f"\n{signals}:")[2].split(None, 1)[0], 16)


class TestSleepers:
    def test_sleeper_brings_the_signal_that_it_waited_for(self) -> None:
        native.sigprocmask(native.SIG_BLOCK, {SIGRTMIN})  # the sleeper inherits it
        sleeper = native.sleep_sigtimedwait(SIGRTMIN)
        assert sleeper.await_asleep()
        native.tgkill(os.getpid(), sleeper.tid, SIGRTMIN)

        info, error = sleeper.outcome()
        assert (info.signo, info.code, error) == (SIGRTMIN, native.SI_TKILL, None)
        sleeper.join()

    @pytest.mark.parametrize(
        ("start", "brings"),
        [
            (lambda fd: sleep_recv(fd, 10), b"x"),
            (lambda fd: native.sleep_read(fd, 10), b"x"),
            (lambda fd: native.sleep_readv(fd, 10), b"x"),
            (lambda fd: native.sleep_poll(fd, POLLIN), POLLIN),
            (lambda fd: native.sleep_ppoll(fd, POLLIN), POLLIN),
            (lambda fd: native.sleep_select(fd, READ), READ),
            (lambda fd: native.sleep_pselect(fd, READ), READ),
        ],
        ids=["recv", "read", "readv", "poll", "ppoll", "select", "pselect"],
    )
    def test_sleeper_sleeps_until_there_is_data(
        self, pair: Pair, start: Callable[[int], Sleeper], brings: object
    ) -> None:
        sleeper = start(pair[0])

        assert sleeper.await_asleep()
        assert (sleeper.state(), sleeper.done, sleeper.switches()) == ("S", False, 1)
        send(pair[1], b"x")
        assert sleeper.outcome() == (brings, None)
        began, ended = sleeper.times()
        assert began < ended
        sleeper.join()
        assert (sleeper.state(), sleeper.done, sleeper.outcome()) == ("X", True, (brings, None))

    def test_sleeper_in_recvmsg_brings_a_message(self, pair: Pair) -> None:
        sleeper = native.sleep_recvmsg(pair[0], 10)
        sleeper.await_asleep()
        native.sendmsg(pair[1], [b"x"], 0, [native.rights([pair[1]])])

        message, error = sleeper.outcome()
        assert (message.data, len(message.descriptors), error) == (b"x", 1, None)
        close(message.descriptors[0])
        sleeper.join()

    def test_sleeper_in_epoll_brings_the_events(self, pair: Pair) -> None:
        epoll = native.epoll_create1(0)
        native.epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], EPOLLIN, 1)
        sleeper = native.sleep_epoll(epoll)
        assert sleeper.await_asleep()
        send(pair[1], b"x")

        assert sleeper.outcome() == (EPOLLIN, None)
        sleeper.join()
        close(epoll)

    @pytest.mark.parametrize("start", [native.sleep_send, native.sleep_write], ids=["send", "write"])
    def test_sleeper_sleeps_until_there_is_room(self, pair: Pair, start: Callable[[int, bytes], Sleeper]) -> None:
        fill(pair[0])
        sleeper = start(pair[0], b"abc")
        assert sleeper.await_asleep()
        recv(pair[1], native.ioctl_inq(pair[1]))

        assert sleeper.outcome() == (3, None)
        sleeper.join()

    def test_sleeper_sleeps_until_a_connection_comes(self) -> None:
        listener = socket(AF_UNIX, SOCK_STREAM)
        bind(listener, sockaddr_un(b""))
        listen(listener, 0)
        sleeper = native.sleep_accept(listener)
        assert sleeper.await_asleep()
        clients = [socket(AF_UNIX, SOCK_STREAM) for _ in range(3)]
        connect(clients[0], getsockname(listener))

        accepted, error = sleeper.outcome()
        assert (native.getpeername(accepted)[2:], error) == (b"", None)
        sleeper.join()
        connect(clients[1], getsockname(listener))
        waiting = native.sleep_connect(clients[2], getsockname(listener))
        assert waiting.await_asleep()
        second = native.accept4(listener)
        assert waiting.outcome() == (0, None)
        waiting.join()
        for fd in (listener, accepted, second, *clients):
            close(fd)

    def test_sleeper_whose_call_is_over_isn_t_asleep(self, pair: Pair) -> None:
        send(pair[1], b"x")
        sleeper = sleep_recv(pair[0], 1)
        sleeper.wait()

        assert not sleeper.await_asleep()
        sleeper.interrupt()
        assert sleeper.outcome() == (b"x", None)
        sleeper.join()
        sleeper.join()

    def test_interrupted_sleeper_brings_eintr(self, pair: Pair) -> None:
        sleeper = sleep_recv(pair[0], 1)
        sleeper.interrupt()

        assert sleeper.outcome() == (None, "EINTR")
        assert not native.deadline_expired()
        sleeper.join()

    def test_sleeper_brings_the_errno(self) -> None:
        sleeper = sleep_recv(999, 1)

        assert sleeper.outcome() == (None, "EBADF")
        sleeper.join()

    def test_joined_sleeper_whose_thread_somebody_knows_leaves_no_thread(self, pair: Pair) -> None:
        sleepers = [native.sleep_poll(pair[0], POLLPRI) for _ in range(20)]
        assert native.live_sleepers() == tuple(sleepers)
        for sleeper in sleepers:
            tid = sleeper.tid
            sleeper.interrupt()
            sleeper.join()

            assert str(tid) not in os.listdir("/proc/self/task")
        assert native.live_sleepers() == ()

    def test_thread_serves_one_sleeper_after_the_other_and_is_in_no_census(self, pair: Pair) -> None:
        ran = set()
        before = native.census().threads
        for _ in range(3):
            trace.start()
            sleeper = sleep_recv(pair[0], 1)
            assert sleeper.await_asleep()
            assert (sleeper.switches(), native.census().threads) == (1, before + 1)
            send(pair[1], b"x")
            sleeper.join()
            ran |= {step[1] for step in trace.so_far() if step[2] == "recv"}
            trace.stop()

        assert len(ran) == 1
        assert native.census().threads == before

    def test_thread_that_may_have_been_sent_a_sigpipe_serves_nobody_else(self, pair: Pair) -> None:
        before = native.sigaction(SIGPIPE, "default")  # Python ignores it, and what is ignored never becomes pending
        native.sigprocmask(SIG_BLOCK, {SIGPIPE})
        native.shutdown(pair[0], native.SHUT_WR)
        sender = native.sleep_send(pair[0], b"x")
        assert sender.outcome() == (None, "EPIPE")
        sender.join()

        sleeper = sleep_recv(pair[0], 1)
        assert sleeper.await_asleep()
        assert not of_thread(sleeper.tid, "SigPnd") & 1 << (SIGPIPE - 1)
        sleeper.interrupt()
        sleeper.join()
        native.sigaction_restore(SIGPIPE, before)

    def test_sleeper_s_call_is_a_step_of_its_thread_when_it_begins_and_when_it_ends(self, pair: Pair) -> None:
        trace.start()
        sleeper = sleep_recv(pair[0], 5)
        sleeper.interrupt()
        tid = sleeper.tid
        sleeper.join()
        steps = trace.so_far()
        trace.stop()

        made = (tid, "recv", (pair[0], 5, 0))
        assert [step[1:] for step in steps] == [(*made, None, 0), (*made, -1, 4)]
        assert [abs(step[0] - at) < MS for step, at in zip(steps, sleeper.times(), strict=True)] == [True, True]

    def test_sleeper_inherits_blocked_signals_though_its_thread_has_blocked_others(self, pair: Pair) -> None:
        native.sigprocmask(SIG_BLOCK, {SIGUSR1})
        first = sleep_recv(pair[0], 1)
        send(pair[1], b"x")
        first.join()
        native.sigprocmask(native.SIG_UNBLOCK, {SIGUSR1})
        second = sleep_recv(pair[0], 1)
        assert second.await_asleep()

        assert not of_thread(second.tid, "SigBlk") & 1 << (SIGUSR1 - 1)
        second.interrupt()
        second.join()

    def test_sleeper_inherits_blocked_signals(self, pair: Pair) -> None:
        native.sigprocmask(SIG_BLOCK, {SIGUSR1})
        sleeper = sleep_recv(pair[0], 1)
        sleeper.await_asleep()
        native.tgkill(os.getpid(), sleeper.tid, SIGUSR1)
        send(pair[1], b"x")

        assert sleeper.outcome() == (b"x", None)
        sleeper.join()

    def test_waiting_for_a_sleeper_ends_at_the_deadline(self, pair: Pair) -> None:
        sleeper = sleep_recv(pair[0], 1)
        deadline_start(5 * MS)

        with pytest.raises(DeadlineExpired, match=r"the deadline passed in wait of recv\(\d+, 1, 0\)"):
            sleeper.outcome()
        native.deadline_stop()
        sleeper.interrupt()
        sleeper.join()


class TestChild:
    def test_child_holds_what_its_parent_closes(self, pair: Pair) -> None:
        child = native.fork_child()
        close(pair[1])
        assert native.poll_one(pair[0], POLLIN) == 0
        child.close(pair[1])

        assert recv(pair[0], 1, MSG_DONTWAIT) == b""
        child.exit()
        child.exit()

    def test_exit_closes_all(self, pair: Pair) -> None:
        child = native.fork_child()
        close(pair[1])
        child.exit()

        assert recv(pair[0], 1, MSG_DONTWAIT) == b""

    def test_killing_reaps(self) -> None:
        child = native.fork_child()
        child.kill()
        child.kill()

        with pytest.raises(CallError, match=r"child: close\(3\): EBADF"):
            child.close(3)

        with pytest.raises(CallError, match="ESRCH"):
            native.kill(child.pid, 0)

    def test_child_makes_calls_of_its_own(self) -> None:
        child = native.fork_child()

        assert child.call("getpid", native.SYS_getpid) == child.pid
        with pytest.raises(CallError, match=r"child: close\(999\): EBADF"):
            child.close(999)
        child.exit()

    def test_descriptor_of_a_child_is_copied(self) -> None:
        child = native.fork_child()
        theirs = child.call("socket", native.SYS_socket, AF_UNIX, SOCK_STREAM, 0)
        own = child.copy(theirs)
        native.set_flags(own, native.O_NONBLOCK)

        assert child.call("fcntl", native.SYS_fcntl, theirs, native.F_GETFL) & native.O_NONBLOCK
        with pytest.raises(CallError, match=rf"pidfd_getfd\({child.pid}, 999\): EBADF"):
            child.copy(999)
        child.exit()
        close(own)

    def test_child_that_hangs_is_left_at_the_deadline(self, pair: Pair) -> None:
        child = native.fork_child()
        deadline_start(5 * MS)

        with pytest.raises(DeadlineExpired, match="child: recv"):
            child.call("recv", native.SYS_recvfrom, pair[0], 0, 1)
        native.deadline_stop()
        send(pair[1], b"x")
        assert child.call("getpid", native.SYS_getpid) == child.pid
        child.exit()

    def test_child_says_what_it_has_been_sent(self) -> None:
        child = native.fork_child()
        child.set_mask({SIGRTMIN})
        for value in (7, 8):
            native.sigqueue(child.pid, SIGRTMIN, value)

        assert [(info.signo, info.value) for info in child.drain_signals({SIGRTMIN})] == [(SIGRTMIN, 7), (SIGRTMIN, 8)]
        assert child.drain_signals({SIGRTMIN}) == []
        child.exit()

    def test_child_that_has_ended_is_a_zombie_until_it_is_reaped(self) -> None:
        child = native.fork_child()
        child.end()
        native.kill(child.pid, 0)
        child.exit()

        with pytest.raises(CallError, match="ESRCH"):
            native.kill(child.pid, 0)

    def test_child_exits_while_a_later_one_holds_what_it_held(self) -> None:
        first, second = native.fork_child(), native.fork_child(own_memory=True)
        first.exit()
        second.exit()


class TestDeadline:
    @pytest.mark.parametrize(
        "wait",
        [
            lambda fd: recv(fd, 1),
            lambda fd: native.read(fd, 1),
            lambda fd: native.poll_one(fd, POLLIN, -1),
            lambda fd: native.select([fd], [], []),
            lambda fd: native.sigtimedwait({SIGUSR1}, -1),
        ],
        ids=["recv", "read", "poll", "select", "sigtimedwait"],
    )
    def test_deadline_ends_a_call_that_blocks(self, pair: Pair, wait: Callable[[int], object]) -> None:
        deadline_start(2 * MS)

        with pytest.raises(DeadlineExpired):
            wait(pair[0])
        assert native.deadline_expired()

    def test_deadline_ends_every_later_call_too(self, pair: Pair) -> None:
        deadline_start(1 * MS)
        for _ in range(3):
            with pytest.raises(DeadlineExpired):
                recv(pair[0], 1)

    def test_deadline_ends_a_loop_that_yields(self) -> None:
        deadline_start(1 * MS)

        with pytest.raises(DeadlineExpired, match="sched_yield"):
            collections.deque(iter(native.sched_yield, False), maxlen=0)

    def test_new_start_forgets_the_old_deadline(self, pair: Pair) -> None:
        deadline_start(1 * MS)
        with pytest.raises(DeadlineExpired):
            recv(pair[0], 1)
        deadline_start(60 * SECOND)

        assert not native.deadline_expired()
        with pytest.raises(CallError, match="EAGAIN"):
            recv(pair[0], 1, MSG_DONTWAIT)

    def test_deadline_is_for_the_thread_that_starts_it(self, pair: Pair) -> None:
        deadline_start(60 * SECOND)
        caught: list[str] = []

        def wait() -> None:
            deadline_start(1 * MS)
            try:
                recv(pair[0], 1)
            except DeadlineExpired as error:
                caught.append(error.call)

        thread = threading.Thread(target=wait)
        thread.start()
        end(thread)
        assert caught == ["recv"]
        deadline_start(1 * MS)
        with pytest.raises(DeadlineExpired):
            recv(pair[0], 1)

    def test_forked_process_has_a_deadline_of_its_own(self, pair: Pair) -> None:
        deadline_start(60 * SECOND)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                deadline_start(1 * MS)
                recv(pair[0], 1)
            except DeadlineExpired:
                code = 7
            finally:
                os._exit(code)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

    def test_deadline_in_the_past_is_refused(self) -> None:
        with pytest.raises(CallError, match=r"deadline_start\(0\): EINVAL"):
            deadline_start(0)


class TestOtherThreads:
    def test_blocked_signal_waits_for_the_one_thread_that_fetches_it(self) -> None:
        reader, writer = os.pipe()
        thread = threading.Thread(target=os.read, args=(reader, 1), daemon=True)
        thread.start()

        assert native.block_signals_in_other_threads({SIGUSR1}) == len(os.listdir("/proc/self/task")) - 1
        native.sigprocmask(SIG_BLOCK, {SIGUSR1})
        native.kill(os.getpid(), SIGUSR1)  # would end the process if the other thread could take it
        assert [info.signo for info in native.drain_signals({SIGUSR1})] == [SIGUSR1]
        os.write(writer, b"x")
        end(thread)
        os.close(reader)
        os.close(writer)

    def test_call_of_another_thread_goes_on(self) -> None:
        reader, writer = os.pipe()
        taken: list[bytes] = []
        thread = threading.Thread(target=lambda: taken.append(os.read(reader, 1)), daemon=True)
        thread.start()
        native.block_signals_in_other_threads({SIGUSR1})
        assert thread.native_id
        mask = of_thread(thread.native_id, "SigBlk")
        os.write(writer, b"x")
        end(thread)

        assert mask >> (SIGUSR1 - 1) & 1
        assert taken == [b"x"]
        os.close(reader)
        os.close(writer)


class TestFence:
    def test_fence_comes_after_what_was_sent_before(self) -> None:
        fence, fd = (socket(AF_INET, SOCK_DGRAM) for _ in range(2))
        for each in (fence, fd):
            bind(each, sockaddr_in("127.0.0.1", 0))
            connect(each, getsockname(each))
        cpus = native.sched_getaffinity(0)
        native.sched_setaffinity(0, {min(cpus)})
        send(fd, b"x")
        native.fence(fence, 3)

        assert recv(fd, 1, MSG_DONTWAIT) == b"x"
        with pytest.raises(CallError, match="EAGAIN"):
            recv(fence, 1, MSG_DONTWAIT)
        native.sched_setaffinity(0, cpus)
        close(fence)
        close(fd)

    def test_fence_that_was_cut_off_isn_t_taken_for_the_next(self) -> None:
        fd, peer = socketpair(AF_UNIX, SOCK_DGRAM)
        deadline_start(1 * MS)
        with pytest.raises(DeadlineExpired, match="fence"):
            native.fence(fd)  # what is sent arrives at the peer, so nothing comes back
        native.deadline_stop()
        late = recv(peer, 4)
        fence = socket(AF_INET, SOCK_DGRAM)
        bind(fence, sockaddr_in("127.0.0.1", 0))
        connect(fence, getsockname(fence))
        send(fence, late)
        native.fence(fence)

        with pytest.raises(CallError, match="EAGAIN"):
            recv(fence, 4, MSG_DONTWAIT)
        for each in (fd, peer, fence):
            close(each)

    def test_fence_that_can_t_be_sent_says_why(self) -> None:
        with pytest.raises(CallError, match=r"fence\(999, 1\): EBADF"):
            native.fence(999)


class TestCensus:
    def test_process_that_did_nothing_is_unchanged(self) -> None:
        assert census() == census()

    def test_descriptor_is_seen(self) -> None:
        before = census()
        fd = socket(AF_UNIX, SOCK_STREAM)

        assert set(census().descriptors) - set(before.descriptors) == {fd}
        close(fd)

    def test_thread_is_seen(self, pair: Pair) -> None:
        before = census()
        sleeper = sleep_recv(pair[0], 1)
        assert census().threads == before.threads + 1
        sleeper.interrupt()
        sleeper.join()

        assert census() == before

    def test_child_is_seen_alive_and_dead(self) -> None:
        before = census()
        child = native.fork_child()
        assert census().children == before.children + 1
        native.kill(child.pid, native.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

        assert census().children == before.children + 1
        child.kill()

    def test_mask_and_pending_signal_are_seen(self) -> None:
        native.sigprocmask(SIG_BLOCK, {SIGUSR1})
        native.kill(os.getpid(), SIGUSR1)

        now, bit = census(), 1 << (SIGUSR1 - 1)
        assert (now.blocked & bit, now.pending & bit) == (bit, bit)
        native.drain_signals({SIGUSR1})

    @pytest.mark.parametrize(("action", "field"), [("ignore", "ignored"), ("ring", "caught")])
    def test_action_is_seen(self, action: native.signals.Handler, field: str) -> None:
        before = census()
        saved = native.sigaction(SIGUSR1, action)

        assert getattr(census(), field) == getattr(before, field) | 1 << (SIGUSR1 - 1)
        native.sigaction_restore(SIGUSR1, saved)

    def test_limit_and_processors_are_seen(self) -> None:
        before = census()
        soft, hard = native.getrlimit(native.RLIMIT_NOFILE)
        native.prlimit(native.RLIMIT_NOFILE, soft - 1, hard)
        assert census().limits != before.limits
        native.prlimit(native.RLIMIT_NOFILE, soft, hard)

        assert sum(1 << cpu for cpu in native.sched_getaffinity(0)) == before.affinity

    def test_namespaces_are_those_of_the_thread(self) -> None:
        now = census()

        assert now.net_namespace == os.stat("/proc/thread-self/ns/net").st_ino
        assert now.user_namespace == os.stat("/proc/thread-self/ns/user").st_ino


def test_room_is_seen_by_a_sleeping_poller(pair: Pair) -> None:
    fill(pair[0])
    sleeper = native.sleep_poll(pair[0], POLLOUT)
    assert sleeper.await_asleep()
    recv(pair[1], native.ioctl_inq(pair[1]))

    assert sleeper.outcome() == (POLLOUT, None)
    sleeper.join()


def test_paused_account_leaves_out_what_is_called_meanwhile(pair: tuple[int, int]) -> None:
    """It goes on afterwards, even where the calls ended in an error."""
    trace.start()
    with pytest.raises(CallError), trace.paused():
        recv(pair[0], 1, MSG_DONTWAIT)
    send(pair[0], b"x", 0)

    assert [step[2] for step in trace.so_far()] == ["send"]
    trace.stop()
