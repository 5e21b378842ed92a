import { PHP_VERSION, phpFpm } from '../php-fpm/recipe.ts';
import type { Recipe } from '../recipe.ts';

export const wordpress: Recipe = {
  name: 'wordpress',
  tags: ['wordpress:fpm', `wordpress:php${PHP_VERSION}-fpm`],
  from: phpFpm,
  config: {
    ...phpFpm.config,
    Entrypoint: ['docker-entrypoint.sh'],
    Volumes: { '/var/www/html': {} },
  },
};
