"""A case under way: its sockets, sleepers and moments, and the observation that grows from them.

Owns how a case acts and observes. A case calls the kernel through `native` with nothing in between, and calls `at` whenever
something is to be seen; what is asked there is what the clause states for that moment, because observing is an act.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import native
from native import (
    AF_UNIX,
    EPOLL_CTL_ADD,
    EPOLLET,
    O_ASYNC,
    POLL_ALL,
    SOCK_DGRAM,
    CallError,
    Child,
    Message,
    Siginfo,
    Sleeper,
    close,
    drain_signals,
    epoll_create1,
    epoll_ctl,
    epoll_wait,
    fence,
    fork_child,
    get_flags,
    ioctl_inq,
    ioctl_outq,
    ioctl_outqnsd,
    poll_one,
    rights,
    select_one,
    sendmsg,
    set_flags,
    set_owner,
    set_signal,
    so_error,
    so_meminfo,
    socketpair,
)
from suites.clauses import OBSERVERS, SUBJECT, Clause
from suites.lab.counters import sockets_in_use
from suites.lab.families import Family, Tcp, Unix, Vsock
from suites.lab.outbox import Outbox, outbox
from suites.lab.signals import ARMED, WATCHED, in_words

if TYPE_CHECKING:
    from suites.lab.lab import Lab

INPUT = native.POLLIN | native.POLLRDNORM | native.POLLPRI | native.POLLRDBAND | native.POLLRDHUP
"""What a poller asks for that waits for input."""

OUTPUT = native.POLLOUT | native.POLLWRNORM | native.POLLWRBAND
"""What a poller asks for that waits for room."""

FLIGHT = ("flight_from", "flight_to")
"""The roles of the sockets between which a descriptor is in flight."""

STEPS = 10_000
"""How many steps a record keeps of a case, the last ones: a loop that a kernel never ends would make a line that nobody reads."""

WHOLE = 28
"""Up to so many bytes, those of an IPv6 socket's address, are recorded whole; of more the first 16."""

QUIESCENCE_MS = 20
"""Where the fence isn't sound: for how long no further signal must have become pending, in ms. Measured; it proves nothing."""

Plain = int | str | list[int] | None
C = TypeVar("C", bound=Callable[..., Any])


class LabError(Exception):
    """The set-up, the clean-up or the case itself is at fault, not the kernel."""


class NotAsleep(LabError):
    """A call that was to wait came back; that is the kernel's doing."""


class Descriptor(int):
    """A descriptor that knows its role in the case, so that steps and verdicts can call it by name."""

    role: str

    def __new__(cls, number: int, role: str) -> Descriptor:
        self = super().__new__(cls, number)
        self.role = role
        return self

    def __repr__(self) -> str:
        return self.role


def attempt(call: Callable[..., Any], *arguments: Any) -> Plain:
    """The outcome of a call as a plain fact: its result (0 for none), `data:` with what was read, or its errno's name."""
    try:
        return plain(call(*arguments))
    except CallError as error:
        return error.name


def plain(value: Any) -> Plain:
    """A result as a record holds it."""
    if value is None or value == b"":
        return 0
    if isinstance(value, bytes):
        return "data:" + value.decode("ascii", "backslashreplace")
    if isinstance(value, Message):
        return plain(value.data)
    return value  # type: ignore[no-any-return]


def epoll_once(fd: int, events: int) -> int:
    """What a level-triggered epoll says of one descriptor."""
    epoll = epoll_create1(0)
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, events, fd)
    ready = epoll_wait(epoll, 1, 0)
    close(epoll)
    return ready[0][0] if ready else 0


def arranging(method: C) -> C:
    """Mark a method as set-up: what goes wrong inside it is an ERROR of ours, not the kernel's."""

    def arranged(self: Case, *arguments: Any, **options: Any) -> Any:
        self.arranging += 1
        try:
            return method(self, *arguments, **options)
        except Exception as error:
            self.broken_arranging = error
            raise
        finally:
            self.arranging -= 1

    arranged.__doc__ = method.__doc__
    return arranged  # type: ignore[return-value]


class Case:
    """One execution of one case on one family."""

    def __init__(
        self, lab: Lab, clause: Clause, family: Family, variant: str | None, expected: Mapping[str, Any]
    ) -> None:
        self.lab = lab
        self.clause = clause
        self.family = family
        self._variant = variant
        self.arranging = 0
        self.broken_arranging: Exception | None = None
        self._plan: dict[str, list[str]] = {name: list(moment["facts"]) for name, moment in expected["moments"].items()}
        self._watched_roles = {
            fact.partition(".")[0] for facts in self._plan.values() for fact in facts if fact.endswith(".edge")
        }
        self._roles: dict[str, Descriptor] = {}
        self._owned: list[Descriptor] = []
        self._sleepers: dict[str, Sleeper] = {}
        self._returned: set[str] = set()
        self._afterwards: list[Callable[[], None]] = []
        self._signals: list[dict[str, Any]] = []
        self._moments: dict[str, dict[str, Plain]] = {}
        self._edges: dict[int, int] = {}
        self._edge_epoll = -1
        self._account: list[native.Step] | None = None

    @property
    def variant(self) -> str:
        """Which of the clause's variants this is."""
        if self._variant is None:
            raise LabError(f"clause {self.clause.id} has no variants")
        return self._variant

    # Arranging

    def own(self, number: int, role: str) -> Descriptor:
        """Give a descriptor its role; it is closed after the case, and watched for edges where the clause speaks of them."""
        fd = Descriptor(number, role)
        self._roles = {name: other for name, other in self._roles.items() if other != number}  # a number is given anew
        self._roles[role] = fd
        self._owned.append(fd)
        if role in self._watched_roles:
            self._watch(fd)
        return fd

    @arranging
    def socket(self, role: str = SUBJECT) -> Descriptor:
        """A fresh socket of the case's family."""
        return self.own(self.family.socket(), role)

    @arranging
    def pair(self) -> tuple[Descriptor, Descriptor]:
        """Two connected sockets: the subject and its peer."""
        fd, peer = self.family.pair()
        return self.own(fd, SUBJECT), self.own(peer, "peer")

    @arranging
    def arm(self, fd: int, signal: int = ARMED) -> None:
        """Ask for a signal at each event: F_SETSIG, F_SETOWN and O_ASYNC, in the order that document 001 gives them."""
        set_signal(fd, signal)
        set_owner(fd, self.lab.pid)
        set_flags(fd, get_flags(fd) | O_ASYNC)

    @arranging
    def disarm(self, fd: int) -> None:
        """Take O_ASYNC away again."""
        set_flags(fd, get_flags(fd) & ~O_ASYNC)

    @arranging
    def deliver(self, data: bytes, flags: int = 0) -> None:
        """Let the peer send to the subject, and nobody whom that wakes run before it is done."""
        with self.lab.unpreempted():
            self.family.deliver(self._roles[SUBJECT], self._roles["peer"], data, flags)

    @arranging
    def outbox(self) -> Outbox:
        """A subject whose sent data stays charged to it until the case lets it go."""
        return outbox(self)

    @arranging
    def sleep(self, call: str, fd: int, *arguments: Any, name: str | None = None) -> Sleeper:
        """Put a thread to sleep in one system call, and return once the kernel says that it is asleep.

        `call` is recv, read, readv, recvmsg, accept, connect, send, write, poll, ppoll, select, pselect or epoll; a poller's
        argument is INPUT or OUTPUT; an epoll that the case has made itself is waited for without one. `name` is what the
        clause calls the sleeper, by default the call. Where the clause waits for a timer, the timer may end the sleep before
        this looks; then the thread's switches tell that it slept.
        """
        sleeper = self._start(call, fd, *arguments)
        self._sleepers[name or call] = sleeper
        self._returned.discard(name or call)
        if not sleeper.await_asleep() and not (self.clause.timer and _has_slept(sleeper)):
            outcome = self._outcome(sleeper)  # a number may be a descriptor's, which a verdict doesn't name
            raise NotAsleep(f"{call} didn't sleep: {outcome if isinstance(outcome, str) else 'it returned'}")
        return sleeper

    def _start(self, call: str, fd: int, *arguments: Any) -> Sleeper:
        if call in ("select", "pselect"):
            (events,) = arguments
            arguments = (native.READ | native.EXCEPT,) if events == INPUT else (native.WRITE,)
        elif call == "epoll" and arguments:
            (events,) = arguments
            epoll = self.own(epoll_create1(0), "epoll")
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, events, fd)
            fd, arguments = epoll, ()
        start: Callable[..., Sleeper] = getattr(native, f"sleep_{call}")
        return start(fd, *arguments)

    @arranging
    def listener(self, role: str = "listener") -> Descriptor:
        """A listening socket of the case's family, on an address of the kernel's choice."""
        if not isinstance(self.family, (Tcp, Unix, Vsock)):
            raise LabError(f"{self.family.name} sockets don't listen")
        fd, _ = self.family.listener()
        return self.own(fd, role)

    @arranging
    def fork(self, own_memory: bool = False) -> Child:
        """A child process that holds a copy of every descriptor, and does nothing but what it is told.

        `native.fork_child` says which needs memory of its own; that takes long.
        """
        child = fork_child(own_memory)
        self.afterwards(child.exit)
        return child

    @arranging
    def put_in_flight(self, fd: int) -> Callable[[], None]:
        """Send a descriptor over a socket that nobody reads; returns what throws the message away."""
        sender, receiver = (
            self.own(end, role) for end, role in zip(socketpair(AF_UNIX, SOCK_DGRAM, 0), FLIGHT, strict=True)
        )
        sendmsg(sender, [b"x"], 0, [rights([fd])])
        return lambda: close(receiver)

    def spare_number(self) -> int:
        """A descriptor number far above all that are open."""
        return 200

    def await_return(self, name: str) -> None:
        """Wait until a sleeper's call has returned; the deadline ends the wait. A moment may have seen it return already."""
        if name not in self._returned:
            self._sleepers[name].join()

    def forget_signals(self, sleeper: str) -> int:
        """Take a sleeper that has returned and all signals so far off the account; returns how many signals there were."""
        del self._sleepers[sleeper]
        return len(drain_signals(WATCHED))

    @arranging
    def sockets_at_rest(self) -> int:
        """The count of sockets in use with nothing but the lab's own; waits for what the kernel frees after a grace period.

        Some families give a socket back by call_rcu, so those of an earlier case may still be counted for a while.
        """
        while (count := sockets_in_use()) != self.lab.sockets():
            if native.deadline_expired():
                raise LabError(f"{count} sockets are in use where the lab has {self.lab.sockets()}")
            native.sched_yield()
        return count

    def afterwards(self, undo: Callable[[], None]) -> None:
        """Have something undone when the case is over, last one first."""
        self._afterwards.append(undo)

    def _watch(self, fd: Descriptor) -> None:
        if self._edge_epoll < 0:
            self._edge_epoll = epoll_create1(0)
        epoll_ctl(self._edge_epoll, EPOLL_CTL_ADD, fd, POLL_ALL | EPOLLET, fd)
        self._collect_edges()
        self._edges.pop(int(fd), None)  # the edge that registering itself gives isn't an event

    def _collect_edges(self) -> None:
        for mask, watched in epoll_wait(self._edge_epoll, 16, 0):
            self._edges[watched] = mask

    # Observing

    def fence(self) -> None:
        """Return once all packets that were on their way on this CPU have been handled, and those that answered them.

        Where the target delivers later than that (the capability `fence`), return once looks at the pending signals agree,
        QUIESCENCE_MS and a fence apart. That proves nothing, and the run line says so.
        """
        legs = self.family.legs
        self.lab.fence.passes(legs)
        if self.lab.vsock_fence and isinstance(self.family, Vsock):
            fence(self.lab.vsock_fence[0], legs, self.lab.vsock_fence[1])
        if self.lab.quiescence_ms:
            self._await_quiescence()

    def _await_quiescence(self) -> None:
        """Look, and look again, until two looks agree; three where a thread sleeps, since who is woken has to get a processor.

        It is a look at signals alone, as a poll would be an act.
        """
        looks, agreeing, now = 2 + bool(self._sleepers), 1, native.sigpending()
        while agreeing < looks:
            time.sleep(self.lab.quiescence_ms / 1000)
            self.lab.fence.passes(1)
            before, now = now, native.sigpending()
            agreeing = agreeing + 1 if now == before else 1

    def at(self, moment: str, **facts: Any) -> None:
        """Observe: the facts that the case hands in, then all that the clause states for this moment.

        The fence stands first, so that what has not been seen now has not happened.
        """
        self.fence()
        if moment not in self._plan:
            raise LabError(f"clause {self.clause.id} states no moment {moment!r}")
        seen: dict[str, Plain] = {name: plain(value) for name, value in facts.items()}
        for name, sleeper in list(self._sleepers.items()):
            seen[f"sleeper.{name}"] = self._look_at(name, sleeper)
        for fact in self._plan[moment]:
            role, _, observer = fact.rpartition(".")
            if role != "sleeper" and observer in OBSERVERS and role in self._roles:
                seen[fact] = self._observe(self._roles[role], observer)
        self._moments[moment] = seen
        for info in drain_signals(WATCHED):
            self._signals.append({"at": moment} | signal_fields(info))

    def told(self, signals: Iterable[Siginfo]) -> str:
        """Signals as a clause writes them, one after the other; "nothing" for none."""
        roles = {int(fd): role for role, fd in self._roles.items()}
        return ", ".join(in_words(info, roles) for info in signals) or "nothing"

    def got(self, child: Child) -> str:
        """What a child has been sent by now, in words; it has fetched it."""
        self.fence()
        return self.told(child.drain_signals(WATCHED))

    def ask(self, observer: str, fd: int, events: int = POLL_ALL) -> int:
        """What one observer says of a descriptor without waiting: poll's and epoll's mask, select's sets as bits."""
        match observer:
            case "poll":
                return poll_one(fd, events)
            case "ppoll":
                return native.ppoll([(fd, events)], 0)[0]
            case "select":
                return select_one(fd)
            case "pselect":
                found = native.pselect6([fd], [fd], [fd], 0)
                bits = zip((native.READ, native.WRITE, native.EXCEPT), found, strict=True)
                return sum(bit for bit, ready in bits if ready)
            case "epoll":
                return epoll_once(fd, events)
            case "io_uring" if self.lab.ring:
                return self.lab.ring.poll(fd, events)
            case "aio" if self.lab.aio:
                return self.lab.aio.poll(fd, events)
        raise LabError(f"there is no observer {observer!r}")

    def _look_at(self, name: str, sleeper: Sleeper) -> Plain:
        """Asleep, or with what it woke. A wake makes a sleeper runnable at once, so after the fence its state is the proof."""
        while not sleeper.done:
            if sleeper.state() == "S" and not sleeper.done:
                return "asleep"
            native.sched_yield()
        del self._sleepers[name]
        self._returned.add(name)
        outcome = self._outcome(sleeper)
        sleeper.join()
        if isinstance(outcome, Siginfo):
            return self.told([outcome])
        if sleeper.call == "accept" and isinstance(outcome, int):
            return self.own(outcome, "accepted").role
        return outcome

    @staticmethod
    def _outcome(sleeper: Sleeper) -> Plain:
        value, error = sleeper.outcome()
        return error or plain(value)

    def _observe(self, fd: Descriptor, observer: str) -> Plain:
        """Ask one observer. Everything but SO_MEMINFO and the queue sizes marks a socket that it finds unwritable."""
        match observer:
            case "edge":
                self._collect_edges()
                return self._edges.pop(int(fd), 0)
            case "so_error":
                number = so_error(fd)
                return native.errno_name(number) if number else 0
            case "charge":
                return so_meminfo(fd).wmem_alloc
            case "queued":
                return so_meminfo(fd).wmem_queued
            case "sndbuf":
                return so_meminfo(fd).sndbuf
            case "outq":
                return ioctl_outq(fd)
            case "notsent":
                return ioctl_outqnsd(fd)
            case "inq":
                return ioctl_inq(fd)
            case _:
                return self.ask(observer.removesuffix("_after_error"), fd)

    # Beginning and ending, called by the run and not by cases

    @arranging
    def begin(self) -> None:
        """Start the clock and the account of calls."""
        self.lab.prepare(self.family)
        self._began_ns = time.monotonic_ns()
        native.trace.start()

    def observed(self) -> dict[str, Any]:
        """Everything that was seen so far, as plain data; how it came about is what `steps` says."""
        return {
            "names": {
                "descriptors": {role: int(fd) for role, fd in self._roles.items()},
                "signal": ARMED,
                "pid": self.lab.pid,
                "uid": self.lab.uid,
            },
            "signals": self._signals,
            "moments": self._moments,
        }

    def steps(self) -> list[dict[str, Any]]:
        """The calls that were made so far, or until the case ended; the last ones where they are very many."""
        account = native.trace.so_far() if self._account is None else self._account
        return [self._step(step) for step in account[-STEPS:]]

    def _step(self, step: native.Step) -> dict[str, Any]:
        t_ns, tid, call, arguments, result, errno = step
        return {
            "t_ns": t_ns - self._began_ns,
            "tid": tid,
            "call": call,
            "arguments": ", ".join(map(_in_words, arguments)),
            "result": result if result is None or isinstance(result, int) else _in_words(result),
            "errno": native.errno_name(errno) if errno else None,
        }

    def waiting_for(self) -> str:
        """What the sleepers of this case are asleep in."""
        return ", ".join(self._sleepers) or "nothing"

    def end(self) -> None:
        """Give everything back: wake and join sleepers, undo, close, and drain what that caused."""
        self._account = native.trace.so_far()
        native.trace.stop()
        for sleeper in self._sleepers.values():
            sleeper.interrupt()
            sleeper.join()
        for undo in reversed(self._afterwards):
            undo()
        if self._edge_epoll >= 0:
            close(self._edge_epoll)
        for fd in reversed(self._owned):
            with suppress(CallError):  # EBADF: the case has closed it itself
                self.lab.discard(self.family, fd)
        self.lab.forget_neighbours()
        self.fence()
        drain_signals(WATCHED)


def signal_fields(info: Siginfo) -> dict[str, int]:
    """The fields of a siginfo that a record carries."""
    return {
        "signo": info.signo,
        "code": info.code,
        "errno": info.errno,
        "band": info.band,
        "fd": info.fd,
        "pid": info.pid,
        "uid": info.uid,
    }


def _in_words(argument: Any) -> str:
    """An argument or result as strace would write it, with roles for descriptors."""
    kind = type(argument)
    if kind is int or kind is str:  # by far the most
        return str(argument)
    match argument:
        case Descriptor(role=role):
            return role
        case bytes() if len(argument) > WHOLE:
            return f"{argument[:16].decode('latin-1')!a}... ({len(argument)} bytes)"
        case bytes():
            return ascii(argument.decode("latin-1"))
        case frozenset():
            return f"{len(argument)} signals"
        case list() | tuple():
            return "[" + ", ".join(map(_in_words, argument)) + "]"
        case _:
            return str(argument)


def _has_slept(sleeper: Sleeper) -> bool:
    """Whether a call that is over gave up the processor."""
    try:
        return sleeper.switches() > 0
    except CallError:  # a kernel that doesn't count
        return False
