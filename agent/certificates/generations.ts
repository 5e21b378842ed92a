/** What is below /var/lib/appfleet/certs, by name. */
import { generationTime } from '../core/generation.ts';
import { certificateFolder, paths } from '../core/names.ts';
import type { Files } from '../ports.ts';

type Reading = Pick<Files, 'list' | 'readLink'>;

/** Whether a folder of that name can be a site's. */
export const isSite = (name: string): boolean => /^[a-z0-9][a-z0-9.-]*$/.test(name);

/** Sites of which there is anything, also those that are gone. */
export const certificateSites = async (files: Reading): Promise<string[]> =>
  (await files.list(paths.certificates)).filter(isSite).sort();

/** Names of a site's generations, by the time in them. */
export const generationsOf = async (files: Reading, site: string): Promise<string[]> =>
  (await files.list(certificateFolder(site))).filter((name) => generationTime(name) !== null).sort();

/** What a link of the site names, or null when it is no generation. */
export const linkedGeneration = async (files: Reading, link: string): Promise<string | null> => {
  const target = await files.readLink(link);
  return target === null || generationTime(target) === null ? null : target;
};
