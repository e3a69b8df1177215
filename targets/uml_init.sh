#!/bin/sh
# The first process of a User-Mode Linux guest, whose root is the host's, read-only. Mounts what a system has, the job's
# shared folder, and makes the kernel find its modules; executes the job; powers off. Its environment comes from the
# kernel's command line: sockwake_shared (the folder on the host), sockwake_script (the job), sockwake_modules (where the
# kernel's lib/modules is; may be empty).
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/dev/shm LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev # a kernel that has none shows the nodes of the host, which serve too
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mkdir /dev/shm/shared
mount -t hostfs -o "$sockwake_shared" none /dev/shm/shared

if [ -n "$sockwake_modules" ]; then
    printf '#!/bin/sh\nexec /sbin/modprobe -d %s "$@"\n' "'$sockwake_modules'" >/dev/shm/modprobe
    chmod +x /dev/shm/modprobe
    echo /dev/shm/modprobe >/proc/sys/kernel/modprobe
    # What the kernel doesn't ask for by itself when a program needs it, or asks for too late.
    for module in veth tun dummy sch_tbf ipv6 af_packet mptcp vsock vsock_loopback inet_diag tcp_diag udp_diag; do
        /dev/shm/modprobe -q "$module"
    done
fi

sh "$sockwake_script"
sync
# Power off, which the kernel does in a thread of its own. Without sysrq, the end of init ends the kernel as well.
echo o >/proc/sysrq-trigger && sleep 10
