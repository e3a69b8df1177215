"""Document 004's listener inside the kernel, seen from user space, and beside it one in user space that does the same."""

from native import (
    AF_INET,
    CLONE_NEWNET,
    TCP_ESTABLISHED,
    TCP_LISTEN,
    TCP_SYN_SENT,
    SYS_unshare,
    bind,
    close,
    connect,
    if_index,
    kernel_log,
    listen,
    module,
    recv,
    send,
    sockaddr_in,
    sockaddr_in6,
    tainted,
    tcp_info,
    trace,
)
from suites.catalogue import clause
from suites.clauses import SUBJECT
from suites.lab import rtnetlink
from suites.lab.calls import port_of
from suites.lab.case import Case, Descriptor, attempt
from suites.lab.counters import extended, protocol_counts, protocol_of, sockets_in_use, tcp_row, tcp_rows
from suites.lab.links import await_end_of, lay_link
from suites.lab.listeners import (
    FOREVER_MS,
    MODULE,
    PORT,
    holders_of,
    listening,
    network_of,
    row_of,
    said_since,
)
from suites.lab.queueing import connected, counting, none, unblock

ANYWHERE = {True: sockaddr_in("0.0.0.0", PORT), False: sockaddr_in6("::", PORT)}
HERE = {True: sockaddr_in("127.0.0.1", PORT), False: sockaddr_in6("::1", PORT)}

MANY = 100
"""Clients at once: they, and what they have open, are fewer than a process may have open by default."""

OWN_TAINTS = 1 << 12 | 1 << 13
"""What a module from out of tree that nobody signed does to the kernel (Documentation/admin-guide/tainted-kernels.rst)."""


def here(case: Case) -> bytes:
    """Where clients connect to."""
    return HERE[case.family.domain == AF_INET]


def client(case: Case, role: str = SUBJECT) -> Descriptor:
    """A socket that has connected to the listener."""
    fd = case.socket(role)
    connect(fd, here(case))
    return fd


def bound_plainly(case: Case, role: str) -> Descriptor:
    """A socket bound to the listener's port without address reuse."""
    fd = case.socket(role)
    bind(fd, ANYWHERE[case.family.domain == AF_INET])
    return fd


@clause("kernel_listener.serves")
def test_connection_is_accepted_and_released_at_once(case: Case) -> None:
    """Create, bind, listen, accept and release: the same steps whoever takes them."""
    listener = listening(case)
    step, error = listener.failed()
    case.at("listening", failed=step, error=error, state=row_of(case).state)
    sock = client(case)

    end = attempt(recv, sock, 1, 0)

    case.at("served", recv=end, accepted=listener.accepted(), state=row_of(case).state)


@clause("kernel_listener.established_first")
def test_connection_is_established_though_nobody_accepts_it(case: Case) -> None:
    """The handshake is the protocol's, and the queue is where it ends."""
    listener = listening(case, accepting=False)

    sock = client(case)
    sent = send(sock, b"x", 0)
    case.fence()

    row, child = row_of(case), tcp_row(case.family.name, PORT, port_of(sock))
    listed = {"waiting": row.rx_queue, "state": row.state, "child_state": child.state, "child_inode": child.inode}
    case.at("connected", sent=sent, accepted=listener.accepted(), client_state=tcp_info(sock).state, **listed)


@clause("kernel_listener.many")
def test_many_clients_at_once_are_all_served(case: Case) -> None:
    """Each is accepted once, and reads the end of its stream."""
    listener = listening(case)

    with trace.paused():
        crowd = [client(case, f"client_{number}") for number in range(MANY)]
        ended = sum(recv(sock, 1, 0) == b"" for sock in crowd)

    row = row_of(case)
    case.at("served", ended=ended, accepted=listener.accepted(), state=row.state, waiting=row.rx_queue)


@clause("kernel_listener.queue_full")
def test_full_queue_keeps_further_clients_connecting(case: Case) -> None:
    """Two more knock than there is room for: their SYNs are dropped."""
    listener = listening(case, backlog=2, accepting=False)
    counted = counting(extended, "ListenOverflows", "ListenDrops")

    states = []
    for number in range(5):
        sock = case.socket(f"client_{number}")
        unblock(sock)
        attempt(connect, sock, here(case))
        case.fence()
        states.append(tcp_info(sock).state)

    found = {"established": states.count(TCP_ESTABLISHED), "connecting": states.count(TCP_SYN_SENT)}
    case.at("full", **found, **counted(), waiting=row_of(case).rx_queue, accepted=listener.accepted())


@clause("kernel_listener.sleeps.between")
def test_listener_sleeps_before_and_after_a_connection(case: Case) -> None:
    """It waits on the socket's own wait queue, as a poll does."""
    listener = listening(case)
    listener.await_asleep()
    case.at("idle", accepted=listener.accepted())

    end = attempt(recv, client(case), 1, 0)
    listener.await_asleep()

    case.at("served", recv=end, accepted=listener.accepted(), waiting=row_of(case).rx_queue)


@clause("kernel_listener.sleeps.unstirred")
def test_connections_of_others_leave_the_thread_asleep(case: Case) -> None:
    """Nothing but its own queue, and being told to stop, wakes it."""
    listener = listening(case, kind="kernel")
    before = listener.await_asleep()

    connected(case, case.listener("other"), "elsewhere")
    case.fence()
    case.at("idle", stirred=listener.await_asleep() - before)
    end = attempt(recv, client(case), 1, 0)

    case.at("served", recv=end, stirred=int(listener.await_asleep() > before))


@clause("kernel_listener.stop.idle")
def test_idle_listener_stops_at_once_and_its_port_is_free(case: Case) -> None:
    """Being told to stop wakes it, and it releases its socket before it ends."""
    listener = listening(case)
    listener.await_asleep()

    listener.stop()

    facts = {"thread": int(listener.is_there()), "state": row_of(case).state}
    refused = attempt(connect, case.socket("late"), here(case))
    second = bound_plainly(case, "second")
    case.at("stopped", **facts, connect=refused, listen=attempt(listen, second, 1))


@clause("kernel_listener.stop.slow")
def test_slow_listener_stops_at_once_and_resets_who_waits(case: Case) -> None:
    """It sleeps over a connection that it is to accept later; the end of a listener resets what nobody has accepted."""
    listener = listening(case, delay_ms=FOREVER_MS)
    sock = client(case)
    case.arm(sock)
    case.fence()
    listener.await_asleep()
    case.at("waiting", accepted=listener.accepted(), waiting=row_of(case).rx_queue)

    listener.stop()
    case.fence()

    case.at("stopped", thread=int(listener.is_there()), state=row_of(case).state)


@clause("kernel_listener.stop.under_load")
def test_listener_that_is_stopped_under_load_has_served_or_resets_each_client(case: Case) -> None:
    """What it has accepted it has released; what waits is reset."""
    listener = listening(case)

    with trace.paused():
        crowd = [client(case, f"client_{number}") for number in range(MANY)]
        accepted = listener.accepted()
        listener.stop()
        ends = [attempt(recv, sock, 1, 0) for sock in crowd]

    found = {"served": ends.count(0), "reset": ends.count("ECONNRESET")}
    case.at("stopped", clients=MANY, accepted=accepted, **found, state=row_of(case).state)


@clause("kernel_listener.bind.refused")
def test_listener_whose_port_is_taken_ends_and_leaves_nothing_bound(case: Case) -> None:
    """The step that fails releases the socket, and stopping a thread that has ended is no harm."""
    owner = bound_plainly(case, "owner")
    listen(owner, 1)

    listener = listening(case)
    step, error = listener.failed()
    listeners = sum(row.state == TCP_LISTEN for row in tcp_rows(case.family.name, PORT))
    case.at("refused", failed=step, error=error, ended=listener.await_end(), listeners=listeners)
    listener.stop()
    served = attempt(connect, case.socket("client"), here(case))
    close(owner)

    case.at("stopped", connect=served, bind=attempt(lambda: none(bound_plainly(case, "late"))))


@clause("kernel_listener.bind.logged")
def test_step_that_fails_is_logged_by_the_kernels_listener(case: Case) -> None:
    """Nobody is there to be told an errno."""
    listen(bound_plainly(case, "owner"), 1)
    before = kernel_log()

    listening(case, kind="kernel").stop()

    own, others = told_apart(said_since(before))
    case.at("stopped", said=own, others=others)


@clause("kernel_listener.port.reused")
def test_port_is_bound_again_over_connections_that_still_end(case: Case) -> None:
    """The client hasn't closed: the side that the first listener has released waits for that in FIN_WAIT2."""
    first = listening(case)
    recv(client(case, "client"), 1, 0)
    case.fence()
    first.stop()
    plain = attempt(lambda: none(bound_plainly(case, "plain")))

    second = listening(case)

    step, error = second.failed()
    case.at("again", without=plain, failed=step, error=error, recv=attempt(recv, client(case), 1, 0))


@clause("kernel_listener.network.its_loaders")
def test_listener_is_in_the_network_of_who_started_it(case: Case) -> None:
    """Creation names the network; another one has neither the listener nor its port."""
    elsewhere = case.fork()
    elsewhere.call("unshare", SYS_unshare, CLONE_NEWNET)
    listening(case)

    states = {"here": row_of(case).state}
    with network_of(elsewhere):
        states["there"] = row_of(case).state
        free = attempt(lambda: none(bound_plainly(case, "there")))

    case.at("listening", **states, bind_there=free, bind_here=attempt(lambda: none(bound_plainly(case, "here"))))


@clause("kernel_listener.network.held")
def test_module_holds_its_network_until_it_is_unloaded(case: Case) -> None:
    """Networks are taken down in the order in which they were left: the second's end is the first's fence."""
    netlink = case.own(rtnetlink.connect(), "netlink")
    child = case.fork()
    child.call("unshare", SYS_unshare, CLONE_NEWNET)
    lay_link(netlink, "kept", child)
    with network_of(child):
        listener = listening(case, kind="kernel")
    child.call("unshare", SYS_unshare, CLONE_NEWNET)
    lay_link(netlink, "left", child)

    child.exit()
    await_end_of("left")
    case.at("left", link=int(if_index("kept") > 0))
    listener.stop()
    await_end_of("kept")

    case.at("stopped", link=attempt(if_index, "kept"))


@clause("kernel_listener.inode.kernel")
def test_kernels_listener_has_an_inode_and_no_descriptor(case: Case) -> None:
    """sock_create_kern makes a socket with an inode of sockfs; only sock_map_fd would give it a file."""
    look_at_the_socket(case, "kernel")


@clause("kernel_listener.inode.user")
def test_users_listener_has_an_inode_and_a_descriptor(case: Case) -> None:
    """The one is the other's, and its namespace counts it."""
    look_at_the_socket(case, "user")


def look_at_the_socket(case: Case, kind: str) -> None:
    """Who holds a listener's socket, and who counts it."""
    used, counts = case.sockets_at_rest(), protocol_counts()
    name = protocol_of(case.family.name)

    listener = listening(case, kind=kind)
    row = row_of(case)
    facts = {"inode": row.inode, "descriptors": holders_of(row.inode), "used": sockets_in_use() - used}
    case.at("listening", **facts, counted=protocol_counts()[name] - counts[name])
    listener.stop()

    case.at("stopped", used=sockets_in_use() - used, counted=protocol_counts()[name] - counts[name])


@clause("kernel_listener.module.clean")
def test_loading_serving_and_unloading_leaves_no_trace(case: Case) -> None:
    """A module that runs a thread and a socket is held by neither: that is for its exit to end."""
    before, tainted_before = kernel_log(), tainted()
    listener = listening(case, kind="kernel")
    recv(client(case, "served"), 1, 0)
    found = module(MODULE)
    assert found is not None
    case.at("served", references=found.references, users=len(found.users), taint=found.taint)

    listener.stop()

    own, others = told_apart(said_since(before))
    kernel = {"tainted": (tainted() & ~tainted_before) & ~OWN_TAINTS, "said": own, "others": others}
    case.at("stopped", loaded=int(module(MODULE) is not None), **kernel)


def told_apart(lines: list[str]) -> tuple[str, int]:
    """What the module has said of itself, and how many lines others have."""
    own = [line for line in lines if line.startswith(f"{MODULE}: ")]
    return "; ".join(line.partition(": ")[2] for line in own), len(lines) - len(own)
