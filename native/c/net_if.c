#include <linux/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static long on_device(const char *name, int (*act)(int fd, struct ifreq *request))
{
    struct ifreq request = {0};
    if (strlen(name) >= sizeof request.ifr_name)
        return -ENODEV;
    strcpy(request.ifr_name, name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -errno;
    long result = act(fd, &request);
    if (result == -1)
        result = -errno;
    close(fd);
    return result;
}

static int set_up(int fd, struct ifreq *request)
{
    if (ioctl(fd, SIOCGIFFLAGS, request) == -1)
        return -1;
    if (request->ifr_flags & IFF_UP)
        return 0; /* gVisor's loopback always is, and the request to switch it on unknown */
    request->ifr_flags |= IFF_UP;
    return ioctl(fd, SIOCSIFFLAGS, request);
}

static int get_index(int fd, struct ifreq *request)
{
    return ioctl(fd, SIOCGIFINDEX, request) == -1 ? -1 : request->ifr_ifindex;
}

static long sys_if_up(const char *name)
{
    return on_device(name, set_up);
}

static long sys_if_index(const char *name)
{
    return on_device(name, get_index);
}
