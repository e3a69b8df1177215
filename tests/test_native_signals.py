"""Signals: every field of siginfo by its layout, masks, actions, and the ring that handlers write to."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import native
from native import (
    F_SETOWN,
    F_SETSIG,
    O_ASYNC,
    POLL_HUP,
    POLL_IN,
    SI_KERNEL,
    SI_QUEUE,
    SI_SIGIO,
    SI_TKILL,
    SI_USER,
    SIG_BLOCK,
    SIG_UNBLOCK,
    SIGCHLD,
    SIGIO,
    SIGRTMIN,
    SIGSEGV,
    SIGUSR1,
    CallError,
    Siginfo,
    close,
    drain_signals,
    fcntl,
    get_flags,
    kill,
    send,
    set_flags,
    sigaction,
    sigprocmask,
    sigqueue,
    tgkill,
)
from tests.process import leaves_nothing_behind, pair

__all__ = ["leaves_nothing_behind", "pair"]

Pair = tuple[int, int]
WATCHED = frozenset({SIGIO, SIGUSR1, SIGSEGV, SIGCHLD, SIGRTMIN, SIGRTMIN + 1})
PID = os.getpid()


@pytest.fixture
def blocked() -> Iterator[None]:
    """The watched signals are blocked, and none is pending afterwards."""
    sigprocmask(SIG_BLOCK, WATCHED)
    native.block_signals_in_other_threads(WATCHED)
    yield
    drain_signals(WATCHED)


def arm(fd: int, signo: int) -> None:
    """Ask for a signal at each event."""
    fcntl(fd, F_SETSIG, signo)
    fcntl(fd, F_SETOWN, os.getpid())
    set_flags(fd, get_flags(fd) | O_ASYNC)


def fields(info: Siginfo) -> tuple[str, dict[str, int]]:
    """A siginfo's layout, and its fields that aren't 0."""
    names = ("code", "errno", "pid", "uid", "band", "fd", "status", "value")
    return info.layout, {name: getattr(info, name) for name in names if getattr(info, name)}


def one() -> Siginfo:
    """The one signal that is pending."""
    (info,) = drain_signals(WATCHED)
    return info


@pytest.mark.usefixtures("blocked")
class TestLayouts:
    def test_event_of_a_socket_has_band_and_descriptor(self, pair: Pair) -> None:
        arm(pair[0], SIGRTMIN)
        send(pair[1], b"x")

        info = one()
        assert info.signo == SIGRTMIN
        assert fields(info) == ("poll", {"code": POLL_IN, "band": 0x41, "fd": pair[0]})
        assert (info.pid, info.uid) == (0, 0)
        assert len(info.raw) == 128
        assert info.raw[:4] == SIGRTMIN.to_bytes(4, "little")

    def test_event_told_by_a_standard_signal_has_the_same_layout(self, pair: Pair) -> None:
        arm(pair[0], SIGUSR1)
        close(pair[1])

        assert fields(one()) == ("poll", {"code": POLL_HUP, "band": 0x18, "fd": pair[0]})

    @pytest.mark.parametrize("signo", [SIGSEGV, SIGCHLD])
    def test_event_told_by_a_signal_with_codes_of_its_own_is_si_sigio(self, pair: Pair, signo: int) -> None:
        arm(pair[0], signo)
        send(pair[1], b"x")

        assert fields(one()) == ("poll", {"code": SI_SIGIO, "band": 0x41, "fd": pair[0]})

    def test_sigio_that_nobody_asked_by_name_comes_from_the_kernel(self, pair: Pair) -> None:
        arm(pair[0], 0)
        send(pair[1], b"x")

        assert fields(one()) == ("kill", {"code": SI_KERNEL})

    def test_kill_has_its_sender(self) -> None:
        kill(PID, SIGUSR1)

        info = one()
        assert (info.layout, info.code, info.pid, info.uid, info.band, info.fd) == (
            "kill",
            SI_USER,
            PID,
            os.getuid(),
            0,
            0,
        )

    def test_tgkill_has_its_sender(self) -> None:
        tgkill(PID, PID, SIGRTMIN)

        info = one()
        assert (info.layout, info.code, info.pid) == ("rt", SI_TKILL, PID)

    def test_queued_signal_has_its_value(self) -> None:
        sigqueue(PID, SIGRTMIN, -7)

        info = one()
        assert (info.layout, info.code, info.pid, info.value) == ("rt", SI_QUEUE, PID, -7)

    def test_death_of_a_child_has_its_status(self) -> None:
        child = native.fork_child()
        child.kill()

        info = one()
        assert (info.signo, info.layout, info.pid, info.status) == (SIGCHLD, "chld", child.pid, native.SIGKILL)


@pytest.mark.usefixtures("blocked")
class TestPending:
    def test_draining_brings_lower_numbers_first_and_one_number_in_order(self) -> None:
        for signo, value in ((SIGRTMIN + 1, 1), (SIGRTMIN, 2), (SIGRTMIN, 3), (SIGUSR1, 4)):
            sigqueue(PID, signo, value)

        drained = [(info.signo, info.value) for info in drain_signals(WATCHED)]
        assert drained == [(SIGUSR1, 4), (SIGRTMIN, 2), (SIGRTMIN, 3), (SIGRTMIN + 1, 1)]
        assert drain_signals(WATCHED) == []

    def test_draining_takes_more_than_fit_the_buffer(self) -> None:
        for value in range(2_500):
            sigqueue(PID, SIGRTMIN, value)

        assert [info.value for info in drain_signals(WATCHED)] == list(range(2_500))

    def test_draining_leaves_what_it_wasn_t_asked_for(self) -> None:
        kill(PID, SIGUSR1)

        assert drain_signals({SIGRTMIN}) == []
        assert native.sigpending() == {SIGUSR1}

    def test_waiting_brings_a_signal_or_eagain(self) -> None:
        kill(PID, SIGUSR1)

        assert native.sigtimedwait({SIGUSR1}, 0).signo == SIGUSR1
        with pytest.raises(CallError, match="EAGAIN"):
            native.sigtimedwait({SIGUSR1}, 1_000)

    def test_signalfd_reads_what_is_pending(self) -> None:
        fd = native.signalfd({SIGRTMIN}, native.SFD_NONBLOCK)
        sigqueue(PID, SIGRTMIN, 5)
        sigqueue(PID, SIGRTMIN, 6)

        assert [(info.signo, info.code, info.pid, info.value) for info in native.signalfd_read(fd)] == [
            (SIGRTMIN, SI_QUEUE, PID, 5),
            (SIGRTMIN, SI_QUEUE, PID, 6),
        ]
        assert native.signalfd({SIGUSR1}, 0, fd) == fd
        with pytest.raises(CallError, match="EAGAIN"):
            native.signalfd_read(fd)
        close(fd)


def test_mask_returns_what_it_was() -> None:
    before = sigprocmask(SIG_BLOCK, {SIGUSR1, 64})

    assert sigprocmask(SIG_UNBLOCK, {64}) == before | {SIGUSR1, 64}


@pytest.mark.parametrize("signo", [0, 65, -1])
def test_mask_refuses_a_number_that_no_signal_has(signo: int) -> None:
    with pytest.raises(ValueError, match=f"there is no signal {signo}"):
        sigprocmask(SIG_BLOCK, {signo})


class TestActions:
    def test_action_is_read_as_it_was_set(self) -> None:
        before = sigaction(SIGUSR1, "ignore")

        assert native.sigaction_query(SIGUSR1).handler == "ignore"
        assert sigaction(SIGUSR1, "ring", native.SA_RESTART, {SIGIO}).handler == "ignore"
        found = native.sigaction_restore(SIGUSR1, before)
        assert (found.handler, found.mask) == ("ring", frozenset({SIGIO}))
        assert found.flags & native.SA_RESTART
        assert native.sigaction_query(SIGUSR1).handler == before.handler == "default"

    def test_foreign_handler_is_put_back(self) -> None:
        before = sigaction(native.SIGINT, "ignore")  # Python's own handler

        assert before.handler == "other"
        native.sigaction_restore(native.SIGINT, before)
        assert native.sigaction_query(native.SIGINT) == before

    def test_signal_that_can_t_be_handled_is_refused(self) -> None:
        with pytest.raises(CallError, match=r"sigaction\(9, ring, 0\): EINVAL"):
            sigaction(native.SIGKILL, "ring")


class TestRing:
    @pytest.fixture(autouse=True)
    def handled(self) -> Iterator[None]:
        """SIGRTMIN's handler writes to the ring."""
        native.block_signals_in_other_threads(WATCHED)
        before = sigaction(SIGRTMIN, "ring")
        yield
        native.sigaction_restore(SIGRTMIN, before)

    def test_handler_writes_all_of_siginfo_in_order(self, pair: Pair) -> None:
        sigqueue(PID, SIGRTMIN, 1)
        arm(pair[0], SIGRTMIN)
        send(pair[1], b"x")

        first, second = native.ring_drain()
        assert (first.layout, first.value) == ("rt", 1)
        assert fields(second) == ("poll", {"code": POLL_IN, "band": 0x41, "fd": pair[0]})
        assert native.ring_drain() == []

    def test_full_ring_counts_what_it_loses(self) -> None:
        for value in range(4_100):
            sigqueue(PID, SIGRTMIN, value)

        assert (native.ring_lost(), native.ring_lost()) == (4, 0)
        assert [info.value for info in native.ring_drain()] == list(range(4_096))
        sigqueue(PID, SIGRTMIN, 9)
        assert [info.value for info in native.ring_drain()] == [9]
