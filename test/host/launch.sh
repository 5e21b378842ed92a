#!/bin/sh
# launch.sh FOLDER ROOTFS "CGROUP_PROCS..." NSPAWN-ARGUMENT...
# Runs in a mount namespace of its own: what is mounted here ends with the host, however that ends.
set -eu
folder=$1 rootfs=$2 cgroups=$3
shift 3
for procs in $cgroups; do
  echo $$ >"$procs"
done
mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
exec systemd-nspawn --directory="$folder/root" "$@"
