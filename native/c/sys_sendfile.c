#include <sys/sendfile.h>

static long sys_sendfile(int out, int in, int64_t *offset, size_t count)
{
    return kernel_result(sendfile(out, in, offset, count));
}
