"""Requests that complete later: io_uring's and AIO's, asked at once and left pending; and sleepers in close and dup2."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator

import pytest

import native
from native import (
    AF_INET,
    POLLIN,
    POLLOUT,
    SOCK_STREAM,
    AioContext,
    CallError,
    Ring,
    accept4,
    bind,
    close,
    connect,
    getsockname,
    linger,
    listen,
    recv,
    send,
    sockaddr_in,
    socket,
    socketpair,
)
from tests.process import leaves_nothing_behind, pair

__all__ = ["leaves_nothing_behind", "pair"]

Pair = tuple[int, int]


@pytest.fixture(params=[Ring, AioContext])
def engine(request: pytest.FixtureRequest) -> Iterator[Ring | AioContext]:
    """A ring or a context, where the kernel has such."""
    try:
        made = request.param()
    except CallError as error:
        pytest.skip(str(error))
    yield made
    if isinstance(made, Ring):
        close(made.fd)


class TestPending:
    def test_request_that_is_pending_completes_with_an_event(self, engine: Ring | AioContext, pair: Pair) -> None:
        engine.begin_poll(pair[0], POLLIN)
        send(pair[1], b"x")

        assert engine.end() & POLLIN

    def test_polling_at_once_leaves_the_pending_request_alone(self, engine: Ring | AioContext, pair: Pair) -> None:
        engine.begin_poll(pair[0], POLLIN)
        assert (engine.poll(pair[1], POLLIN), engine.poll(pair[1], POLLOUT)) == (0, POLLOUT)
        send(pair[1], b"x")
        assert engine.poll(pair[0], POLLIN) == POLLIN

        assert engine.end() & POLLIN

    def test_request_that_is_pending_can_be_cancelled(self, engine: Ring | AioContext, pair: Pair) -> None:
        engine.begin_poll(pair[0], POLLIN)

        if isinstance(engine, Ring):
            with pytest.raises(CallError) as caught:
                engine.cancel()
            assert caught.value.name == "ECANCELED"
        else:
            assert engine.cancel() == 0

    @pytest.mark.parametrize("engine", [Ring], indirect=True)
    def test_receive_that_is_pending_brings_the_data(self, engine: Ring, pair: Pair) -> None:
        engine.begin_recv(pair[0])
        send(pair[1], b"abc")

        assert engine.end_recv() == b"abc"


@pytest.mark.parametrize(
    ("sleep", "brings"),
    [
        (lambda fd, _: native.sleep_close(fd), lambda _: 0),
        (lambda fd, other: native.sleep_dup2(other, fd), lambda fd: fd),
    ],
    ids=["close", "dup2"],
)
def test_sleeper_lingers_until_the_peer_has_read_all(
    sleep: Callable[[int, int], native.Sleeper], brings: Callable[[int], int]
) -> None:
    listener, fd = socket(AF_INET, SOCK_STREAM), socket(AF_INET, SOCK_STREAM)
    spare = socketpair(native.AF_UNIX, SOCK_STREAM)
    bind(listener, sockaddr_in("127.0.0.1", 0))
    listen(listener, 1)
    connect(fd, getsockname(listener))
    peer = accept4(listener)
    linger(fd, 1, 600)
    with pytest.raises(CallError, match="EAGAIN"):
        collections.deque(iter(lambda: send(fd, bytes(1 << 16), native.MSG_DONTWAIT), 0), maxlen=0)

    sleeper = sleep(fd, spare[0])
    assert sleeper.await_asleep()
    while recv(peer, 1 << 20):
        pass
    assert sleeper.outcome() == (brings(fd), None)
    sleeper.join()
    for each in {listener, peer, *spare, brings(fd)} - {0}:
        close(each)
