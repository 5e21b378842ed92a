import { debian } from '../debian.ts';
import type { Recipe } from '../recipe.ts';

export const mariadb: Recipe = {
  name: 'mariadb',
  tags: ['mariadb:latest'],
  from: debian,
  packages: ['mariadb-server-core', 'mariadb-client-core'],
  config: {
    Entrypoint: ['docker-entrypoint.sh'],
    Cmd: ['mariadbd'],
    Env: [...debian.config.Env!, 'LANG=C.UTF-8'],
    ExposedPorts: { '3306/tcp': {} },
    Volumes: { '/var/lib/mysql': {} },
  },
};
