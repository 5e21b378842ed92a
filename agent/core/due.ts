/** When a certificate is due, which names go into it, and which site comes first. Times are seconds since the epoch. */
import { blockedUntil, isPast } from './attempts.ts';
import type { CertificateState, CurrentCertificate, RenewalWindow, WantedCertificate } from './certificate.ts';
import { sha256 } from './hash.ts';
import { leftOutUntil, namesToOrder } from './left-out.ts';

/*
 * INVARIANTS. The clock may be wrong by a year either way, and may be set right at any time.
 * - Every order is followed by a failure or by a certificate that is valid by this host's clock (X509.wrong sees to it). After
 *   a failure nothing is ordered before `failure.again`; after a success nothing is renewed before a third of what is left of
 *   the certificate's life has passed (a day at most). So whatever the clock, the CA's window or the CA's dates say, orders of
 *   a site are never less than minutes apart and their number falls off exponentially.
 * - A certificate that is not yet valid by our clock is due: either it was made while this clock ran ahead, and then visitors
 *   refuse it, or the clock is behind now, and then the new one is refused like the old. `clockTrouble` tells the second case
 *   from the first after one order; who orders then pauses for all sites (budget.ts), so a wrong clock costs the orders that were
 *   under way, not one per site; and once it is right they are gone on with.
 * - A time of ours in the future was written by a clock that ran ahead: it is not waited for (attempts.ts). Times in the future
 *   by more than the longest wait likewise. So a clock set back by a year blocks nothing.
 * - The CA's window cannot put a renewal off for ever: at the latest it is due when a tenth of the lifetime is left.
 * - Chances are taken once: the moment in the CA's window is kept in the state, the spread without a window comes from the
 *   certificate's own fingerprint. A run per minute is no more eager than a run per day.
 */

export type Why = 'missing' | 'not-yet-valid' | 'expired' | 'names' | 'key-type' | 'ca-window' | 'lifetime';

export type Due =
  | { due: true; why: Why; /** In words. */ reason: string; /** What goes into the order. */ names: string[] }
  | {
      due: false;
      /** When to look again. */ at: number;
      /** Why not now, although something is to be done; in words. */ blocked: string | null;
    };

const day = 86_400;
const hour = 3600;
/** By so much a certificate may be ahead of our clock: clocks differ, and what is a minute old is no wrong clock. */
const tolerance = 5 * 60;

/** Whole lifetime in seconds, at least one. */
export const lifetimeOf = ({ notBefore, notAfter }: Pick<CurrentCertificate, 'notBefore' | 'notAfter'>): number =>
  Math.max(1, notAfter - notBefore);

/** A number in [0, 1) that is another for each certificate and always the same for one. */
const chanceOf = ({ fingerprint }: CurrentCertificate): number =>
  parseInt(sha256(fingerprint).slice(0, 8), 16) / 2 ** 32;

/** When we renew of our own accord: at two thirds of the lifetime, give or take a twentieth of it. */
export const ownRenewal = (current: CurrentCertificate): number =>
  current.notBefore + lifetimeOf(current) * (2 / 3 + (chanceOf(current) - 0.5) / 10);

/** Whether the CA should be asked for the window of this certificate again (RFC 9773 4.3). */
export const shouldAskWindow = ({ renewal }: CertificateState, current: CurrentCertificate, now: number): boolean =>
  renewal === null ||
  renewal.of !== current.fingerprint ||
  !isPast(renewal.asked, now) ||
  now >= Math.min(renewal.again, renewal.asked + day);

/**
 * The state after the CA was asked. A moment in its window is chosen at random (RFC 9773 4.2), and kept as long as the window is
 * the same. No answer, or one that makes no sense, counts as our own time and is asked again after six hours.
 */
export const noteWindow = (
  state: CertificateState,
  current: CurrentCertificate,
  answer: { start: number; end: number; explanation: string | null; retryAfterSeconds: number } | null,
  now: number,
  random: () => number,
): CertificateState => {
  const own = ownRenewal(current);
  const sound = answer !== null && answer.end > answer.start ? answer : null;
  const { start, end } = sound ?? { start: own, end: own };
  const before = state.renewal;
  const same = before !== null && before.of === current.fingerprint && before.start === start && before.end === end;
  const wait = Math.min(day, Math.max(60, sound?.retryAfterSeconds ?? 6 * hour));
  const renewal: RenewalWindow = {
    start,
    end,
    chosen: same ? before.chosen : start + (end - start) * random(),
    explanation: sound?.explanation ?? null,
    asked: now,
    again: now + wait,
    of: current.fingerprint,
  };
  return { ...state, renewal };
};

/** When the certificate is to be renewed, and by whose word. */
export const renewalOf = (
  current: CurrentCertificate,
  state: CertificateState,
): { at: number; by: 'ca-window' | 'lifetime' } => {
  const { renewal } = state;
  const last = current.notAfter - lifetimeOf(current) / 10;
  if (renewal?.of !== current.fingerprint || renewal.start === renewal.end)
    return { at: Math.min(last, ownRenewal(current)), by: 'lifetime' };
  return renewal.chosen <= last ? { at: renewal.chosen, by: 'ca-window' } : { at: last, by: 'lifetime' };
};

/** Nothing of a certificate is changed before then, however much a CA or a clock would like to: see INVARIANTS. */
const notBefore = ({ obtained, notAfter }: CurrentCertificate, longest: number, now: number): number =>
  obtained === null || !isPast(obtained, now) || notAfter <= obtained
    ? 0
    : obtained + Math.min(longest, (notAfter - obtained) / 3);

type Reason = { why: Why; reason: string; at: number };

const reasonFor = (
  wanted: WantedCertificate,
  names: readonly string[],
  current: CurrentCertificate,
  state: CertificateState,
  now: number,
): Reason => {
  const is = (why: Why, reason: string, at = 0): Reason => ({ why, reason, at });
  if (now >= current.notAfter) return is('expired', 'the certificate has expired');
  if (current.notBefore > now + tolerance)
    return is('not-yet-valid', "the certificate is not yet valid by this host's clock");
  const missing = names.filter((name) => !current.names.includes(name));
  if (missing.length > 0) return is('names', `not in the certificate: ${missing.join(', ')}`);
  if (current.keyType !== wanted.keyType) return is('key-type', `the key is to be ${wanted.keyType}`);
  const surplus = current.names.filter((name) => !wanted.names.includes(name));
  const { at, by } = renewalOf(current, state);
  const renewal = is(
    by,
    by === 'lifetime'
      ? 'its time to be renewed has come'
      : `the CA wants it to be renewed${state.renewal?.explanation ? `, see ${state.renewal.explanation}` : ''}`,
    Math.max(at, notBefore(current, day, now)),
  );
  if (surplus.length === 0) return renewal;
  // An hour: a CA that adds names of its own would otherwise be asked again and again.
  const change = is('names', `no longer names of the site: ${surplus.join(', ')}`, notBefore(current, hour, now));
  return change.at <= renewal.at ? change : renewal;
};

/** Whether the site needs a certificate now, which names go into it, and when to look again if not. */
export const dueOf = (
  wanted: WantedCertificate,
  current: CurrentCertificate | null,
  state: CertificateState,
  now: number,
): Due => {
  const names = namesToOrder(wanted.names, state, now);
  const returns = wanted.names.map((name) => leftOutUntil(state, name, now)).filter((time) => time !== null);
  if (names.length === 0)
    return { due: false, at: Math.min(now + day, ...returns), blocked: 'no name of the site can be reached by the CA' };
  const { why, reason, at } =
    current === null
      ? { why: 'missing' as const, reason: 'there is no certificate yet', at: 0 }
      : reasonFor(wanted, names, current, state, now);
  if (at > now) {
    // A name that comes back into question before then is reason enough to look.
    const back = returns.filter((time) => time > now);
    return { due: false, at: Math.min(at, current?.notAfter ?? at, ...back), blocked: null };
  }
  const blocked = blockedUntil(state.failure, now, wanted.names);
  if (blocked !== null) return { due: false, at: blocked, blocked: state.failure?.reason ?? '' };
  return { due: true, why, reason, names };
};

/**
 * How much a site can wait: the smaller, the sooner. The part of its lifetime that a certificate has left, at most 0 when it has
 * expired; a site without one comes behind those with less than a fifth left. One that is not yet valid comes last: the clock
 * is to blame, and another certificate hardly helps.
 */
export const urgencyOf = (current: Pick<CurrentCertificate, 'notBefore' | 'notAfter'> | null, now: number): number => {
  if (current === null) return 0.2;
  if (current.notBefore > now + tolerance) return 2;
  return Math.min(1, (current.notAfter - now) / lifetimeOf(current));
};

/** Most urgent first, then by name. */
export const byUrgency = <
  T extends { site: string; current: Pick<CurrentCertificate, 'notBefore' | 'notAfter'> | null },
>(
  sites: readonly T[],
  now: number,
): T[] =>
  [...sites].sort(
    (a, b) => urgencyOf(a.current, now) - urgencyOf(b.current, now) || (a.site < b.site ? -1 : a.site > b.site ? 1 : 0),
  );

/**
 * What a certificate that the CA has just made says about our clock: null, or a sentence. Every site would fail alike, so who
 * orders stops and pauses for all of them.
 */
export const clockTrouble = (fresh: Pick<CurrentCertificate, 'notBefore' | 'notAfter'>, now: number): string | null => {
  const off =
    fresh.notBefore > now + tolerance ? fresh.notBefore - now : now > fresh.notAfter ? now - fresh.notAfter : 0;
  if (off === 0) return null;
  const much =
    off > 2 * day
      ? `${Math.round(off / day)} days`
      : off > 2 * hour
        ? `${Math.round(off / hour)} hours`
        : `${Math.ceil(off / 60)} minutes`;
  return `a certificate made just now ${now > fresh.notAfter ? 'has expired' : 'is not yet valid'} by this host's clock, which is ${now > fresh.notAfter ? 'ahead' : 'behind'} by at least ${much} (or the CA's is wrong)`;
};
