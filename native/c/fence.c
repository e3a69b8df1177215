/* The fence: what was put on a loopback queue before it has been handled when it returns. */
#include <stdatomic.h>
#include <sys/socket.h>

/* Each leg has a number, so that one which a deadline has cut off isn't taken for a later one. Returns 0 or -errno. */
static long fence(int to, int from, int legs)
{
    static _Atomic uint32_t last;
    while (legs-- > 0) {
        uint32_t sent = atomic_fetch_add(&last, 1) + 1, received;
        ssize_t size = send(to, &sent, sizeof sent, MSG_NOSIGNAL);
        do {
            if (size == -1)
                return -errno;
            do /* a signal whose handler runs meanwhile is what is waited for, as often as not */
                size = recv(from, &received, sizeof received, MSG_WAITALL);
            while (size == -1 && errno == EINTR && !deadline_expired());
            if (size == 0)
                return -ENOTCONN;
        } while (size == -1 || received != sent);
    }
    return 0;
}
