/** Looks again and again for sites that nobody asks for, more often the sooner one of them may sleep. */
import type { Log } from '../adapters/journal.ts';
import { messageOf } from '../errors.ts';
import { systemTimers } from '../net/timers.ts';
import type { Host } from '../ports.ts';
import type { Fleet } from '../reconcile/fleet.ts';
import { createIdleWatch } from '../switchboard/idle.ts';

const longestWaitSeconds = 5;
const shortestWaitSeconds = 0.5;

/** Begins at once; the returned function ends it. `fleet` gives null before the first pass. */
export const startIdleRounds = (
  host: Host,
  steady: () => number,
  fleet: () => Pick<Fleet, 'sites' | 'services'> | null,
  log: Log,
): (() => void) => {
  const idle = createIdleWatch(host, steady, {
    slept: (site, outcome, seconds) =>
      outcome.asleep
        ? log.info({ site }, `put to sleep after ${seconds.toFixed(0)} s without a request`)
        : log.debug({ site }, `stays awake: ${outcome.because}`),
    failed: (site, error) => log.error({ site }, `could not be put to sleep: ${messageOf(error)}`),
  });
  let callOff = (): void => undefined;
  let ended = false;
  const round = async (): Promise<void> => {
    const { sites, services } = fleet() ?? { sites: [], services: [] };
    await idle.round(sites, services).catch((error: unknown) => log.error(`idle round failed: ${messageOf(error)}`));
    const times = [...sites, ...services].flatMap(({ idleSeconds }) => (idleSeconds === 'never' ? [] : [idleSeconds]));
    const shortest = times.reduce((least, time) => Math.min(least, time), Infinity);
    const wait = Math.min(longestWaitSeconds, Math.max(shortestWaitSeconds, shortest / 4));
    if (!ended) callOff = systemTimers.after(wait * 1000, () => void round());
  };
  void round();
  return () => {
    ended = true;
    callOff();
  };
};
