/**
 * Requests per second of several vhosts, in turns. The turns are short, so that what else goes on on the machine meets all of
 * them alike.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { quietMoment } from './quiet.ts';
import { program } from './report.ts';

export interface LoadInput {
  /** Path of load.pl. */
  generator: string;
  vhosts: readonly string[];
  path: string;
  connections: number;
  rounds: number;
  /** About how long a turn takes. */
  seconds: number;
}

/** By vhost, requests per second of each round. */
export type LoadResult = Record<string, number[]>;

program(async ({ generator, vhosts, path, connections, rounds, seconds }: LoadInput, tell): Promise<LoadResult> => {
  const child = spawn('perl', [generator, path, String(connections)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const turn = async (vhost: string, count: number): Promise<number> => {
    const began = performance.now();
    child.stdin.write(`${vhost} ${count}\n`);
    const { done } = await answers.next();
    if (done === true) throw new Error(`the load generator ended while it asked ${vhost}`);
    return (count / (performance.now() - began)) * 1000;
  };

  const counts = new Map<string, number>();
  for (const vhost of vhosts) {
    await turn(vhost, 500); // fills caches, starts workers
    counts.set(vhost, Math.ceil((await turn(vhost, 1000)) * seconds));
  }
  const result: LoadResult = Object.fromEntries(vhosts.map((vhost) => [vhost, []]));
  for (let round = 0; round < rounds; round++) {
    if (round % 10 === 0) await quietMoment();
    for (const vhost of round % 2 === 0 ? vhosts : [...vhosts].reverse())
      result[vhost]?.push(await turn(vhost, counts.get(vhost) ?? 0));
    if (round % 20 === 19) tell(`${round + 1} of ${rounds} rounds`);
  }
  child.kill();
  return result;
});
