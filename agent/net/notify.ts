import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

/** What the service tells systemd about itself (sd_notify(3)). None of these rejects or takes longer than the bounded wait. */
export interface Notify {
  ready(status: string): Promise<void>;
  status(text: string): Promise<void>;
  /** Still alive; due every `watchdogMs`. */
  watchdog(): Promise<void>;
  /** Sends and returns at once: nothing on the way out may wait for a child that is killed together with us. */
  stopping(): void;
  /** Milliseconds between signs of life: half of WatchdogSec=; null when systemd expects none. */
  watchdogMs: number | null;
}

const program = 'systemd-notify';
const longestStatus = 500;

const interval = (env: NodeJS.ProcessEnv, pid: number): number | null => {
  const owner = env['WATCHDOG_PID'];
  const microseconds = Number(env['WATCHDOG_USEC']);
  if ((owner !== undefined && owner !== String(pid)) || !(microseconds > 0)) return null;
  return Math.max(1, Math.floor(microseconds / 2000));
};

/** STATUS= is one line: a newline in it would begin another assignment. */
const oneLine = (text: string): string => text.replace(/[\0-\x1f\x7f]+/g, ' ').slice(0, longestStatus);

/**
 * Speaks to systemd through its own `systemd-notify`: Node has no datagram unix sockets and the program costs 5 to 9 ms.
 * Without NOTIFY_SOCKET nothing is sent.
 */
export const createNotify = (env: NodeJS.ProcessEnv, pid: number, waitMs = 2000): Notify => {
  const run = (words: readonly string[], done: () => void): ChildProcess | null => {
    if (!env['NOTIFY_SOCKET']) return null;
    const child = spawn(program, words, { env, stdio: 'ignore', timeout: waitMs, killSignal: 'SIGKILL' });
    return child.once('error', done).once('close', done);
  };
  const send = (words: readonly string[]): Promise<void> =>
    new Promise((resolve) => {
      if (!run(words, resolve)) resolve();
    });
  return {
    ready: (status) => send(['--ready', `--status=${oneLine(status)}`]),
    status: (text) => send([`--status=${oneLine(text)}`]),
    watchdog: () => send(['WATCHDOG=1']),
    stopping: () => {
      run(['STOPPING=1'], () => undefined)?.unref();
    },
    watchdogMs: interval(env, pid),
  };
};
