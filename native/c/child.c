/* A forked child that holds copies of all descriptors, never runs Python, and makes the system calls it is told to make. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Orders are counted, so that an answer which a deadline has cut off isn't taken for a later one. */
struct child_order { long count, number, arguments[6]; };
struct child_answer { long count, result; };

/* Pipes, not sockets: the sockets' counters belong to what is being tested. */
static void child_main(int orders, int answers)
{
    struct child_order order;
    while (read(orders, &order, sizeof order) == sizeof order) {
        const long *a = order.arguments;
        struct child_answer answer = {.count = order.count};
        answer.result = kernel_result(syscall(order.number, a[0], a[1], a[2], a[3], a[4], a[5]));
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

static long child_reap(int pid)
{
    int status;
    return kernel_result(waitpid(pid, &status, 0));
}
