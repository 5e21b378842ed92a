/** What a site's certificate is, what is to become of it, and how bad that is: for lists, status, doctor, metrics and the log. */
import { blockedUntil, type Failure } from './attempts.ts';
import type { CertificateState, CurrentCertificate } from './certificate.ts';
import { dueOf, lifetimeOf, renewalOf } from './due.ts';
import { duration } from './duration.ts';
import type { WantedSite } from './wanted-sites.ts';

/** Of the certificate as it is: `warn`: somebody should look at it one of these days; `error`: now, or visitors will see it. */
export type Alarm = 'none' | 'warn' | 'error';

/** Plain JSON. Times: seconds since the epoch. */
export interface CertificateView {
  site: string;
  /** Names in the certificate; empty when there is none. */
  names: readonly string[];
  issuer: string | null;
  keyType: 'ecdsa' | 'rsa' | null;
  fingerprint: string | null;
  expires: number | null;
  /** When it will be looked at again; null for a certificate that is not ours to renew. */
  renewal: number | null;
  /** Names of the site that are not in it, and why. */
  leftOut: readonly { name: string; reason: string; again: number }[];
  /** Why the last order failed; null when it did not. */
  failure: { reason: string; count: number; again: number } | null;
  /** What is to be known about it in one line; null when there is nothing. */
  problem: string | null;
  alarm: Alarm;
}

export interface ViewOptions {
  /** It is ordered from a CA on this host; else whoever put it there renews it. */
  renews: boolean;
  /** Nothing is ordered from the CA for a while. */
  pause: Failure | null;
}

/** Lifetimes are from minutes to years: what is late, and what is urgent, are parts of them. */
const late = 1 / 30;
const urgent = 1 / 10;
/** What a person renews by hand once a year is not worth a warning in spring. */
const byHand = { warn: { part: 1 / 4, most: 14 * 86_400 }, error: { part: urgent, most: 3 * 86_400 } };
/** Clocks differ by so much. */
const tolerance = 5 * 60;

const isWithin = (left: number, lifetime: number, { part, most }: { part: number; most: number }): boolean =>
  left < Math.min(lifetime * part, most);

const alarmOf = (
  current: CurrentCertificate,
  state: CertificateState,
  { renews }: ViewOptions,
  now: number,
): Exclude<Alarm, 'none'> | null => {
  const lifetime = lifetimeOf(current);
  const left = current.notAfter - now;
  if (!renews) {
    if (isWithin(left, lifetime, byHand.error)) return 'error';
    return isWithin(left, lifetime, byHand.warn) ? 'warn' : null;
  }
  if (now - renewalOf(current, state).at < lifetime * late) return null;
  return left < lifetime * urgent ? 'error' : 'warn';
};

type Verdict = Pick<CertificateView, 'problem' | 'alarm'>;

const verdictOf = (
  current: CurrentCertificate | null,
  state: CertificateState,
  leftOut: CertificateView['leftOut'],
  reason: string | null,
  options: ViewOptions,
  now: number,
): Verdict => {
  const why = reason === null ? '' : `: ${reason}`;
  if (current === null) {
    if (!options.renews) return { problem: null, alarm: 'none' };
    return reason === null
      ? { problem: 'no certificate yet', alarm: 'none' }
      : { problem: `no certificate${why}`, alarm: 'warn' };
  }
  const left = current.notAfter - now;
  if (left <= 0) return { problem: `the certificate has expired${why}`, alarm: 'error' };
  const alarm = alarmOf(current, state, options, now);
  if (alarm !== null) {
    const cause = reason === null ? ' and no run has renewed it; see: systemctl status appfleet-renew.timer' : why;
    const end = options.renews ? cause : '; it is yours to renew, as tls = files or acme_directory = none say';
    return { problem: `the certificate expires in ${duration(left)}${end}`, alarm };
  }
  if (current.notBefore > now + tolerance)
    return { problem: "the certificate is not yet valid by this host's clock", alarm: 'warn' };
  const [first] = leftOut;
  if (first === undefined) return { problem: null, alarm: 'none' };
  const more = leftOut.length > 1 ? ` (and ${leftOut.length - 1} more)` : '';
  return { problem: `the certificate goes without ${first.name}${more}: ${first.reason}`, alarm: 'none' };
};

/** What there is to say about a site's certificate; `now`: seconds since the epoch. */
export const viewCertificate = (
  wanted: WantedSite,
  current: (CurrentCertificate & { issuer: string }) | null,
  state: CertificateState,
  options: ViewOptions,
  now: number,
): CertificateView => {
  const due = dueOf(wanted, current, state, now);
  const leftOut = Object.entries(options.renews ? state.leftOut : {})
    .filter(([name]) => wanted.names.includes(name) && current?.names.includes(name) !== true)
    .map(([name, { reason, again }]) => ({ name, reason, again }));
  // What an earlier setting left there is nobody's business now.
  const failure = options.renews ? state.failure : null;
  const paused = blockedUntil(options.pause, now);
  const reason =
    failure?.reason ?? (due.due ? null : due.blocked) ?? (paused === null ? null : (options.pause?.reason ?? null));
  return {
    site: wanted.site,
    names: current?.names ?? [],
    issuer: current?.issuer ?? null,
    keyType: current?.keyType ?? null,
    fingerprint: current?.fingerprint ?? null,
    expires: current?.notAfter ?? null,
    renewal: !options.renews ? null : Math.max(due.due ? now : due.at, paused ?? 0),
    leftOut,
    failure: failure === null ? null : { reason: failure.reason, count: failure.count, again: failure.again },
    ...verdictOf(current, state, leftOut, reason, options, now),
  };
};
