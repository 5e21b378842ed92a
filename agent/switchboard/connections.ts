import type { Files } from '../ports.ts';

/** A connected unix socket in /proc/net/unix (proc(5)): its state is connecting (02: not accepted yet) or connected (03). */
const connected = /^\S+ \S+ \S+ \S+ \S+ 0[23] +\d+ (\/\S+)$/;

/**
 * How many connections each unix socket has, by the path it was bound to. Counts what is waiting to be accepted as well.
 * A container's socket has the same path inside and outside, which is why its connections can be told from other sites'.
 */
export const countConnections = (table: string): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const line of table.split('\n')) {
    const path = connected.exec(line)?.[1];
    if (path !== undefined) counts.set(path, (counts.get(path) ?? 0) + 1);
  }
  return counts;
};

/** The connections of this host, now. */
export const openConnections = async (files: Pick<Files, 'read'>): Promise<Map<string, number>> =>
  countConnections((await files.read('/proc/net/unix')) ?? '');
