#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/signalfd.h>

_Static_assert(sizeof(siginfo_t) == 128, "a siginfo_t is SI_MAX_SIZE bytes in the kernel's interface");

enum { FIELD_SIGNO, FIELD_ERRNO, FIELD_CODE, FIELD_PID, FIELD_UID, FIELD_BAND, FIELD_FD, FIELD_STATUS, FIELD_VALUE, FIELD_LAYOUT, FIELD_REVENTS };
enum { LAYOUT_KILL, LAYOUT_TIMER, LAYOUT_POLL, LAYOUT_FAULT, LAYOUT_CHLD, LAYOUT_RT, LAYOUT_SYS };

struct signal_record { int64_t fields[11]; char raw[128]; };
struct action { unsigned long handler; unsigned long flags; uint64_t mask; int kind; };
enum { KIND_DEFAULT, KIND_IGNORE, KIND_RING, KIND_OTHER, KIND_POLLING };

/* How many codes of its own a signal has, and how they are laid out: kernel/signal.c sig_sicodes. */
static int own_codes(int signo, int *layout)
{
    *layout = LAYOUT_FAULT;
    switch (signo) {
    case SIGILL: return 11;
    case SIGFPE: return 15;
    case SIGSEGV: return 10;
    case SIGBUS: return 5;
    case SIGTRAP: return 6;
    case SIGCHLD: *layout = LAYOUT_CHLD; return 6;
    case SIGPOLL: *layout = LAYOUT_POLL; return 6;
    case SIGSYS: *layout = LAYOUT_SYS; return 2;
    default: return 0;
    }
}

/* Which member of siginfo's union the kernel has written: kernel/signal.c siginfo_layout. */
static int layout_of(int signo, int code)
{
    int layout, limit = own_codes(signo, &layout);
    if (code > SI_USER && code < SI_KERNEL) {
        if (code <= limit)
            return layout;
        return code <= 6 ? LAYOUT_POLL : LAYOUT_KILL;
    }
    if (code == SI_TIMER)
        return LAYOUT_TIMER;
    if (code == SI_SIGIO)
        return LAYOUT_POLL;
    return code < 0 ? LAYOUT_RT : LAYOUT_KILL;
}

/* Fields outside of the layout stay 0: they share memory with those inside. */
static void record_of(const siginfo_t *info, struct signal_record *record)
{
    int64_t *fields = record->fields;
    int layout = layout_of(info->si_signo, info->si_code);
    memset(fields, 0, sizeof record->fields);
    memcpy(record->raw, info, sizeof record->raw);
    fields[FIELD_SIGNO] = info->si_signo;
    fields[FIELD_ERRNO] = info->si_errno;
    fields[FIELD_CODE] = info->si_code;
    fields[FIELD_LAYOUT] = layout;
    switch (layout) {
    case LAYOUT_POLL:
        fields[FIELD_BAND] = info->si_band;
        fields[FIELD_FD] = info->si_fd;
        break;
    case LAYOUT_TIMER:
        fields[FIELD_VALUE] = info->si_value.sival_int;
        break;
    case LAYOUT_RT:
        fields[FIELD_VALUE] = info->si_value.sival_int;
        fields[FIELD_PID] = info->si_pid;
        fields[FIELD_UID] = info->si_uid;
        break;
    case LAYOUT_CHLD:
        fields[FIELD_STATUS] = info->si_status;
        fields[FIELD_PID] = info->si_pid;
        fields[FIELD_UID] = info->si_uid;
        break;
    case LAYOUT_KILL:
        fields[FIELD_PID] = info->si_pid;
        fields[FIELD_UID] = info->si_uid;
        break;
    default:
        break;
    }
}

/* From memory that the kernel has filled. */
static void siginfo_record(const char *info, struct signal_record *record)
{
    siginfo_t copy;
    memcpy(&copy, info, sizeof copy);
    record_of(&copy, record);
}

/* The ring: handlers in any number of threads write, one thread drains. A handler takes a place by moving `ring_head` on, and
 * tells that it has been filled by writing the place's number, plus one, into `filled`. */
#define RING_SIZE 4096

static struct { siginfo_t info; int revents; _Atomic uint64_t filled; } ring[RING_SIZE];
static _Atomic uint64_t ring_head, ring_tail, ring_missed;

static void write_down(const siginfo_t *info, int revents)
{
    uint64_t place = atomic_load(&ring_head);
    do {
        if (place - atomic_load(&ring_tail) >= RING_SIZE) {
            atomic_fetch_add(&ring_missed, 1);
            return;
        }
    } while (!atomic_compare_exchange_weak(&ring_head, &place, place + 1));
    ring[place % RING_SIZE].info = *info;
    ring[place % RING_SIZE].revents = revents;
    atomic_store(&ring[place % RING_SIZE].filled, place + 1);
}

static void ring_handler(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)context;
    write_down(info, 0);
}

#define POLL_EVERYTHING \
    (POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG | POLLRDHUP)

/* Asks the descriptor that the signal names for all that poll can say, as a program's handler would. */
static void polling_handler(int signo, siginfo_t *info, void *context)
{
    int saved = errno;
    struct pollfd asked = {.fd = info->si_fd, .events = (short)POLL_EVERYTHING};
    (void)signo, (void)context;
    long ready = poll(&asked, 1, 0);
    write_down(info, ready == 1 ? (unsigned short)asked.revents : 0);
    errno = saved;
}

static long ring_drain(struct signal_record *records, int room)
{
    int count = 0;
    for (uint64_t place = atomic_load(&ring_tail); count < room; place++, count++) {
        if (atomic_load(&ring[place % RING_SIZE].filled) != place + 1)
            break;
        record_of(&ring[place % RING_SIZE].info, &records[count]);
        records[count].fields[FIELD_REVENTS] = ring[place % RING_SIZE].revents;
        atomic_store(&ring_tail, place + 1);
    }
    return count;
}

/* How many signals found the ring full since the last call. */
static long ring_lost(void)
{
    return (long)atomic_exchange(&ring_missed, 0);
}

static void set_of(uint64_t mask, sigset_t *set)
{
    sigemptyset(set);
    memcpy(set, &mask, sizeof mask);
}

static void action_of(const struct sigaction *from, struct action *to)
{
    to->handler = (unsigned long)from->sa_handler;
    to->flags = (unsigned int)from->sa_flags;
    memcpy(&to->mask, &from->sa_mask, sizeof to->mask);
    to->kind = from->sa_handler == SIG_DFL             ? KIND_DEFAULT
               : from->sa_handler == SIG_IGN           ? KIND_IGNORE
               : from->sa_sigaction == ring_handler    ? KIND_RING
               : from->sa_sigaction == polling_handler ? KIND_POLLING
                                                       : KIND_OTHER;
}

/* Signals whose action may not be what the last census found: at first all. */
static uint64_t actions_since_census = ~0ULL;

static long set_action(int signo, const struct sigaction *action, struct action *old)
{
    struct sigaction before;
    if (sigaction(signo, action, &before) == -1)
        return -errno;
    if (action)
        actions_since_census |= 1ULL << (signo - 1);
    action_of(&before, old);
    return 0;
}

static long sys_sigaction(int signo, int kind, int flags, uint64_t mask, struct action *old)
{
    struct sigaction action = {.sa_flags = flags};
    set_of(mask, &action.sa_mask);
    if (kind == KIND_RING || kind == KIND_POLLING) {
        action.sa_flags |= SA_SIGINFO;
        action.sa_sigaction = kind == KIND_RING ? ring_handler : polling_handler;
    } else {
        action.sa_handler = kind == KIND_IGNORE ? SIG_IGN : SIG_DFL;
    }
    return set_action(signo, &action, old);
}

static long sys_sigaction_query(int signo, struct action *found)
{
    return set_action(signo, NULL, found);
}

static long sys_sigaction_restore(int signo, const struct action *saved, struct action *old)
{
    struct sigaction action = {.sa_flags = (int)saved->flags};
    action.sa_handler = (void (*)(int))saved->handler;
    set_of(saved->mask, &action.sa_mask);
    return set_action(signo, &action, old);
}

static long sys_sigprocmask(int how, uint64_t mask, uint64_t *old)
{
    return kernel_result(syscall(SYS_rt_sigprocmask, how, &mask, old, (long)KERNEL_SIGSET_SIZE));
}

static long sys_sigpending(uint64_t *pending)
{
    return kernel_result(syscall(SYS_rt_sigpending, pending, (long)KERNEL_SIGSET_SIZE));
}

/* A timeout below 0 is none. Returns the signal's number. */
static long sys_sigtimedwait(uint64_t mask, int64_t timeout_ns, struct signal_record *record)
{
    siginfo_t info;
    struct timespec limit = timespec_of(timeout_ns);
    long result = kernel_result(syscall(SYS_rt_sigtimedwait, &mask, &info, timeout_ns < 0 ? NULL : &limit,
                                        (long)KERNEL_SIGSET_SIZE));
    if (result >= 0)
        record_of(&info, record);
    return result;
}

/* Fetches what is pending now, in the kernel's order; returns how many. */
static long sys_drain_signals(uint64_t mask, struct signal_record *records, int room)
{
    int count = 0;
    while (count < room) {
        long result = sys_sigtimedwait(mask, 0, &records[count]);
        if (result == -EAGAIN)
            break;
        if (result < 0)
            return result;
        count++;
    }
    return count;
}

static long sys_sigqueue(int pid, int signo, int value)
{
    return kernel_result(sigqueue(pid, signo, (union sigval){.sival_int = value}));
}

static long sys_kill(int pid, int signo)
{
    return kernel_result(kill(pid, signo));
}

static long sys_tgkill(int pid, int tid, int signo)
{
    return kernel_result(syscall(SYS_tgkill, pid, tid, signo));
}

static long sys_signalfd(int fd, uint64_t mask, int flags)
{
    return kernel_result(syscall(SYS_signalfd4, fd, &mask, (long)KERNEL_SIGSET_SIZE, flags));
}
