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

/** What a test of changes came to. */
export interface Contest {
  /** Each with the best variant that nginx accepts as its first; none for a site that cannot be served. */
  contestants: readonly Contestant[];
  /** Candidates that were tested, by site. */
  candidates: ReadonlyMap<string, VhostCandidate>;
  /** Sites whose place is taken by a file that is not ours. */
  foreign: ReadonlySet<string>;
}

/** Tests the changes in a folder that is removed afterwards; `meanwhile` runs before that. Throws as settle does. */
export const contest = async (
  run: Run,
  at: InstallPlace,
  installed: ReadonlyMap<string, Installed>,
  { change, remove, shared }: VhostChanges,
  writeCopies: () => Promise<void>,
  meanwhile: (result: Contest) => Promise<void>,
): Promise<void> => {
  const text = sharedText(at, shared);
  const foreign = new Set([...installed.values()].filter(({ ours }) => !ours).map(({ site }) => site));
  const wanted = change.filter(({ site }) => !foreign.has(site));
  const candidates = new Map(wanted.map((candidate) => [candidate.site, candidate]));
  rmSync(at.folder, { recursive: true, force: true });
  mkdirSync(at.folder, { recursive: true, mode: 0o700 });
  try {
    await writeCopies();
    const contestants = wanted.map((each) => contestantOf(at, each, installed.get(each.site)));
    for (const found of installed.values())
      if (found.ours && !candidates.has(found.site) && !remove.includes(found.site))
        contestants.push({ site: found.site, refused: [], variants: [asVariant(found)] });
    const foreignPaths = [...foreign].map((site) => `${at.vhosts}/${site}.conf`);
    await settle(run, at, text, foreignPaths, contestants);
    await meanwhile({ contestants, candidates, foreign });
  } finally {
    rmSync(at.folder, { recursive: true, force: true });
  }
};

/** What is said about a candidate whose place is taken. */
export const isForeign = (vhosts: string, site: string): string =>
  `${vhosts}/${site}.conf exists and was not made by App Fleet; move it away`;

/** Tests the changes, carries out those that nginx accepts, and says by site why not the others. Throws as settle does. */
export const installChanges = async (
  run: Run,
  files: Files,
  at: InstallPlace,
  scan: () => ReadonlyMap<string, Installed>,
  changes: VhostChanges,
): Promise<Map<string, string>> => {
  const { change, remove, shared } = changes;
  const refusals = new Map<string, string>();
  mkdirSync(at.vhosts, { recursive: true });
  const writeCopies = (): Promise<void> =>
    inParallel(
      change.flatMap(({ snippets }) => snippets),
      (snippet) => files.write({ path: snippet.copy, text: snippet.text, mode: privateMode }),
    );
  await contest(run, at, scan(), changes, writeCopies, async ({ contestants, candidates, foreign }) => {
    for (const { site } of change) if (foreign.has(site)) refusals.set(site, isForeign(at.vhosts, site));
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
    for (const site of remove) if (!foreign.has(site)) await files.remove(`${at.vhosts}/${site}.conf`);
    dropUnusedCopies(at.copies, scan());
  });
  return refusals;
};
