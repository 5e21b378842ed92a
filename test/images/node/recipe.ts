import { debian } from '../debian.ts';
import type { Recipe } from '../recipe.ts';

const major = process.versions.node.split('.')[0]!;

/** The controller's own Node; tests know it as node:20 whichever it is. */
export const node: Recipe = {
  name: 'node',
  tags: [...new Set(['node:20', `node:${major}`])],
  from: debian,
  packages: ['libstdc++6', 'ca-certificates'],
  extra: { '/usr/local/bin/node': { from: process.execPath, version: `${process.version} ${process.arch}` } },
  config: {
    Entrypoint: ['docker-entrypoint.sh'],
    Cmd: ['node'],
    Env: [...debian.config.Env!, `NODE_VERSION=${process.versions.node}`],
    WorkingDir: '/',
  },
};
