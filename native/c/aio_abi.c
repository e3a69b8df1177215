#include <linux/aio_abi.h>

/* A context's requests, by their aio_data. */
enum { AIO_POLL, AIO_PENDING, AIO_REQUESTS };

#define AIO_WAITS LONG_MIN /* in place of a result */

/* The context lives as long as the process: io_destroy(2) waits for an RCU grace period. */
struct aio {
    unsigned long context;
    struct iocb asked[AIO_REQUESTS];
    long results[AIO_REQUESTS];
};

/* Returns 0 or -errno. */
static long aio_open(struct aio *aio)
{
    aio->context = 0;
    return kernel_result(syscall(SYS_io_setup, 4, &aio->context));
}

static long aio_submit(struct aio *aio, int request, int fd, uint32_t events)
{
    struct iocb *asked = &aio->asked[request];
    *asked = (struct iocb){.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = fd, .aio_buf = events, .aio_data = request};
    aio->results[request] = AIO_WAITS;
    return kernel_result(syscall(SYS_io_submit, aio->context, 1L, &asked));
}

/* Files what has completed, once there is at least so much. Returns 0 or -errno. */
static long aio_reap(struct aio *aio, long least)
{
    struct io_event events[AIO_REQUESTS];
    long count = kernel_result(syscall(SYS_io_getevents, aio->context, least, (long)AIO_REQUESTS, events, NULL));
    for (long i = 0; i < count; i++)
        aio->results[events[i].data] = events[i].res;
    return count < 0 ? count : 0;
}

/* Waits for a request's result, which it cancels first if it is told to. Its completion comes as an event, whatever io_cancel says. */
static long aio_take(struct aio *aio, int request, int cancel)
{
    struct io_event event;
    if (cancel)
        syscall(SYS_io_cancel, aio->context, &aio->asked[request], &event);
    while (aio->results[request] == AIO_WAITS) {
        long error = aio_reap(aio, 1);
        if (error)
            return error;
    }
    return aio->results[request];
}

/* What IOCB_CMD_POLL says at once: revents, 0 if it would wait (and is cancelled), or -errno. */
static long aio_poll(struct aio *aio, int fd, uint32_t events)
{
    long error = aio_submit(aio, AIO_POLL, fd, events);
    if (error >= 0)
        error = aio_reap(aio, 0);
    return error < 0 ? error : aio_take(aio, AIO_POLL, aio->results[AIO_POLL] == AIO_WAITS);
}

/* IOCB_CMD_POLL, left pending. Returns 0 or -errno. */
static long aio_begin(struct aio *aio, int fd, uint32_t events)
{
    long submitted = aio_submit(aio, AIO_PENDING, fd, events);
    return submitted < 0 ? submitted : 0;
}

/* Waits for the result of the request that was left pending, which it cancels first if it is told to. */
static long aio_end(struct aio *aio, int cancel)
{
    return aio_take(aio, AIO_PENDING, cancel);
}
