/** Which sites a pass can restrict itself to, by what made it necessary. */
import { paths } from '../core/names.ts';
import { nameOfFile } from './members.ts';

/** With more than that nothing is saved. */
const most = 20;

const below = (folder: string, path: string): string | null =>
  path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : null;

/** The sites whose files changed, or null when something else happened too. What an editor puts beside them does not matter. */
export const concernedSites = (reasons: readonly string[]): ReadonlySet<string> | null => {
  const names = new Set<string>();
  for (const reason of reasons) {
    const site = below(paths.sites, reason);
    const snippet = below(paths.snippets, reason);
    if (site !== null && /^[^.].*\.ini$/.test(site)) names.add(nameOfFile(site));
    else if (snippet !== null && snippet.endsWith('.conf'))
      names.add(nameOfFile(snippet.replace(/(_location)?\.conf$/, '.ini')));
    else if (site === null && snippet === null) return null;
  }
  return names.size === 0 || names.size > most ? null : names;
};
