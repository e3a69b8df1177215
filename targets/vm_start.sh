#!/bin/sh
# What a virtual machine runs, in the checkout, once virtme-ng's init has mounted all: loads modules, and executes the job, its
# argument.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/dev/shm LANG=C.UTF-8
# What the kernel doesn't ask for by itself when a program needs it, or asks for too late. A kernel may have them built in.
for module in veth tun dummy sch_tbf ipv6 af_packet mptcp vsock vsock_loopback inet_diag tcp_diag udp_diag; do
    modprobe -q "$module"
done
# pytest looks for a case's file before each case, and 9p keeps no name of the root's: 25 requests to the host a case.
cp -a suites /dev/shm/suites && mount --bind /dev/shm/suites suites
exec sh "$1"
