/**
 * Putting a site to sleep without losing a request.
 *
 * The switch is turned to wake.sock first. If anybody is connected to the container then, it is turned back: the site is in
 * use. Otherwise its unit is stopped; a request that comes meanwhile queues in wake.sock, and systemd starts the container
 * again after it has stopped (units/wake). Should we die in between, the next request finds the unit up and turns the switch back.
 */
import { appSocket, appUnit, httpSocket, wakeSocket, wakeUnit } from '../core/names.ts';
import { AppFleetError } from '../errors.ts';
import type { Host } from '../ports.ts';
import { openConnections } from './connections.ts';

export type SleepOutcome =
  | { asleep: true }
  /** Why it stays awake. */
  | { asleep: false; because: string };

/** nginx may have resolved the link just before it turned; connect(2) follows within microseconds. */
const settleMilliseconds = 30;

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

const isCanceled = (error: unknown): boolean =>
  error instanceof AppFleetError && error.code === 'AF_UNIT_JOB' && error.message.includes('(canceled)');

/** Puts one site to sleep if nobody uses it. Throws AF_UNIT_JOB when systemd cannot stop it. */
export const putToSleep = async (host: Host, name: string): Promise<SleepOutcome> => {
  const app = appSocket(name);
  if ((await host.files.readLink(httpSocket(name))) !== app) return { asleep: false, because: 'it is not awake' };
  await host.files.link(httpSocket(name), wakeSocket(name));
  await pause(settleMilliseconds);
  const open = (await openConnections(host.files)).get(app) ?? 0;
  const waker = await host.units.list([wakeUnit(name)]);
  if (open > 0 || waker.some(({ active }) => active === 'active' || active === 'activating')) {
    await host.files.link(httpSocket(name), app);
    // Its container may have ended meanwhile, and units/launch turned the switch just before we did.
    const [unit] = await host.units.list([appUnit(name)]);
    if (unit?.active !== 'active') await host.files.link(httpSocket(name), wakeSocket(name));
    return {
      asleep: false,
      because: open > 0 ? `${open} connection${open === 1 ? ' is' : 's are'} open` : 'a request came',
    };
  }
  try {
    await host.units.stop(appUnit(name));
    return { asleep: true };
  } catch (error) {
    if (isCanceled(error)) return { asleep: false, because: 'a request came' };
    throw error;
  }
};
