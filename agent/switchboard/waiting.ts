/** A connection that nobody has accepted yet: in /proc/net/unix (proc(5)) it is connecting (02) under the listener's path. */
const waiting = /^\S+ \S+ \S+ \S+ \S+ 02 +\d+ (\/\S+)$/;

/** How many connections wait at each listening unix socket, by its path. */
export const countWaiting = (table: string): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const line of table.split('\n')) {
    const path = waiting.exec(line)?.[1];
    if (path !== undefined) counts.set(path, (counts.get(path) ?? 0) + 1);
  }
  return counts;
};
