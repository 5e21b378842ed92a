cd /tmp
apt-get download -qq busybox-static
mkdir -p /layer/bin /layer/www /layer/etc /layer/tmp /layer/root
chmod 1777 /layer/tmp
dpkg-deb --fsys-tarfile busybox-static_*.deb | tar -xO ./usr/bin/busybox >/layer/bin/busybox
chmod 755 /layer/bin/busybox
for applet in $(/layer/bin/busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "/layer/bin/$applet"
done
echo 'root:x:0:0:root:/root:/bin/sh' >/layer/etc/passwd
echo 'root:x:0:' >/layer/etc/group
echo '<h1>Hello from busybox</h1>' >/layer/www/index.html
