/** The admin's nginx snippets in /etc/appfleet/vhost.d: which belong to which site, and what is wrong with them. */
import { paths } from '../core/names.ts';
import { didYouMean } from '../core/nearest.ts';
import type { Problem } from '../core/problem.ts';
import { snippetProblems } from '../core/snippet.ts';
import type { Settings } from '../core/spec.ts';
import type { Snippet, Snippets } from '../core/vhost.ts';
import { messageOf } from '../errors.ts';
import type { Files } from '../ports.ts';
import type { Reader } from './reader.ts';

export interface ReadSnippets {
  snippets: Map<string, Snippets<Snippet>>;
  problems: Problem[];
  /** Sites with a snippet that cannot be used: better the old vhost than one without it, which may forbid something. */
  keep: Set<string>;
}

const fileNames = (site: string): { server: string; location: string } => ({
  server: `${site}.conf`,
  location: `${site}_location.conf`,
});

/** Reads the snippets of these sites. */
export const readSnippets = async (
  files: Files,
  readText: Reader,
  sites: readonly string[],
  settings: Settings,
): Promise<ReadSnippets> => {
  const found: ReadSnippets = { snippets: new Map(), problems: [], keep: new Set() };
  const present = new Set(await files.list(paths.snippets));
  const read = async (site: string, name: string, isServer: boolean): Promise<Snippet | null> => {
    if (!present.has(name)) return null;
    const file = `${paths.snippets}/${name}`;
    const refuse = (problems: readonly Problem[]): null => {
      found.problems.push(...problems);
      found.keep.add(site);
      return null;
    };
    try {
      const text = await readText(file);
      if (text === null) return refuse([{ file, message: 'cannot be read: there is no such file' }]);
      const problems = isServer ? snippetProblems(file, text, settings) : [];
      return problems.length === 0 ? { file, text } : refuse(problems);
    } catch (error) {
      return refuse([{ file, message: `cannot be read: ${messageOf(error)}` }]);
    }
  };
  for (const site of sites) {
    const { server, location } = fileNames(site);
    found.snippets.set(site, { server: await read(site, server, true), location: await read(site, location, false) });
  }
  return found;
};

/** Snippets that no site uses: nobody would ever say why they do nothing. */
export const strayProblems = async (
  files: Files,
  { sites, keep }: { sites: readonly { name: string }[]; keep: ReadonlySet<string> },
): Promise<Problem[]> => {
  const names = [...new Set([...sites.map(({ name }) => name), ...keep])];
  const used = new Set(names.flatMap((name) => Object.values(fileNames(name))));
  const stray = (await files.list(paths.snippets)).filter(
    (name) => name.endsWith('.conf') && !name.startsWith('.') && !used.has(name),
  );
  return stray.map((name) => ({
    file: `${paths.snippets}/${name}`,
    message: 'is of no site, so nothing uses it',
    hint:
      didYouMean(name, used) ??
      'DOMAIN.conf goes into the server block of a site, DOMAIN_location.conf into `location /`',
  }));
};
