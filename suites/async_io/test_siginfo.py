"""What a signal says of the event it tells of: by each number that F_SETSIG takes, pending, dequeued and handled."""

from collections.abc import Iterable
from threading import get_native_id

from native import (
    CLD_CONTINUED,
    CLD_KILLED,
    CLD_STOPPED,
    F_OWNER_TID,
    F_SETSIG,
    MSG_DONTWAIT,
    POLL_ERR,
    POLL_HUP,
    POLL_IN,
    SFD_NONBLOCK,
    SI_KERNEL,
    SI_SIGIO,
    SIG_BLOCK,
    SIG_SETMASK,
    SIG_UNBLOCK,
    SIGABRT,
    SIGALRM,
    SIGBUS,
    SIGCHLD,
    SIGCONT,
    SIGFPE,
    SIGHUP,
    SIGILL,
    SIGINT,
    SIGIO,
    SIGKILL,
    SIGPIPE,
    SIGPROF,
    SIGPWR,
    SIGQUIT,
    SIGRTMAX,
    SIGSEGV,
    SIGSTOP,
    SIGSYS,
    SIGTERM,
    SIGTRAP,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGURG,
    SIGUSR1,
    SIGUSR2,
    SIGVTALRM,
    SIGWINCH,
    SIGXCPU,
    SIGXFSZ,
    Child,
    Siginfo,
    SignalfdInfo,
    SYS_getpid,
    close,
    drain_signals,
    fcntl,
    get_signal,
    kill,
    linger,
    recv,
    ring_drain,
    send,
    set_owner,
    set_owner_ex,
    set_signal,
    sigaction,
    sigaction_restore,
    signalfd,
    signalfd_read,
    sigprocmask,
)
from suites.catalogue import clause
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.signals import ARMED, WATCHED

WITHOUT_CODES = {
    "HUP": SIGHUP,
    "INT": SIGINT,
    "QUIT": SIGQUIT,
    "ABRT": SIGABRT,
    "USR1": SIGUSR1,
    "USR2": SIGUSR2,
    "PIPE": SIGPIPE,
    "ALRM": SIGALRM,
    "TERM": SIGTERM,
    "CONT": SIGCONT,
    "TSTP": SIGTSTP,
    "TTIN": SIGTTIN,
    "TTOU": SIGTTOU,
    "URG": SIGURG,
    "XCPU": SIGXCPU,
    "XFSZ": SIGXFSZ,
    "VTALRM": SIGVTALRM,
    "PROF": SIGPROF,
    "WINCH": SIGWINCH,
    "PWR": SIGPWR,
}
"""Standard signals whose si_code means nothing of their own."""

WITH_CODES = {
    "ILL": SIGILL,
    "TRAP": SIGTRAP,
    "BUS": SIGBUS,
    "FPE": SIGFPE,
    "SEGV": SIGSEGV,
    "CHLD": SIGCHLD,
    "SYS": SIGSYS,
}
"""Signals that have codes of their own, with which POLL_IN would be mixed up (kernel/signal.c sig_sicodes)."""

REAL_TIME = {"first_of_libc": 32, "second_of_libc": 33, "last": SIGRTMAX}
"""Real-time signals at both ends: libc keeps the first two to itself, which is nothing to the kernel."""

HANDLED = (SIGIO, ARMED, SIGURG, SIGCHLD, SIGWINCH, SIGCONT)
"""Signals that a child inherits handlers of: readline, for one, has one for SIGWINCH."""

BEYOND = {"minus_1": -1, "65": 65, "1000": 1000, "bit_31": 1 << 31}
"""What isn't a signal."""

CODES = {POLL_IN: "POLL_IN", POLL_ERR: "POLL_ERR", POLL_HUP: "POLL_HUP", SI_SIGIO: "SI_SIGIO", SI_KERNEL: "SI_KERNEL"}


def said(infos: Iterable[Siginfo | SignalfdInfo], sock: int) -> str:
    """What signals say, in words: the code, the band, and whose descriptor it is."""
    words = (
        f"{CODES.get(info.code, info.code)} {info.band:#x} of {'socket' if info.fd == sock else 'another'}"
        for info in infos
    )
    return ", ".join(words) or "nothing"


def keep_pending(case: Case, sock: Descriptor, signals: set[int]) -> None:
    """Have signals sent to this thread alone and block them: no thread has to have a handler for what stays pending."""
    before = sigprocmask(SIG_BLOCK, signals)
    set_owner_ex(sock, F_OWNER_TID, get_native_id())

    def undo() -> None:
        set_signal(sock, ARMED)  # or closing might send what nobody blocks any more
        drain_signals(signals)
        sigprocmask(SIG_SETMASK, before)

    case.afterwards(undo)


def said_by_each(case: Case, signals: dict[str, int]) -> dict[str, str]:
    """What each of these signals says when it tells of data."""
    sock, _ = case.pair()
    case.arm(sock)
    keep_pending(case, sock, set(signals.values()))
    facts = {}
    for name, signo in signals.items():
        set_signal(sock, signo)
        case.deliver(b"x")
        case.fence()
        facts[name] = said(drain_signals({signo}), sock)
    return facts


def handle_by_the_ring(case: Case) -> None:
    """Have the armed signal handled as it comes, instead of keeping it pending."""
    before = sigaction(ARMED, "ring")
    sigprocmask(SIG_UNBLOCK, {ARMED})

    def undo() -> None:
        sigprocmask(SIG_BLOCK, {ARMED})
        sigaction_restore(ARMED, before)

    case.afterwards(undo)


def owner_with_default_actions(case: Case, sock: int, signo: int) -> Child:
    """A child that owns the socket, blocks nothing, and handles none of what it may be sent."""
    before = {number: sigaction(number, "default") for number in HANDLED}
    child = case.fork()
    for number, action in before.items():
        sigaction_restore(number, action)
    child.set_mask(())
    set_owner(sock, child.pid)
    set_signal(sock, signo)
    return child


def state(child: Child) -> str:
    """What becomes of a child, once something does."""
    code, status = child.await_state()
    words = {CLD_KILLED: "killed", CLD_STOPPED: "stopped", CLD_CONTINUED: "continued"}
    names = {SIGIO: "SIGIO", SIGKILL: "SIGKILL", SIGSTOP: "SIGSTOP", ARMED: "the armed signal"}
    return f"{words.get(code, code)} by {names.get(status, status)}"


@clause("siginfo.plain.kernel")
def test_plain_sigio_says_nothing_of_event_and_descriptor(case: Case) -> None:
    """Without F_SETSIG the signal is sent as the kernel's own."""
    sock, _ = case.pair()
    case.arm(sock, 0)

    case.deliver(b"x")

    case.at("delivered")


@clause("siginfo.plain.coalesces")
def test_three_events_are_one_plain_sigio_while_it_is_pending(case: Case) -> None:
    """A standard signal that is pending already isn't queued again."""
    sock, _ = case.pair()
    case.arm(sock, 0)

    for data in (b"a", b"b", b"c"):
        case.deliver(data)
    case.at("three")
    case.deliver(b"d")

    case.at("next")


@clause("siginfo.sigio.tells")
def test_sigio_asked_for_by_name_tells_event_and_descriptor(case: Case) -> None:
    """F_SETSIG with SIGIO isn't F_SETSIG with 0."""
    sock, _ = case.pair()
    case.arm(sock, SIGIO)

    case.deliver(b"x")

    case.at("delivered", signal=get_signal(sock))


@clause("siginfo.sigio.first_of_unix")
def test_pending_sigio_keeps_data_and_loses_the_hang_up(case: Case) -> None:
    """The number is what coalesces; the later siginfo is thrown away."""
    sock, peer = case.pair()
    case.arm(sock, SIGIO)

    case.deliver(b"x")
    close(peer)

    case.at("closed")


@clause("siginfo.sigio.first_of_tcp")
def test_pending_sigio_keeps_data_and_loses_the_reset(case: Case) -> None:
    """The number is what coalesces; the later siginfo is thrown away."""
    sock, peer = case.pair()
    case.arm(sock, SIGIO)

    case.deliver(b"x")
    linger(peer, 1, 0)
    close(peer)

    case.at("reset")


@clause("siginfo.realtime.queues")
def test_three_events_are_three_real_time_signals(case: Case) -> None:
    """Each has its place in the queue and its own siginfo."""
    sock, _ = case.pair()
    case.arm(sock)

    for data in (b"a", b"b", b"c"):
        case.deliver(data)
        case.fence()

    case.at("three")


@clause("siginfo.realtime.any")
def test_every_real_time_signal_tells_event_and_descriptor(case: Case) -> None:
    """valid_signal ends at 64, and what libc keeps for itself is nothing to the kernel."""
    facts = said_by_each(case, REAL_TIME)

    case.at("told", **facts)


@clause("siginfo.standard.tells")
def test_standard_signal_without_codes_of_its_own_tells_event_and_descriptor(case: Case) -> None:
    """F_SETSIG takes any signal; its default action is nothing to its siginfo."""
    facts = said_by_each(case, WITHOUT_CODES)

    case.at("told", **facts)


@clause("siginfo.standard.coalesces")
def test_three_events_are_one_standard_signal_while_it_is_pending(case: Case) -> None:
    """legacy_queue asks for the number only."""
    sock, _ = case.pair()
    case.arm(sock, SIGUSR1)

    for data in (b"a", b"b", b"c"):
        case.deliver(data)
    case.fence()

    case.at("three", told=said(drain_signals({SIGUSR1}), sock))


@clause("siginfo.fault.si_sigio")
def test_signal_with_codes_of_its_own_says_si_sigio(case: Case) -> None:
    """POLL_IN is 1, and so are SEGV_MAPERR and CLD_EXITED."""
    facts = said_by_each(case, WITH_CODES)

    case.at("told", **facts)


@clause("siginfo.setsig.kept")
def test_f_getsig_says_what_f_setsig_set(case: Case) -> None:
    """Nothing is set at first, and all numbers from 0 to 64 can be."""
    sock = case.socket()
    fresh = get_signal(sock)
    differ = []
    for signo in range(65):
        set_signal(sock, signo)
        if get_signal(sock) != signo:
            differ.append(signo)

    case.at("asked", fresh=fresh, differ=differ)


@clause("siginfo.setsig.beyond")
def test_f_setsig_beyond_the_signals_leaves_the_old_one(case: Case) -> None:
    """valid_signal is asked before anything is set."""
    sock, _ = case.pair()
    case.arm(sock)
    refused = {name: attempt(fcntl, sock, F_SETSIG, value) for name, value in BEYOND.items()}

    case.deliver(b"x")

    case.at("delivered", **refused)


@clause("siginfo.setsig.high_bits")
def test_f_setsig_with_bits_beyond_an_int(case: Case) -> None:
    """Whether the argument is a long or an int decides."""
    sock, _ = case.pair()
    case.arm(sock)
    result = attempt(fcntl, sock, F_SETSIG, 1 << 32 | SIGIO)

    case.deliver(b"x")

    case.at("delivered", result=result)


@clause("siginfo.default.kills")
def test_signal_without_a_handler_kills_the_owner(case: Case) -> None:
    """Arming a socket and not handling the signal is how a program ends."""
    sock, _ = case.pair()
    case.arm(sock)
    facts = {}
    for name, signo in {"plain": 0, "armed": ARMED, "SIGKILL": SIGKILL}.items():
        child = owner_with_default_actions(case, sock, signo)
        attempt(recv, sock, 1, MSG_DONTWAIT)
        case.deliver(b"x")
        facts[name] = state(child)

    case.at("ended", **facts)


@clause("siginfo.default.ignores")
def test_signal_that_is_ignored_by_default_lets_the_owner_live(case: Case) -> None:
    """The default of four signals is to do nothing."""
    sock, _ = case.pair()
    case.arm(sock)
    child = owner_with_default_actions(case, sock, 0)
    facts = {}
    for name, signo in {"URG": SIGURG, "CHLD": SIGCHLD, "WINCH": SIGWINCH, "CONT": SIGCONT}.items():
        set_signal(sock, signo)
        case.deliver(b"x")
        case.fence()
        facts[name] = int(child.call("getpid", SYS_getpid) == child.pid)

    case.at("ignored", **facts)


@clause("siginfo.default.stops")
def test_sigstop_as_the_signal_stops_the_owner(case: Case) -> None:
    """F_SETSIG takes what can't be handled too."""
    sock, _ = case.pair()
    case.arm(sock)
    child = owner_with_default_actions(case, sock, SIGSTOP)

    case.deliver(b"x")
    stopped = state(child)
    kill(child.pid, SIGCONT)
    child.await_state()

    case.at("stopped", owner=stopped, afterwards=int(child.call("getpid", SYS_getpid) == child.pid))


@clause("siginfo.order.by_number")
def test_pending_signals_are_fetched_by_number(case: Case) -> None:
    """next_signal takes the lowest bit."""
    sock, _ = case.pair()
    case.arm(sock)
    numbers = {ARMED + 2: "armed + 2", ARMED: "armed", SIGIO: "SIGIO", SIGUSR1: "SIGUSR1"}

    for signo in numbers:
        set_signal(sock, signo)
        case.deliver(b"x")
        case.fence()

    case.at("fetched", order=", ".join(numbers.get(info.signo, "another") for info in drain_signals(WATCHED)))


@clause("siginfo.order.faults_first")
def test_signals_of_faults_are_fetched_before_lower_numbers(case: Case) -> None:
    """next_signal takes what is in SYNCHRONOUS_MASK first, whoever has sent it."""
    sock, _ = case.pair()
    case.arm(sock)
    numbers = {SIGHUP: "HUP", SIGCHLD: "CHLD", SIGSEGV: "SEGV", SIGBUS: "BUS"}
    keep_pending(case, sock, set(numbers))

    for signo in numbers:
        set_signal(sock, signo)
        case.deliver(b"x")
        case.fence()

    case.at("fetched", order=", ".join(numbers.get(info.signo, "another") for info in drain_signals(numbers)))


@clause("siginfo.order.as_sent")
def test_one_real_time_signal_keeps_the_order_of_two_sockets(case: Case) -> None:
    """One number has one queue for the process."""
    sock, peer = case.pair()
    case.arm(sock)
    case.arm(peer)

    case.deliver(b"a")
    case.fence()
    send(sock, b"b", 0)
    case.fence()
    case.deliver(b"c")

    case.at("fetched")


@clause("siginfo.handler.tells")
def test_handler_is_told_what_a_waiter_is_told(case: Case) -> None:
    """SA_SIGINFO's second argument is the siginfo of the queue."""
    sock, _ = case.pair()
    case.arm(sock)
    handle_by_the_ring(case)

    case.deliver(b"a")
    case.deliver(b"b")
    case.fence()

    case.at("handled", told=said(ring_drain(), sock))


@clause("siginfo.signalfd.tells")
def test_signalfd_tells_what_a_waiter_is_told(case: Case) -> None:
    """signalfd_copyinfo copies band and descriptor under names of its own."""
    sock, _ = case.pair()
    case.arm(sock)
    fd = case.own(signalfd({ARMED}, SFD_NONBLOCK), "signalfd")

    case.deliver(b"a")
    case.deliver(b"b")
    case.fence()

    case.at("read", told=said(signalfd_read(fd), sock))


@clause("siginfo.queued.kept")
def test_queued_signal_stays_whatever_becomes_of_its_file(case: Case) -> None:
    """All was copied to the queue when the event came."""
    sock, _ = case.pair()
    case.arm(sock)
    case.deliver(b"x")
    case.fence()

    match case.variant:
        case "signal":
            set_signal(sock, 0)
        case "owner":
            set_owner(sock, 0)
        case _:
            case.disarm(sock)

    case.at("changed")


@clause("siginfo.queued.next")
def test_new_signal_begins_with_the_next_event(case: Case) -> None:
    """send_sigio_to_task reads the number once for each event."""
    sock, _ = case.pair()
    case.arm(sock)
    case.deliver(b"x")
    case.fence()

    set_signal(sock, 0)
    case.deliver(b"y")

    case.at("changed")


@clause("siginfo.queued.new_owner")
def test_new_owner_gets_the_next_event_only(case: Case) -> None:
    """A signal belongs to whom it was sent."""
    sock, _ = case.pair()
    case.arm(sock)
    child = case.fork()
    case.deliver(b"x")
    case.fence()

    set_owner(sock, child.pid)
    case.deliver(b"y")
    case.fence()

    case.at("changed", child=said(child.drain_signals(WATCHED), sock))
