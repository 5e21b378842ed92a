import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { hostsDir } from './places.ts';
import { isAlive, type ProcessId } from './process-id.ts';
import type { Release } from './release.ts';

/** What one process writes down about a host so that another can find it, use it and clean up after it. */
export interface HostState {
  readonly name: string;
  readonly release: Release;
  readonly rootfs: string;
  /** The process that booted it. */
  readonly booter: ProcessId;
  /** A kept host outlives its booter. */
  readonly keep: boolean;
  readonly booted: string;
  /** The process whose end is the end of the host; absent while the host is being prepared. */
  readonly supervisor?: ProcessId;
}

export function hostFolder(name: string): string {
  // The name becomes a path, a cgroup and a host name.
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) throw new Error(`'${name}' cannot name a host: use a-z, 0-9 and -`);
  return join(hostsDir, name);
}

/** Makes the folder of a host that is about to be; throws when there is one of that name. */
export function claimFolder(state: HostState): void {
  mkdirSync(hostsDir, { recursive: true });
  const folder = hostFolder(state.name);
  // It appears together with the state: a folder without one is rubbish that anybody may sweep away.
  const claim = mkdtempSync(join(hostsDir, '.claim-'));
  try {
    writeFileSync(join(claim, 'state.json'), JSON.stringify(state, null, 2));
    chmodSync(claim, 0o755);
    renameSync(claim, folder);
  } catch (error) {
    rmSync(claim, { recursive: true });
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    throw new Error(`a host ${state.name} is already there: use it, or take it down first`, { cause: error });
  }
}

export function writeState(state: HostState): void {
  const file = stateFile(state.name);
  writeFileSync(`${file}.new`, JSON.stringify(state, null, 2));
  renameSync(`${file}.new`, file);
}

export function readState(name: string): HostState | undefined {
  try {
    return JSON.parse(readFileSync(stateFile(name), 'utf8')) as HostState;
  } catch {
    return undefined;
  }
}

/** The names of all hosts that left something on this machine. */
export function knownHosts(): string[] {
  try {
    return readdirSync(hostsDir)
      .filter((name) => !name.startsWith('.'))
      .sort();
  } catch {
    return [];
  }
}

export function isRunning(state: HostState | undefined): boolean {
  return isAlive(state?.supervisor);
}

/** Left behind by a process that was killed: nobody boots it, it does not run, or nobody is there to use it. */
export function isStale(state: HostState | undefined): boolean {
  if (!state) return true;
  return !isAlive(state.booter) && !(state.keep && isRunning(state));
}

function stateFile(name: string): string {
  return join(hostFolder(name), 'state.json');
}
