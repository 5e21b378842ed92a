import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCommand } from './command.ts';
import { consoleFile, findLeader } from './machine.ts';
import { isAlive, type ProcessId } from './process-id.ts';
import type { HostState } from './state.ts';

const LIMIT_MS = 90_000;

/** Waits until systemd in the host has finished; throws with the reason when it did not come up well. */
export async function untilBooted({ name, supervisor }: HostState): Promise<void> {
  let said = '';
  for (const end = Date.now() + LIMIT_MS; Date.now() < end; await sleep(50)) {
    if (!isAlive(supervisor)) throw new Error(`host ${name}: systemd-nspawn ended\n${consoleTail(name)}`);
    const leader = findLeader(supervisor!);
    if (!leader) continue;
    said = (await inside(leader, ['systemctl', 'is-system-running', '--wait'])).trim();
    if (said === 'running') return;
    if (said === 'degraded') throw new Error(`host ${name} has failed units:\n${await failedUnits(leader)}`);
  }
  throw new Error(`host ${name} did not boot in ${LIMIT_MS / 1000} s: '${said}'\n${consoleTail(name)}`);
}

async function failedUnits(leader: ProcessId): Promise<string> {
  const names = (await inside(leader, ['systemctl', 'list-units', '--failed', '--plain', '--no-legend']))
    .split('\n')
    .map((line) => line.split(' ')[0]!)
    .filter(Boolean);
  return inside(leader, ['systemctl', 'status', '--no-pager', '--full', ...names]);
}

async function inside(leader: ProcessId, argv: readonly string[]): Promise<string> {
  const enter = ['nsenter', '--target', String(leader.pid), '--all', '--', ...argv];
  return (await runCommand(enter, { allowFail: true, timeoutMs: LIMIT_MS })).stdout;
}

function consoleTail(name: string): string {
  return readFileSync(consoleFile(name), 'utf8').slice(-3000);
}
