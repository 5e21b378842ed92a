/** One at a time on a host: whoever orders, installs or takes back certificates. */
import { setTimeout as pause } from 'node:timers/promises';
import { AppFleetError } from '../errors.ts';
import { acquire, isTaken } from '../net/lock.ts';
import type { Context } from './context.ts';

const name = 'appfleet-certificates';
const longestWaitSeconds = 300;

/** Gives the lock back. */
export type Release = () => Promise<void>;

/** The lock, waited for when `patient`; null while another run has it. */
export const takeCertificateLock = async (
  context: Pick<Context, 'steady'>,
  patient: boolean,
  report: (line: string) => void,
): Promise<Release | null> => {
  const end = context.steady() + longestWaitSeconds;
  for (let told = false; ; told = true) {
    const release = await acquire(name);
    if (release !== null || !patient || context.steady() > end) return release;
    if (!told) report('another run is under way; this one begins when it has ended');
    await pause(500);
  }
};

/** Does the work while nobody else does anything with certificates. Throws AF_LOCKED when somebody does. */
export const withCertificateLock = async <T>(work: () => Promise<T>): Promise<T> => {
  const release = await acquire(name);
  if (release === null)
    throw new AppFleetError('AF_LOCKED', 'certificates are being renewed right now', { hint: 'again in a minute' });
  try {
    return await work();
  } finally {
    await release();
  }
};

/** Whether a run over certificates is under way on this host. */
export const isOrdering = (): Promise<boolean> => isTaken(name);
