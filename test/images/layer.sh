#!/bin/sh
# layer.sh WORK LOWER RECIPE [PACKAGE...]
# Makes one layer: an overlay on the lower folders, packages and files put into it, what changed left in WORK/diff.
# Runs in a mount namespace of its own, so that no mount is left behind. WORK/extra holds files of this machine.
set -eu
work=$1 lower=$2 recipe=$3
shift 3

root=$work/root
mkdir -p "$work/diff" "$work/overlay" "$root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$work/diff,workdir=$work/overlay" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"

inside() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    ${http_proxy:+"http_proxy=$http_proxy"} chroot "$root" "$@"
}

if [ $# -gt 0 ]; then
  # Packages must not start their daemons here.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
  inside apt-get install -qq -o Dpkg::Use-Pty=0 --yes --no-install-recommends "$@"
  rm "$root/usr/sbin/policy-rc.d"
fi
for tree in "$recipe/root" "$work/extra"; do
  [ ! -d "$tree" ] || tar -C "$tree" --owner=0 --group=0 -cf - . | tar -C "$root" --no-overwrite-dir -xf -
done
[ ! -e "$recipe/setup.sh" ] || inside sh -eu <"$recipe/setup.sh"
inside apt-get clean

umount --recursive "$root"
cd "$work/diff"
rm -rf var/cache/apt var/cache/debconf/*-old var/log/apt var/log/dpkg.log var/log/alternatives.log var/lib/dpkg/*-old
# Overlayfs notes a removed file as a device 0/0. Nothing that a recipe removes does harm when it stays.
find . -type c -exec rm {} +
