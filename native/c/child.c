/* A forked child that holds copies of all descriptors, never runs Python, and makes the system calls it is told to make. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Orders are counted, so that an answer which a deadline has cut off isn't taken for a later one. */
struct child_order { long count, number, arguments[6]; };
struct child_answer { long count, result; };

/* What a child can do beside system calls, whose numbers aren't negative. */
#define CHILD_SET_MASK (-1L)
#define CHILD_EXECUTE (-2L)

/* The program that it becomes has nothing of it but the pipe of orders, whose end is its own. */
static long child_execute(int orders)
{
    char *const arguments[] = {"sh", "-c", "read order", NULL}, *const environment[] = {NULL};
    if (dup2(orders, 0) == -1)
        return -errno;
    return kernel_result(execve("/bin/sh", arguments, environment));
}

static long child_act(int orders, long number, const long *a)
{
    uint64_t old;
    switch (number) {
    case CHILD_SET_MASK: return sys_sigprocmask(SIG_SETMASK, a[0], &old);
    case CHILD_EXECUTE: return child_execute(orders);
    default: return kernel_result(syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]));
    }
}

/* Pipes, not sockets: the sockets' counters belong to what is being tested. */
static void child_main(int orders, int answers)
{
    struct child_order order;
    while (read(orders, &order, sizeof order) == sizeof order) {
        struct child_answer answer = {.count = order.count};
        answer.result = child_act(orders, order.number, order.arguments);
        if (write(answers, &answer, sizeof answer) != sizeof answer)
            break;
    }
    _exit(0);
}

/* Returns the child's pid; ends: where its orders go, and where its answers come from. */
static long child_fork(int *ends)
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
    pid_t parent = getpid(), pid = fork();
    int problem = errno;
    if (pid == 0) {
        close(orders[1]);
        close(answers[0]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) /* otherwise the parent has died before the child asked to be told */
            child_main(orders[0], answers[1]);
        _exit(0);
    }
    close(orders[0]);
    close(answers[1]);
    if (pid == -1) {
        close(orders[1]);
        close(answers[0]);
        return -problem;
    }
    ends[0] = orders[1];
    ends[1] = answers[0];
    return pid;
}

/* Returns 0 when the child has made the call, whose result is in *result; -EINTR if it hasn't yet. */
static long child_call(const int *ends, long number, const long *arguments, long *result)
{
    static long orders;
    struct child_order order = {.count = ++orders, .number = number};
    struct child_answer answer;
    memcpy(order.arguments, arguments, sizeof order.arguments);
    if (write(ends[0], &order, sizeof order) == -1)
        return -errno;
    do {
        ssize_t size = read(ends[1], &answer, sizeof answer);
        if (size == -1)
            return -errno;
        if (size != sizeof answer) /* it has died */
            return -EPIPE;
    } while (answer.count != order.count);
    *result = answer.result;
    return 0;
}

/* Tells it to end. That its orders come to an end would not do: later children hold copies of where they come from. */
static long child_dismiss(const int *ends)
{
    struct child_order order = {.number = SYS_exit_group};
    struct pollfd way = {.fd = ends[0]};
    poll(&way, 1, 0);
    if (way.revents & POLLERR) /* nobody reads it: it has ended already, and writing would be a SIGPIPE */
        return 0;
    return write(ends[0], &order, sizeof order) == -1 ? -errno : 0;
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

static long child_reap(int pid)
{
    int status;
    return kernel_result(waitpid(pid, &status, 0));
}
