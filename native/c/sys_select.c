#include <sys/select.h>
#include <sys/time.h>

/* Straight to the kernel, so that sets may be as large as the process's descriptors are high: libc's stop at FD_SETSIZE.
 * A timeout below 0 is none. */
static long sys_pselect6(int count, unsigned long *in, unsigned long *out, unsigned long *except, int64_t timeout_ns,
                         uint64_t mask, int with_mask)
{
    struct timespec limit = timespec_of(timeout_ns);
    struct { const uint64_t *mask; size_t size; } signals = {with_mask ? &mask : NULL, KERNEL_SIGSET_SIZE};
    return kernel_result(
        syscall(SYS_pselect6, count, in, out, except, timeout_ns < 0 ? NULL : &limit, with_mask ? &signals : NULL));
}

/* Newer architectures have no select(2) of their own; there libc makes it of pselect6, and so does this. */
static long sys_select(int count, unsigned long *in, unsigned long *out, unsigned long *except, int64_t timeout_ns)
{
#ifdef SYS_select
    struct timeval limit = {.tv_sec = timeout_ns / 1000000000, .tv_usec = (timeout_ns % 1000000000 + 999) / 1000};
    return kernel_result(syscall(SYS_select, count, in, out, except, timeout_ns < 0 ? NULL : &limit));
#else
    return sys_pselect6(count, in, out, except, timeout_ns, 0, 0);
#endif
}

/* Returns 1 for readable, 2 for writable, 4 for exceptional, added up; or -errno. */
static long sys_select_one(int fd, int64_t timeout_ns)
{
    if (fd < 0)
        return -EBADF;
    const size_t bits = 8 * sizeof(unsigned long), words = fd / bits + 1;
    unsigned long few[3 * (FD_SETSIZE / (8 * sizeof(unsigned long)))];
    unsigned long *sets = words <= sizeof few / sizeof *few / 3 ? few : malloc(3 * words * sizeof *sets);
    if (!sets)
        return -ENOMEM;
    const unsigned long bit = 1UL << fd % bits;
    memset(sets, 0, 3 * words * sizeof *sets);
    for (int set = 0; set < 3; set++)
        sets[set * words + words - 1] = bit;
    long result = sys_select(fd + 1, sets, sets + words, sets + 2 * words, timeout_ns);
    if (result > 0) {
        result = 0;
        for (int set = 0; set < 3; set++)
            if (sets[set * words + words - 1] & bit)
                result |= 1 << set;
    }
    if (sets != few)
        free(sets);
    return result;
}
