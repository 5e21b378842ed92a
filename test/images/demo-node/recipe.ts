import { node } from '../node/recipe.ts';
import type { Recipe } from '../recipe.ts';

/** An ordinary Node program that listens on $PORT and knows nothing of us. */
export const demoNode: Recipe = {
  name: 'demo-node',
  tags: ['demo/node-app:latest'],
  from: node,
  config: {
    ...node.config,
    Env: [...node.config.Env!, 'NODE_ENV=production'],
    Cmd: ['node', 'server.js'],
    WorkingDir: '/app',
    User: 'node',
  },
};
