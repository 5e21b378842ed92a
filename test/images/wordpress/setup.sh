# Debian's package wants a web server and spreads WordPress over several folders by symbolic links. Unpacked without its
# dependencies, and with the links resolved, it is the tree that wordpress.org hands out.
packages='wordpress wordpress-theme-twentytwentyfive php-getid3 libjs-cropper libjs-lodash libjs-underscore'
mkdir /tmp/wordpress
cd /tmp/wordpress
apt-get download -qq $packages
for package in *.deb; do
  dpkg-deb --extract "$package" .
done
rm -f usr/share/wordpress/.htaccess usr/share/wordpress/wp-config.php
cp -rL usr/share/wordpress/. /usr/src/wordpress/
cp -rL var/lib/wordpress/wp-content/index.php /usr/src/wordpress/wp-content/
mkdir -p /usr/src/wordpress/wp-content/plugins /usr/src/wordpress/wp-content/uploads
chown -R www-data:www-data /usr/src/wordpress
cd /
rm -rf /tmp/wordpress
