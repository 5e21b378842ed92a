import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * One cgroup for each host in every hierarchy of the machine, v1 controllers as well as v2. The host sees it as the root
 * of its own tree (cgroup namespace), so several hosts, and the machine itself, stay out of each other's way.
 */
interface Hierarchy {
  readonly path: string;
  readonly v2: boolean;
}

/** Makes the groups and gives the `cgroup.procs` files by which a process enters them. */
export function makeCgroups(name: string): string[] {
  const all = hierarchies();
  return all.map(({ path, v2 }) => {
    const group = join(path, groupName(name));
    if (v2 && all.length === 1) enableControllers(path);
    mkdirSync(group, { recursive: true });
    if (existsSync(join(group, 'cpuset.cpus')) && !v2) {
      // A v1 cpuset starts empty and takes no process before it has CPUs and memory nodes.
      for (const file of ['cpuset.cpus', 'cpuset.mems']) copy(join(path, file), join(group, file));
      writeFileSync(join(group, 'cgroup.clone_children'), '1');
    }
    return join(group, 'cgroup.procs');
  });
}

/** Whether the machine has only the unified hierarchy. */
export function isUnified(): boolean {
  return hierarchies().every(({ v2 }) => v2);
}

export function cgroupProcesses(name: string): number[] {
  const pids = cgroupsOf(name).map((group) => readFileOrEmpty(join(group, 'cgroup.procs')));
  return [...new Set(pids.flatMap((text) => text.match(/\d+/g) ?? []))].map(Number);
}

/** Removes the groups; says whether they are gone (a process that is just ending keeps its group for a moment). */
export function removeCgroups(name: string): boolean {
  for (const group of cgroupsOf(name)) {
    try {
      rmdirSync(group);
    } catch (error) {
      if (!['EBUSY', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return cgroupsOf(name).length === 0;
}

/** Our groups and all groups in them, the innermost first. */
export function cgroupsOf(name: string): string[] {
  const walk = (group: string): string[] => [...foldersIn(group).flatMap((child) => walk(join(group, child))), group];
  return hierarchies()
    .map(({ path }) => join(path, groupName(name)))
    .filter((group) => existsSync(group))
    .flatMap(walk);
}

function groupName(name: string): string {
  return `appfleet-test-${name}`;
}

function hierarchies(): Hierarchy[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, path, type]) => (type === 'cgroup' || type === 'cgroup2') && path?.startsWith('/sys/fs/cgroup'))
    .map(([, path, type]) => ({ path: path!, v2: type === 'cgroup2' }));
}

function enableControllers(root: string): void {
  for (const controller of readFileOrEmpty(join(root, 'cgroup.controllers')).split(/\s+/).filter(Boolean)) {
    try {
      writeFileSync(join(root, 'cgroup.subtree_control'), `+${controller}`);
    } catch {
      // Not ours to give, as in a container: the host then runs without that controller's limits.
    }
  }
}

function copy(from: string, to: string): void {
  writeFileSync(to, readFileSync(from));
}

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

function readFileOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
