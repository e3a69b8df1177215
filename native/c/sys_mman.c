#include <sys/mman.h>

static long sys_mmap(uint64_t hint, size_t length, int protection, int flags, int fd, uint64_t *address)
{
    void *mapped = mmap((void *)hint, length, protection, flags, fd, 0);
    if (mapped == MAP_FAILED)
        return -errno;
    *address = (uint64_t)mapped;
    return 0;
}

static long sys_munmap(uint64_t address, size_t length)
{
    return kernel_result(munmap((void *)address, length));
}
