/**
 * Removes certificates that nobody needs any more. For the run that holds the host's lock. The agent installs pairs of the admin
 * without it, as the run waits for the agent's passes: what is young is let alone.
 */
import { isYoung, lookAtGone } from '../core/generation.ts';
import { certificateFolder, currentGeneration, generationFolder, goneMark, previousGeneration } from '../core/names.ts';
import type { Files } from '../ports.ts';
import { certificateSites, generationsOf, linkedGeneration } from './generations.ts';

/** Removes the site's generations but those in use, in use before, or named by a vhost; resolves to their folders. */
const sweepSite = async (files: Files, site: string, named: ReadonlySet<string>, now: number): Promise<string[]> => {
  const used = [
    await linkedGeneration(files, currentGeneration(site)),
    await linkedGeneration(files, previousGeneration(site)),
  ];
  const removed: string[] = [];
  for (const generation of await generationsOf(files, site)) {
    const folder = generationFolder(site, generation);
    if (used.includes(generation) || named.has(folder) || isYoung(generation, now)) continue;
    await files.removeTree(folder);
    removed.push(folder);
  }
  return removed;
};

/** Notes that the site is (still) gone, and removes all of it after 30 days unless a vhost names it. */
const sweepGone = async (files: Files, site: string, named: ReadonlySet<string>, now: number): Promise<string[]> => {
  const folder = certificateFolder(site);
  const { text, over } = lookAtGone(await files.read(goneMark(site)), now);
  const used = [...named].some((one) => one.startsWith(`${folder}/`));
  if (over && !used && !(await generationsOf(files, site)).some((one) => isYoung(one, now))) {
    await files.removeTree(folder);
    return [folder];
  }
  await files.write({ path: goneMark(site), text, mode: 0o600 });
  return [];
};

/** See CertificateStore.sweep. */
export const sweep = async (
  files: Files,
  present: ReadonlySet<string>,
  named: ReadonlySet<string>,
  now: number,
): Promise<string[]> => {
  const removed: string[] = [];
  for (const site of await certificateSites(files)) {
    if (!present.has(site)) {
      removed.push(...(await sweepGone(files, site, named, now)));
      continue;
    }
    if ((await files.read(goneMark(site))) !== null) await files.remove(goneMark(site));
    removed.push(...(await sweepSite(files, site, named, now)));
  }
  return removed;
};
