/** Who listens: the sockets that systemd has lost are still there as files. */
import type { Files } from '../ports.ts';

/** A listening unix socket in /proc/net/unix (proc(5)): its flags have __SO_ACCEPTCON. */
const listening = /^\S+ \S+ \S+ 00010000 \S+ \S+ +\d+ (\/\S+)$/;

/** Paths of the unix sockets on which somebody listens. */
export const listenersIn = (table: string): Set<string> =>
  new Set(
    table.split('\n').flatMap((line) => {
      const path = listening.exec(line)?.[1];
      return path === undefined ? [] : [path];
    }),
  );

/** Tells whether a socket is one that nobody listens on; of none where the table cannot be read. */
export const deafSockets = async (files: Pick<Files, 'read'>): Promise<(path: string) => boolean> => {
  const table = await files.read('/proc/net/unix');
  const listeners = table === null ? null : listenersIn(table);
  return (path) => listeners !== null && !listeners.has(path);
};
