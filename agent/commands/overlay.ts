/** Files that are not installed, seen as if they were: so that a check of them is the check that the agent makes. */
import { paths } from '../core/names.ts';
import type { Problem } from '../core/problem.ts';
import { messageOf } from '../errors.ts';
import type { Files, Host } from '../ports.ts';
import { nameOfFile } from '../reconcile/members.ts';
import { fileProblems } from './look.ts';

/** A text in the place where it would be installed. */
export interface Candidate {
  /** As the admin named it; problems are told under this name. */
  shown: string;
  /** Where it would lie. */
  path: string;
  text: string | null;
  unreadable?: string;
}

const baseOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

const folderOf = (path: string, text: string): string => {
  if (path.endsWith('.conf')) return paths.snippets;
  const parent = baseOf(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
  if (parent === 'services' || parent === 'sites') return parent === 'services' ? paths.services : paths.sites;
  return /^\s*\[service\]/m.test(text) ? paths.services : paths.sites;
};

/** A file of the admin's, wherever it lies, with the place that it is meant for: by its folder, or else by what is in it. */
export const readCandidate = async (files: Pick<Files, 'read'>, shown: string): Promise<Candidate> => {
  let text: string | null = null;
  let unreadable = 'there is no such file';
  try {
    text = await files.read(shown);
  } catch (error) {
    unreadable = messageOf(error);
  }
  const isSettings = baseOf(shown) === baseOf(paths.settings) || /^\s*\[appfleet\]/m.test(text ?? '');
  const path = isSettings ? paths.settings : `${folderOf(shown, text ?? '')}/${baseOf(shown)}`;
  return text === null ? { shown, path, text, unreadable } : { shown, path, text };
};

/** Files in which the candidates are installed. */
export const overlay = (files: Files, candidates: readonly Candidate[]): Files => {
  const byPath = new Map(candidates.map((candidate) => [candidate.path, candidate]));
  return {
    ...files,
    read: async (path) => {
      const candidate = byPath.get(path);
      if (candidate === undefined) return files.read(path);
      if (candidate.text === null) throw new Error(candidate.unreadable);
      return candidate.text;
    },
    list: async (folder) => {
      const added = candidates
        .filter(({ path }) => path === `${folder}/${baseOf(path)}`)
        .map(({ path }) => baseOf(path));
      return [...new Set([...(await files.list(folder)), ...added])];
    },
  };
};

/** The sites that these files are about, or null for all of them: settings are about all. */
export const namesOfCandidates = (candidates: readonly Candidate[]): ReadonlySet<string> | null =>
  candidates.some(({ path }) => path === paths.settings)
    ? null
    : new Set(candidates.map(({ path }) => nameOfFile(path.replace(/(_location)?\.conf$/, '.ini'))));

/** The problems under the names that the admin gave. */
export const shownNames = (candidates: readonly Candidate[], problems: readonly Problem[]): Problem[] => {
  const shown = new Map(candidates.map((candidate) => [candidate.path, candidate.shown]));
  const named = (text: string): string =>
    candidates.reduce((all, candidate) => all.replaceAll(candidate.path, () => candidate.shown), text);
  return problems.map((problem) => ({
    ...problem,
    file: shown.get(problem.file) ?? problem.file,
    message: named(problem.message),
  }));
};

/**
 * What would be wrong, as far as it can be known without nginx, if these files were installed: all problems of their own, and
 * those that they would cause in others. Files that are installed already stand in for themselves.
 */
export const problemsOfCandidates = async (
  { files, certificates }: Pick<Host, 'files' | 'certificates'>,
  candidates: readonly Candidate[],
): Promise<Problem[]> => {
  const before = new Set((await fileProblems({ files, certificates })).map((problem) => JSON.stringify(problem)));
  const after = await fileProblems({ files: overlay(files, candidates), certificates });
  const places = new Set(candidates.map(({ path }) => path));
  return shownNames(
    candidates,
    after.filter((problem) => places.has(problem.file) || !before.has(JSON.stringify(problem))),
  );
};
