/** What nginx refused, kept on disk so that no restart of the agent makes it ask again or forget. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { VhostCandidate } from '../core/vhost.ts';
import type { Files } from '../ports.ts';
import { type Contestant, lineOf, type Variant } from './nginx-test.ts';

export interface Refusal {
  site: string;
  /** Fingerprint of what was refused and of what it was refused beside. */
  key: string;
  message: string;
}

export interface Refusals {
  list(): Refusal[];
  write(refusal: Refusal): Promise<void>;
  forget(site: string): Promise<void>;
}

const readRefusal = (folder: string, site: string): Refusal | null => {
  try {
    const value: unknown = JSON.parse(readFileSync(join(folder, site), 'utf8'));
    if (typeof value !== 'object' || value === null || !('key' in value) || !('message' in value)) return null;
    return { site, key: String(value.key), message: String(value.message) };
  } catch {
    // Half a record or none at all: nginx is asked again.
    return null;
  }
};

/** The refusals in a folder, one file per site. */
export const createRefusals = (folder: string, files: Files): Refusals => ({
  list: () => {
    let names: string[];
    try {
      names = readdirSync(folder);
    } catch {
      return [];
    }
    return names.map((site) => readRefusal(folder, site)).filter((refusal) => refusal !== null);
  },
  write: async ({ site, key, message }) => {
    await files.write({ path: join(folder, site), text: `${JSON.stringify({ key, message })}\n`, mode: 0o644 });
  },
  forget: (site) => files.remove(join(folder, site)),
});

const served: Record<Variant['kind'], string> = {
  candidate: 'the site is served as asked',
  plain: 'the site is served without its snippets',
  installed: 'the site keeps its last good vhost',
};

/** Where a file of the admin's made nginx refuse the best text of a site, and what nginx said; null when it did not. */
export const refusalPlace = (
  { refused: [first] }: Contestant,
  candidate: VhostCandidate | undefined,
): { file: string; line?: number; message: string } | null => {
  if (first === undefined) return null;
  const { verdict, variant } = first;
  const snippet = candidate?.snippets.find(({ copy }) => copy === verdict.file);
  if (snippet !== undefined) return { file: snippet.file, line: verdict.line, message: verdict.message };
  const line = lineOf(verdict);
  const beside = candidate?.snippets.map(({ file }) => file).join(' and ') ?? '';
  return {
    file: candidate?.source ?? variant.path,
    message: [
      `nginx refuses the vhost: ${verdict.message}`,
      line === '' ? '' : ` at \`${line}\``,
      beside === '' ? '' : `, which includes ${beside}`,
    ].join(''),
  };
};

/** One line that names the file the admin wrote, what nginx said, and what is served instead. */
export const describeRefusal = (contestant: Contestant, candidate: VhostCandidate | undefined): string | null => {
  const place = refusalPlace(contestant, candidate);
  if (place === null) return null;
  const [best] = contestant.variants;
  const outcome = best === undefined ? 'the site is not served' : served[best.kind];
  return `${place.file}${place.line === undefined ? '' : `:${place.line}`}: ${place.message}; ${outcome}`;
};
