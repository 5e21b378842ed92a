import type { Recipe } from './recipe.ts';

/** What the other images stand on. */
export const debian: Recipe = {
  name: 'debian',
  tags: ['debian:trixie-slim'],
  config: { Cmd: ['bash'], Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'] },
};

export const DEBIAN_RELEASE = 'trixie';
