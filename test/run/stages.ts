/** The stages of `npm test`. Each says what it checked; none skips what is missing. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeLayer } from '../images/layer.ts';
import { RECIPES } from '../images/recipes.ts';
import { RELEASES, type Release } from '../host/release.ts';
import { rootfs } from '../host/rootfs.ts';
import { ensureTools } from '../host/tools.ts';
import { createTapReader, one, type Outcome } from './outcome.ts';
import { repository, runLines } from './program.ts';

export type Show = (line: string) => void;

/** A program whose exit code is the check. */
const verdict = async (argv: readonly string[], show: Show): Promise<Outcome> => {
  const lines: string[] = [];
  const code = await runLines(argv, (line) => lines.push(line));
  if (code !== 0) for (const line of lines) show(line);
  return one(code === 0);
};

export const lint = (show: Show): Promise<Outcome> => verdict(['eslint', '.'], show);
export const format = (show: Show): Promise<Outcome> =>
  verdict(['prettier', '--check', '--log-level', 'warn', '.'], show);
export const types = (show: Show): Promise<Outcome> => verdict(['tsc', '--noEmit'], show);

/** Test files below a folder of test/, by path. */
export const testFiles = (folder: string): string[] =>
  readdirSync(join(repository, 'test', folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('test', folder, name))
    .sort();

export const tap = async (files: readonly string[], jobs: number, reader: TapReader, env = {}): Promise<Outcome> => {
  const argv = ['tap', '--reporter=tap', `--jobs=${jobs}`, '--timeout=1200', ...files];
  return reader.end(await runLines(argv, reader.line, env));
};
type TapReader = ReturnType<typeof createTapReader>;

const onHost = ['on-host', 'host', 'bench', 'images'];

/** Everything that needs no host. */
export const unit = (show: Show): Promise<Outcome> =>
  tap(
    testFiles('').filter((file) => !onHost.some((folder) => file.startsWith(join('test', folder)))),
    2,
    createTapReader(show),
  );

/** Fills the caches that hosts are made from, so that booting one takes seconds. Does nothing when they are full. */
export const prepare = async (show: Show): Promise<void> => {
  await ensureTools(show);
  for (const release of RELEASES) await rootfs(release, show);
  for (const recipe of RECIPES) await makeLayer(recipe, show);
};

/** Of what a boot and a playbook say only the headings. */
export const headings =
  (show: Show): Show =>
  (line) => {
    if (!line.startsWith(' ')) show(`  ${line}`);
  };

/** Nobody else's: several runs may share a machine. */
export const hostName = (part: string, release: Release): string => `test-${part}-${release}-${process.pid}`;
