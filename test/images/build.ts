import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../host/command.ts';
import type { TestHost } from '../host/test-host.ts';
import { prune, storedPath } from '../host/store.ts';
import { ensureTools, type Log } from '../host/tools.ts';
import { layerHash, layerKind, layerTar, makeLayer, type Layer } from './layer.ts';
import { lineage, type Recipe } from './recipe.ts';
import { RECIPES, recipeOf } from './recipes.ts';
import { saveSeed } from './seed.ts';

interface Image {
  readonly recipe: Recipe;
  readonly layers: readonly Layer[];
  readonly id: string;
  /** The image format's own description; its hash is the image's id. */
  readonly json: string;
}

/** Brings images, by their tags, into the host's Docker; without names all of them. Does nothing for what is there. */
export async function buildImages(host: TestHost, names: readonly string[] | undefined, log: Log): Promise<void> {
  const wanted = names ? [...new Set(names.map(recipeOf))] : RECIPES;
  const present = await imagesIn(host);
  await ensureTools(log);
  // In pairs that wait for each other only where one stands on the other: two processors are the common case.
  const images = await Promise.all(wanted.map((recipe) => makeImage(recipe, log)));
  for (const recipe of RECIPES) prune(layerKind(recipe), new Set([storedPath(layerKind(recipe), layerHash(recipe))]));

  const missing = images.filter(({ recipe, id }) => recipe.tags.some((tag) => present.get(tag) !== id));
  if (missing.length === 0) return;
  log(`loading ${missing.map(({ recipe }) => recipe.tags[0]).join(', ')} into ${host.name}`);
  await load(host, missing);
  if (wanted.length === RECIPES.length) await saveSeed(host, log);
}

async function makeImage(recipe: Recipe, log: Log): Promise<Image> {
  const layers: Layer[] = [];
  for (const part of lineage(recipe)) layers.push(await makeLayer(part, log));
  const json = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created: '2025-01-01T00:00:00Z', // the same parts are the same image
    config: recipe.config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    history: lineage(recipe).map(({ name }) => ({ created: '2025-01-01T00:00:00Z', created_by: name })),
  });
  return { recipe, layers, json, id: `sha256:${createHash('sha256').update(json).digest('hex')}` };
}

async function imagesIn(host: TestHost): Promise<Map<string, string>> {
  const format = '{{.Repository}}:{{.Tag}} {{.ID}}';
  const { stdout } = await host.run(['docker', 'image', 'ls', '--no-trunc', '--format', format]);
  return new Map(
    stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' ') as [string, string]),
  );
}

/** One archive for all, as `docker save` writes it, so that shared layers travel once. */
async function load(host: TestHost, images: readonly Image[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'appfleet-images-'));
  try {
    const layers = new Map(images.flatMap(({ layers }) => layers.map((layer) => [layer.digest, layer.diff])));
    for (const [digest, diff] of layers) {
      await runCommand([
        'sh',
        '-c',
        'out=$1; shift; "$@" >"$out"',
        'pack',
        join(folder, tarName(digest)),
        ...layerTar(diff),
      ]);
    }
    const manifest = images.map(({ recipe, layers, id, json }) => {
      const config = `${id.slice('sha256:'.length)}.json`;
      writeFileSync(join(folder, config), json);
      return { Config: config, RepoTags: recipe.tags, Layers: layers.map(({ digest }) => tarName(digest)) };
    });
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
    const pack = ['tar', '-C', folder, '-c', '.'];
    await host.pipeFrom(pack, ['docker', 'load', '--quiet']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function tarName(digest: string): string {
  return `${digest.slice('sha256:'.length)}.tar`;
}
