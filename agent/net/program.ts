/** Runs a program of the admin's: nothing that it does or says can hold us up or fill our memory. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { realpathSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { type Timers, withDeadline } from './timers.ts';

/*
 * INVARIANTS
 * - It gets words, never a shell, and no variable of ours but those given.
 * - We wait for the program itself, not for its output to end: what it leaves running in the background may keep the pipe open.
 * - Of its output only the end is kept.
 * - When its time is over, it goes with all the children that stayed in its process group.
 */

export interface ProgramEnd {
  /** Null when a signal ended it. */
  code: number | null;
  signal: string | null;
  /** Ended by us because its time was over. */
  late: boolean;
  /** The end of what it wrote to either output, as it came. */
  output: string;
}

export interface ProgramOptions {
  env: Readonly<Record<string, string>>;
  limitMs: number;
  timers: Timers;
}

const keptBytes = 16 * 1024;
/** For what is still in the pipe when the program has ended. */
const drainMs = 200;
/** Between the polite signal and the other. */
const graceMs = 3000;

/** What any program can rely on. */
const environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
} as const;

/** The end of what is read from the streams. */
const keepEnd = (streams: readonly Readable[]): (() => string) => {
  let kept: Buffer[] = [];
  let size = 0;
  for (const stream of streams)
    stream
      .on('data', (chunk: Buffer) => {
        kept.push(chunk);
        size += chunk.length;
        if (size < 8 * keptBytes) return;
        kept = [Buffer.concat(kept).subarray(-keptBytes)];
        size = keptBytes;
      })
      .on('error', () => undefined);
  return () => Buffer.concat(kept).subarray(-keptBytes).toString('utf8');
};

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'it, or the interpreter that its first line names, is not there',
  EACCES: 'it is not executable',
};

const startFailure = (program: string, cause: unknown): Error => {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return new Error(`${program} cannot be run: ${reasons[code] ?? code}`, { cause });
};

/** Sends a signal to the program and its children; gone already is fine. */
const signalGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // ESRCH
  }
};

/** Runs the program to its end. Rejects, in words, only when it cannot be started. */
export const runProgram = async (
  program: string,
  words: readonly string[],
  { env, limitMs, timers }: ProgramOptions,
): Promise<ProgramEnd> => {
  let child;
  try {
    child = spawn(program, words, {
      cwd: '/',
      env: { ...environment, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own, so that its children can be told from ours.
      detached: true,
    });
  } catch (error) {
    throw startFailure(program, error);
  }
  const { stdout, stderr } = child;
  const output = keepEnd([stdout, stderr]);
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', (error) => reject(startFailure(program, error)));
  });
  const closed = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  let late = false;
  let callOff = timers.after(limitMs, () => {
    late = true;
    signalGroup(child, 'SIGTERM');
    callOff = timers.after(graceMs, () => signalGroup(child, 'SIGKILL'));
  });
  try {
    const end = await ended;
    await withDeadline(timers, drainMs, closed, () => new Error()).catch(() => undefined);
    return { ...end, late, output: output() };
  } finally {
    callOff();
    if (late) signalGroup(child, 'SIGKILL');
    stdout.destroy();
    stderr.destroy();
  }
};

const writable = { byGroupOrOthers: 0o022, byOthers: 0o002, sticky: 0o1000 };

const isTrustedOwner = ({ uid }: Stats): boolean => uid === 0 || uid === process.geteuid?.();

/** The same for a folder, which must be there, and for those that it is in: null when only root can put something else there. */
export const whyFolderUntrusted = (path: string): string | null => {
  for (let folder = realpathSync(path); ; folder = dirname(folder)) {
    const stats = statSync(folder);
    if (!isTrustedOwner(stats)) return `the owner of the folder ${folder} is not root (chown root)`;
    // Not the group: Debian's /usr/local belongs to `staff`, whose members are root's equals.
    if ((stats.mode & writable.byOthers) !== 0 && (stats.mode & writable.sticky) === 0)
      return `anybody may write to the folder ${folder} (chmod o-w)`;
    if (folder === '/') return null;
  }
};

/**
 * Null when only root (or who runs us) can change what would be run, else why not, in words. Links are followed: what counts
 * is the file at their end and the folders on the way to it.
 */
export const whyUntrusted = (path: string): string | null => {
  let file: string;
  try {
    file = realpathSync(path);
  } catch {
    return 'it is not there';
  }
  const stats = statSync(file);
  if (!stats.isFile()) return 'it is not a regular file';
  if (!isTrustedOwner(stats)) return 'its owner is not root (chown root)';
  if ((stats.mode & writable.byGroupOrOthers) !== 0) return 'others than its owner may write to it (chmod go-w)';
  if ((stats.mode & 0o111) === 0) return 'it is not executable (chmod +x)';
  return whyFolderUntrusted(dirname(file));
};

/** How a program ended that did not end well, in words; null when it did. */
export const howItFailed = ({ code, signal, late }: ProgramEnd, limitMs: number): string | null => {
  if (late) return `did not end within ${limitMs / 1000} s`;
  if (signal !== null) return `was ended by ${signal}`;
  return code === 0 ? null : `ended with ${code}`;
};
