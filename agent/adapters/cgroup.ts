import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path/posix';

/** Where a cgroup hierarchy is mounted, and which of its folders the mount shows as its root. */
interface Hierarchy {
  version: 1 | 2;
  root: string;
  mountPoint: string;
}

const unescape = (field: string): string =>
  field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** The hierarchy that accounts for memory, from the text of /proc/self/mountinfo (proc(5)); null when there is none. */
export const memoryHierarchy = (mountinfo: string): Hierarchy | null => {
  let unified: Hierarchy | null = null;
  for (const line of mountinfo.split('\n')) {
    const [mount, fileSystem] = line.split(' - ');
    const [, , , root, mountPoint] = (mount ?? '').split(' ');
    const [type, , options] = (fileSystem ?? '').split(' ');
    if (root === undefined || mountPoint === undefined) continue;
    const place = { root: unescape(root), mountPoint: unescape(mountPoint) };
    // On a hybrid host both exist, and memory belongs to version 1.
    if (type === 'cgroup' && options?.split(',').includes('memory')) return { version: 1, ...place };
    if (type === 'cgroup2') unified ??= { version: 2, ...place };
  }
  return unified;
};

/** The memory cgroup of a process, from the text of /proc/PID/cgroup; null when it is in none. */
export const memoryGroup = (cgroup: string, version: 1 | 2): string | null => {
  for (const line of cgroup.split('\n')) {
    const match = /^(\d+):([^:]*):(.*)$/.exec(line);
    if (!match) continue;
    const [, id, controllers, path] = match;
    const wanted = version === 2 ? id === '0' && controllers === '' : controllers?.split(',').includes('memory');
    if (wanted) return path ?? null;
  }
  return null;
};

/** Bytes in use without the file cache that the kernel would give up first; both texts as in the cgroup's files. */
export const usedMemory = (usage: string, stat: string, version: 1 | 2): number | null => {
  const bytes = Number(usage.trim());
  const key = version === 2 ? 'inactive_file' : 'total_inactive_file';
  const cache = Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
  return usage.trim() === '' || !Number.isSafeInteger(bytes) ? null : Math.max(0, bytes - cache);
};

/**
 * Bytes of memory of the cgroup that a process is in; null when the process is gone or nothing accounts for it.
 * Three reads of files in memory: Docker's stats take a second per container.
 */
export const memoryOfProcess = (pid: number): number | null => {
  try {
    const hierarchy = memoryHierarchy(readFileSync('/proc/self/mountinfo', 'utf8'));
    if (!hierarchy) return null;
    const { version, root, mountPoint } = hierarchy;
    const group = memoryGroup(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), version);
    if (group === null) return null;
    const directory = join(mountPoint, relative(root, group));
    const file = version === 2 ? 'memory.current' : 'memory.usage_in_bytes';
    return usedMemory(
      readFileSync(join(directory, file), 'utf8'),
      readFileSync(join(directory, 'memory.stat'), 'utf8'),
      version,
    );
  } catch {
    return null;
  }
};
