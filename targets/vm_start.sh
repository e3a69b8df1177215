#!/bin/sh
# What a virtual machine runs once virtme-ng's init has mounted all: loads modules, and executes the job in a root that caches.
# Its arguments are the tag of a second export of the host's root, the job's script, and the modules' names.
#
# virtme-ng's root keeps neither names nor contents, and asks the host for each anew: pytest takes five times as long to start
# there, and looks for a case's file before each case. What is mounted here goes by busybox, since mount(8) is a set-user-ID
# program: in an ordinary user's guest it belongs to somebody who isn't root, and so gives up the rights that it was started with.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/dev/shm LANG=C.UTF-8
tag=$1 script=$2 root=/run/root
shift 2
modprobe -q -a "$@" # a kernel may have one built in
if [ -e /proc/sys/kernel/modprobe ]; then
    echo >/proc/sys/kernel/modprobe # a socket of a protocol that doesn't exist has the kernel ask for modules, a second for each
fi
if [ -e /proc/sys/kernel/sched_child_runs_first ]; then
    echo 1 >/proc/sys/kernel/sched_child_runs_first # for what, uml_init.py says
fi
policy=${script%/*}/selinux.policy
if [ -e "$policy" ]; then # where it can't be in force nothing is run
    busybox mount -t selinuxfs selinuxfs /sys/fs/selinux || exit
    cat "$policy" >/sys/fs/selinux/load || exit # in one write(2), as it has to be
    echo 1 >/sys/fs/selinux/enforce || exit
fi
mkdir "$root"
busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,access=any,msize=512000,cache=loose "$tag" "$root"
for part in /dev /proc /sys "${script%/*}"; do
    busybox mount -o rbind "$part" "$root$part"
done
exec busybox unshare -m sh -c 'cd "$1" && busybox pivot_root . . && busybox umount -l . && cd / && exec sh "$2"' sh "$root" "$script"
