import { node } from '../node/recipe.ts';
import type { Recipe } from '../recipe.ts';

/** Speaks HTTP on port 3000 and nowhere else, whatever the environment says. */
export const demoHttp: Recipe = {
  name: 'demo-http',
  tags: ['demo/http:latest'],
  from: node,
  config: {
    ...node.config,
    Cmd: ['node', 'server.js'],
    WorkingDir: '/app',
    User: 'node',
    ExposedPorts: { '3000/tcp': {} },
  },
};
