import { connect, createServer } from 'node:net';
import { AppFleetError, messageOf } from '../errors.ts';

/**
 * Takes the host-wide lock and returns the function that gives it back, or null while another process holds it.
 * The lock is a listening socket with an abstract name (unix(7)): the kernel frees it with the process, SIGKILL included,
 * and no file stays behind that a later start would have to judge.
 */
export const acquire = (name = 'appfleet-agent'): Promise<(() => Promise<void>) | null> =>
  new Promise((resolve, reject) => {
    // Who connects learns nothing and cannot keep us: every connection is closed at once.
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') return resolve(null);
      reject(new AppFleetError('AF_LOCKED', `cannot take the lock @${name}: ${messageOf(error)}`, { cause: error }));
    });
    server.listen({ path: `\0${name}` }, () => {
      server.unref();
      resolve(() => new Promise((done) => server.close(() => done())));
    });
  });

/** Whether some process, this one included, holds the lock now. */
export const isTaken = (name = 'appfleet-agent'): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ path: `\0${name}` });
    const answer = (taken: boolean): void => {
      socket.destroy();
      resolve(taken);
    };
    socket.once('connect', () => answer(true)).once('error', () => answer(false));
  });
