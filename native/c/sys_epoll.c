#include <sys/epoll.h>

static long sys_epoll_create1(int flags)
{
    return kernel_result(epoll_create1(flags));
}

static long sys_epoll_ctl(int epoll, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return kernel_result(epoll_ctl(epoll, operation, fd, &event));
}

/* struct epoll_event is packed on some architectures: it leaves as (events, data) pairs. */
static long epoll_pairs(const struct epoll_event *events, uint64_t *pairs, long count)
{
    for (long i = 0; i < count; i++) {
        pairs[2 * i] = events[i].events;
        pairs[2 * i + 1] = events[i].data.u64;
    }
    return count;
}

static long sys_epoll_wait(int epoll, uint64_t *pairs, int room, int timeout_ms)
{
    struct epoll_event events[room > 0 ? room : 1];
    return epoll_pairs(events, pairs, kernel_result(epoll_wait(epoll, events, room, timeout_ms)));
}

/* A timeout below 0 is none. */
static long sys_epoll_pwait2(int epoll, uint64_t *pairs, int room, int64_t timeout_ns, uint64_t mask, int with_mask)
{
#ifdef SYS_epoll_pwait2
    struct epoll_event events[room > 0 ? room : 1];
    struct timespec limit = timespec_of(timeout_ns);
    return epoll_pairs(events, pairs,
                       kernel_result(syscall(SYS_epoll_pwait2, epoll, events, room, timeout_ns < 0 ? NULL : &limit,
                                             with_mask ? &mask : NULL, (long)KERNEL_SIGSET_SIZE)));
#else
    return -ENOSYS;
#endif
}
