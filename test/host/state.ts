import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
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

export function writeState(state: HostState): void {
  const file = stateFile(state.name);
  mkdirSync(hostFolder(state.name), { recursive: true });
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
    return readdirSync(hostsDir).sort();
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
