import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runCommand } from '../host/command.ts';
import { fingerprint } from '../host/places.ts';
import type { Release } from '../host/release.ts';
import { hostFolder, readState, type HostState } from '../host/state.ts';
import { prune, stored, storedPath } from '../host/store.ts';
import type { TestHost } from '../host/test-host.ts';
import type { Log } from '../host/tools.ts';
import { layerHash } from './layer.ts';
import { RECIPES } from './recipes.ts';

type BootedFrom = Pick<HostState, 'release' | 'rootfs'>;

/**
 * Docker's data folder with all images in it: copied into a host before it boots, the images are there at once. It
 * fits the Docker of one root file system and one version of the recipes.
 */
export function seedPath({ release, rootfs }: BootedFrom): string | undefined {
  const path = storedPath(seedKind(release), seedHash(rootfs));
  return existsSync(path) ? path : undefined;
}

/**
 * Fills the data folder of a host that is about to boot. Docker never changes a file of a layer, so layers may be
 * shared by hard links (a tenth of the time); all else is copied.
 */
export async function plantSeed(seed: string, docker: string): Promise<void> {
  rmSync(docker, { recursive: true });
  const link = ['cp', '--archive', '--link', seed, docker];
  if ((await runCommand(link, { allowFail: true })).code !== 0) {
    rmSync(docker, { recursive: true, force: true });
    await runCommand(['cp', '--archive', seed, docker]); // another file system
    return;
  }
  for (const part of readdirSync(seed).filter((name) => name !== 'overlay2')) {
    rmSync(join(docker, part), { recursive: true });
    await runCommand(['cp', '--archive', join(seed, part), join(docker, part)]);
  }
}

export async function saveSeed(host: TestHost, log: Log): Promise<void> {
  const state = readState(host.name)!;
  const kind = seedKind(state.release);
  if (seedPath(state) || (await host.run(['docker', 'ps', '-aq'])).stdout) return;
  await host.run(['systemctl', 'stop', 'docker.socket', 'docker.service']);
  try {
    await stored(kind, seedHash(state.rootfs), log, async (path) => {
      log('keeping the images for the next boot');
      await runCommand(['cp', '--archive', join(hostFolder(host.name), 'docker'), path]);
      // Not the images' but this daemon's own.
      for (const own of ['network', 'containers', 'volumes', 'engine-id', 'tmp']) {
        rmSync(join(path, own), { recursive: true, force: true });
      }
    });
  } finally {
    await host.run(['systemctl', 'start', 'docker.socket', 'docker.service']);
  }
  prune(kind, new Set([seedPath(state)!]));
}

function seedKind(release: Release): string {
  return `docker-${release}`;
}

function seedHash(rootfs: string): string {
  return fingerprint([basename(rootfs), RECIPES.map((recipe) => [recipe.tags, recipe.config, layerHash(recipe)])]);
}
