import picocolors from 'picocolors';
import { paths } from '../core/names.ts';
import type { Problem } from '../core/problem.ts';
import type { Host } from '../ports.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import { withUploads } from '../reconcile/uploads.ts';
import type { Context, ExitCode } from './context.ts';
import { problemsOfCandidates, readCandidate } from './overlay.ts';

interface Checked {
  files: number;
  problems: Problem[];
}

const isOurs = (name: string): boolean => name.endsWith('.ini') && !name.startsWith('.');

type Readable = Pick<Host, 'files' | 'certificates'>;

const checkInstalled = async ({ files, certificates }: Readable): Promise<Checked> => {
  const fleet = await withUploads(await createFleetReader(files)(), certificates);
  const folders = [await files.list(paths.sites), await files.list(paths.services)];
  const settings = (await files.read(paths.settings).catch(() => '')) === null ? 0 : 1;
  return { files: folders.flat().filter(isOurs).length + settings, problems: [...fleet.problems] };
};

/** Problems that a file has before anybody reads it: the agent would not even look at it. */
const nameProblems = (names: readonly string[], places: readonly string[]): Problem[] =>
  names.flatMap((file, index): Problem[] => {
    if (!file.endsWith('.ini'))
      return [{ file, message: 'its name does not end in .ini, so it is not read', hint: 'rename it' }];
    const first = places.indexOf(places[index] ?? '');
    if (first === index) return [];
    return [{ file, message: `would be the same file as ${names[first] ?? ''}`, hint: 'check them one by one' }];
  });

const checkFiles = async (host: Readable, names: readonly string[]): Promise<Checked> => {
  const candidates = await Promise.all(names.map((name) => readCandidate(host.files, name)));
  const places = candidates.map(({ path }) => path);
  const refused = nameProblems(names, places);
  const usable = candidates.filter(({ shown }) => !refused.some(({ file }) => file === shown));
  return { files: names.length, problems: [...refused, ...(await problemsOfCandidates(host, usable))] };
};

const sorted = (problems: readonly Problem[]): Problem[] =>
  problems.toSorted((a, b) => (a.file === b.file ? (a.line ?? 0) - (b.line ?? 0) : a.file < b.file ? -1 : 1));

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

/**
 * `appfleet check [FILE...]`: every problem at once, as `file:line: key: message (hint)`. Reads files only, so it works on
 * any machine. Exit code 2 when there are problems.
 */
export const checkCommand = async (
  context: Context,
  names: readonly string[],
  options: { json: boolean },
): Promise<ExitCode> => {
  const host = context.host();
  const unique = [...new Set(names)];
  const checked = unique.length === 0 ? await checkInstalled(host) : await checkFiles(host, unique);
  const problems = sorted(checked.problems);
  if (options.json) context.print(JSON.stringify({ files: checked.files, problems }, null, 2));
  else {
    const colours = picocolors.createColors(context.colours);
    for (const { file, line, key, message, hint } of problems) {
      const place = colours.bold(`${file}${line === undefined ? '' : `:${line}`}:`);
      const told = `${key === undefined ? '' : `${key}: `}${colours.red(message)}`;
      context.print(`${place} ${told}${hint === undefined ? '' : ` (${hint})`}`);
    }
    const found = problems.length === 0 ? 'no problems' : plural(problems.length, 'problem');
    context.print(`${plural(checked.files, 'file')}, ${found}`);
  }
  return problems.length === 0 ? 0 : 2;
};
