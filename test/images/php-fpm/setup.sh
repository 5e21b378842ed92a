# Debian's php-fpm looks where Debian keeps its settings; the official image's are elsewhere.
version=$(ls /etc/php)
ln -sf /usr/local/etc/php-fpm.conf "/etc/php/$version/fpm/php-fpm.conf"
ln -s "/usr/sbin/php-fpm$version" /usr/local/sbin/php-fpm
ln -sf "/usr/bin/php$version" /usr/local/bin/php
# The official image has no php.ini, only PHP's own defaults.
rm -f "/etc/php/$version/fpm/php.ini" "/etc/php/$version/cli/php.ini"
mkdir -p /usr/local/etc/php/conf.d
rm -rf /var/www/html
install -d -o www-data -g www-data -m 1777 /var/www/html
