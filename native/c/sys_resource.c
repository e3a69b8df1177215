#include <sys/resource.h>

/* Limits are pairs (soft, hard); NULL leaves them as they are. */
static long sys_prlimit(int pid, int resource, const uint64_t *limits, uint64_t *old)
{
    return kernel_result(syscall(SYS_prlimit64, pid, resource, limits, old));
}
