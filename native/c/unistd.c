#include <sys/uio.h>

static long sys_read(int fd, char *buffer, size_t size)
{
    return kernel_result(read(fd, buffer, size));
}

static long sys_write(int fd, const char *data, size_t size)
{
    return kernel_result(write(fd, data, size));
}

static long sys_readv(int fd, struct iovec *parts, int count)
{
    return kernel_result(readv(fd, parts, count));
}

static long sys_writev(int fd, struct iovec *parts, int count)
{
    return kernel_result(writev(fd, parts, count));
}

static long sys_pread(int fd, char *buffer, size_t size, int64_t offset)
{
    return kernel_result(pread(fd, buffer, size, offset));
}

/* Not libc's: that emulates flags of 0 by other calls where the kernel has no preadv2. */
static long sys_preadv2(int fd, char *buffer, size_t size, int64_t offset, int flags)
{
#ifdef SYS_preadv2
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    return kernel_result(syscall(SYS_preadv2, fd, &part, 1L, (long)offset, 0L, flags));
#else
    return -ENOSYS;
#endif
}

static long sys_pwrite(int fd, const char *data, size_t size, int64_t offset)
{
    return kernel_result(pwrite(fd, data, size, offset));
}

static long sys_close(int fd)
{
    return kernel_result(close(fd));
}

static long sys_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
#ifdef SYS_close_range
    return kernel_result(syscall(SYS_close_range, first, last, flags));
#else
    return -ENOSYS;
#endif
}

static long sys_dup(int fd)
{
    return kernel_result(dup(fd));
}

static long sys_dup2(int fd, int target)
{
    return kernel_result(dup2(fd, target));
}

static long sys_dup3(int fd, int target, int flags)
{
    return kernel_result(dup3(fd, target, flags));
}

static long sys_pipe2(int *ends, int flags)
{
    return kernel_result(pipe2(ends, flags));
}

/* Not libc's, for the same reason as preadv2. */
static long sys_pwritev2(int fd, const char *data, size_t size, int64_t offset, int flags)
{
#ifdef SYS_pwritev2
    struct iovec part = {.iov_base = (void *)data, .iov_len = size};
    return kernel_result(syscall(SYS_pwritev2, fd, &part, 1L, (long)offset, 0L, flags));
#else
    return -ENOSYS;
#endif
}

static long sys_lseek(int fd, int64_t offset, int whence)
{
    return kernel_result(lseek(fd, offset, whence));
}

static long sys_ftruncate(int fd, int64_t length)
{
    return kernel_result(ftruncate(fd, length));
}

static long sys_fsync(int fd)
{
    return kernel_result(fsync(fd));
}

static long sys_fdatasync(int fd)
{
    return kernel_result(fdatasync(fd));
}

static long sys_syncfs(int fd)
{
    return kernel_result(syncfs(fd));
}

static long sys_fchdir(int fd)
{
    return kernel_result(fchdir(fd));
}

static long sys_fchown(int fd, unsigned int uid, unsigned int gid)
{
    return kernel_result(fchown(fd, uid, gid));
}

/* Not libc's: older ones copy in user space where the kernel refuses. */
static long sys_copy_file_range(int in, int out, size_t count)
{
#ifdef SYS_copy_file_range
    return kernel_result(syscall(SYS_copy_file_range, in, NULL, out, NULL, count, 0));
#else
    return -ENOSYS;
#endif
}

/* The kernel's getdents64; libc reads directories through it. */
static long sys_getdents64(int fd, char *entries, size_t size)
{
    return kernel_result(syscall(SYS_getdents64, fd, entries, size));
}
