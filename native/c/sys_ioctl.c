#include <sys/ioctl.h>
#include <linux/sockios.h>

#ifndef FIOGETOWN
#define FIOGETOWN 0x8903 /* uapi/asm-generic/sockios.h; sys/ioctl.h leaves it out on some libcs */
#endif

static long sys_ioctl(int fd, unsigned long request, long argument)
{
    return kernel_result(ioctl(fd, request, argument));
}

static long sys_ioctl_int(int fd, unsigned long request, int *value)
{
    return kernel_result(ioctl(fd, request, value));
}
