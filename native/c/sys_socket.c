#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/vm_sockets.h>

/* Enumerators: the build asks the preprocessor what there is. */
#define SOF_TIMESTAMPING_TX_SOFTWARE SOF_TIMESTAMPING_TX_SOFTWARE
#define SOF_TIMESTAMPING_SOFTWARE SOF_TIMESTAMPING_SOFTWARE
#define SOF_TIMESTAMPING_TX_SCHED SOF_TIMESTAMPING_TX_SCHED
#define SOF_TIMESTAMPING_TX_ACK SOF_TIMESTAMPING_TX_ACK
#define SOF_TIMESTAMPING_OPT_TSONLY SOF_TIMESTAMPING_OPT_TSONLY

static long sys_socket(int domain, int type, int protocol)
{
    return kernel_result(socket(domain, type, protocol));
}

static long sys_socketpair(int domain, int type, int protocol, int *ends)
{
    return kernel_result(socketpair(domain, type, protocol, ends));
}

static long sys_bind(int fd, const char *address, unsigned int size)
{
    return kernel_result(bind(fd, (const struct sockaddr *)address, size));
}

static long sys_listen(int fd, int backlog)
{
    return kernel_result(listen(fd, backlog));
}

static long sys_accept4(int fd, int flags)
{
    return kernel_result(accept4(fd, NULL, NULL, flags));
}

static long sys_connect(int fd, const char *address, unsigned int size)
{
    return kernel_result(connect(fd, (const struct sockaddr *)address, size));
}

static long sys_shutdown(int fd, int how)
{
    return kernel_result(shutdown(fd, how));
}

/* These two return the address's size, which may be more than fitted. */
static long sys_getsockname(int fd, char *address, unsigned int size)
{
    return getsockname(fd, (struct sockaddr *)address, &size) == -1 ? -errno : (long)size;
}

static long sys_getpeername(int fd, char *address, unsigned int size)
{
    return getpeername(fd, (struct sockaddr *)address, &size) == -1 ? -errno : (long)size;
}

static long sys_send(int fd, const char *data, size_t size, int flags)
{
    return kernel_result(send(fd, data, size, flags));
}

static long sys_sendto(int fd, const char *data, size_t size, int flags, const char *address, unsigned int address_size)
{
    return kernel_result(sendto(fd, data, size, flags, (const struct sockaddr *)address, address_size));
}

static long sys_sendmsg(int fd, struct msghdr *message, int flags)
{
    return kernel_result(sendmsg(fd, message, flags));
}

static long sys_recv(int fd, char *buffer, size_t size, int flags)
{
    return kernel_result(recv(fd, buffer, size, flags));
}

static long sys_recvfrom(int fd, char *buffer, size_t size, int flags, char *address, unsigned int *address_size)
{
    return kernel_result(recvfrom(fd, buffer, size, flags, (struct sockaddr *)address, address_size));
}

static long sys_recvmsg(int fd, struct msghdr *message, int flags)
{
    return kernel_result(recvmsg(fd, message, flags));
}

/* Returns the option's size. */
static long sys_getsockopt(int fd, int level, int name, char *value, unsigned int size)
{
    return getsockopt(fd, level, name, value, &size) == -1 ? -errno : (long)size;
}

static long sys_getsockopt_int(int fd, int level, int name, int *value)
{
    socklen_t size = sizeof *value;
    *value = 0;
    return kernel_result(getsockopt(fd, level, name, value, &size));
}

static long sys_setsockopt(int fd, int level, int name, const char *value, unsigned int size)
{
    return kernel_result(setsockopt(fd, level, name, value, size));
}

static long sys_setsockopt_int(int fd, int level, int name, int value)
{
    return kernel_result(setsockopt(fd, level, name, &value, sizeof value));
}

/* A filter of one instruction: let so many bytes of each packet through. */
static long sys_attach_filter(int fd, unsigned int bytes)
{
    struct sock_filter returns = {.code = BPF_RET | BPF_K, .k = bytes};
    struct sock_fprog program = {.len = 1, .filter = &returns};
    return kernel_result(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
}

static long sys_set_linger(int fd, int on, int seconds)
{
    struct linger value = {.l_onoff = on, .l_linger = seconds};
    return kernel_result(setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value));
}
