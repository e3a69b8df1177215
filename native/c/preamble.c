/* Shared by all that follows: includes, and the kernel's convention for results (a value, or -errno).
 *
 * Where a libc hides what the kernel says (negative results, 64-bit signal sets, time limits written back), syscall(2) is used.
 * Python.h has already defined _GNU_SOURCE.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>

_Static_assert(sizeof(long) == 8, "sockwake supports 64-bit Linux only: its results and arguments are longs");

/* The kernel's sets of signals are 64 bits; libc's sigset_t is larger and leaves out the signals that libc keeps for itself. */
#define KERNEL_SIGSET_SIZE 8

static inline long kernel_result(long result)
{
    return result == -1 ? -errno : result;
}

static inline struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static inline int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A counter that goes as steadily as the clock does and takes no system call to read: in User-Mode Linux clock_gettime(2) is one,
 * and the account of a case's calls would ask for it at each of them. */
static inline int64_t ticks(void)
{
#if defined(__x86_64__)
    return (int64_t)__builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    int64_t now;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(now));
    return now;
#else
    return monotonic_ns();
#endif
}

/* Larger than any file of /proc that is read here: `status` names all groups that its process is in. */
#define PROC_TEXT 32768

/* The text of an open file of /proc, from its beginning, by one read; returns its size, or -errno. */
static inline long read_text_at(int fd, char *text, size_t room)
{
    long size = kernel_result(pread(fd, text, room - 1, 0));
    if (size >= 0)
        text[size] = '\0';
    return size == (long)room - 1 ? -EOVERFLOW : size;
}

/* The same of a file that isn't open. */
static inline long read_text(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -errno;
    long size = read_text_at(fd, text, room);
    close(fd);
    return size;
}
