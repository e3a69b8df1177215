/* The deadline: a POSIX timer whose signal interrupts whatever call the thread that started it is blocked in.
 *
 * After the deadline the signal comes again and again, so that it also ends a call that was only just about to block.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define DEADLINE_SIGNAL (SIGRTMAX - 8) /* the last few are not there under qemu-user */
#define DEADLINE_REPEAT_NS 50000000

static timer_t deadline_timer;
static int deadline_number;               /* the timer's; 0 while there is none */
static __thread int own_deadline_number; /* that of the last timer that was made to signal this thread */
static int deadlines_made;
static atomic_int deadline_passed;

/* A sleeper is interrupted with the same signal (by tgkill), which says nothing about the time. */
static void deadline_handler(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)context;
    if (info->si_code == SI_TIMER)
        atomic_store(&deadline_passed, 1);
}

/* timer_create(2): a child has none of its parent's timers. */
static void forget_deadline(void)
{
    deadline_number = 0;
    atomic_store(&deadline_passed, 0);
}

/* On loading, so that a deadline's first use doesn't look like a change of what the process had. No SA_RESTART: EINTR is the
 * signal's purpose. */
__attribute__((constructor)) static void prepare_deadlines(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO, .sa_sigaction = deadline_handler};
    sigaction(DEADLINE_SIGNAL, &action, NULL);
    pthread_atfork(NULL, NULL, forget_deadline);
}

static long make_deadline_timer(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = DEADLINE_SIGNAL};
    sigset_t set;
    long tid = syscall(SYS_gettid);
    if (deadline_number)
        timer_delete(deadline_timer);
    deadline_number = 0;
#ifdef sigev_notify_thread_id
    event.sigev_notify_thread_id = tid;
#else
    event._sigev_un._tid = tid;
#endif
    if (timer_create(CLOCK_MONOTONIC, &event, &deadline_timer) == -1)
        return -errno;
    deadline_number = own_deadline_number = ++deadlines_made;
    sigemptyset(&set);
    sigaddset(&set, DEADLINE_SIGNAL);
    return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static long set_deadline_timer(int64_t ns, int64_t repeat_ns)
{
    struct itimerspec times = {.it_value = timespec_of(ns), .it_interval = timespec_of(repeat_ns)};
    return kernel_result(timer_settime(deadline_timer, 0, &times, NULL));
}

/* Starts it anew for the calling thread. */
static long deadline_start(int64_t ns)
{
    long result;
    if (ns <= 0)
        return -EINVAL;
    if ((!deadline_number || own_deadline_number != deadline_number) && (result = make_deadline_timer()) < 0)
        return result;
    if ((result = set_deadline_timer(ns, DEADLINE_REPEAT_NS)) < 0)
        return result;
    atomic_store(&deadline_passed, 0);
    return 0;
}

static long deadline_stop(void)
{
    long result = deadline_number ? set_deadline_timer(0, 0) : 0;
    atomic_store(&deadline_passed, 0);
    return result;
}

static int deadline_expired(void)
{
    return atomic_load(&deadline_passed);
}
