/** When to try again after a failure. Plain data, so that it survives restarts. Times are seconds since the epoch. */

/*
 * INVARIANTS
 * - The clock may be set at any time and by any amount. A failure that was noted in the future says that the clock went back:
 *   nobody waits for it. A failure in the past is waited for at most as long as the longest wait that we could have written down.
 *   So a wrong clock costs one attempt too many and never blocks for ever.
 * - A CA that cannot be reached says nothing about the request: its failures are counted apart and do not lengthen the waits
 *   for refusals.
 */

/** The last of a row of failures. */
export interface Failure {
  /** Failures in a row. */
  count: number;
  /** How many of them were a CA that could not be reached; absent for none. */
  unreachable?: number;
  at: number;
  /** Not before then. */
  again: number;
  reason: string;
  /** Whether `again` is the CA's own wish (Retry-After). */
  retryAfter: boolean;
  /** What was asked for; a row of failures belongs to a set of names. Absent for failures that do not depend on names. */
  names?: readonly string[];
}

const refused = { first: 5 * 60, longest: 24 * 3600 };
const unreached = { first: 60, longest: 3600 };
/** A Retry-After beyond a week, the longest window of any published limit, is taken for a mistake. */
export const longestRetryAfter = 7 * 86_400;
/** A clock that is set right by a time server moves by less; seconds. */
const clockStep = 60;

/** What went wrong, and what is known about how long to wait. */
export interface Trouble {
  reason: string;
  /** The CA could not be reached at all. */
  unreachable?: boolean;
  /** The CA's Retry-After in seconds. */
  retryAfterSeconds?: number | null;
  /** Lifetime of the site's certificate in seconds, if it has one: no wait of ours is longer than a twentieth of it. */
  lifetime?: number | null;
  /** All names of the site, also those that went without: blockedUntil is asked with them. */
  names?: readonly string[];
}

const sameNames = (a: readonly string[] | undefined, b: readonly string[] | undefined): boolean => {
  if (a === undefined || b === undefined) return true;
  const other = new Set(b);
  return new Set(a).size === other.size && a.every((name) => other.has(name));
};

/** Seconds to wait after the nth failure in a row (from 1), between 80 % and 100 % of a doubling delay; `random` gives [0, 1). */
export const delayAfter = (
  nth: number,
  { unreachable = false, lifetime = null }: Pick<Trouble, 'unreachable' | 'lifetime'>,
  random: () => number,
): number => {
  const { first, longest } = unreachable ? unreached : refused;
  const doubled = Math.min(longest, first * 2 ** Math.min(30, Math.max(0, nth - 1)));
  const limit = lifetime === null || !(lifetime > 0) ? longest : Math.max(1, lifetime / 20);
  return Math.min(doubled, limit) * (0.8 + 0.2 * random());
};

/** The failure after `previous` (null: the last attempt succeeded). */
export const noteFailure = (previous: Failure | null, trouble: Trouble, now: number, random: () => number): Failure => {
  const row = previous !== null && sameNames(previous.names, trouble.names) ? previous : null;
  const missed = row?.unreachable ?? 0;
  const unreachable = trouble.unreachable === true;
  const nth = (unreachable ? missed : (row?.count ?? 0) - missed) + 1;
  const own = delayAfter(nth, trouble, random);
  const wish = trouble.retryAfterSeconds ?? 0;
  // Also when it is no number at all.
  const asked = wish > 0 ? Math.min(longestRetryAfter, wish) : 0;
  return {
    count: (row?.count ?? 0) + 1,
    ...(missed > 0 || unreachable ? { unreachable: missed + (unreachable ? 1 : 0) } : {}),
    at: now,
    again: now + Math.max(own, asked),
    reason: trouble.reason,
    retryAfter: asked > own,
    ...(trouble.names === undefined ? {} : { names: trouble.names }),
  };
};

/** Whether a time that we noted can be right: not in the future, but for a small step of the clock. */
export const isPast = (time: number, now: number): boolean => time <= now + clockStep;

/** The moment until which nothing is to be tried because of a failure, or null when something may be tried now. */
export const blockedUntil = (failure: Failure | null, now: number, names?: readonly string[]): number | null => {
  if (failure === null || !isPast(failure.at, now) || !sameNames(failure.names, names)) return null;
  const again = Math.min(failure.again, failure.at + longestRetryAfter);
  return again > now ? again : null;
};
