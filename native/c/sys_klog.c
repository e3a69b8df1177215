#include <sys/klog.h>

static long sys_klogctl(int type, char *buffer, int size)
{
    return kernel_result(klogctl(type, buffer, size));
}
