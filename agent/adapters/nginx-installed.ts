/** What of ours lies in nginx's folders. Cheap at thousands of sites: a file is read again only when its inode says so. */
import { readdirSync, readFileSync, statSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../core/hash.ts';
import { mark } from '../core/names.ts';

export interface Installed {
  site: string;
  path: string;
  /** Whether it carries our mark. */
  ours: boolean;
  hash: string;
  /** Snippet copies that it includes. */
  copies: readonly string[];
}

const suffix = '.conf';

/** The ending of every path of a snippet copy: the sha256 of its content. */
export const copyName = /[0-9a-f]{64}\.conf/;
const inclusion = new RegExp(`^\\s*include "?(/[^"\\n]*/${copyName.source})"?;$`, 'gm');

const stampOf = ({ ino, size, mtimeMs, ctimeMs }: Stats): string => `${ino} ${size} ${mtimeMs} ${ctimeMs}`;

const readInstalled = (directory: string, name: string): Installed => {
  const path = join(directory, name);
  const text = readFileSync(path, 'utf8');
  return {
    site: name.slice(0, -suffix.length),
    path,
    ours: text.startsWith(`# ${mark}`),
    hash: sha256(text),
    copies: [...text.matchAll(inclusion)].map(([, copy]) => copy ?? ''),
  };
};

/** Lists the vhosts in a folder, by site. */
export const createScan = (directory: string): (() => Map<string, Installed>) => {
  let known = new Map<string, { stamp: string; found: Installed }>();
  return () => {
    const next: typeof known = new Map();
    let names: string[];
    try {
      names = readdirSync(directory).filter((name) => name.endsWith(suffix) && !name.startsWith('.'));
    } catch {
      names = [];
    }
    for (const name of names) {
      const stats = statSync(join(directory, name), { throwIfNoEntry: false });
      if (stats === undefined || !stats.isFile()) continue;
      const stamp = stampOf(stats);
      const before = known.get(name);
      next.set(name, before?.stamp === stamp ? before : { stamp, found: readInstalled(directory, name) });
    }
    known = next;
    return new Map([...known.values()].map(({ found }) => [found.site, found]));
  };
};
