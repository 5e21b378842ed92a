import { debian } from '../debian.ts';
import type { Recipe } from '../recipe.ts';

/** Debian 13's. */
export const PHP_VERSION = '8.4';

const parts = ['fpm', 'mysql', 'gd', 'curl', 'mbstring', 'xml', 'zip', 'intl', 'opcache'];

export const phpFpm: Recipe = {
  name: 'php-fpm',
  tags: ['php:fpm', `php:${PHP_VERSION}-fpm`],
  from: debian,
  // The small systemd-tmpfiles keeps the whole of systemd out.
  packages: [...parts.map((part) => `php${PHP_VERSION}-${part}`), 'systemd-standalone-tmpfiles', 'ca-certificates'],
  config: {
    Entrypoint: ['docker-php-entrypoint'],
    Cmd: ['php-fpm'],
    Env: [...debian.config.Env!, 'PHP_INI_DIR=/usr/local/etc/php', 'PHP_INI_SCAN_DIR=:/usr/local/etc/php/conf.d'],
    WorkingDir: '/var/www/html',
    StopSignal: 'SIGQUIT',
    ExposedPorts: { '9000/tcp': {} },
  },
};
