import { spawnSync } from 'node:child_process';
import { cgroupProcesses, removeCgroups } from './cgroups.ts';
import { findLeader } from './machine.ts';
import { identify, isAlive, signal } from './process-id.ts';
import { hostFolder, isStale, knownHosts, readState } from './state.ts';

const NSPAWN_GRACE_MS = 3000;
const CGROUP_GRACE_MS = 10_000;

/** Ends a host at once. systemd-nspawn gets the time to tidy up after itself. */
export function powerOff(name: string): void {
  const supervisor = readState(name)?.supervisor;
  // The end of its PID 1 is the end of every process in the host.
  if (supervisor && isAlive(supervisor)) signal(findLeader(supervisor), 'SIGKILL');
  waitUntil(NSPAWN_GRACE_MS, () => !isAlive(supervisor));
  signal(supervisor, 'SIGKILL');
  // A crash of ours may have left processes that no state file knows: whatever is in the host's cgroups is the host's.
  waitUntil(CGROUP_GRACE_MS, () => {
    for (const pid of cgroupProcesses(name)) signal(identify(pid), 'SIGKILL');
    return removeCgroups(name);
  });
}

/**
 * Ends a host and removes all that it left on this machine. Does not return to the event loop, because it also has to
 * work in a signal handler and at exit.
 */
export function tearDown(name: string): void {
  powerOff(name);
  // Mounts were private to the processes that just ended, so the folder holds nothing but files.
  // In a session of its own, where a second Ctrl-C does not reach it.
  spawnSync('setsid', ['--wait', 'rm', '-rf', '--one-file-system', hostFolder(name)], { stdio: 'inherit' });
}

/** Clears away what killed test runs left behind. */
export function sweepStale(): string[] {
  const stale = knownHosts().filter((name) => isStale(readState(name)));
  stale.forEach(tearDown);
  return stale;
}

function waitUntil(limitMs: number, done: () => boolean): boolean {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (const end = Date.now() + limitMs; !done();) {
    if (Date.now() > end) return false;
    Atomics.wait(pause, 0, 0, 10);
  }
  return true;
}
