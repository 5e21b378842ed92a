/** A lock that one host holds: a key that belongs to a session, which Consul ends when nobody renews it. */
import { setTimeout as pause } from 'node:timers/promises';
import { AppFleetError } from '../errors.ts';
import type { Wire } from './consul-wire.ts';

/** The least that Consul allows; it may take twice as long until it ends a session. */
const ttlSeconds = 10;
const renewMs = 3000;
const askMs = 500;

export type Ask = <T>(what: string, work: (wire: Wire) => Promise<T>) => Promise<T>;

/** Throws AF_CONSUL when Consul cannot be asked, or when others hold the lock for all that time. */
export const takeLock = async (
  ask: Ask,
  key: string,
  owner: string,
  waitMs: number,
): Promise<{ release(): Promise<void> }> => {
  const { ID: session } = await ask(`cannot open a session for ${key}`, (wire) =>
    wire.session.create({ name: `appfleet ${key}`, ttl: `${ttlSeconds}s`, lockdelay: '0s', behavior: 'delete' }),
  );
  const renewal = setInterval(() => {
    void ask('cannot renew a session', (wire) => wire.session.renew(session)).catch(() => undefined);
  }, renewMs);
  const end = async (): Promise<void> => {
    clearInterval(renewal);
    // The key goes with the session. Where that cannot be said now, the session ends by its TTL.
    await ask('cannot end a session', (wire) => wire.session.destroy(session)).catch(() => undefined);
  };
  try {
    for (const until = performance.now() + waitMs; ; await pause(askMs)) {
      const got = await ask(`cannot lock ${key}`, (wire) => wire.kv.set({ key, value: owner, acquire: session }));
      if (got === true) return { release: end };
      if (performance.now() > until)
        throw new AppFleetError('AF_CONSUL', `the lock ${key} is held by others for ${waitMs / 1000} s`);
    }
  } catch (error) {
    await end();
    throw error;
  }
};
