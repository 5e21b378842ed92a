import { dirname, join } from 'node:path/posix';
import { AppFleetError } from '../../agent/errors.ts';
import type { Files } from '../../agent/ports.ts';

export type Entry =
  { kind: 'file'; text: string; mode: number } | { kind: 'link'; target: string } | { kind: 'folder' };

export interface MemoryFiles extends Files {
  /** Everything that exists, by path. */
  entries: Map<string, Entry>;
  /** Access times by path, for `lastAccess`; a path without one has 0. */
  accessed: Map<string, number>;
  /** Paths that can be neither read nor written, with the reason. */
  broken: Map<string, string>;
  /** Puts a file there without any ado. */
  put(path: string, text: string): void;
}

const failure = (verb: string, path: string, reason: string): AppFleetError =>
  new AppFleetError('AF_FILE', `cannot ${verb} ${path}: ${reason}`);

/** A file system in memory that keeps the promises of ports.ts: links are followed, folders that hold something stay. */
export const createMemoryFiles = (): MemoryFiles => {
  const entries = new Map<string, Entry>([['/', { kind: 'folder' }]]);
  const accessed = new Map<string, number>();
  const broken = new Map<string, string>();
  const writing = new Set<string>();

  const makeFolders = (path: string): void => {
    const folder = dirname(path);
    if (entries.has(folder)) return;
    makeFolders(folder);
    entries.set(folder, { kind: 'folder' });
  };
  const check = (verb: string, path: string): void => {
    const reason = broken.get(path);
    if (reason !== undefined) throw failure(verb, path, reason);
  };
  const resolve = (path: string, hops = 0): Entry | undefined => {
    const entry = entries.get(path);
    if (entry?.kind !== 'link') return entry;
    if (hops > 20) throw failure('read', path, 'too many symbolic links');
    return resolve(entry.target.startsWith('/') ? entry.target : join(dirname(path), entry.target), hops + 1);
  };
  const namesIn = (folder: string): string[] => {
    const prefix = folder === '/' ? '/' : `${folder}/`;
    return [...entries.keys()]
      .filter((path) => path !== '/' && path.startsWith(prefix) && !path.slice(prefix.length).includes('/'))
      .map((path) => path.slice(prefix.length));
  };
  const put = (path: string, text: string, mode = 0o644): void => {
    makeFolders(path);
    entries.set(path, { kind: 'file', text, mode });
  };
  /** Sync work with the promise that callers expect. */
  const soon = <T>(work: () => T): Promise<T> => Promise.resolve().then(work);

  return {
    entries,
    accessed,
    broken,
    put,
    read: (path) =>
      soon(() => {
        check('read', path);
        const entry = resolve(path);
        if (entry?.kind === 'folder') throw failure('read', path, 'it is a directory');
        return entry?.kind === 'file' ? entry.text : null;
      }),
    list: (directory) => soon(() => namesIn(directory)),
    write: async ({ path, text, mode }) => {
      check('write', path);
      const now = entries.get(path);
      if (now?.kind === 'folder') throw failure('write', path, 'it is a directory');
      if (now?.kind === 'file' && now.text === text && now.mode === mode) return 'unchanged';
      // The real one has one temporary file per path.
      if (writing.has(path)) throw failure('write', path, 'somebody else is writing it');
      writing.add(path);
      await Promise.resolve();
      writing.delete(path);
      put(path, text, mode);
      return 'written';
    },
    remove: (path) =>
      soon(() => {
        check('remove', path);
        if (entries.get(path)?.kind === 'folder' && namesIn(path).length > 0)
          throw failure('remove', path, 'the directory is not empty');
        entries.delete(path);
      }),
    link: (path, target) =>
      soon(() => {
        check('link', path);
        makeFolders(path);
        entries.set(path, { kind: 'link', target });
      }),
    readLink: (path) =>
      soon(() => {
        const entry = entries.get(path);
        return entry?.kind === 'link' ? entry.target : null;
      }),
    lastAccess: (path) => soon(() => (entries.has(path) ? (accessed.get(path) ?? 0) : null)),
  };
};
