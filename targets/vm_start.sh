#!/bin/sh
# What a virtual machine runs, in the checkout, once virtme-ng's init has mounted all: loads modules, and executes the job.
# Its arguments are the job's script and the modules' names.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/dev/shm LANG=C.UTF-8
script=$1
shift
for module; do
    modprobe -q "$module" # a kernel may have it built in
done
# pytest looks for a case's file before each case, and 9p keeps no name of the root's: 25 requests to the host a case.
cp -a suites /dev/shm/suites && mount --bind /dev/shm/suites suites
exec sh "$script"
