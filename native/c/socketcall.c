/* socketcall(2): the one call of the 32-bit interface for all that sockets do, made by the gate that 32-bit programs use. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define LOW_MEMORY_SIZE 4096

/* Memory below 4 GiB, which is all that 32-bit pointers reach; NULL where there is none. Made once and kept. */
static char *low_memory(void)
{
    static char *memory;
#ifdef MAP_32BIT
    if (!memory) {
        void *found = mmap(NULL, LOW_MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
        memory = found == MAP_FAILED ? NULL : found;
    }
#endif
    return memory;
}

/* A kernel without CONFIG_IA32_EMULATION answers with SIGSEGV, so ask socketcall_works first. */
static long sys_socketcall(int call, uint32_t arguments)
{
#ifdef __x86_64__
    long result = 102; /* socketcall in arch/x86/entry/syscalls/syscall_32.tbl */
    __asm__ volatile("int $0x80"
                     : "+a"(result)
                     : "b"((long)call), "c"((unsigned long)arguments)
                     : "memory", "cc", "r8", "r9", "r10", "r11");
    return (int)result;
#else
    (void)call, (void)arguments;
    return -ENOSYS;
#endif
}

/* Returns 0 if a process that made a socket by it has one, -ENOSYS if it got something else, or a signal. */
static long socketcall_works(void)
{
    uint32_t *words = (uint32_t *)low_memory();
    if (!words)
        return -ENOSYS;
    pid_t pid = fork();
    if (pid == -1)
        return -errno;
    if (pid == 0) {
        struct rlimit none = {0, 0};
        int type = 0;
        socklen_t size = sizeof type;
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGSEGV, SIG_DFL);
        words[0] = AF_UNIX, words[1] = SOCK_DGRAM, words[2] = 0;
        long fd = sys_socketcall(1, (uint32_t)(uintptr_t)words);
        _exit(fd < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_DGRAM);
    }
    int status;
    if (waitpid(pid, &status, 0) == -1)
        return -errno;
    return status == 0 ? 0 : -ENOSYS;
}
