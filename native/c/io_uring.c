#include <linux/io_uring.h>
#include <limits.h>
#include <sys/mman.h>

enum { RING_ENTRIES = 4, RING_ROOM = 16 };

/* A ring's requests, by their user_data. */
enum { RING_POLL, RING_PENDING, RING_CANCEL, RING_REQUESTS };

#define RING_WAITS LONG_MIN /* in place of a result */

/* A ring of few entries, as io_uring_setup(2) gives it; `head`, `tail`, `mask` and `array` point into shared memory. */
struct ring {
    int fd;
    long results[RING_REQUESTS];
    char room[RING_ROOM];
    unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *entries;
    struct io_uring_cqe *completions;
};

static char *ring_map(int fd, size_t size, off_t offset)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);
}

/* The ring lives as long as the process. Returns its descriptor or -errno. */
static long ring_open(struct ring *ring)
{
    struct io_uring_params params = {0};
    ring->fd = syscall(SYS_io_uring_setup, RING_ENTRIES, &params);
    if (ring->fd == -1)
        return -errno;
    char *sq = ring_map(ring->fd, params.sq_off.array + params.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    char *cq = ring_map(ring->fd, params.cq_off.cqes + params.cq_entries * sizeof *ring->completions, IORING_OFF_CQ_RING);
    char *entries = ring_map(ring->fd, params.sq_entries * sizeof *ring->entries, IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || entries == MAP_FAILED)
        return -ENOMEM;
    ring->sq_tail = (unsigned *)(sq + params.sq_off.tail);
    ring->sq_mask = (unsigned *)(sq + params.sq_off.ring_mask);
    ring->sq_array = (unsigned *)(sq + params.sq_off.array);
    ring->cq_head = (unsigned *)(cq + params.cq_off.head);
    ring->cq_tail = (unsigned *)(cq + params.cq_off.tail);
    ring->cq_mask = (unsigned *)(cq + params.cq_off.ring_mask);
    ring->completions = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
    ring->entries = (struct io_uring_sqe *)entries;
    return ring->fd;
}

/* Files what has completed. Returns whether the request has. */
static int ring_reap(struct ring *ring, int request)
{
    unsigned head = *ring->cq_head, tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
    for (; head != tail; head++) {
        const struct io_uring_cqe *completion = &ring->completions[head & *ring->cq_mask];
        ring->results[completion->user_data] = completion->res;
    }
    __atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
    return ring->results[request] != RING_WAITS;
}

/* Returns 0 or -errno. */
static long ring_submit(struct ring *ring, struct io_uring_sqe entry)
{
    unsigned tail = *ring->sq_tail, index = tail & *ring->sq_mask;
    ring->entries[index] = entry;
    ring->sq_array[index] = index;
    ring->results[entry.user_data] = RING_WAITS;
    __atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
    long submitted = syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0);
    return submitted == -1 ? -errno : 0;
}

/* Waits until a request has completed. Returns 0 or -errno. */
static long ring_await(struct ring *ring, int request)
{
    while (!ring_reap(ring, request))
        if (syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) == -1)
            return -errno;
    return 0;
}

/* What IORING_OP_POLL_ADD says at once: revents, 0 if it would wait (and is cancelled), or -errno. */
static long ring_poll(struct ring *ring, int fd, uint32_t events)
{
    struct io_uring_sqe ask = {.opcode = IORING_OP_POLL_ADD, .fd = fd, .poll32_events = events, .user_data = RING_POLL};
    struct io_uring_sqe cancel = {.opcode = IORING_OP_POLL_REMOVE, .fd = -1, .addr = RING_POLL, .user_data = RING_CANCEL};
    long error = ring_submit(ring, ask);
    if (!error && !ring_reap(ring, RING_POLL)) {
        error = ring_submit(ring, cancel);
        if (!error)
            error = ring_await(ring, RING_CANCEL);
        if (!error)
            error = ring_await(ring, RING_POLL);
    }
    long found = ring->results[RING_POLL];
    return error ? error : found == -ECANCELED ? 0 : found;
}

/* IORING_OP_POLL_ADD, or with no events IORING_OP_RECV into the ring's room, left pending. Returns 0 or -errno. */
static long ring_begin(struct ring *ring, int fd, uint32_t events)
{
    struct io_uring_sqe ask = {.opcode = IORING_OP_POLL_ADD, .fd = fd, .poll32_events = events, .user_data = RING_PENDING};
    if (!events)
        ask = (struct io_uring_sqe){
            .opcode = IORING_OP_RECV, .fd = fd, .addr = (uintptr_t)ring->room, .len = RING_ROOM, .user_data = RING_PENDING};
    return ring_submit(ring, ask);
}

/* Waits for the result of the request that was left pending, which it cancels first if it is told to. */
static long ring_end(struct ring *ring, int cancel)
{
    struct io_uring_sqe ask = {
        .opcode = IORING_OP_ASYNC_CANCEL, .fd = -1, .addr = RING_PENDING, .user_data = RING_CANCEL};
    long error = cancel ? ring_submit(ring, ask) : 0;
    if (!error && cancel)
        error = ring_await(ring, RING_CANCEL);
    if (!error)
        error = ring_await(ring, RING_PENDING);
    return error ? error : ring->results[RING_PENDING];
}
