import picocolors from 'picocolors';
import { paths } from '../core/names.ts';
import { describeProblem, type Problem } from '../core/problem.ts';
import type { Host } from '../ports.ts';
import type { Context, ExitCode } from './context.ts';
import { namesOfCandidates, overlay, problemsOfCandidates, readCandidate, shownNames } from './overlay.ts';
import { askNginx, fileProblems } from './look.ts';

interface Checked {
  files: number;
  problems: Problem[];
  /** Why nginx was not asked; null when it was. */
  unasked: string | null;
}

const counts = (name: string): boolean => /\.(ini|conf)$/.test(name) && !name.startsWith('.');

const checkInstalled = async (context: Context, host: Host): Promise<Checked> => {
  const { files } = host;
  const folders = [await files.list(paths.sites), await files.list(paths.services), await files.list(paths.snippets)];
  const settings = (await files.read(paths.settings).catch(() => '')) === null ? 0 : 1;
  const { problems, unasked } = await askNginx(context, host);
  return {
    files: folders.flat().filter(counts).length + settings,
    problems: [...(await fileProblems(host)), ...problems],
    unasked,
  };
};

/** Problems that a file has before anybody reads it: the agent would not even look at it. */
const nameProblems = (names: readonly string[], places: readonly string[]): Problem[] =>
  names.flatMap((file, index): Problem[] => {
    if (!/\.(ini|conf)$/.test(file))
      return [
        { file, message: 'its name does not end in .ini, or .conf for nginx, so it is not read', hint: 'rename it' },
      ];
    const first = places.indexOf(places[index] ?? '');
    if (first === index) return [];
    return [{ file, message: `would be the same file as ${names[first] ?? ''}`, hint: 'check them one by one' }];
  });

/** What would be wrong if these files were installed: all problems of their own, and those that they would cause in others. */
const checkFiles = async (context: Context, host: Host, names: readonly string[]): Promise<Checked> => {
  const candidates = await Promise.all(names.map((name) => readCandidate(host.files, name)));
  const refused = nameProblems(
    names,
    candidates.map(({ path }) => path),
  );
  const usable = candidates.filter(({ shown }) => !refused.some(({ file }) => file === shown));
  const after = { ...host, files: overlay(host.files, usable) };
  const { problems, unasked } = await askNginx(context, after, namesOfCandidates(usable));
  const found = [...(await problemsOfCandidates(host, usable)), ...shownNames(usable, problems)];
  return { files: names.length, problems: [...refused, ...found], unasked };
};

const sorted = (problems: readonly Problem[]): Problem[] =>
  problems.toSorted((a, b) => (a.file === b.file ? (a.line ?? 0) - (b.line ?? 0) : a.file < b.file ? -1 : 1));

const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

/** The same place and words may come from two looks. */
const unique = (problems: readonly Problem[]): Problem[] => [
  ...new Map(problems.map((problem) => [describeProblem(problem), problem])).values(),
];

/**
 * `appfleet check [FILE...]`: every problem at once, as `file:line: key: message (hint)`. Works on any machine; where nginx is,
 * and we are root, it is asked too. Exit code 2 when there are problems.
 */
export const checkCommand = async (
  context: Context,
  names: readonly string[],
  options: { json: boolean },
): Promise<ExitCode> => {
  const host = context.host();
  const words = [...new Set(names)];
  const checked = words.length === 0 ? await checkInstalled(context, host) : await checkFiles(context, host, words);
  const problems = sorted(unique(checked.problems));
  if (options.json)
    context.print(JSON.stringify({ files: checked.files, problems, unasked: checked.unasked }, null, 2));
  else {
    const colours = picocolors.createColors(context.colours);
    for (const { file, line, key, message, hint } of problems) {
      const place = colours.bold(`${file}${line === undefined ? '' : `:${line}`}:`);
      const told = `${key === undefined ? '' : `${key}: `}${colours.red(message)}`;
      context.print(`${place} ${told}${hint === undefined ? '' : ` (${hint})`}`);
    }
    const found = problems.length === 0 ? 'no problems' : plural(problems.length, 'problem');
    context.print(`${plural(checked.files, 'file')}, ${found}`);
    if (checked.unasked !== null) context.complain(`nginx was not asked about the vhosts: ${checked.unasked}`);
  }
  return problems.length === 0 ? 0 : 2;
};
