#include <poll.h>

static long sys_poll(struct pollfd *fds, size_t count, int timeout_ms)
{
    return kernel_result(poll(fds, count, timeout_ms));
}

/* Returns revents, 0 if none, or -errno. */
static long sys_poll_one(int fd, int events, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = events};
    return poll(&one, 1, timeout_ms) == -1 ? -errno : (long)(unsigned short)one.revents;
}

/* A timeout below 0 is none. */
static long sys_ppoll(struct pollfd *fds, size_t count, int64_t timeout_ns, uint64_t mask, int with_mask)
{
    struct timespec limit = timespec_of(timeout_ns);
    return kernel_result(syscall(SYS_ppoll, fds, count, timeout_ns < 0 ? NULL : &limit, with_mask ? &mask : NULL,
                                 (long)KERNEL_SIGSET_SIZE));
}
