import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { plantSeed, seedPath } from '../images/seed.ts';
import { endWithUs } from './end-with-us.ts';
import { ourselves } from './process-id.ts';
import type { Release } from './release.ts';
import { rootfs, rootfsKind } from './rootfs.ts';
import { claimFolder, hostFolder, isRunning, knownHosts, readState, writeState, type HostState } from './state.ts';
import { startMachine } from './machine.ts';
import { prune } from './store.ts';
import { sweepStale, tearDown } from './teardown.ts';
import { TestHost } from './test-host.ts';
import { ensureTools, type Log } from './tools.ts';
import { untilBooted } from './until-booted.ts';

export interface BootOptions {
  readonly name: string;
  readonly release: Release;
  readonly log: Log;
  /** Let it run on when this process ends. Otherwise it goes when we go, however that happens. */
  readonly keep?: boolean;
}

/** Boots a fresh Debian. It is up when its systemd says `running`. */
export async function bootHost({ name, release, log, keep = false }: BootOptions): Promise<TestHost> {
  await ensureTools(log);
  for (const stale of sweepStale()) log(`cleaned up after host ${stale}, left by a killed run`);

  const base = await rootfs(release, log);
  let state: HostState = { name, release, rootfs: base, booter: ourselves, keep, booted: new Date().toISOString() };
  claimFolder(state);
  if (!keep) endWithUs(name);
  try {
    await prepareFolder(state);
    state = { ...state, supervisor: startMachine(state) };
    writeState(state);
    await untilBooted(state);
  } catch (error) {
    tearDown(name);
    throw error;
  }
  const inUse = knownHosts().flatMap((other) => readState(other)?.rootfs ?? []);
  prune(rootfsKind(release), new Set([base, ...inUse]));
  return new TestHost(state);
}

/** Finds a host that runs, whoever booted it. */
export function attachHost(name: string): TestHost | undefined {
  const state = readState(name);
  return state && isRunning(state) ? new TestHost(state) : undefined;
}

async function prepareFolder(state: HostState): Promise<void> {
  const { name } = state;
  const folder = hostFolder(name);
  for (const part of ['upper', 'work', 'root', 'docker']) mkdirSync(join(folder, part));
  const seed = seedPath(state);
  if (seed) await plantSeed(seed, join(folder, 'docker'));
  const own: Readonly<Record<string, string>> = {
    // With an empty id systemd would think of a first boot and enable whatever its presets name.
    'etc/machine-id': `${randomBytes(16).toString('hex')}\n`,
    'etc/hostname': `${name}\n`,
    'etc/resolv.conf': '# this host has no network\n',
    'etc/hosts': `127.0.0.1 localhost\n127.0.1.1 ${name}\n::1 localhost ip6-localhost\n`,
    // Package lists count as fresh, however old the cached root is.
    'var/lib/apt/periodic/update-success-stamp': '',
  };
  for (const [path, text] of Object.entries(own)) {
    mkdirSync(dirname(join(folder, 'upper', path)), { recursive: true });
    writeFileSync(join(folder, 'upper', path), text);
  }
}
