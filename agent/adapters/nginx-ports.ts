/** Which ports other programs listen on, and who they are. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Inodes of the sockets that listen on these ports, with the port, from the text of /proc/net/tcp or tcp6 (proc(5)): state 0A. */
export const listenersIn = (table: string, ports: ReadonlySet<number>): Map<string, number> => {
  const found = new Map<string, number>();
  for (const [, hex = '', inode = ''] of table.matchAll(
    /^ *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F:]+ 0A \S+ \S+ \S+ +\d+ +\d+ (\d+) /gm,
  )) {
    const port = Number.parseInt(hex, 16);
    if (ports.has(port)) found.set(inode, port);
  }
  return found;
};

const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** Inodes of a process's sockets; null when we may not look, or it has ended. */
const socketsOf = (pid: number): string[] | null => {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    });
  } catch {
    return null;
  }
};

/** Programs other than the nginx of this master that listen on these ports, by port. */
export const takenPorts = (ports: readonly number[], master: { pid: number } | null): Map<number, string> => {
  const own = master === null ? [] : socketsOf(master.pid);
  // Where nobody may look, nginx itself must not be taken for another.
  if (own === null) return new Map();
  const listeners = listenersIn(textOf('/proc/net/tcp') + textOf('/proc/net/tcp6'), new Set(ports));
  for (const inode of own) listeners.delete(inode);
  const taken = new Map([...listeners.values()].map((port) => [port, 'another program']));
  if (taken.size === 0) return taken;
  // The oldest process that has it: the others are its children.
  const pids = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  for (const pid of pids.sort((a, b) => b - a))
    for (const inode of socketsOf(pid) ?? []) {
      const port = listeners.get(inode);
      if (port !== undefined) taken.set(port, `${textOf(`/proc/${pid}/comm`).trim()} (process ${pid})`);
    }
  return taken;
};
