"""The kernel's numbers, under the names that its headers give them.

Each annotated name is compiled in from the C headers: the build (`native._build`) reads this list. A name that the headers at
hand don't have is missing here too, so that using it is an AttributeError and never a wrong number. Knows nothing of calls.
"""

from __future__ import annotations

from native._native import lib

# errno: names are in `native.errors`.

# sys/socket.h: domains, types, protocols
AF_UNSPEC: int
AF_UNIX: int
AF_INET: int
AF_INET6: int
AF_NETLINK: int
AF_PACKET: int
AF_VSOCK: int
AF_ALG: int
SOCK_STREAM: int
SOCK_DGRAM: int
SOCK_RAW: int
SOCK_SEQPACKET: int
SOCK_RDM: int
SOCK_NONBLOCK: int
SOCK_CLOEXEC: int
IPPROTO_IP: int
IPPROTO_ICMP: int
IPPROTO_TCP: int
IPPROTO_UDP: int
IPPROTO_IPV6: int
IPPROTO_ICMPV6: int
IPPROTO_SCTP: int
IPPROTO_RAW: int
IPPROTO_MPTCP: int
NETLINK_ROUTE: int
NETLINK_USERSOCK: int
NETLINK_SOCK_DIAG: int
NETLINK_KOBJECT_UEVENT: int
ETH_P_ALL: int
ETH_P_IP: int
ETH_P_LOOPBACK: int
SHUT_RD: int
SHUT_WR: int
SHUT_RDWR: int
SOMAXCONN: int
VMADDR_CID_ANY: int
VMADDR_CID_LOCAL: int
VMADDR_CID_HOST: int
VMADDR_PORT_ANY: int

# sys/socket.h: flags of messages
MSG_OOB: int
MSG_PEEK: int
MSG_DONTROUTE: int
MSG_CTRUNC: int
MSG_TRUNC: int
MSG_DONTWAIT: int
MSG_EOR: int
MSG_WAITALL: int
MSG_CONFIRM: int
MSG_ERRQUEUE: int
MSG_NOSIGNAL: int
MSG_MORE: int
MSG_WAITFORONE: int
MSG_ZEROCOPY: int
MSG_FASTOPEN: int
MSG_CMSG_CLOEXEC: int
SCM_RIGHTS: int
SCM_CREDENTIALS: int

# sys/socket.h: options of all sockets
SOL_SOCKET: int
SO_ACCEPTCONN: int
SO_BINDTODEVICE: int
SO_BROADCAST: int
SO_BUSY_POLL: int
SO_COOKIE: int
SO_DOMAIN: int
SO_ERROR: int
SO_INCOMING_CPU: int
SO_KEEPALIVE: int
SO_LINGER: int
SO_MARK: int
SO_MEMINFO: int
SO_NO_CHECK: int
SO_OOBINLINE: int
SO_PASSCRED: int
SO_PEEK_OFF: int
SO_PEERCRED: int
SO_PRIORITY: int
SO_PROTOCOL: int
SO_RCVBUF: int
SO_RCVBUFFORCE: int
SO_RCVLOWAT: int
SO_RCVTIMEO: int
SO_REUSEADDR: int
SO_REUSEPORT: int
SO_RXQ_OVFL: int
SO_SNDBUF: int
SO_SNDBUFFORCE: int
SO_SNDLOWAT: int
SO_SNDTIMEO: int
SO_TIMESTAMP: int
SO_TIMESTAMPING: int
SO_TIMESTAMPNS: int
SO_TYPE: int
SO_WIFI_STATUS: int
SO_ZEROCOPY: int

# netinet/in.h, linux/tcp.h, netinet/udp.h, linux/if_packet.h, linux/netlink.h: options of a protocol
SOL_PACKET: int
SOL_NETLINK: int
SOL_UDP: int
IP_HDRINCL: int
IP_MTU: int
IP_MTU_DISCOVER: int
IP_PMTUDISC_DO: int
IP_PKTINFO: int
IP_RECVERR: int
IP_TOS: int
IP_TTL: int
IPV6_RECVERR: int
IPV6_UNICAST_HOPS: int
IPV6_V6ONLY: int
TCP_CONGESTION: int
TCP_CORK: int
TCP_DEFER_ACCEPT: int
TCP_FASTOPEN: int
TCP_FASTOPEN_CONNECT: int
TCP_INFO: int
TCP_KEEPCNT: int
TCP_KEEPIDLE: int
TCP_KEEPINTVL: int
TCP_LINGER2: int
TCP_MAXSEG: int
TCP_NODELAY: int
TCP_NOTSENT_LOWAT: int
TCP_QUICKACK: int
TCP_REPAIR: int
TCP_SYNCNT: int
TCP_USER_TIMEOUT: int
TCP_WINDOW_CLAMP: int
UDP_CORK: int
UDP_GRO: int
UDP_SEGMENT: int
PACKET_AUXDATA: int
PACKET_OUTGOING: int
PACKET_HOST: int
NETLINK_NO_ENOBUFS: int
NETLINK_PKTINFO: int

# linux/errqueue.h
SO_EE_ORIGIN_NONE: int
SO_EE_ORIGIN_LOCAL: int
SO_EE_ORIGIN_ICMP: int
SO_EE_ORIGIN_ICMP6: int
SO_EE_ORIGIN_TIMESTAMPING: int
SO_EE_ORIGIN_ZEROCOPY: int

# fcntl.h
F_DUPFD: int
F_DUPFD_CLOEXEC: int
F_GETFD: int
F_SETFD: int
F_GETFL: int
F_SETFL: int
F_GETLK: int
F_SETLK: int
F_SETLKW: int
F_OFD_GETLK: int
F_OFD_SETLK: int
F_OFD_SETLKW: int
F_SETOWN: int
F_GETOWN: int
F_SETSIG: int
F_GETSIG: int
F_SETOWN_EX: int
F_GETOWN_EX: int
F_GETOWNER_UIDS: int
F_NOTIFY: int
F_SETLEASE: int
F_GETLEASE: int
F_SETPIPE_SZ: int
F_GETPIPE_SZ: int
F_OWNER_TID: int
F_OWNER_PID: int
F_OWNER_PGRP: int
F_RDLCK: int
F_WRLCK: int
F_UNLCK: int
FD_CLOEXEC: int
DN_ACCESS: int
DN_MODIFY: int
DN_CREATE: int
DN_DELETE: int
DN_RENAME: int
DN_ATTRIB: int
DN_MULTISHOT: int
LOCK_SH: int
LOCK_EX: int
LOCK_UN: int
LOCK_NB: int
O_ACCMODE: int
O_RDONLY: int
O_WRONLY: int
O_RDWR: int
O_APPEND: int
O_NONBLOCK: int
O_ASYNC: int
O_CLOEXEC: int
O_DIRECT: int
O_DIRECTORY: int
O_NOATIME: int
O_PATH: int
CLOSE_RANGE_UNSHARE: int
CLOSE_RANGE_CLOEXEC: int
RWF_NOWAIT: int
RWF_HIPRI: int

# sys/ioctl.h, linux/sockios.h
FIOASYNC: int
FIONBIO: int
FIONREAD: int
FIOSETOWN: int
FIOGETOWN: int
SIOCSPGRP: int
SIOCGPGRP: int
SIOCATMARK: int
SIOCINQ: int
SIOCOUTQ: int
SIOCOUTQNSD: int
SIOCGSKNS: int
SIOCGSTAMP: int

# poll.h
POLLIN: int
POLLPRI: int
POLLOUT: int
POLLERR: int
POLLHUP: int
POLLNVAL: int
POLLRDNORM: int
POLLRDBAND: int
POLLWRNORM: int
POLLWRBAND: int
POLLMSG: int
POLLREMOVE: int
POLLRDHUP: int

# sys/epoll.h
EPOLLIN: int
EPOLLPRI: int
EPOLLOUT: int
EPOLLERR: int
EPOLLHUP: int
EPOLLRDNORM: int
EPOLLRDBAND: int
EPOLLWRNORM: int
EPOLLWRBAND: int
EPOLLMSG: int
EPOLLRDHUP: int
EPOLLEXCLUSIVE: int
EPOLLWAKEUP: int
EPOLLONESHOT: int
EPOLLET: int
EPOLL_CTL_ADD: int
EPOLL_CTL_MOD: int
EPOLL_CTL_DEL: int
EPOLL_CLOEXEC: int

# signal.h
SIGHUP: int
SIGINT: int
SIGQUIT: int
SIGILL: int
SIGTRAP: int
SIGABRT: int
SIGBUS: int
SIGFPE: int
SIGKILL: int
SIGUSR1: int
SIGSEGV: int
SIGUSR2: int
SIGPIPE: int
SIGALRM: int
SIGTERM: int
SIGCHLD: int
SIGCONT: int
SIGSTOP: int
SIGTSTP: int
SIGTTIN: int
SIGTTOU: int
SIGURG: int
SIGXCPU: int
SIGXFSZ: int
SIGVTALRM: int
SIGPROF: int
SIGWINCH: int
SIGIO: int
SIGPOLL: int
SIGPWR: int
SIGSYS: int
SIGRTMIN: int
SIGRTMAX: int
SIG_BLOCK: int
SIG_UNBLOCK: int
SIG_SETMASK: int
SA_NOCLDSTOP: int
SA_NOCLDWAIT: int
SA_NODEFER: int
SA_ONSTACK: int
SA_RESETHAND: int
SA_RESTART: int
SA_SIGINFO: int
SFD_NONBLOCK: int
SFD_CLOEXEC: int
SI_USER: int
SI_KERNEL: int
SI_QUEUE: int
SI_TIMER: int
SI_MESGQ: int
SI_ASYNCIO: int
SI_SIGIO: int
SI_TKILL: int
POLL_IN: int
POLL_OUT: int
POLL_MSG: int
POLL_ERR: int
POLL_PRI: int
POLL_HUP: int
CLD_EXITED: int
CLD_KILLED: int

# sched.h
CLONE_NEWNET: int
CLONE_NEWUSER: int
CLONE_NEWNS: int
CLONE_NEWPID: int
CLONE_NEWIPC: int
CLONE_NEWUTS: int
CLONE_NEWCGROUP: int
CLONE_NEWTIME: int
CLONE_FILES: int

# sys/resource.h
RLIMIT_CORE: int
RLIMIT_FSIZE: int
RLIMIT_MEMLOCK: int
RLIMIT_NOFILE: int
RLIMIT_NPROC: int
RLIMIT_SIGPENDING: int
RLIMIT_STACK: int

# sys/syscall.h: the calls that a sleeper or a child makes
SYS_accept: int
SYS_accept4: int
SYS_close: int
SYS_connect: int
SYS_dup: int
SYS_epoll_pwait: int
SYS_epoll_wait: int
SYS_fcntl: int
SYS_getpid: int
SYS_ioctl: int
SYS_kill: int
SYS_listen: int
SYS_poll: int
SYS_ppoll: int
SYS_pselect6: int
SYS_read: int
SYS_readv: int
SYS_recvfrom: int
SYS_recvmsg: int
SYS_select: int
SYS_sendmsg: int
SYS_sendto: int
SYS_setresuid: int
SYS_shutdown: int
SYS_write: int
SYS_writev: int

_ABSENT = lib.ABSENT
"""What the build puts in the place of a name that the headers don't have."""

globals().update({name: value for name in __annotations__ if (value := getattr(lib, name)) != _ABSENT})

POLL_ALL = (
    POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG | POLLRDHUP
)  # fmt: skip
"""Every event that may be asked for; POLLERR, POLLHUP and POLLNVAL come unasked (poll(2))."""

READ = 1
"""select: readable. Like `WRITE` and `EXCEPT`, this library's own number: select(2) has sets instead."""

WRITE = 2
"""select: writable."""

EXCEPT = 4
"""select: an exceptional condition, which on sockets is urgent data."""

# include/net/tcp_states.h: what tcp_info says in `state`. The kernel's exported headers have no names for them.
TCP_ESTABLISHED = 1
TCP_SYN_SENT = 2
TCP_SYN_RECV = 3
TCP_FIN_WAIT1 = 4
TCP_FIN_WAIT2 = 5
TCP_TIME_WAIT = 6
TCP_CLOSE = 7
TCP_CLOSE_WAIT = 8
TCP_LAST_ACK = 9
TCP_LISTEN = 10
TCP_CLOSING = 11
TCP_NEW_SYN_RECV = 12
