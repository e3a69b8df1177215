#include <fcntl.h>
#include <sys/file.h>

#ifndef F_GETOWNER_UIDS
#define F_GETOWNER_UIDS 17 /* uapi/linux/fcntl.h; glibc has no name for it */
#endif

/* Enumerators in glibc; the build asks for macros. */
#define F_OWNER_TID F_OWNER_TID
#define F_OWNER_PID F_OWNER_PID
#define F_OWNER_PGRP F_OWNER_PGRP

struct lock { short type; short whence; int64_t start; int64_t length; int pid; };

/* Not libc's: that turns F_GETOWN into F_GETOWN_EX, so the kernel's F_GETOWN would never be seen. */
static long sys_fcntl(int fd, int command, long argument)
{
    return kernel_result(syscall(SYS_fcntl, fd, command, argument));
}

static long sys_getown_ex(int fd, int *type, int *pid)
{
    struct f_owner_ex owner = {.type = -1, .pid = -1}; /* no type is -1, so it shows where a kernel writes nothing */
    long result = sys_fcntl(fd, F_GETOWN_EX, (long)&owner);
    if (result == 0) {
        *type = owner.type;
        *pid = owner.pid;
    }
    return result;
}

/* F_GETOWN of a process group is its negated id, which below 4096 looks like an errno: F_GETOWN_EX, which has no such
 * ambiguity, says whether the descriptor can be asked at all. */
static long sys_getown(int fd, int *owner)
{
    int type, pid;
    long value = sys_fcntl(fd, F_GETOWN, 0);
    if (value < 0) {
        long result = sys_getown_ex(fd, &type, &pid);
        if (result < 0)
            return result;
    }
    *owner = value;
    return 0;
}

static long sys_setown_ex(int fd, int type, int pid)
{
    struct f_owner_ex owner = {.type = type, .pid = pid};
    return sys_fcntl(fd, F_SETOWN_EX, (long)&owner);
}

static long sys_getowner_uids(int fd, uint32_t *uids)
{
    return sys_fcntl(fd, F_GETOWNER_UIDS, (long)uids);
}

static long sys_lock(int fd, int command, struct lock *lock)
{
    struct flock argument = {
        .l_type = lock->type, .l_whence = lock->whence, .l_start = lock->start, .l_len = lock->length};
    long result = kernel_result(fcntl(fd, command, &argument));
    *lock = (struct lock){.type = argument.l_type, .whence = argument.l_whence, .start = argument.l_start,
                          .length = argument.l_len, .pid = argument.l_pid};
    return result;
}

static long sys_flock(int fd, int operation)
{
    return kernel_result(flock(fd, operation));
}

static long sys_openat(int directory, const char *path, int flags, unsigned int mode)
{
    return kernel_result(openat(directory, path, flags, mode));
}

/* Offsets are NULL for a file's own. */
static long sys_splice(int in, int64_t *offset_in, int out, int64_t *offset_out, size_t count, unsigned int flags)
{
    return kernel_result(splice(in, offset_in, out, offset_out, count, flags));
}

static long sys_tee(int in, int out, size_t count, unsigned int flags)
{
    return kernel_result(tee(in, out, count, flags));
}

static long sys_fallocate(int fd, int mode, int64_t offset, int64_t length)
{
    return kernel_result(fallocate(fd, mode, offset, length));
}

static long sys_posix_fadvise(int fd, int64_t offset, int64_t length, int advice)
{
    return -posix_fadvise(fd, offset, length, advice); /* returns its error */
}

static long sys_readahead(int fd, int64_t offset, size_t count)
{
    return kernel_result(readahead(fd, offset, count));
}
