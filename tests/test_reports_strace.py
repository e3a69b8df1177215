"""Calls in strace's notation: names for numbers, and nothing left out but what is said elsewhere or only repeats."""

from __future__ import annotations

import pytest

from reports.lines import Step
from reports.strace import OBSERVERS, strace


def step(call: str, arguments: str, result: object = 0, errno: str | None = None, t_ns: int = 5000) -> Step:
    """One step."""
    return Step(t_ns, 7, call, arguments, result, errno)


def said(*steps: Step, whole: bool = True) -> list[str]:
    """The lines without their times."""
    return [line.lstrip(" 0123456789") for line in strace(steps, whole=whole).splitlines()]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (step("socket", "2, 526337, 6", 9), "socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 6) = 9"),
        (step("child: socket", "99, 77, 0", 9), "child: socket(99, 77, 0) = 9"),
        (
            step("connect", r"9, '\x02\x00\x1f\x90\x7f\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00'"),
            "connect(9, 127.0.0.1:8080) = 0",
        ),
        (
            step("bind", "9, " + repr("\n\0\x1f\x90" + "\0" * 19 + "\x01" + "\0" * 4)),
            "bind(9, [::1]:8080) = 0",
        ),
        (step("bind", r"9, '\x01\x00'... (12 bytes)"), r"bind(9, '\x01\x00'... (12 bytes)) = 0"),
        (step("recv", "peer, 1, 66", -1, "EAGAIN"), "recv(peer, 1, MSG_PEEK|MSG_DONTWAIT) = -1 EAGAIN"),
        (step("send", "peer, 'a, b', 0", 4), "send(peer, 'a, b', 0) = 4"),
        (step("poll", "socket, 10183, 0", 0x41), "poll(socket, 0x27c7, 0) = POLLIN|POLLRDNORM"),
        (step("poll", "socket, 1, 0", 0), "poll(socket, POLLIN, 0) = 0"),
        (step("select", "socket, 0", 3), "select(socket, 0) = read|write"),
        (
            step("epoll_ctl", "5, 1, socket, 2147483649, socket"),
            "epoll_ctl(5, EPOLL_CTL_ADD, socket, EPOLLIN|EPOLLET, socket) = 0",
        ),
        (step("setsockopt", "socket, 1, 7, 4608"), "setsockopt(socket, SOL_SOCKET, SO_SNDBUF, 4608) = 0"),
        (step("getsockopt", "socket, SO_ERROR"), "getsockopt(socket, SO_ERROR) = 0"),
        (step("recv", "socket, 1, 0", None), "recv(socket, 1, 0 <unfinished ...>"),
    ],
)
def test_numbers_have_the_names_that_strace_gives_them(given: Step, line: str) -> None:
    """What has none stays as it was recorded."""
    assert said(given) == [line]


@pytest.mark.parametrize("arguments", ["', '" * 5000, "'" * 300, "[" * 300, r"\x" * 200, "9, '\\x02\\x0'", "٣, ٣, ٣"])
def test_arguments_that_nobody_wrote_stay_as_they_are(arguments: str) -> None:
    """Hostile ones too, and at once."""
    for call in ("socket", "connect", "poll", "setsockopt"):
        assert said(step(call, arguments)) == [f"{call}({arguments}) = 0"]


def test_what_all_observers_are_asked_at_one_moment_is_one_line() -> None:
    """The first stays, since its result says it; the whole is shown where something is wrong."""
    asked = [step(call, "socket, 1, 0", 1) for call in OBSERVERS]
    assert said(*asked, step("close", "9"), whole=False)[:1] == ["poll(socket, POLLIN, 0) = POLLIN"]
    assert said(*asked, step("recv", "socket, 1, 0"), whole=False)[1:] == [
        "… the other observers, 9 calls",
        "recv(socket, 1, 0) = 0",
    ]
    assert len(said(*asked)) == len(OBSERVERS)


def test_what_only_repeats_is_one_line() -> None:
    """Calls that alternate as well; one that comes out otherwise ends it."""
    loop = [step("send", "socket, 'x', 0", 1, t_ns=number * 1000) for number in range(100)]
    assert strace(loop, whole=False).splitlines() == [" 0 send(socket, 'x', 0) = 1", "99 … this 99 times more"]
    pair = [step("send", "s, 'x', 0", 1), step("ioctl", "s, SIOCOUTQ, 0")] * 50
    full = step("send", "s, 'x', 0", -1, "EAGAIN")
    assert said(*pair, full, whole=False) == [
        "send(s, 'x', 0) = 1",
        "ioctl(s, SIOCOUTQ, 0) = 0",
        "… these 2 49 times more",
        "send(s, 'x', 0) = -1 EAGAIN",
    ]
    assert len(said(*pair)) == 100
