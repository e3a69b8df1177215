/* Neither call has a wrapper in libc's headers. */

static long sys_finit_module(int fd, const char *parameters, int flags)
{
    return kernel_result(syscall(SYS_finit_module, fd, parameters, flags));
}

static long sys_delete_module(const char *name, unsigned int flags)
{
    return kernel_result(syscall(SYS_delete_module, name, flags));
}
