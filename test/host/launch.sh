#!/bin/sh
# launch.sh FOLDER ROOTFS "CGROUP_PROCS..." NSPAWN-ARGUMENT...
# Runs in mount and PID namespaces of its own: mounts and processes end with it, however it ends.
set -u
folder=$1 rootfs=$2 cgroups=$3
shift 3

# systemd-nspawn keeps notes in /run, and fails to remove them where that is not a tmpfs.
mount -t tmpfs tmpfs /run &&
  mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$folder/upper,workdir=$folder/work" "$folder/root" || exit

boot() (
  # This script stays outside of the groups: a v2 group with processes of its own cannot pass its controllers on.
  for procs in $cgroups; do
    sh -c 'echo $PPID' >"$procs" || exit
  done
  exec setpriv --pdeathsig KILL systemd-nspawn --directory="$folder/root" "$@"
)

boot "$@"
# 133 is systemd-nspawn's word for "it wants to be booted again".
while [ $? -eq 133 ]; do
  boot "$@"
done
