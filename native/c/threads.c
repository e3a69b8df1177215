/* Native threads: sleepers, which make one system call each, and the signal masks of threads that others have made. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <ucontext.h>

#define MASK_SIGNAL (SIGRTMAX - 9)
#define SLEEPER_STACK (128 * 1024) /* libc takes the thread's static TLS out of it */

struct sleeper {
    long number, arguments[6];
    uint64_t blocked; /* what its maker blocks */
    struct thread *thread;
    atomic_int announced, done; /* once it is done, its thread knows it no more */
    long result;
    int64_t started_ns, ended_ns, started_ticks, ended_ticks, switches_before, switches;
};

/* A thread is kept for the next sleeper where its call leaves it as a new one would be. Making one is the dearest call there is:
 * User-Mode Linux before 6.10 then maps all of the process's memory anew (arch/um/kernel/process.c fork_handler). */
struct thread {
    pthread_t id;
    int tid;
    _Atomic uint32_t order;    /* a futex; what it is to do next, and nothing once it has begun */
    _Atomic uint32_t finished; /* a futex; how many sleepers it has run */
    struct sleeper *sleeper;
    struct thread *next; /* of those that wait for a sleeper */
};

enum { NOTHING, SLEEP, LEAVE };

static struct thread *idle_threads;
static int idle_thread_count;

/* Few cases have more sleepers than this at a time; the threads of the others end with them. */
#define MOST_IDLE_THREADS 8

/* fork(2): a child has none of its parent's threads. */
static void forget_idle_threads(void)
{
    idle_threads = NULL;
    idle_thread_count = 0;
}

__attribute__((constructor)) static void prepare_threads(void)
{
    pthread_atfork(NULL, NULL, forget_idle_threads);
}

static int64_t own_switches(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == -1 ? -1 : usage.ru_nvcsw;
}

static void set_blocked(uint64_t mask)
{
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, (long)KERNEL_SIGSET_SIZE);
}

/* Blocks all that its maker blocks but the deadline's signal, as if it were new, and all while it waits for another sleeper: no
 * signal to the process is to find it. */
static void run_sleeper(struct sleeper *sleeper)
{
    const long *a = sleeper->arguments;
    int64_t switches;

    set_blocked(sleeper->blocked & ~(1ULL << (DEADLINE_SIGNAL - 1)));
    sleeper->switches_before = own_switches();
    sleeper->started_ns = monotonic_ns();
    sleeper->started_ticks = ticks();
    atomic_store(&sleeper->announced, 1);
    sleeper->result = kernel_result(syscall(sleeper->number, a[0], a[1], a[2], a[3], a[4], a[5]));
    sleeper->ended_ticks = ticks();
    sleeper->ended_ns = monotonic_ns();
    switches = own_switches();
    sleeper->switches = switches == -1 ? -1 : switches - sleeper->switches_before;
    set_blocked(~0ULL);
    atomic_store(&sleeper->done, 1);
}

static void *thread_main(void *own)
{
    struct thread *thread = own;
    const struct sched_param parameters = {0};
    uint32_t order;

    /* A kernel that preempts could run it in the midst of the wake that the case is about: between its socket's wait queue and
     * sk_wake_async(), for one. Who is woken with SCHED_BATCH waits for its turn (sched(7), check_preempt_wakeup()). */
    sched_setscheduler(0, SCHED_BATCH, &parameters);
    thread->tid = syscall(SYS_gettid);
    while ((order = atomic_exchange(&thread->order, NOTHING)) != LEAVE)
        if (order == SLEEP) {
            run_sleeper(thread->sleeper);
            atomic_fetch_add(&thread->finished, 1);
            syscall(SYS_futex, &thread->finished, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        } else
            syscall(SYS_futex, &thread->order, FUTEX_WAIT_PRIVATE, NOTHING, NULL, NULL, 0);
    return NULL;
}

static void give_order(struct thread *thread, uint32_t order)
{
    atomic_store(&thread->order, order);
    syscall(SYS_futex, &thread->order, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Has a new thread run a sleeper; returns an errno if there can be none. */
static int make_thread(struct sleeper *sleeper)
{
    pthread_attr_t attributes;
    int problem = pthread_attr_init(&attributes);
    if (problem)
        return problem;
    struct thread *thread = calloc(1, sizeof *thread);
    problem = thread ? pthread_attr_setstacksize(&attributes, SLEEPER_STACK) : ENOMEM;
    if (problem == 0) {
        thread->sleeper = sleeper;
        thread->order = SLEEP;
        sleeper->thread = thread;
        problem = pthread_create(&thread->id, &attributes, thread_main, thread);
    }
    pthread_attr_destroy(&attributes);
    if (problem)
        free(thread);
    return problem;
}

/* Returns NULL, and an errno, if there can be no thread. */
static struct sleeper *sleeper_start(long number, const long *arguments, int may_share, long *error)
{
    struct sleeper *sleeper = calloc(1, sizeof *sleeper);
    *error = sleeper ? 0 : ENOMEM;
    if (*error)
        return NULL;
    sleeper->number = number;
    memcpy(sleeper->arguments, arguments, sizeof sleeper->arguments);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &sleeper->blocked, (long)KERNEL_SIGSET_SIZE);
    if (may_share && idle_threads) {
        struct thread *thread = idle_threads;
        idle_threads = thread->next;
        idle_thread_count--;
        thread->sleeper = sleeper;
        sleeper->thread = thread;
        give_order(thread, SLEEP);
    } else if ((*error = make_thread(sleeper))) {
        free(sleeper);
        return NULL;
    }
    return sleeper;
}

static void await_announcement(struct sleeper *sleeper)
{
    while (!atomic_load(&sleeper->announced))
        sched_yield();
}

static long sleeper_tid(struct sleeper *sleeper)
{
    await_announcement(sleeper);
    return sleeper->thread->tid;
}

static long sleeper_done(struct sleeper *sleeper)
{
    return atomic_load(&sleeper->done);
}

/* Reads one of a thread's files in /proc; returns its size, or -ESRCH for a thread that is no more. */
static long read_of_thread(int tid, const char *name, char *text, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, name);
    long size = read_text(path, text, room);
    return size == -ENOENT ? -ESRCH : size;
}

/* The state letter of proc(5) stat; 'X' for a thread that is no more. */
static long thread_state(int tid)
{
    char text[512];
    long got = read_of_thread(tid, "stat", text, sizeof text);
    if (got < 0)
        return got == -ESRCH ? 'X' : got;
    const char *name_end = strrchr(text, ')'); /* the thread's name may hold anything, brackets too */
    return name_end && name_end[1] == ' ' ? name_end[2] : -ENODATA;
}

/* How often it has gone to sleep in its call so far. */
static long sleeper_switches(struct sleeper *sleeper)
{
    char text[PROC_TEXT];
    await_announcement(sleeper);
    long got = read_of_thread(sleeper->thread->tid, "status", text, sizeof text);
    if (got < 0)
        return got;
    static const char key[] = "\nvoluntary_ctxt_switches:";
    const char *line = strstr(text, key);
    return line && sleeper->switches_before != -1 ? atol(line + sizeof key - 1) - sleeper->switches_before : -ENODATA;
}

/* Returns 1 once the kernel says that it sleeps, 0 if its call is over, -EINTR past the deadline. */
static long sleeper_await_asleep(struct sleeper *sleeper)
{
    await_announcement(sleeper);
    while (!sleeper_done(sleeper)) {
        long state = thread_state(sleeper->thread->tid);
        if (state < 0)
            return state;
        if (state == 'S' && !sleeper_done(sleeper))
            return 1;
        if (deadline_expired())
            return -EINTR;
        sched_yield();
    }
    return 0;
}

/* Each time that it is asleep it is sent a signal that has a handler, until its call is over. */
static long sleeper_interrupt(struct sleeper *sleeper)
{
    long result;
    while ((result = sleeper_await_asleep(sleeper)) == 1) {
        if (syscall(SYS_tgkill, getpid(), sleeper->thread->tid, DEADLINE_SIGNAL) == -1 && errno != ESRCH)
            return -errno; /* ESRCH: the call has ended since, and the thread with it */
        sched_yield();
    }
    return result;
}

/* Returns 0 when its call is over, -EINTR past the deadline. */
static long sleeper_wait(struct sleeper *sleeper)
{
    _Atomic uint32_t *finished = &sleeper->thread->finished;
    for (;;) {
        uint32_t before = atomic_load(finished);
        if (sleeper_done(sleeper))
            break;
        if (syscall(SYS_futex, finished, FUTEX_WAIT_PRIVATE, before, NULL, NULL, 0) == -1 && errno != EAGAIN &&
            errno != EINTR)
            return -errno;
        if (deadline_expired())
            return -EINTR;
    }
    return 0;
}

/* Its result, when its call began and ended (CLOCK_MONOTONIC, and ticks), and how often the thread has gone to sleep in it. */
static void sleeper_outcome(struct sleeper *sleeper, int64_t *outcome)
{
    outcome[0] = sleeper->result;
    outcome[1] = sleeper->started_ns;
    outcome[2] = sleeper->ended_ns;
    outcome[3] = sleeper->started_ticks;
    outcome[4] = sleeper->ended_ticks;
    outcome[5] = sleeper->switches;
}

/* Frees a sleeper whose call is over, and has its thread wait for another one or end. pthread_join returns when the thread gives
 * up its memory (mm_release), which is before /proc forgets it (release_task). */
static long sleeper_join(struct sleeper *sleeper, int keeps_thread)
{
    struct thread *thread = sleeper->thread;
    if (keeps_thread && idle_thread_count < MOST_IDLE_THREADS) {
        thread->next = idle_threads;
        idle_threads = thread;
        idle_thread_count++;
        free(sleeper);
        return 0;
    }
    give_order(thread, LEAVE);
    int problem = pthread_join(thread->id, NULL);
    if (problem)
        return -problem;
    while (syscall(SYS_tgkill, getpid(), thread->tid, 0) == 0)
        sched_yield();
    free(thread);
    free(sleeper);
    return 0;
}

static _Atomic uint64_t mask_to_add;
static atomic_int mask_added;

/* What the context holds when a handler returns becomes the thread's mask (sigreturn(2)). */
static void mask_handler(int signo, siginfo_t *info, void *context)
{
    uint64_t mask;
    (void)signo, (void)info;
    memcpy(&mask, &((ucontext_t *)context)->uc_sigmask, sizeof mask);
    mask |= atomic_load(&mask_to_add);
    memcpy(&((ucontext_t *)context)->uc_sigmask, &mask, sizeof mask);
    atomic_store(&mask_added, 1);
}

__attribute__((constructor)) static void prepare_masks(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART, .sa_sigaction = mask_handler};
    sigaction(MASK_SIGNAL, &action, NULL);
}

/* What a thread blocks by /proc's word; nothing where it doesn't say. */
static uint64_t blocked_in(int tid)
{
    char path[64], line[256];
    unsigned long long mask = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
    FILE *status = fopen(path, "re");
    if (!status)
        return 0;
    while (fgets(line, sizeof line, status) && sscanf(line, "SigBlk: %llx", &mask) != 1)
        ;
    fclose(status);
    return mask;
}

/* Returns 1 if it has the mask, 0 if it is no more, -EINTR past the deadline. Who blocks all that is asked for can't be
 * reached, and needn't be: an emulator's own threads, for one. */
static long add_mask(int tid)
{
    int pid = getpid();
    uint64_t mask = atomic_load(&mask_to_add);
    if ((blocked_in(tid) & mask) == mask)
        return 1;
    atomic_store(&mask_added, 0);
    if (syscall(SYS_tgkill, pid, tid, MASK_SIGNAL) == -1)
        return errno == ESRCH ? 0 : -errno;
    while (!atomic_load(&mask_added)) {
        if (syscall(SYS_tgkill, pid, tid, 0) == -1)
            return 0;
        if (deadline_expired())
            return -EINTR;
        sched_yield();
    }
    return 1;
}

/* The next thread that isn't in the list; 0 if there is none. */
static long next_thread(const int *list, int count)
{
    long found = 0;
    DIR *threads = opendir("/proc/self/task");
    if (!threads)
        return -errno;
    for (struct dirent *entry; !found && (entry = readdir(threads));) {
        found = atol(entry->d_name);
        for (int i = 0; i < count; i++)
            if (list[i] == found)
                found = 0;
    }
    closedir(threads);
    return found;
}

/* Returns how many threads have the mask now. Threads that start meanwhile are found too: the list is read until it holds
 * nobody new. */
static long block_in_other_threads(uint64_t mask)
{
    enum { MOST = 4096 };
    int list[MOST], count = 0;
    long tid, result, reached = 0;
    atomic_store(&mask_to_add, mask);
    list[count++] = syscall(SYS_gettid);
    while ((tid = next_thread(list, count)) > 0) {
        if ((result = add_mask(tid)) < 0)
            return result;
        if (count == MOST)
            return -EOVERFLOW;
        reached += result;
        list[count++] = tid;
    }
    return tid < 0 ? tid : reached;
}
