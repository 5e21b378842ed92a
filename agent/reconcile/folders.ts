/** The folders of the admin's files: what is in them, and whether they are there at all. */
import { paths } from '../core/names.ts';
import type { Files } from '../ports.ts';

/** Lists a folder's files of ours. `pause` is waited for before a file that was there the last time is believed to be gone. */
export const createLister = (files: Files, pause: () => Promise<void>): ((folder: string) => Promise<string[]>) => {
  const known = new Map<string, readonly string[]>();
  return async (folder) => {
    const look = async (): Promise<string[]> =>
      (await files.list(folder)).filter((name) => name.endsWith('.ini') && !name.startsWith('.')).sort();
    let names = await look();
    if ((known.get(folder) ?? []).some((name) => !names.includes(name))) {
      await pause();
      names = await look();
    }
    known.set(folder, names);
    return names;
  };
};

/** Folders that are gone from a host that has sites: moved away, or not mounted. That is no wish to remove everything. */
export const missingFolders = async (files: Files): Promise<string[]> => {
  const present = await files.list(paths.config);
  const missing = [paths.sites, paths.services].filter(
    (path) => !present.includes(path.slice(paths.config.length + 1)),
  );
  return missing.length > 0 && (await files.list(`${paths.state}/start`)).length > 0 ? missing : [];
};
