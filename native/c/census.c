/* What a process holds, so that two moments can be compared. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct census {
    int descriptors[4096], descriptor_count;
    long threads, children;
    uint64_t blocked, pending;
    uint64_t actions[128]; /* handler and flags of signals 1 to 64 */
    uint64_t limits[2 * RLIM_NLIMITS]; /* soft and hard */
    uint64_t net_namespace, user_namespace; /* inode numbers; 0 where the kernel shows none */
    char cpus[128];
};

_Static_assert(RLIM_NLIMITS == 16, "the declaration for cffi has 16 limits");

struct kernel_dirent { uint64_t inode; int64_t offset; unsigned short size; unsigned char type; char name[]; };

/* Hands each number in a directory of /proc to `take`; returns how many there were, or -errno. */
static long each_number(const char *path, long (*take)(struct census *, int), struct census *census)
{
    _Alignas(struct kernel_dirent) char buffer[8192];
    long size, count = 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        return -errno;
    while ((size = kernel_result(syscall(SYS_getdents64, fd, buffer, sizeof buffer))) > 0) {
        const struct kernel_dirent *entry;
        for (long at = 0; at < size && count >= 0; at += entry->size) {
            entry = (const void *)(buffer + at);
            if (entry->name[0] == '.')
                continue;
            int number = atoi(entry->name);
            if (take && number != fd && take(census, number) < 0)
                count = -EOVERFLOW;
            count += count >= 0;
        }
    }
    close(fd);
    return size < 0 ? size : count;
}

static long take_descriptor(struct census *census, int fd)
{
    if (census->descriptor_count == sizeof census->descriptors / sizeof *census->descriptors)
        return -EOVERFLOW;
    census->descriptors[census->descriptor_count++] = fd;
    return 0;
}

/* The calling thread's children; where the kernel doesn't list them (CONFIG_PROC_CHILDREN), 1 for any number of them. */
static long count_children(int thread)
{
    char text[4096];
    ssize_t size;
    long count = 0;
    int fd = openat(thread, "children", O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        siginfo_t info;
        return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == -1 ? 0 : 1;
    }
    while ((size = read(fd, text, sizeof text)) > 0)
        for (ssize_t i = 0; i < size; i++)
            count += text[i] == ' ';
    close(fd);
    return count;
}

/* gVisor's /proc makes up another inode for a user namespace each time: that says nothing, so it is 0. */
static uint64_t inode_of(int thread, const char *name)
{
    struct stat found, again;
    if (fstatat(thread, name, &found, 0) == -1 || fstatat(thread, name, &again, 0) == -1)
        return 0;
    return found.st_ino == again.st_ino ? found.st_ino : 0;
}

#define KERNEL_SA_RESTORER 0x04000000UL /* libc adds it to whatever it sets, so it says nothing */

/* The signals between the standard ones and SIGRTMIN are libc's own, which sets them up with the first thread. */
static void read_actions(uint64_t *actions)
{
    const int first_of_libc = 32, first_after = SIGRTMIN;
    for (int signo = 1; signo <= 64; signo++, actions += 2) {
        struct { uint64_t handler, flags, rest[8]; } action = {0};
        if (signo >= first_of_libc && signo < first_after)
            continue;
        syscall(SYS_rt_sigaction, signo, NULL, &action, (long)KERNEL_SIGSET_SIZE);
        actions[0] = action.handler;
        actions[1] = action.flags & ~KERNEL_SA_RESTORER;
    }
}

static long census(struct census *census)
{
    memset(census, 0, sizeof *census);
    long result = each_number("/proc/self/fd", take_descriptor, census);
    if (result < 0)
        return result;
    if ((census->threads = each_number("/proc/self/task", NULL, census)) < 0)
        return census->threads;
    int thread = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (thread == -1)
        return -errno;
    census->children = count_children(thread);
    census->net_namespace = inode_of(thread, "ns/net");
    census->user_namespace = inode_of(thread, "ns/user");
    close(thread);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &census->blocked, (long)KERNEL_SIGSET_SIZE);
    syscall(SYS_rt_sigpending, &census->pending, (long)KERNEL_SIGSET_SIZE);
    read_actions(census->actions);
    for (int resource = 0; resource < RLIM_NLIMITS; resource++)
        syscall(SYS_prlimit64, 0, resource, NULL, &census->limits[2 * resource]);
    syscall(SYS_sched_getaffinity, 0, sizeof census->cpus, census->cpus);
    return 0;
}
