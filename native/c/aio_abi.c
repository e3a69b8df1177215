#include <linux/aio_abi.h>

/* The context lives as long as the process: io_destroy(2) waits for an RCU grace period. Returns 0 or -errno. */
static long aio_open(unsigned long *context)
{
    *context = 0;
    return kernel_result(syscall(SYS_io_setup, 4, context));
}

static long aio_take(unsigned long context, long least, struct io_event *event)
{
    return kernel_result(syscall(SYS_io_getevents, context, least, 1L, event, NULL));
}

/* What IOCB_CMD_POLL says at once: revents, 0 if it would wait (and is cancelled), or -errno. */
static long aio_poll(unsigned long context, int fd, uint32_t events)
{
    struct iocb ask = {.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = fd, .aio_buf = events}, *asked = &ask;
    struct io_event event;
    long taken = kernel_result(syscall(SYS_io_submit, context, 1L, &asked));
    if (taken >= 0)
        taken = aio_take(context, 0, &event);
    if (taken == 0) {
        syscall(SYS_io_cancel, context, &ask, &event); /* its completion comes as an event, whatever this says */
        taken = aio_take(context, 1, &event);
    }
    return taken < 0 ? taken : event.res;
}
