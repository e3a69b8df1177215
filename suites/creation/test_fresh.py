"""A fresh socket's observable state."""

import native
from native import (
    IP_TTL,
    IPPROTO_IP,
    IPPROTO_TCP,
    MSG_DONTWAIT,
    SHUT_RDWR,
    SO_RCVBUF,
    SO_REUSEADDR,
    SO_SNDBUF,
    SOCK_NONBLOCK,
    SOL_SOCKET,
    TCP_INFO,
    accept4,
    fstat,
    get_descriptor_flags,
    get_flags,
    get_owner,
    get_owner_ex,
    get_signal,
    getpeername,
    getsockname,
    getsockopt,
    getsockopt_bytes,
    ioctl_inq,
    ioctl_outq,
    listen,
    recv,
    send,
    setsockopt,
    shutdown,
    so_meminfo,
    tcp_info,
)
from suites.catalogue import clause
from suites.lab.calls import port_of
from suites.lab.case import Case, Descriptor, Plain, attempt
from suites.lab.counters import listed
from suites.lab.families import FAMILIES
from suites.lab.namespace import sysctls

OPTIONS = [
    "SO_ACCEPTCONN",
    "SO_BROADCAST",
    "SO_INCOMING_CPU",
    "SO_KEEPALIVE",
    "SO_LINGER",
    "SO_MARK",
    "SO_NO_CHECK",
    "SO_OOBINLINE",
    "SO_PRIORITY",
    "SO_RCVLOWAT",
    "SO_RCVTIMEO",
    "SO_REUSEPORT",
    "SO_RXQ_OVFL",
    "SO_SNDLOWAT",
    "SO_SNDTIMEO",
    "SO_TIMESTAMP",
    "SO_TIMESTAMPING",
]
TCP_OPTIONS = [
    "TCP_CORK",
    "TCP_DEFER_ACCEPT",
    "TCP_KEEPCNT",
    "TCP_KEEPIDLE",
    "TCP_KEEPINTVL",
    "TCP_LINGER2",
    "TCP_MAXSEG",
    "TCP_NODELAY",
    "TCP_QUICKACK",
    "TCP_SYNCNT",
    "TCP_USER_TIMEOUT",
]
MORE_THAN_ANY_LIMIT = 1 << 30


@clause("fresh.stream.is_hung_up")
def test_fresh_stream_socket_has_room_and_is_hung_up(case: Case) -> None:
    """Writable, because a send would fail at once."""
    sock = case.socket()

    case.at("fresh", owner=get_owner(sock), signal=get_signal(sock))


@clause("fresh.datagram.has_room")
def test_fresh_datagram_socket_has_room(case: Case) -> None:
    """All memory is zero, and zero is the documented default."""
    sock = case.socket()

    case.at("fresh", owner=get_owner(sock), signal=get_signal(sock))


@clause("fresh.vsock.has_room")
def test_fresh_vsock_socket_has_room(case: Case) -> None:
    """Its poll says nothing of a connection that isn't there."""
    sock = case.socket()

    case.at("fresh", owner=get_owner(sock), signal=get_signal(sock))


@clause("fresh.file.plain")
def test_fresh_socket_is_open_for_both_and_nothing_else(case: Case) -> None:
    """Neither the file nor the descriptor has a flag that wasn't asked for."""
    sock = case.socket()
    owner = get_owner_ex(sock)

    case.at(
        "fresh",
        file_flags=get_flags(sock),
        descriptor_flags=get_descriptor_flags(sock),
        owner_type=owner.type,
        owner=owner.pid,
    )


@clause("fresh.memory.uncharged")
def test_fresh_socket_is_charged_with_nothing(case: Case) -> None:
    """What its queues hold is zero in every account."""
    memory = so_meminfo(case.socket())

    case.at(
        "fresh",
        received=memory.rmem_alloc,
        sent=memory.wmem_alloc,
        in_send_queue=memory.wmem_queued,
        reserved=memory.fwd_alloc,
        options=memory.optmem,
        backlog=memory.backlog,
        drops=memory.drops,
    )


# Options.


@clause("fresh.options.default")
def test_options_of_a_fresh_socket_are_the_defaults(case: Case) -> None:
    """Nothing of an earlier socket in the same memory is left."""
    sock = case.socket()

    case.at("fresh", **{name: getsockopt(sock, SOL_SOCKET, getattr(native, name)) for name in OPTIONS})


@clause("fresh.options.no_reuse")
def test_fresh_socket_reuses_no_address(case: Case) -> None:
    """Ports are assigned to one."""
    sock = case.socket()

    case.at("fresh", reuse=getsockopt(sock, SOL_SOCKET, SO_REUSEADDR))


@clause("fresh.options.reuse")
def test_fresh_socket_of_an_assigned_number_reuses_addresses(case: Case) -> None:
    """The protocol is listed with INET_PROTOSW_REUSE."""
    sock = case.socket()

    case.at("fresh", reuse=getsockopt(sock, SOL_SOCKET, SO_REUSEADDR))


@clause("fresh.options.memory_again")
def test_memory_that_is_used_again_keeps_no_option(case: Case) -> None:
    """The allocator likes to hand out what was given back last."""
    for _ in range(8):
        used = case.socket("used")
        setsockopt(used, SOL_SOCKET, native.SO_KEEPALIVE, 1)
        setsockopt(used, SOL_SOCKET, native.SO_PRIORITY, 3)
        setsockopt(used, IPPROTO_IP, IP_TTL, 9)
        native.close(used)
    sock = case.socket()

    case.at(
        "fresh",
        keepalive=getsockopt(sock, SOL_SOCKET, native.SO_KEEPALIVE),
        priority=getsockopt(sock, SOL_SOCKET, native.SO_PRIORITY),
        ttl_is_nine=int(getsockopt(sock, IPPROTO_IP, IP_TTL) == 9),
    )


@clause("fresh.options.tcp")
def test_options_of_a_fresh_tcp_socket_are_the_defaults(case: Case) -> None:
    """They are constants, or the namespace's sysctls."""
    sock = case.socket()

    case.at("fresh", **{name: getsockopt(sock, IPPROTO_TCP, getattr(native, name)) for name in TCP_OPTIONS})


@clause("fresh.tcp_info.initial")
def test_tcp_info_of_a_fresh_socket_says_that_nothing_happened(case: Case) -> None:
    """tcp_init_sock sets the few fields that don't begin with zero."""
    sock = case.socket()
    info = tcp_info(sock)

    case.at(
        "fresh",
        size=len(getsockopt_bytes(sock, IPPROTO_TCP, TCP_INFO, 1024)),
        state=info.state,
        rto=info.rto,
        snd_mss=info.snd_mss,
        snd_cwnd=info.snd_cwnd,
        snd_ssthresh=info.snd_ssthresh,
        reordering=info.reordering,
        rtt=info.rtt,
        unacked=info.unacked,
        total_retrans=info.total_retrans,
        pmtu=info.pmtu,
    )


# Buffers.


@clause("fresh.buffers.tcp")
def test_buffers_of_a_fresh_tcp_socket_are_the_namespaces(case: Case) -> None:
    """The middle ones of tcp_rmem and tcp_wmem."""
    sock = case.socket()
    limits = sysctls()

    case.at(
        "fresh",
        receive_buffer=getsockopt(sock, SOL_SOCKET, SO_RCVBUF),
        send_buffer=getsockopt(sock, SOL_SOCKET, SO_SNDBUF),
        tcp_rmem=int(limits["net/ipv4/tcp_rmem"].split()[1]),
        tcp_wmem=int(limits["net/ipv4/tcp_wmem"].split()[1]),
    )


@clause("fresh.buffers.default")
def test_buffers_of_other_fresh_sockets_are_the_machines(case: Case) -> None:
    """sock_init_data gives every family the same, which AF_UNIX keeps."""
    sock = case.socket()
    other = case.own(FAMILIES["unix-dgram"].socket(), "other")

    case.at(
        "fresh",
        receive_buffer=getsockopt(sock, SOL_SOCKET, SO_RCVBUF),
        send_buffer=getsockopt(sock, SOL_SOCKET, SO_SNDBUF),
        rmem_default=getsockopt(other, SOL_SOCKET, SO_RCVBUF),
        wmem_default=getsockopt(other, SOL_SOCKET, SO_SNDBUF),
    )


@clause("fresh.buffers.largest")
def test_largest_buffers_that_can_be_asked_for(case: Case) -> None:
    """More than rmem_max and wmem_max is cut to them, and what is granted is doubled."""
    sock = case.socket()

    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, MORE_THAN_ANY_LIMIT)
    setsockopt(sock, SOL_SOCKET, SO_SNDBUF, MORE_THAN_ANY_LIMIT)

    received, sent = getsockopt(sock, SOL_SOCKET, SO_RCVBUF), getsockopt(sock, SOL_SOCKET, SO_SNDBUF)
    case.at("asked", receive_buffer=received, send_buffer=sent)


@clause("fresh.buffers.backlog_limit")
def test_longest_accept_queue_of_a_fresh_namespace(case: Case) -> None:
    """The limit on listen's backlog belongs to the namespace, and the lab leaves it alone."""
    case.at("fresh", somaxconn=int(sysctls()["net/core/somaxconn"]))


# Calls.


def calls(sock: Descriptor) -> dict[str, Plain]:
    """What receiving, sending and accepting come to on a socket that nothing was done with."""
    return {
        "recv": attempt(recv, sock, 1, MSG_DONTWAIT),
        "send": attempt(send, sock, b"x", MSG_DONTWAIT),
        "accept": attempt(accept4, sock, SOCK_NONBLOCK),
    }


@clause("fresh.calls.tcp")
def test_fresh_tcp_socket_is_not_connected(case: Case) -> None:
    """To send is a broken pipe, to receive isn't connected, and to accept isn't listening."""
    sock = case.socket()

    case.at("called", **calls(sock))


@clause("fresh.calls.shutdown_tcp")
def test_fresh_tcp_socket_refuses_shutdown_and_is_shut_down(case: Case) -> None:
    """ENOTCONN is remembered, and the shutdown is done all the same."""
    sock = case.socket()

    done = attempt(shutdown, sock, SHUT_RDWR)

    case.at("shut", shutdown=done, recv=attempt(recv, sock, 1, MSG_DONTWAIT))


@clause("fresh.calls.datagram")
def test_fresh_internet_datagram_socket_knows_no_destination(case: Case) -> None:
    """It can receive, and send to whoever is named."""
    sock = case.socket()

    case.at("called", **calls(sock), listen=attempt(listen, sock, 1), shutdown=attempt(shutdown, sock, SHUT_RDWR))


@clause("fresh.calls.unix_stream")
def test_fresh_unix_stream_socket_is_not_connected(case: Case) -> None:
    """It is in the state in which connect finds it, and has no name to listen under."""
    sock = case.socket()

    case.at("called", **calls(sock), listen=attempt(listen, sock, 1))


@clause("fresh.calls.unix_seqpacket")
def test_fresh_unix_seqpacket_socket_is_not_connected(case: Case) -> None:
    """It receives as datagrams do, but only once it is connected."""
    sock = case.socket()

    case.at("called", **calls(sock), listen=attempt(listen, sock, 1))


@clause("fresh.calls.unix_datagram")
def test_fresh_unix_datagram_socket_knows_no_destination(case: Case) -> None:
    """It can receive, and send to whoever is named."""
    sock = case.socket()

    case.at("called", **calls(sock), listen=attempt(listen, sock, 1))


@clause("fresh.calls.packet")
def test_fresh_packet_socket_has_no_device(case: Case) -> None:
    """It can be sent from once it is known on which device."""
    sock = case.socket()

    case.at("called", **calls(sock), listen=attempt(listen, sock, 1), shutdown=attempt(shutdown, sock, SHUT_RDWR))


@clause("fresh.calls.netlink")
def test_fresh_netlink_socket_sends_to_the_kernel(case: Case) -> None:
    """No destination stands for port 0, which is the kernel's, and nobody listens there for user sockets."""
    sock = case.socket()

    case.at("called", **calls(sock), listen=attempt(listen, sock, 1), shutdown=attempt(shutdown, sock, SHUT_RDWR))


# Names.


@clause("fresh.name.none")
def test_fresh_internet_socket_has_no_port_and_no_peer(case: Case) -> None:
    """A port is assigned by bind, or at need."""
    sock = case.socket()

    case.at("fresh", port=port_of(sock), peer=attempt(getpeername, sock))


@clause("fresh.name.raw")
def test_port_of_a_raw_socket_is_its_protocol(case: Case) -> None:
    """It is put into the table under that number when it is made."""
    sock = case.socket()

    case.at("fresh", port=port_of(sock), asked=case.family.protocol, peer=attempt(getpeername, sock))


@clause("fresh.name.unix")
def test_fresh_unix_socket_has_an_empty_name_and_no_peer(case: Case) -> None:
    """Its address is the family alone."""
    sock = case.socket()

    case.at("fresh", size=len(getsockname(sock)), peer=attempt(getpeername, sock))


@clause("fresh.name.packet")
def test_fresh_packet_socket_can_have_no_peer(case: Case) -> None:
    """There is nothing to be connected to."""
    sock = case.socket()

    case.at("fresh", device=int.from_bytes(getsockname(sock)[4:8], "little"), peer=attempt(getpeername, sock))


@clause("fresh.name.netlink")
def test_fresh_netlink_socket_has_no_port_and_the_kernel_as_its_peer(case: Case) -> None:
    """Port 0 is both nobody's and the kernel's."""
    sock = case.socket()
    own, peer = getsockname(sock), getpeername(sock)

    case.at("fresh", port=int.from_bytes(own[4:8], "little"), peer=int.from_bytes(peer[4:8], "little"))


# Queues.


@clause("fresh.queues.empty")
def test_fresh_socket_has_nothing_to_read_and_nothing_under_way(case: Case) -> None:
    """Both sizes are of queues that have just been made."""
    sock = case.socket()

    case.at("fresh", input=ioctl_inq(sock), output=ioctl_outq(sock))


@clause("fresh.queues.mptcp")
def test_fresh_mptcp_socket_hints_at_an_end_to_read(case: Case) -> None:
    """Where a connection is closed, the hint says 1 so that its end is read; the fresh state is the closed one."""
    sock = case.socket()

    case.at("fresh", input=ioctl_inq(sock), output=ioctl_outq(sock))


@clause("fresh.queues.unknown")
def test_sizes_of_these_queues_cannot_be_asked(case: Case) -> None:
    """The protocol has no such ioctl."""
    sock = case.socket()

    case.at("fresh", input=attempt(ioctl_inq, sock), output=attempt(ioctl_outq, sock))


# Where it is listed.


@clause("fresh.listed.not_yet")
def test_fresh_socket_without_a_port_is_not_listed(case: Case) -> None:
    """The tables are of ports."""
    sock = case.socket()

    case.at("fresh", listed=listed(case.family.name, fstat(sock).ino))


@clause("fresh.listed.at_once")
def test_fresh_socket_of_these_families_is_listed_at_once(case: Case) -> None:
    """Creation itself enters it."""
    sock = case.socket()

    case.at("fresh", listed=listed(case.family.name, fstat(sock).ino))


@clause("fresh.listed.by_a_failed_send")
def test_send_without_a_destination_assigns_a_port(case: Case) -> None:
    """The port comes before the address is looked at."""
    sock = case.socket()

    refused = attempt(send, sock, b"x", MSG_DONTWAIT)

    has_port = int(port_of(sock) != 0)
    case.at("refused", send=refused, has_port=has_port, listed=listed(case.family.name, fstat(sock).ino))
