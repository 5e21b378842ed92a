/** Requests per second of several vhosts, in turns and in short rounds, so that all of them meet the same machine. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { program } from './report.ts';
import { quietMoment } from './quiet.ts';

export interface LoadInput {
  vhosts: readonly string[];
  path: string;
  connections: number;
  rounds: number;
}

/** By vhost, a number for each round. */
export type LoadResult = Record<string, number[]>;

const run = promisify(execFile);

const load = async (vhost: string, path: string, connections: number): Promise<number> => {
  const argv = ['-t1', `-c${connections}`, '-d1', '-H', `Host: ${vhost}`, `http://127.0.0.1${path}`];
  const { stdout } = await run('wrk', argv);
  const bad = /^\s*(Non-2xx or 3xx responses|Socket errors): .*$/m.exec(stdout);
  if (bad !== null) throw new Error(`${vhost}: ${bad[0].trim()}`);
  const rate = Number(/^Requests\/sec:\s*([\d.]+)$/m.exec(stdout)?.[1]);
  if (!(rate > 0)) throw new Error(`wrk said: ${stdout}`);
  return rate;
};

program(async ({ vhosts, path, connections, rounds }: LoadInput, tell): Promise<LoadResult> => {
  const result: LoadResult = Object.fromEntries(vhosts.map((vhost) => [vhost, []]));
  // The first round fills caches and starts workers.
  for (let round = -1; round < rounds; round++) {
    for (const vhost of round % 2 === 0 ? vhosts : [...vhosts].reverse()) {
      await quietMoment();
      const rate = await load(vhost, path, connections);
      if (round >= 0) result[vhost]?.push(rate);
    }
    if (round % 5 === 4) tell(`${round + 1} of ${rounds} rounds`);
  }
  return result;
});
