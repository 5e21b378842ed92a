import { existsSync, readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { cgroupProcesses, cgroupsOf } from './cgroups.ts';
import { processesNaming } from './process-id.ts';
import { hostFolder } from './state.ts';

/** What a host of that name has on this machine, one line each: empty once it is really gone. */
export function tracesOf(name: string): string[] {
  const folder = hostFolder(name);
  return [
    ...(existsSync(folder) ? [`folder ${folder}`] : []),
    ...readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(folder))
      .map((line) => `mount ${line}`),
    ...cgroupsOf(name).map((path) => `cgroup ${path}`),
    ...new Set([...cgroupProcesses(name), ...processesNaming(folder)].map((pid) => `process ${pid}`)),
    ...Object.keys(networkInterfaces())
      .filter((link) => link.includes(name))
      .map((link) => `network interface ${link}`),
    ...(existsSync(`/run/systemd/nspawn/propagate/${name}`) ? ['folder in /run/systemd/nspawn'] : []),
  ];
}
