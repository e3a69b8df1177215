/* A child that holds copies of all descriptors, never runs Python, and makes the system calls it is told to make. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Orders are counted, so that an answer which a deadline has cut off isn't taken for a later one. */
struct child_order { long count, number, arguments[6]; };
struct child_answer { long count, result; };

/* What a child can do beside system calls, whose numbers aren't negative. */
#define CHILD_SET_MASK (-1L)
#define CHILD_EXECUTE (-2L)

/* A system call that leaves errno alone, which a child that shares memory has in common with the thread that made it. */
#if defined(__x86_64__)
#define CHILD_MAY_SHARE 1
static long bare_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
#define CHILD_MAY_SHARE 1
static long bare_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#define CHILD_MAY_SHARE 0
static long bare_call(long number, long a, long b, long c, long d, long e, long f)
{
    return kernel_result(syscall(number, a, b, c, d, e, f));
}
#endif

#define CHILD_STACK (64 * 1024)

/* What a child begins with, and what its parent keeps of it; `stack` is the child's where it shares memory, else NULL. */
struct child {
    int orders, answers; /* the parent's ends */
    int child_orders, child_answers;
    int parent, dumpable;
    char *stack;
};

/* The program that it becomes has nothing of it but the pipe of orders, whose end is its own. */
static long child_execute(int orders)
{
    char *const arguments[] = {"sh", "-c", "read order", NULL}, *const environment[] = {NULL};
    long result = bare_call(SYS_dup3, orders, 0, 0, 0, 0, 0);
    return result < 0 ? result : bare_call(SYS_execve, (long)"/bin/sh", (long)arguments, (long)environment, 0, 0, 0);
}

static long child_act(int orders, long number, const long *a)
{
    switch (number) {
    case CHILD_SET_MASK:
        return bare_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)a, 0, KERNEL_SIGSET_SIZE, 0, 0);
    case CHILD_EXECUTE: return child_execute(orders);
    default: return bare_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
}

/* Pipes, not sockets: the sockets' counters belong to what is being tested. */
static int child_main(void *begins_with)
{
    struct child child = *(const struct child *)begins_with; /* a copy: the parent changes its own */
    struct child_order order;
    bare_call(SYS_close, child.orders, 0, 0, 0, 0, 0);
    bare_call(SYS_close, child.answers, 0, 0, 0, 0, 0);
    bare_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    if (bare_call(SYS_getppid, 0, 0, 0, 0, 0, 0) != child.parent) /* it has died before the child asked to be told */
        bare_call(SYS_exit_group, 0, 0, 0, 0, 0, 0);
    struct child_answer answer = {.count = 0}; /* the first says that it has begun */
    while (bare_call(SYS_write, child.child_answers, (long)&answer, sizeof answer, 0, 0, 0) == sizeof answer &&
           bare_call(SYS_read, child.child_orders, (long)&order, sizeof order, 0, 0, 0) == sizeof order) {
        answer.count = order.count;
        answer.result = child_act(child.child_orders, order.number, order.arguments);
    }
    bare_call(SYS_exit_group, 0, 0, 0, 0, 0, 0);
    return 0;
}

/* Returns the pid, or -1 with errno. What can't share memory (an emulator's child, for one) gets memory of its own. */
static pid_t child_make(struct child *child, int shares)
{
    if (shares && CHILD_MAY_SHARE) {
        child->stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (child->stack == MAP_FAILED) {
            child->stack = NULL;
            return -1;
        }
        pid_t pid = clone(child_main, child->stack + CHILD_STACK, CLONE_VM | SIGCHLD, child);
        if (pid != -1)
            return pid;
        munmap(child->stack, CHILD_STACK);
        child->stack = NULL;
    }
    pid_t pid = fork();
    if (pid == 0)
        child_main(child);
    return pid;
}

/* Returns the child's pid once it runs, or -errno. */
static long child_fork(struct child *child, int shares)
{
    int orders[2], answers[2];
    if (pipe2(orders, O_CLOEXEC) == -1)
        return -errno;
    if (pipe2(answers, O_CLOEXEC) == -1) {
        int problem = errno;
        close(orders[0]);
        close(orders[1]);
        return -problem;
    }
    *child = (struct child){.orders = orders[1], .answers = answers[0],
                            .child_orders = orders[0], .child_answers = answers[1], .parent = getpid(),
                            .dumpable = prctl(PR_GET_DUMPABLE)};
    pid_t pid = child_make(child, shares);
    int problem = errno;
    close(orders[0]);
    close(answers[1]);
    if (pid == -1) {
        close(orders[1]);
        close(answers[0]);
        return -problem;
    }
    struct child_answer begun;
    while (read(answers[0], &begun, sizeof begun) == -1 && errno == EINTR)
        ; /* what it begins with lies in memory that the caller may take back */
    return pid;
}

/* Returns 0 when the child has made the call, whose result is in *result; -EINTR if it hasn't yet. */
static long child_call(const struct child *child, long number, const long *arguments, long *result)
{
    static long orders;
    struct child_order order = {.count = ++orders, .number = number};
    struct child_answer answer;
    memcpy(order.arguments, arguments, sizeof order.arguments);
    if (write(child->orders, &order, sizeof order) == -1)
        return -errno;
    do {
        ssize_t size = read(child->answers, &answer, sizeof answer);
        if (size == -1)
            return -errno;
        if (size != sizeof answer) /* it has died */
            return -EPIPE;
    } while (answer.count != order.count);
    *result = answer.result;
    return 0;
}

/* Tells it to end. That its orders come to an end would not do: later children hold copies of where they come from. */
static long child_dismiss(const struct child *child)
{
    struct child_order order = {.number = SYS_exit_group};
    struct pollfd way = {.fd = child->orders};
    poll(&way, 1, 0);
    if (way.revents & POLLERR) /* nobody reads it: it has ended already, and writing would be a SIGPIPE */
        return 0;
    return write(child->orders, &order, sizeof order) == -1 ? -errno : 0;
}

/* Returns 0 once it has ended, been stopped or gone on, which leaves it to be reaped: what waitid(2) says of it. */
static long child_state(int pid, int *code, int *status)
{
    siginfo_t info;
    if (waitid(P_PID, pid, &info, WEXITED | WSTOPPED | WCONTINUED | WNOWAIT) == -1)
        return -errno;
    *code = info.si_code;
    *status = info.si_status;
    return 0;
}

static long child_reap(struct child *child, int pid)
{
    int status;
    long reaped = kernel_result(waitpid(pid, &status, 0));
    if (reaped == pid && child->stack) {
        munmap(child->stack, CHILD_STACK);
        child->stack = NULL;
        prctl(PR_SET_DUMPABLE, child->dumpable); /* one that took on other ids has changed it (kernel/cred.c commit_creds) */
    }
    return reaped;
}

/* Returns a copy of a descriptor of its, which stands for the same open file, or -errno. */
static long child_copy(int pid, int fd)
{
#if defined(SYS_pidfd_open) && defined(SYS_pidfd_getfd)
    long process = kernel_result(syscall(SYS_pidfd_open, pid, 0));
    if (process < 0)
        return process;
    long copy = kernel_result(syscall(SYS_pidfd_getfd, process, fd, 0));
    close((int)process);
    return copy;
#else
    (void)pid, (void)fd;
    return -ENOSYS;
#endif
}
