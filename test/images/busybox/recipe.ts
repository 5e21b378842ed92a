import type { Recipe } from '../recipe.ts';

/** As little as an image can be: no bash, no curl, no libc. Serves /www on port 3000. */
export const busybox: Recipe = {
  name: 'busybox',
  tags: ['alpine-like:latest'],
  config: {
    Env: ['PATH=/bin'],
    Cmd: ['httpd', '-f', '-v', '-p', '3000', '-h', '/www'],
    ExposedPorts: { '3000/tcp': {} },
  },
};
