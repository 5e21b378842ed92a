import { mkdirSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { mark } from '../core/names.ts';
import type { VhostCandidate } from '../core/vhost.ts';
import { AppFleetError } from '../errors.ts';
import type { Files, VhostChanges } from '../ports.ts';
import { copyName, type Installed } from './nginx-installed.ts';
import { describeRefusal } from './nginx-refusals.ts';
import { type Contestant, type Run, settle, type TestPlace, type Variant } from './nginx-test.ts';

export interface InstallPlace extends TestPlace {
  /** Folder of the snippet copies. */
  copies: string;
}

const writesAtOnce = 16;
/** Copies may hold what the admin would not show to everyone; nginx's master reads them as root. */
const privateMode = 0o600;
const vhostMode = 0o644;

/** Text of a file, or null when it cannot be read. */
export const textOrNull = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

/** Names in a folder; none when it cannot be read. */
export const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};

const inParallel = async <T>(items: Iterable<T>, work: (item: T) => Promise<unknown>): Promise<void> => {
  const queue = [...items];
  const lane = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: writesAtOnce }, lane));
};

const stage = (at: InstallPlace, candidate: VhostCandidate, kind: 'candidate' | 'plain', text: string): Variant => {
  const path = join(at.folder, `${candidate.site}.${kind}.conf`);
  // No fsync: this is read once, now.
  writeFileSync(path, text, { mode: privateMode });
  return { kind, path, copies: kind === 'plain' ? [] : candidate.snippets.map(({ copy }) => copy) };
};

const asVariant = ({ path, copies }: Installed): Variant => ({ kind: 'installed', path, copies });

const contestantOf = (at: InstallPlace, candidate: VhostCandidate, found: Installed | undefined): Contestant => {
  const variants = [stage(at, candidate, 'candidate', candidate.text)];
  if (found !== undefined) variants.push(asVariant(found));
  else if (candidate.plainText !== null) variants.push(stage(at, candidate, 'plain', candidate.plainText));
  return { site: candidate.site, refused: [], variants };
};

/** The shared file as it will be. Throws AF_NGINX when somebody else's file is in its place, or none at all. */
const sharedText = (at: InstallPlace, shared: string | null): string => {
  const present = textOrNull(at.shared);
  if (present !== null && !present.startsWith(`# ${mark}`))
    throw new AppFleetError('AF_NGINX', `${at.shared} exists and was not made by App Fleet`, { hint: 'move it away' });
  const text = shared ?? present;
  if (text === null) throw new AppFleetError('AF_NGINX', `${at.shared} is missing`);
  return text;
};

/** Copies are named after their content, so one that no vhost includes any more is of no use to anybody. */
const dropUnusedCopies = (copies: string, installed: ReadonlyMap<string, Installed>): void => {
  const used = new Set([...installed.values()].flatMap((each) => each.copies.map((copy) => basename(copy))));
  for (const name of namesIn(copies)) if (copyName.test(name) && !used.has(name)) unlinkSync(join(copies, name));
};

/** Tests the changes, carries out those that nginx accepts, and says by site why not the others. Throws as settle does. */
export const installChanges = async (
  run: Run,
  files: Files,
  at: InstallPlace,
  scan: () => ReadonlyMap<string, Installed>,
  { change, remove, shared }: VhostChanges,
): Promise<Map<string, string>> => {
  const text = sharedText(at, shared);
  const installed = scan();
  const foreign = [...installed.values()].filter(({ ours }) => !ours).map(({ site }) => site);
  const candidates = new Map(change.map((candidate) => [candidate.site, candidate]));
  const goes = new Set(remove);
  const refusals = new Map<string, string>();
  for (const site of foreign) {
    if (candidates.delete(site))
      refusals.set(site, `${at.vhosts}/${site}.conf exists and was not made by App Fleet; move it away`);
    goes.delete(site);
  }

  rmSync(at.folder, { recursive: true, force: true });
  mkdirSync(at.folder, { recursive: true, mode: 0o700 });
  mkdirSync(at.vhosts, { recursive: true });
  try {
    await inParallel(
      change.flatMap(({ snippets }) => snippets),
      (snippet) => files.write({ path: snippet.copy, text: snippet.text, mode: privateMode }),
    );
    const contestants = [...candidates.values()].map((each) => contestantOf(at, each, installed.get(each.site)));
    for (const found of installed.values())
      if (found.ours && !candidates.has(found.site) && !goes.has(found.site))
        contestants.push({ site: found.site, refused: [], variants: [asVariant(found)] });
    const foreignPaths = foreign.map((site) => `${at.vhosts}/${site}.conf`);
    await settle(run, at, text, foreignPaths, contestants);

    for (const contestant of contestants) {
      const message = describeRefusal(contestant, candidates.get(contestant.site));
      if (message !== null) refusals.set(contestant.site, message);
    }
    if (shared !== null) await files.write({ path: at.shared, text: shared, mode: vhostMode });
    await inParallel(contestants, async ({ site, variants: [best] }) => {
      const candidate = candidates.get(site);
      const path = `${at.vhosts}/${site}.conf`;
      if (best === undefined) await files.remove(path);
      else if (best.kind !== 'installed' && candidate !== undefined)
        await files.write({
          path,
          text: best.kind === 'plain' ? (candidate.plainText ?? '') : candidate.text,
          mode: vhostMode,
        });
    });
    for (const site of goes) await files.remove(`${at.vhosts}/${site}.conf`);
    dropUnusedCopies(at.copies, scan());
  } finally {
    rmSync(at.folder, { recursive: true, force: true });
  }
  return refusals;
};
