#!/bin/sh
# Fills an empty /var/www/html with WordPress, as the official image does, then runs what it is told to.
set -eu

case "$1" in
  php-fpm*)
    user=www-data group=www-data
    if [ "$(id -u)" != 0 ]; then
      user=$(id -u) group=$(id -g)
    fi
    if [ ! -e index.php ] && [ ! -e wp-includes/version.php ]; then
      # A mounted folder that belongs to root would be out of WordPress' reach.
      if [ "$(id -u)" = 0 ] && [ "$(stat -c %u:%g .)" = 0:0 ]; then
        chown "$user:$group" .
      fi
      echo >&2 "WordPress not found in $PWD - copying now..."
      tar -C /usr/src/wordpress -cf - --owner="$user" --group="$group" --exclude=./wp-config-docker.php . |
        tar -xf - --no-overwrite-dir
      echo >&2 "Complete! WordPress has been successfully copied to $PWD"
    fi
    if [ ! -s wp-config.php ] && env | grep -q '^WORDPRESS_'; then
      echo >&2 "No 'wp-config.php' found in $PWD, but 'WORDPRESS_...' variables supplied; copying 'wp-config-docker.php'"
      # Each "put your unique phrase here" becomes a phrase of its own.
      awk '
        /put your unique phrase here/ {
          cmd = "head -c1m /dev/urandom | sha1sum | cut -d\\  -f1"
          cmd | getline phrase
          close(cmd)
          gsub("put your unique phrase here", phrase)
        }
        { print }
      ' /usr/src/wordpress/wp-config-docker.php >wp-config.php.new
      mv wp-config.php.new wp-config.php
      if [ "$(id -u)" = 0 ]; then
        chown "$user:$group" wp-config.php
      fi
    fi
    ;;
esac

exec docker-php-entrypoint "$@"
