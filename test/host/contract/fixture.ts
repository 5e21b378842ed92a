import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const folder = '/run/systemd/system';
const prefix = 'af-t-c-';

/** Runs a program of the host and returns what it printed; what it complains about is shown when it fails. */
export const run = (program: string, ...words: string[]): string =>
  execFileSync(program, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Full name of a unit of these tests. */
export const named = (rest: string): string => `${prefix}${rest}`;

/** Writes a unit file of these tests, in the folder that a reboot empties. New ones need no daemon-reload. */
export const writeUnit = (rest: string, text: string): string => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/${named(rest)}`, text);
  return named(rest);
};

/** Stops and removes every unit of these tests. */
export const removeUnits = (): void => {
  run('systemctl', 'stop', `${prefix}*`);
  run('systemctl', 'reset-failed', `${prefix}*`);
  for (const name of readdirSync(folder)) if (name.startsWith(prefix)) rmSync(`${folder}/${name}`);
  run('systemctl', 'daemon-reload');
};

/** Waits until something is true; says what it waited for when it never is. */
export const until = async (what: string, test: () => boolean | Promise<boolean>, seconds = 20): Promise<void> => {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(20)) if (await test()) return;
  throw new Error(`${what}: not within ${seconds} s`);
};
