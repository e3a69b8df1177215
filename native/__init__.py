"""The kernel's socket interface as it is: calls that return the kernel's result or raise its errno, and nothing in between.

Owns the C declarations (`c/`, a file a header), the constants, and what a test bench needs that Python can't do: threads that
make one call, a ring for signal handlers, a deadline, a fence, a census. Knows no clauses, no pytest and no reports.

Everything is a function of this module, named as its manual page is. Descriptors are integers; an int of a subclass is kept as
it is in errors and in the account of calls (`native.trace`).
"""

from native import trace
from native.addresses import (
    parse_sockaddr,
    sockaddr_in,
    sockaddr_in6,
    sockaddr_ll,
    sockaddr_nl,
    sockaddr_un,
    sockaddr_unspec,
    sockaddr_vm,
)
from native.children import Child, fork_child
from native.constants import *  # noqa: F403  a name that the C headers lack must be missing here, so none can be listed
from native.deadlines import deadline_expired, deadline_start, deadline_stop
from native.descriptors import (
    FileStatus,
    close,
    close_range,
    dup,
    dup2,
    dup3,
    fstat,
    pipe2,
    pread,
    preadv2,
    pwrite,
    read,
    readv,
    write,
    writev,
)
from native.errors import CallError, DeadlineExpired, errno_name
from native.file_control import (
    Lock,
    Owner,
    OwnerUids,
    fcntl,
    flock,
    get_descriptor_flags,
    get_flags,
    get_lock,
    get_owner,
    get_owner_ex,
    get_owner_uids,
    get_signal,
    ioctl,
    ioctl_async,
    ioctl_atmark,
    ioctl_getown,
    ioctl_gpgrp,
    ioctl_inq,
    ioctl_int,
    ioctl_outq,
    ioctl_outqnsd,
    ioctl_setown,
    ioctl_skns,
    ioctl_spgrp,
    notify,
    set_descriptor_flags,
    set_flags,
    set_lock,
    set_owner,
    set_owner_ex,
    set_signal,
)
from native.holdings import Census, census
from native.namespaces import (
    getrlimit,
    gettid,
    if_index,
    if_up,
    prlimit,
    sched_getaffinity,
    sched_setaffinity,
    sched_yield,
    setns,
    unshare,
)
from native.options import (
    SocketMemory,
    TcpInfo,
    getsockopt,
    getsockopt_bytes,
    linger,
    parse_tcp_info,
    setsockopt,
    setsockopt_bytes,
    so_error,
    so_meminfo,
    tcp_info,
)
from native.ordering import fence
from native.polling import (
    epoll_create1,
    epoll_ctl,
    epoll_pwait2,
    epoll_wait,
    poll,
    poll_one,
    ppoll,
    pselect6,
    select,
    select_one,
)
from native.signals import (
    Siginfo,
    SignalAction,
    SignalfdInfo,
    drain_signals,
    kill,
    ring_drain,
    ring_lost,
    sigaction,
    sigaction_query,
    sigaction_restore,
    signalfd,
    signalfd_read,
    sigpending,
    sigprocmask,
    sigqueue,
    sigtimedwait,
    tgkill,
)
from native.sockets import (
    Control,
    ExtendedError,
    Message,
    accept4,
    bind,
    connect,
    getpeername,
    getsockname,
    listen,
    parse_extended_error,
    recv,
    recvfrom,
    recvmsg,
    rights,
    send,
    sendmsg,
    sendto,
    shutdown,
    socket,
    socketpair,
)
from native.threads import (
    Sleeper,
    block_signals_in_other_threads,
    live_sleepers,
    sleep_accept,
    sleep_connect,
    sleep_epoll,
    sleep_poll,
    sleep_ppoll,
    sleep_pselect,
    sleep_read,
    sleep_readv,
    sleep_recv,
    sleep_recvmsg,
    sleep_select,
    sleep_send,
    sleep_write,
)
from native.trace import Step
