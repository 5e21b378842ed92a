import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isUnified, makeCgroups } from './cgroups.ts';
import { contained } from './contained.ts';
import { childrenOf, commandName, identify, innerPid, type ProcessId } from './process-id.ts';
import { hostFolder, type HostState } from './state.ts';

const LAUNCH = fileURLToPath(new URL('launch.sh', import.meta.url));

/** Boots systemd on a prepared folder. Ends with this process unless the host is to be kept. */
export function startMachine({ name, rootfs, keep }: HostState): ProcessId {
  const folder = hostFolder(name);
  const groups = makeCgroups(name);
  const launch = [
    ...['sh', LAUNCH, folder, rootfs, groups.join(' ')],
    ...[`--machine=${name}`, '--register=no', '--keep-unit', '--private-network', '--console=pipe'],
    ...['--capability=all', '--system-call-filter=@keyring bpf @privileged'],
    ...['--resolv-conf=off', '--timezone=off', '--link-journal=no'],
    // Docker's own overlays cannot lie on the overlay that is the root.
    `--bind=${join(folder, 'docker')}:/var/lib/docker`,
    '--boot',
    // Debian 13's systemd asks for this word before it runs on cgroup v1; others take no notice.
    ...(isUnified() ? [] : ['SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1']),
  ];
  // systemd-nspawn alone, when killed, would leave the host running.
  const argv = contained(launch, { withUs: !keep });
  const console = openSync(consoleFile(name), 'a');
  const child = spawn(argv[0]!, argv.slice(1), {
    detached: true,
    stdio: ['ignore', console, console],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', SYSTEMD_SECCOMP: '0' },
  });
  closeSync(console);
  child.unref();
  const id = child.pid && identify(child.pid);
  if (!id) throw new Error(`host ${name}: ${argv[0]} did not start`);
  return id;
}

/** The host's PID 1 as this machine numbers it, once systemd runs there. Another one after each reboot. */
export function findLeader(supervisor: ProcessId): ProcessId | undefined {
  let generation = [supervisor.pid];
  // Down through launch.sh and systemd-nspawn, not into the host itself.
  for (let depth = 0; depth < 3; depth++) {
    generation = generation.flatMap(childrenOf);
    const pid = generation.find((child) => innerPid(child) === 1 && commandName(child) === 'systemd');
    if (pid !== undefined) return identify(pid);
  }
  return undefined;
}

export function consoleFile(name: string): string {
  return join(hostFolder(name), 'console.log');
}
