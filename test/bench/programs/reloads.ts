/** How long several nginx take to load their configuration anew, in turns, and what they take when they have. */
import { readFileSync } from 'node:fs';
import { pause } from './http.ts';
import { quietMoment } from './quiet.ts';
import { program } from './report.ts';

export interface ReloadsInput {
  /** Files with the process ids of masters. */
  pidFiles: Readonly<Record<string, string>>;
  rounds: number;
}

export type ReloadsResult = Record<string, { milliseconds: number[]; bytes: number }>;

const childrenOf = (master: string): string[] =>
  readFileSync(`/proc/${master}/task/${master}/children`, 'utf8').trim().split(' ');

const until = async (done: () => boolean): Promise<void> => {
  for (const end = performance.now() + 60_000; !done(); await pause(1))
    if (performance.now() > end) throw new Error('nginx did not load its configuration within a minute');
};

/** From the signal to workers that have the new configuration; the old ones have ended when it returns. */
const reload = async (master: string): Promise<number> => {
  const old = new Set(childrenOf(master));
  const began = performance.now();
  process.kill(Number(master), 'SIGHUP');
  await until(() => childrenOf(master).some((pid) => !old.has(pid)));
  const milliseconds = performance.now() - began;
  await until(() => childrenOf(master).every((pid) => !old.has(pid)));
  return milliseconds;
};

/** What they would leave free: shared pages are counted once. */
const memory = (pids: readonly string[]): number =>
  pids.reduce((sum, pid) => {
    const [, kilobytes] = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
    return sum + Number(kilobytes) * 1024;
  }, 0);

program(async ({ pidFiles, rounds }: ReloadsInput): Promise<ReloadsResult> => {
  const masters = Object.entries(pidFiles).map(([key, file]) => [key, readFileSync(file, 'utf8').trim()] as const);
  const result: ReloadsResult = {};
  for (const [key] of masters) result[key] = { milliseconds: [], bytes: 0 };
  for (let round = 0; round < rounds; round++)
    for (const [key, master] of round % 2 === 0 ? masters : [...masters].reverse()) {
      await quietMoment();
      result[key]?.milliseconds.push(await reload(master));
    }
  for (const [key, master] of masters) {
    const one = result[key];
    if (one) one.bytes = memory([master, ...childrenOf(master)]);
  }
  return result;
});
