/** The part of README that comes from the table of keys. `npm run docs` writes it, a test compares it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { reference } from '../../agent/core/help.ts';
import { repository } from './program.ts';

const kinds = ['site', 'service', 'settings'] as const;
const begin = '<!-- site reference -->';
const end = '<!-- /site reference -->';

export const readmePath = join(repository, 'README.md');

/** README with the reference as the table of keys has it now. Throws when the markers around it are missing. */
export const withReference = (readme: string): string => {
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from < 0 || to < from) throw new Error(`README.md lacks the lines ${begin} and ${end}`);
  const texts = kinds.map((kind) => reference(kind, 'markdown').trim());
  return `${readme.slice(0, from + begin.length)}\n\n${texts.join('\n\n')}\n\n${readme.slice(to)}`;
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  writeFileSync(readmePath, withReference(readFileSync(readmePath, 'utf8')));
