import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  lutimesSync,
  openSync,
  readFileSync,
  readlinkSync,
  statSync,
} from 'node:fs';
import { chmod, lstat, mkdir, open, readdir, rename, rm, rmdir, symlink, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { sha256 } from '../core/hash.ts';
import { AppFleetError } from '../errors.ts';
import type { Files, GeneratedFile } from '../ports.ts';

/*
 * INVARIANTS
 * - A file is replaced as a whole or not at all: readers see the old text or the new one, also after a power cut.
 * - One temporary name per path: what a killed agent leaves behind is overwritten by the next write and never piles up.
 * - Reading is synchronous. 6,000 small files take a third of the time that the thread pool needs, and none of them can
 *   block: they are opened without waiting and must be regular files of moderate size.
 */

const largest = 32 * 1024 * 1024;
const permissions = 0o7777;

const reasons: Record<string, string> = {
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the disk quota is exceeded',
  EROFS: 'the file system is read-only',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of the path is not a directory',
  ENOTEMPTY: 'the directory is not empty',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'too many symbolic links',
  EIO: 'input/output error',
  EMFILE: 'too many open files',
};

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

const failure = (verb: string, path: string, cause: unknown): AppFleetError => {
  const code = codeOf(cause);
  const reason = reasons[code] ?? (cause instanceof Error ? cause.message : String(cause));
  const hint =
    (code === 'EACCES' || code === 'EPERM') && process.geteuid?.() !== 0 ? { hint: 'the same with sudo' } : {};
  return new AppFleetError('AF_FILE', `cannot ${verb} ${path}: ${reason}`, { cause, ...hint });
};

/** The result of `work`, or `absent` where the path does not exist; anything else is AF_FILE. */
const orAbsent = async <T, A>(verb: string, path: string, absent: A, work: () => T | Promise<T>): Promise<T | A> => {
  try {
    return await work();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return absent;
    throw failure(verb, path, error);
  }
};

const readOpen = (path: string): { text: string; mode: number } => {
  // O_NONBLOCK: opening a FIFO somebody put there would otherwise wait for its writer.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(fd);
    if (stats.isDirectory()) throw new Error('it is a directory');
    if (!stats.isFile()) throw new Error('it is not a regular file');
    if (stats.size > largest) throw new Error(`it is larger than ${largest / 1024 / 1024} MB`);
    return { text: readFileSync(fd, 'utf8'), mode: stats.mode & permissions };
  } finally {
    closeSync(fd);
  }
};

/** Clocks of file systems tick every few milliseconds: two changes within a tick look like one. */
const settledMs = 100;

const stampOf = (path: string): string | null => {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined || Math.abs(Date.now() - stats.ctimeMs) < settledMs) return null;
  const { dev, ino, size, mtimeMs, ctimeMs } = stats;
  // Joined rather than interpolated: thousands of these are kept, and a template string keeps its parts as well.
  return [dev, ino, size, mtimeMs, ctimeMs].join(' ');
};

/** Hidden, without a suffix that systemd, nginx or we would load, and short enough for any name. */
const temporaryFor = (path: string): string =>
  join(dirname(path), `.appfleet-${sha256(basename(path)).slice(0, 16)}.tmp`);

const discard = (path: string): Promise<void> => unlink(path).catch(() => undefined);

const replace = async (file: GeneratedFile): Promise<void> => {
  const temporary = temporaryFor(file.path);
  try {
    // Removed first: O_EXCL then guarantees that we write to a new file of ours, whatever lay there.
    await discard(temporary);
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(file.text);
      await handle.chmod(file.mode);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // The directory is not synced: after a power cut the old file may be back, whole, and the next pass sees it.
    await rename(temporary, file.path);
  } catch (error) {
    await discard(temporary);
    throw error;
  }
};

const isCurrent = (file: GeneratedFile): boolean => {
  try {
    // A link of that name is not our file, whatever it points to.
    if (!lstatSync(file.path).isFile()) return false;
    const { text, mode } = readOpen(file.path);
    return mode === file.mode && text === file.text;
  } catch {
    // Unreadable or absent: replacing it is the way to find out.
    return false;
  }
};

/** Runs the work and, if only the folder was missing, makes the folder and runs it again. */
const withFolder = async (path: string, work: () => Promise<void>): Promise<void> => {
  try {
    await work();
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true });
    await work();
  }
};

const point = async (path: string, target: string): Promise<void> => {
  const temporary = temporaryFor(path);
  try {
    await discard(temporary);
    await symlink(target, temporary);
    await rename(temporary, path);
  } catch (error) {
    await discard(temporary);
    throw error;
  }
};

const targetOf = (path: string): string | null => {
  try {
    return readlinkSync(path);
  } catch (error) {
    // EINVAL: there is something, but no link.
    if (codeOf(error) === 'EINVAL' || codeOf(error) === 'ENOENT') return null;
    throw error;
  }
};

const accessed = (path: string): number => {
  // Never follows a link: the container may write in the socket's folder, and we are root.
  const { atimeMs, mtimeMs } = lstatSync(path);
  // connect(2) touches a socket's access time, but on a relatime mount only while it is not newer than the modification
  // time. The larger of both clocks, so that this holds too after somebody set the clock back.
  if (atimeMs > mtimeMs) lutimesSync(path, atimeMs / 1000, Math.max(Date.now(), atimeMs + 1) / 1000);
  return atimeMs / 1000;
};

const makeFolder = async (path: string, mode: number): Promise<void> => {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    // A link is no folder of ours, whatever it points to.
    const stats = await lstat(path);
    if (!stats.isDirectory()) throw new Error('it is there and not a directory', { cause: error });
    if ((stats.mode & permissions) === mode) return;
  }
  // The umask had its say in mkdir.
  await chmod(path, mode);
};

/** The machine's file system. */
export const createFiles = (): Files => ({
  read: (path) => orAbsent('read', path, null, () => readOpen(path).text),
  // What cannot be looked at is read, and reading says why.
  stamp: (path) => orAbsent('look at', path, null, () => stampOf(path)).catch(() => null),
  exists: (path) => orAbsent('look at', path, false, () => lstatSync(path, { throwIfNoEntry: false }) !== undefined),
  list: (directory) => orAbsent('list', directory, [], () => readdir(directory)),
  write: async (file) => {
    if (isCurrent(file)) return 'unchanged';
    try {
      await withFolder(file.path, () => replace(file));
      return 'written';
    } catch (error) {
      throw failure('write', file.path, error);
    }
  },
  makeFolder: async (path, mode) => {
    try {
      await withFolder(path, () => makeFolder(path, mode));
    } catch (error) {
      throw failure('make the folder', path, error);
    }
  },
  remove: (path) =>
    orAbsent('remove', path, undefined, async () => {
      await discard(temporaryFor(path));
      await ((await lstat(path)).isDirectory() ? rmdir(path) : unlink(path));
    }),
  removeTree: (path) => orAbsent('remove', path, undefined, () => rm(path, { recursive: true, force: true })),
  link: async (path, target) => {
    try {
      if (targetOf(path) === target) return;
      await withFolder(path, () => point(path, target));
    } catch (error) {
      throw failure('link', path, error);
    }
  },
  readLink: (path) => orAbsent('read the link', path, null, () => targetOf(path)),
  lastAccess: (path) => orAbsent('read the access time of', path, null, () => accessed(path)),
});
