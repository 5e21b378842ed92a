import { readFileSync } from 'node:fs';
import { pause } from './http.ts';

const cpuTime = (): { idle: number; all: number } => {
  const [, ...fields] = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').trim().split(/\s+/);
  const times = fields.map(Number);
  return { idle: (times[3] ?? 0) + (times[4] ?? 0), all: times.reduce((sum, time) => sum + time, 0) };
};

const enough = 0.85;
const window = 100;

/**
 * Waits until the machine had nothing else to do for a moment, `limit` milliseconds at most: what others do on it would
 * be measured as ours.
 */
export const quietMoment = async (limit = 2000): Promise<void> => {
  for (const end = performance.now() + limit; performance.now() < end;) {
    const before = cpuTime();
    await pause(window);
    const after = cpuTime();
    if (after.idle - before.idle >= enough * (after.all - before.all)) return;
  }
};
