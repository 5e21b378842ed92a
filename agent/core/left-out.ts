/** Names that an order goes without, because they failed lately. Each has its own row of attempts. Times: seconds since the epoch. */
import { delayAfter, isPast } from './attempts.ts';
import { type CertificateState, type LeftOut, leftOutOf } from './certificate.ts';

/** A name that failed is tried again after a day at the latest; what says more was written by a clock that ran ahead. */
const longestLeftOut = 86_400;

/** The moment until which the name stays out of orders, or null when it may be tried now. */
export const leftOutUntil = (state: CertificateState, name: string, now: number): number | null => {
  const again = leftOutOf(state, name)?.again ?? 0;
  return again > now && again <= now + longestLeftOut ? again : null;
};

/** The names that an order made now asks for: all that are wanted, but those that failed lately. */
export const namesToOrder = (wanted: readonly string[], state: CertificateState, now: number): string[] =>
  [...new Set(wanted)].filter((name) => leftOutUntil(state, name, now) === null);

/** The state with a name left out (once more). `lifetime` as in attempts.ts. */
export const leaveOut = (
  state: CertificateState,
  name: string,
  {
    reason,
    lifetime = null,
    retryAfterSeconds = null,
  }: { reason: string; lifetime?: number | null; retryAfterSeconds?: number | null },
  now: number,
  random: () => number,
): CertificateState => {
  const before: LeftOut | undefined = leftOutOf(state, name);
  const count = (before?.count ?? 0) + 1;
  const wish = retryAfterSeconds ?? 0;
  const wait = Math.max(delayAfter(count, { lifetime }, random), wish > 0 ? Math.min(longestLeftOut, wish) : 0);
  const since = before !== undefined && isPast(before.since, now) ? before.since : now;
  return { ...state, leftOut: { ...state.leftOut, [name]: { reason, since, again: now + wait, count } } };
};
