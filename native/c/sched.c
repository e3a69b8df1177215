#include <sched.h>
#include <signal.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80 /* uapi/linux/sched.h, Linux 5.6 */
#endif

static long sys_unshare(int flags)
{
    return kernel_result(unshare(flags));
}

static long sys_setns(int fd, int type)
{
    return kernel_result(setns(fd, type));
}

static long sys_sched_setaffinity(int tid, const char *mask, size_t size)
{
    return kernel_result(syscall(SYS_sched_setaffinity, tid, size, mask));
}

/* Returns the size of the kernel's mask in bytes, which libc hides. */
static long sys_sched_getaffinity(int tid, char *mask, size_t size)
{
    return kernel_result(syscall(SYS_sched_getaffinity, tid, size, mask));
}

static long sys_sched_yield(void)
{
    return kernel_result(sched_yield());
}

static long sys_gettid(void)
{
    return syscall(SYS_gettid);
}
