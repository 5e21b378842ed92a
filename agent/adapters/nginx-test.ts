/** Finds out which vhosts nginx accepts, without touching what is installed. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { quoteNginx } from '../core/nginx-quote.ts';
import { AppFleetError } from '../errors.ts';
import { mainWith } from './nginx-main.ts';

/*
 * INVARIANTS
 * - What is installed is never written to; candidates lie in a folder of their own until nginx accepted them.
 * - One test when all is well. Each further test takes at least one text out, so this ends.
 * - Nobody is blamed for what the admin's own files do: those are tested alone before anyone is.
 */

export type Run = (argv: readonly string[]) => Promise<{ code: number; stdout: string; stderr: string }>;

/** What nginx said first, and where. */
export interface Verdict {
  message: string;
  file: string | null;
  line: number;
}

/** One text that a site could have, in the order of preference. */
export interface Variant {
  kind: 'candidate' | 'plain' | 'installed';
  path: string;
  /** Snippet copies that it includes. */
  copies: readonly string[];
}

/** A site in a test: its variants that are still possible, best first, and why the others are not. */
export interface Contestant {
  site: string;
  variants: Variant[];
  refused: { variant: Variant; verdict: Verdict }[];
}

export interface TestPlace {
  program: string;
  main: string;
  shared: string;
  /** The folder of vhosts, as the shared file includes it. */
  vhosts: string;
  /** A folder for candidates, ours alone. */
  folder: string;
  /** What takes the place of nginx.conf in a test; beside it, because relative paths are taken from there. */
  trial: string;
}

/** The first thing that nginx complained about. */
export const readVerdict = (stderr: string): Verdict => {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const line = lines.find((each) => /\[(emerg|alert|crit)\]/.test(each)) ?? lines.at(-1) ?? 'no reason given';
  // Debian's nginx logs to stderr until it has read error_log, and then the line looks as in a log.
  const message = line.replace(/^(nginx: |[\d/]+ [\d:]+ )?(\[\w+\] )?(\d+#\d+: )?/, '');
  const place = / in (\/.+):(\d+)$/.exec(message);
  if (place === null) return { message, file: null, line: 0 };
  return { message: message.slice(0, place.index), file: place[1] ?? null, line: Number(place[2]) };
};

export const trialPath = (main: string, name: string): string => join(dirname(main), name);

/** The line of a file that nginx complained about, for people. */
export const lineOf = (verdict: Verdict): string => {
  try {
    return (
      readFileSync(verdict.file ?? '', 'utf8')
        .split('\n')
        [verdict.line - 1]?.trim() ?? ''
    );
  } catch {
    return '';
  }
};

const place = ({ file, line }: Verdict): string => (file === null ? '' : `${file}:${line}: `);

/** The shared file with the vhosts to be tested in place of the installed ones. */
const sharedWith = (shared: string, vhosts: string, paths: readonly string[]): string => {
  const directive = `include ${quoteNginx(`${vhosts}/*.conf`)};`;
  if (!shared.includes(directive)) throw new TypeError(`the shared file lacks the line ${directive}`);
  return shared.replace(directive, () => paths.map((path) => `include ${quoteNginx(path)};`).join('\n'));
};

const hintFor = (message: string): string | undefined => {
  if (message.includes('duplicate default server'))
    return 'App Fleet answers unknown names itself: take default_server out of that file, or remove it (Debian: /etc/nginx/sites-enabled/default)';
  if (message.includes('server_names_hash')) return 'raise server_names_hash_bucket_size and _max_size in nginx.conf';
  return undefined;
};

/** Tests one set of texts. Null when nginx accepts it. `paths` null: without any file of ours. */
const testSet = async (
  run: Run,
  at: TestPlace,
  shared: string,
  paths: readonly string[] | null,
): Promise<Verdict | null> => {
  const main = at.trial;
  const staged = join(at.folder, 'shared-under-test');
  try {
    if (paths !== null) writeFileSync(staged, sharedWith(shared, at.vhosts, paths));
    writeFileSync(main, mainWith(at.main, at.shared, paths === null ? null : staged));
    const { code, stderr } = await run([at.program, '-t', '-q', '-c', main]);
    if (code === 0) return null;
    const verdict = readVerdict(stderr);
    if (verdict.file === main) return { ...verdict, file: at.main };
    return verdict.file === staged ? { ...verdict, file: at.shared } : verdict;
  } finally {
    rmSync(main, { force: true });
  }
};

/** Nobody in the set is to blame: throws for the admin's own files, or for our shared file among them. */
const blameOthers = async (run: Run, at: TestPlace, shared: string, foreign: readonly string[]): Promise<void> => {
  const alone = await testSet(run, at, shared, null);
  if (alone !== null)
    throw new AppFleetError('AF_NGINX', `nginx refuses its own configuration: ${place(alone)}${alone.message}`, {
      hint: 'that file is not App Fleet\'s; repair it, "nginx -t" says whether it is right',
    });
  const together = await testSet(run, at, shared, foreign);
  if (together !== null)
    throw new AppFleetError(
      'AF_NGINX',
      `nginx refuses ${at.shared} beside its own configuration: ${place(together)}${together.message}`,
      { hint: hintFor(together.message) },
    );
};

const refuse = (contestant: Contestant, verdict: Verdict): void => {
  const variant = contestant.variants.shift();
  if (variant !== undefined) contestant.refused.push({ variant, verdict });
};

const pathsOf = (contestants: readonly Contestant[]): string[] =>
  contestants.flatMap(({ variants }) => (variants[0] === undefined ? [] : [variants[0].path]));

/** Who brought the file that nginx named. Not those who only stayed as they were: what is new may have turned nginx on them. */
const namedBy = ({ file }: Verdict, contestants: readonly Contestant[]): Contestant[] =>
  contestants.filter(({ variants: [best] }) => {
    if (file === null || best === undefined || best.kind === 'installed') return false;
    return best.path === file || best.copies.includes(file);
  });

/** Adds the group to those that are right together, halving it where nginx refuses it without naming anyone. */
const addGroup = async (
  test: (contestants: readonly Contestant[]) => Promise<Verdict | null>,
  right: readonly Contestant[],
  group: readonly Contestant[],
): Promise<readonly Contestant[]> => {
  const [first] = group;
  if (first === undefined) return right;
  const verdict = await test([...right, ...group]);
  if (verdict === null) return [...right, ...group];
  if (group.length === 1) {
    refuse(first, verdict);
    return addGroup(test, right, group);
  }
  const middle = Math.ceil(group.length / 2);
  return addGroup(test, await addGroup(test, right, group.slice(0, middle)), group.slice(middle));
};

/**
 * Leaves each contestant with the best variant that nginx accepts together with those of all others, as its first. `foreign` are
 * files in our folder that are not ours and stay in any case.
 * Throws AF_NGINX when nginx refuses files that are not of ours, or our shared file.
 */
export const settle = async (
  run: Run,
  at: TestPlace,
  shared: string,
  foreign: readonly string[],
  contestants: readonly Contestant[],
): Promise<void> => {
  const test = (set: readonly Contestant[]): Promise<Verdict | null> =>
    testSet(run, at, shared, [...foreign, ...pathsOf(set)]);
  for (;;) {
    const verdict = await test(contestants);
    if (verdict === null) return;
    const culprits = namedBy(verdict, contestants);
    if (culprits.length === 0) break;
    for (const culprit of culprits) refuse(culprit, verdict);
  }
  await blameOthers(run, at, shared, foreign);
  // Those who stayed as they were come first, so that who is added to them is to blame.
  const [settled, fresh] = [true, false].map((old) =>
    contestants.filter(({ variants }) => (variants[0]?.kind === 'installed') === old),
  );
  await addGroup(test, await addGroup(test, [], settled ?? []), fresh ?? []);
};
