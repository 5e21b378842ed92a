import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../host/command.ts';
import { contained } from '../host/contained.ts';
import { fingerprint } from '../host/places.ts';
import { MIRROR, SMALL_DEBIAN } from '../host/rootfs.ts';
import { stored } from '../host/store.ts';
import type { Log } from '../host/tools.ts';
import { DEBIAN_RELEASE, debian } from './debian.ts';
import { lineage, type Recipe } from './recipe.ts';

/** Raise it when the way layers are made changes. */
const VERSION = 1;

const HERE = fileURLToPath(new URL('.', import.meta.url));
const LAYER_SCRIPT = join(HERE, 'layer.sh');

/** What one recipe adds to the image it comes from. */
export interface Layer {
  /** The files. */
  readonly diff: string;
  /** SHA-256 of the files as `layerTar` packs them. */
  readonly digest: string;
}

const underWay = new Map<string, Promise<Layer>>();

/** Gives the layer, made first when the cache has none. The layers below it are made before. */
export function makeLayer(recipe: Recipe, log: Log): Promise<Layer> {
  const hash = layerHash(recipe);
  const layer = underWay.get(hash) ?? makeOrFindLayer(recipe, hash, log);
  underWay.set(hash, layer);
  return layer;
}

async function makeOrFindLayer(recipe: Recipe, hash: string, log: Log): Promise<Layer> {
  const lower: Layer[] = [];
  for (const below of recipe === debian ? [] : lineage(recipe.from ?? debian)) lower.push(await makeLayer(below, log));
  const path = await stored(layerKind(recipe), hash, log, async (work) => {
    const start = Date.now();
    mkdirSync(work, { recursive: true });
    if (recipe === debian) await bootstrap(join(work, 'diff'));
    else await addTo(lower, recipe, work);
    writeFileSync(join(work, 'digest'), await digestOf(join(work, 'diff')));
    log(`built ${recipe.tags[0]} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  });
  return { diff: join(path, 'diff'), digest: readFileSync(join(path, 'digest'), 'utf8') };
}

export function layerKind(recipe: Recipe): string {
  return `layer-${recipe.name}`;
}

/** The same files always give the same bytes. What only building needs stays out. */
export function layerTar(diff: string): string[] {
  const exclude = ['./dev/*', './proc/*', './var/lib/apt/lists/*', './var/cache/apt/*', './var/log/*.log'];
  const stable = ['--sort=name', '--numeric-owner', '--format=posix', '--pax-option=delete=atime,delete=ctime'];
  return ['tar', '-C', diff, ...stable, ...exclude.map((path) => `--exclude=${path}`), '-c', '.'];
}

export function layerHash(recipe: Recipe): string {
  const { name, packages, extra } = recipe;
  const below = recipe === debian ? [] : layerHash(recipe.from ?? debian);
  const versions = Object.entries(extra ?? {}).map(([path, { version }]) => [path, version]);
  return fingerprint([VERSION, DEBIAN_RELEASE, SMALL_DEBIAN, below, packages, versions, filesIn(join(HERE, name))]);
}

async function bootstrap(path: string): Promise<void> {
  const argv = contained(['mmdebstrap', ...SMALL_DEBIAN, DEBIAN_RELEASE, path, MIRROR], { withUs: true });
  await runCommand(argv, { timeoutMs: 900_000 }, `mmdebstrap ${DEBIAN_RELEASE}`);
  writeFileSync(join(path, 'etc/resolv.conf'), ''); // Docker lays its own over it
  rmSync(join(path, 'etc/hostname'), { force: true });
}

async function addTo(lower: readonly Layer[], recipe: Recipe, work: string): Promise<void> {
  for (const [path, { from }] of Object.entries(recipe.extra ?? {})) {
    mkdirSync(dirname(join(work, 'extra', path)), { recursive: true });
    cpSync(from, join(work, 'extra', path));
  }
  const lowerDirs = lower.map(({ diff }) => diff).reverse();
  const script = ['sh', LAYER_SCRIPT, work, lowerDirs.join(':'), join(HERE, recipe.name), ...(recipe.packages ?? [])];
  const argv = contained(script, { withUs: true });
  await runCommand(argv, { timeoutMs: 900_000 }, `layer of ${recipe.tags[0]}`);
  for (const scratch of ['extra', 'overlay', 'root']) rmSync(join(work, scratch), { recursive: true, force: true });
  if (recipe.from) return;
  // It was made on Debian for its tools only.
  renameSync(join(work, 'diff'), join(work, 'tools'));
  renameSync(join(work, 'tools', 'layer'), join(work, 'diff'));
  rmSync(join(work, 'tools'), { recursive: true });
}

async function digestOf(diff: string): Promise<string> {
  const [program, ...args] = layerTar(diff);
  const tar = spawn(program!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const hash = createHash('sha256');
  const ended = once(tar, 'close') as Promise<[number]>;
  for await (const chunk of tar.stdout) hash.update(chunk as Buffer);
  const [code] = await ended;
  if (code !== 0) throw new Error(`tar of ${diff}: exit code ${code}`);
  return `sha256:${hash.digest('hex')}`;
}

/** Path, executable bit and content of every file of a recipe, for the hash. */
function filesIn(folder: string): string[][] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'recipe.ts')
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => [file.slice(folder.length), (statSync(file).mode & 0o777).toString(8), readFileSync(file, 'utf8')]);
}
