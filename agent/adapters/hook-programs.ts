/** Executable files in a folder of the admin's, as run-parts(8) and certbot see them. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { HookPrograms } from '../certificates/ports.ts';
import { lastWords } from '../core/last-words.ts';
import { AppFleetError, messageOf } from '../errors.ts';
import { howItFailed, runProgram, whyFolderUntrusted, whyUntrusted } from '../net/program.ts';
import { systemTimers } from '../net/timers.ts';

const defaultLimitSeconds = 300;

/** What editors and dpkg leave lying about. */
const isLeftover = (name: string): boolean => name.startsWith('.') || name.endsWith('~') || /\.dpkg-[a-z]+$/.test(name);

/** A folder, or a file that nobody made executable: not a program. A link that leads nowhere was meant to be one. */
const isProgram = (path: string): boolean => {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined || (stats.isFile() && (stats.mode & 0o111) !== 0);
};

const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw new AppFleetError('AF_FILE', `cannot list ${folder}: ${messageOf(error)}`, { cause: error });
  }
};

/** The programs of a folder; a folder that is not there has none. */
export const createHookPrograms = (folder: string, limitSeconds = defaultLimitSeconds): HookPrograms => ({
  list: () =>
    // A promise, so that what is thrown rejects.
    Promise.resolve().then(() => {
      const found = namesIn(folder)
        .filter((name) => !isLeftover(name))
        .sort()
        .map((name) => join(folder, name))
        .filter(isProgram);
      const untrusted = found.length === 0 ? null : whyFolderUntrusted(folder);
      return found.map((path) => ({ path, refused: untrusted ?? whyUntrusted(path) }));
    }),
  run: async (path, env) => {
    const limitMs = limitSeconds * 1000;
    try {
      const end = await runProgram(path, [], { env, limitMs, timers: systemTimers });
      const how = howItFailed(end, limitMs);
      if (how === null) return null;
      const said = lastWords(end.output);
      return { failure: said === '' ? how : `${how}: ${said}`, late: end.late };
    } catch (error) {
      return { failure: `did not start: ${messageOf(error)}`, late: false };
    }
  },
});
