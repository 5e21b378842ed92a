groupadd --system --gid 999 mysql
useradd --system --uid 999 --gid 999 --home-dir /var/lib/mysql --no-create-home --shell /usr/sbin/nologin mysql

# The package of these four brings all of Perl along.
cd /tmp
apt-get download -qq mariadb-client
dpkg-deb --fsys-tarfile mariadb-client_*.deb |
  tar -xC / ./usr/bin/mariadb-admin ./usr/bin/mysqladmin ./usr/bin/mariadb-dump ./usr/bin/mysqldump
rm mariadb-client_*.deb

rm -rf /var/lib/mysql
install -d -o mysql -g mysql -m 1777 /var/lib/mysql /run/mysqld

# A database as mariadb-install-db leaves it, ready to be copied: making it takes seconds, copying it does not.
mariadb-install-db --user=mysql --datadir=/usr/local/share/mysql-empty --auth-root-authentication-method=normal \
  --skip-test-db --force >&2
