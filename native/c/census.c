/* What a process holds, so that two moments can be compared. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct census {
    int descriptors[4096], descriptor_count;
    long threads, children;
    uint64_t blocked, pending, ignored, caught;
    uint64_t net_namespace, user_namespace; /* inode numbers; 0 where the kernel shows none */
    int limits_size;
    char limits[4096]; /* the text of /proc/self/limits */
    char cpus[128];
};

#define FIRST_OF_LIBC 32 /* from here to SIGRTMIN the C library keeps signals for itself, and catches them when it first needs to */

struct kernel_dirent { uint64_t inode; int64_t offset; unsigned short size; unsigned char type; char name[]; };

static long list_descriptors(struct census *census)
{
    _Alignas(struct kernel_dirent) char buffer[8192];
    const long room = sizeof census->descriptors / sizeof *census->descriptors;
    long size;
    int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        return -errno;
    while ((size = kernel_result(syscall(SYS_getdents64, fd, buffer, sizeof buffer))) > 0) {
        const struct kernel_dirent *entry;
        for (long at = 0; at < size; at += entry->size) {
            entry = (const void *)(buffer + at);
            int number = atoi(entry->name);
            if (entry->name[0] == '.' || number == fd)
                continue;
            if (census->descriptor_count == room) {
                close(fd);
                return -EOVERFLOW;
            }
            census->descriptors[census->descriptor_count++] = number;
        }
    }
    close(fd);
    return size;
}

/* Files of /proc that a thread reads at each census: they stay open, since opening takes longer than reading does. */
enum { STATUS, CHILDREN, LIMITS, KEPT_FILES };
static __thread int kept_files[KEPT_FILES]; /* descriptors, or -errno; 0 before the first census */

static void open_kept_files(void)
{
    static const char *const paths[KEPT_FILES] = {
        "/proc/thread-self/status", "/proc/thread-self/children", "/proc/self/limits"};
    for (int file = 0; file < KEPT_FILES; file++)
        if (kept_files[file] == 0)
            kept_files[file] = kernel_result(open(paths[file], O_RDONLY | O_CLOEXEC));
}

/* fork(2): what the parent's files say is the parent's. They stay open: a child holds what its parent holds, to the number. */
static void forget_kept_files(void)
{
    memset(kept_files, 0, sizeof kept_files);
}

__attribute__((constructor)) static void prepare_kept_files(void)
{
    pthread_atfork(NULL, NULL, forget_kept_files);
}

static long read_kept_file(int file, char *text, size_t room)
{
    return kept_files[file] < 0 ? kept_files[file] : read_text_at(kept_files[file], text, room);
}

/* The calling thread's children; where the kernel doesn't list them (CONFIG_PROC_CHILDREN), 1 for any number of them. */
static long count_children(void)
{
    char text[PROC_TEXT];
    long count = 0, size = read_kept_file(CHILDREN, text, sizeof text);
    if (size == -ENOENT) {
        siginfo_t info;
        return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == -1 ? 0 : 1;
    }
    for (long i = 0; i < size; i++)
        count += text[i] == ' ';
    return size < 0 ? size : count;
}

static uint64_t inode_of(const char *path)
{
    struct stat found;
    return stat(path, &found) == -1 ? 0 : found.st_ino;
}

/* gVisor's /proc makes up another inode for a user namespace each time: that says nothing. Asked once in a process. */
static int inodes_stay(void)
{
    static int asked, stay;
    if (!asked) {
        stay = inode_of("/proc/thread-self/ns/user") == inode_of("/proc/thread-self/ns/user");
        asked = 1;
    }
    return stay;
}

/* For a kernel whose /proc doesn't tell: each signal is asked whose action has been set since the last time. All would take 64 calls,
 * 1.2 ms on gVisor. An action that was set past set_action() is seen on the kernels that tell. */
static void ask_actions(struct census *census)
{
    static uint64_t ignored, caught;
    for (int signo = 1; signo <= 64; signo++) {
        const uint64_t bit = 1ULL << (signo - 1);
        struct { uint64_t handler, rest[9]; } action = {0};
        if (!(actions_since_census & bit))
            continue;
        syscall(SYS_rt_sigaction, signo, NULL, &action, (long)KERNEL_SIGSET_SIZE);
        ignored &= ~bit;
        caught &= ~bit;
        if (action.handler == (uint64_t)SIG_IGN)
            ignored |= bit;
        else if (action.handler != (uint64_t)SIG_DFL)
            caught |= bit;
    }
    actions_since_census = 0;
    census->ignored = ignored;
    census->caught = caught;
}

/* What /proc/thread-self/status tells, which takes one file instead of a call for each signal: in User-Mode Linux a third of a
 * case's time went into those. */
static long read_status(struct census *census)
{
    char text[PROC_TEXT];
    const char *line;
    long size = read_kept_file(STATUS, text, sizeof text);
    if (size < 0)
        return size;
    if (!(line = strstr(text, "\nThreads:")) || sscanf(line, "\nThreads: %ld", &census->threads) != 1)
        return -EPROTO;
    if (!(line = strstr(text, "\nSigIgn:")) ||
        sscanf(line, "\nSigIgn: %lx\nSigCgt: %lx", &census->ignored, &census->caught) != 2)
        ask_actions(census);
    census->threads -= idle_thread_count; /* the lab's, not the case's */
    for (int signo = FIRST_OF_LIBC; signo < SIGRTMIN; signo++)
        census->caught &= ~(1ULL << (signo - 1));
    return 0;
}

static long census(struct census *census)
{
    memset(census, 0, sizeof *census);
    open_kept_files();
    long result = list_descriptors(census);
    if (result < 0 || (result = read_status(census)) < 0)
        return result;
    if ((census->children = count_children()) < 0)
        return census->children;
    if ((result = read_kept_file(LIMITS, census->limits, sizeof census->limits)) < 0)
        return result;
    census->limits_size = result;
    census->net_namespace = inodes_stay() ? inode_of("/proc/thread-self/ns/net") : 0;
    census->user_namespace = inodes_stay() ? inode_of("/proc/thread-self/ns/user") : 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &census->blocked, (long)KERNEL_SIGSET_SIZE);
    syscall(SYS_rt_sigpending, &census->pending, (long)KERNEL_SIGSET_SIZE);
    syscall(SYS_sched_getaffinity, 0, sizeof census->cpus, census->cpus);
    return 0;
}
