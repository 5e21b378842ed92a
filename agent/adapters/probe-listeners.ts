/** Which programs listen on a TCP port of this host, from what the kernel shows of sockets and processes (proc(5)). */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const listenState = '0A';

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const namesIn = (path: string): string[] => {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
};

/** Inodes of the sockets that listen on a port, in the texts of /proc/net/tcp and tcp6. */
const listeningInodes = (tables: string, port: number): Set<string> => {
  const inodes = new Set<string>();
  for (const line of tables.split('\n')) {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    if (state === listenState && Number.parseInt(local.split(':')[1] ?? '', 16) === port) inodes.add(inode);
  }
  return inodes;
};

const targetOf = (path: string): string => {
  try {
    return readlinkSync(path);
  } catch {
    // It was closed just now.
    return '';
  }
};

/**
 * Names of the programs, each with the id of one of its processes. A socket whose process cannot be seen (another container's,
 * the kernel's own) is called `an unknown program`.
 */
export const listenersOn = (port: number): { program: string; pid: number | null }[] => {
  const inodes = listeningInodes(`${textOf('/proc/net/tcp')}\n${textOf('/proc/net/tcp6')}`, port);
  if (inodes.size === 0) return [];
  const found = new Map<string, number>();
  const seen = new Set<string>();
  for (const pid of namesIn('/proc').filter((name) => /^\d+$/.test(name)))
    for (const fd of namesIn(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(targetOf(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode === undefined || !inodes.has(inode)) continue;
      seen.add(inode);
      const program = textOf(`/proc/${pid}/comm`).trim();
      if (!found.has(program)) found.set(program, Number(pid));
    }
  const named = [...found].map(([program, pid]) => ({ program, pid }));
  return seen.size === inodes.size ? named : [...named, { program: 'an unknown program', pid: null }];
};
