/** nginx's own files, which are the admin's: read to find our place in them, never written. */
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { sha256 } from '../core/hash.ts';
import { quoteNginx } from '../core/nginx-quote.ts';
import { AppFleetError } from '../errors.ts';

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
};

/** The other files that nginx includes beside our shared file, in its order. */
const neighbours = (shared: string): string[] =>
  namesIn(dirname(shared))
    .filter((name) => name.endsWith('.conf') && !name.startsWith('.'))
    .map((name) => join(dirname(shared), name))
    .filter((path) => path !== shared);

/** Those of the directives that nginx.conf or a neighbour of our shared file sets. */
export const configuredDirectives = (main: string, shared: string, directives: readonly string[]): Set<string> => {
  const text = [main, ...neighbours(shared)].map(textOf).join('\n');
  return new Set(directives.filter((name) => new RegExp(`^[ \\t]*${name}[ \\t]`, 'm').test(text)));
};

/** Where nginx's master writes its errors. */
export const errorLog = (main: string): string =>
  /^[ \t]*error_log[ \t]+([^\s;]+)/m.exec(textOf(main))?.[1] ?? '/var/log/nginx/error.log';

/** Whether nginx's include pattern matches the path; path.matchesGlob is still experimental. */
const matches = (path: string, pattern: string): boolean =>
  new RegExp(
    `^${pattern
      .replace(/[.+^${}()|\\[\]]/g, '\\$&')
      .replaceAll('*', '[^/]*')
      .replaceAll('?', '[^/]')}$`,
  ).test(path);

const includes = /^([ \t]*)include[ \t]+"?([^\s;"]+)"?[ \t]*;/gm;

/**
 * The text of nginx.conf with `instead` in the place of our shared file (null: without any of ours). The result must lie beside
 * nginx.conf, because nginx takes relative paths from there. Throws AF_NGINX when nginx.conf does not include our shared file.
 */
export const mainWith = (main: string, shared: string, instead: string | null): string => {
  const others = neighbours(shared);
  const paths = instead === null ? others : [...others, instead].sort(bySharedPlace(shared, instead));
  let found = false;
  const text = textOf(main).replace(includes, (directive, indent: string, pattern: string) => {
    if (!matches(shared, resolve(dirname(main), pattern))) return directive;
    found = true;
    return paths.map((path) => `${indent}include ${quoteNginx(path)};`).join('\n');
  });
  if (!found)
    throw new AppFleetError('AF_NGINX', `${main} does not include ${shared}`, {
      hint: `put this line into its http block: include ${dirname(shared)}/*.conf;`,
    });
  return text;
};

/** Sorts as nginx does, with `instead` in the place of the shared file. */
const bySharedPlace =
  (shared: string, instead: string) =>
  (a: string, b: string): number => {
    const [left, right] = [a, b].map((path) => (path === instead ? shared : path));
    return (left ?? '') < (right ?? '') ? -1 : 1;
  };

const stampsBelow = (directory: string, skip: ReadonlySet<string>): string[] => {
  const stamps: string[] = [];
  for (const name of namesIn(directory)) {
    const path = join(directory, name);
    const own = lstatSync(path, { throwIfNoEntry: false });
    if (own === undefined || skip.has(path) || name.startsWith('.appfleet-')) continue;
    if (own.isDirectory()) stamps.push(...stampsBelow(path, skip));
    // The target of a link counts, but a link to a folder is not followed: it may lead back.
    else stamps.push(`${path} ${own.mtimeMs} ${statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0}`);
  }
  return stamps;
};

/** Changes whenever a file in nginx's folder does, those in `skip` excepted: then what was refused may be right. */
export const fingerprint = (main: string, skip: readonly string[]): string =>
  sha256(stampsBelow(dirname(main), new Set(skip)).join('\n'));
