#include <sys/xattr.h>

static long sys_flistxattr(int fd, char *names, size_t size)
{
    return kernel_result(flistxattr(fd, names, size));
}

static long sys_fgetxattr(int fd, const char *name, char *value, size_t size)
{
    return kernel_result(fgetxattr(fd, name, value, size));
}

static long sys_fsetxattr(int fd, const char *name, const char *value, size_t size, int flags)
{
    return kernel_result(fsetxattr(fd, name, value, size, flags));
}
