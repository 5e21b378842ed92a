/** What counts against the limits of a certificate authority: kept in a file per CA. Times are seconds since the epoch. */
import { blockedUntil, type Failure, noteFailure, type Trouble } from './attempts.ts';
import { parseFailure, parseFields } from './certificate.ts';
import { sha256 } from './hash.ts';

/*
 * INVARIANTS
 * - Nothing is ordered that our own count says the CA would refuse: its word (429) is the last line, not the first.
 * - A note counts while its time is less than a window away from now, on either side: with a clock that was set back it still
 *   counts, and with one that was wrong by a year it is forgotten, so that it blocks nothing for ever. Then the CA's 429 stands.
 * - Each key keeps at most as many times as its limit: the file is as large as the number of sets, domains and names of the
 *   longest window, whatever happens.
 */

/** So many within so many seconds. */
export interface Limit {
  most: number;
  window: number;
}

export interface Limits {
  /** Orders of an account. */
  orders: Limit;
  /** Certificates with a name below a registered domain. */
  domain: Limit;
  /** Certificates for exactly the same names. */
  set: Limit;
  /** Failed validations of a name. */
  failures: Limit;
}

/** How a domain was registered: example.co.uk for www.example.co.uk. Null for what is no such name. */
export type RegisteredDomain = (name: string) => string | null;

const hour = 3600;
const week = 7 * 86_400;

/** Below what letsencrypt.org/docs/rate-limits publishes (300, 50, 5, 5), for other hosts with the same domain or account. */
const production: Limits = {
  orders: { most: 250, window: 3 * hour },
  domain: { most: 40, window: week },
  set: { most: 4, window: week },
  failures: { most: 4, window: hour },
};
/** Below what letsencrypt.org/docs/staging-environment publishes (1,500, 30,000, 30,000, 200). */
const staging: Limits = {
  orders: { most: 1200, window: 3 * hour },
  domain: { most: 2000, window: week },
  set: { most: 2000, window: week },
  failures: { most: 150, window: hour },
};

/** The limits to keep with a CA, by the URL of its directory; null for a CA that is not known to have any. */
export const limitsOf = (directory: string): Limits | null => {
  const host = /^https:\/\/([^/:@]+)(:443)?\//i.exec(directory)?.[1]?.toLowerCase();
  if (host === 'acme-v02.api.letsencrypt.org') return production;
  return host === 'acme-staging-v02.api.letsencrypt.org' ? staging : null;
};

export interface Ledger {
  orders: readonly number[];
  /** Times by registered domain, by fingerprint of the set of names, and by name. */
  domains: ReadonlyMap<string, readonly number[]>;
  sets: ReadonlyMap<string, readonly number[]>;
  failures: ReadonlyMap<string, readonly number[]>;
  /** Nothing is ordered from this CA for a while: it cannot be reached, wants to be left alone, or our clock is wrong. */
  pause: Failure | null;
}

export const emptyLedger: Ledger = {
  orders: [],
  domains: new Map(),
  sets: new Map(),
  failures: new Map(),
  pause: null,
};

const times = (value: unknown): number[] =>
  Array.isArray(value) ? value.filter((time): time is number => typeof time === 'number' && Number.isFinite(time)) : [];
const timesByKey = (value: unknown): Map<string, number[]> =>
  new Map(
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value)
          .map(([key, list]) => [key, times(list)] as const)
          .filter(([, list]) => list.length > 0)
      : [],
  );

/** The ledger out of its file; what is not as we write it counts as absent. */
export const parseLedger = (text: string | null): Ledger => {
  const fields = parseFields(text);
  return {
    orders: times(fields['orders']),
    domains: timesByKey(fields['domains']),
    sets: timesByKey(fields['sets']),
    failures: timesByKey(fields['failures']),
    pause: parseFailure(fields['pause']),
  };
};

/** The text of the ledger's file. */
export const printLedger = ({ orders, domains, sets, failures, pause }: Ledger): string =>
  `${JSON.stringify({ orders, domains: Object.fromEntries(domains), sets: Object.fromEntries(sets), failures: Object.fromEntries(failures), pause })}\n`;

const counting = (list: readonly number[], { window }: Limit, now: number): number[] =>
  list.filter((time) => Math.abs(now - time) < window).sort((a, b) => a - b);

/** When there is room for one more, or null when there is now. */
const roomAt = (list: readonly number[], limit: Limit, now: number): number | null => {
  const counted = counting(list, limit, now);
  const first = counted[counted.length - limit.most];
  return first === undefined ? null : first + limit.window;
};

const bare = (name: string): string => name.replace(/^\*\./, '');
const setOf = (names: readonly string[]): string => sha256([...new Set(names)].sort().join(' ')).slice(0, 16);
const domainsOf = (names: readonly string[], registered: RegisteredDomain): string[] => [
  ...new Set(names.map((name) => registered(bare(name)) ?? bare(name))),
];

export interface Request {
  names: readonly string[];
  /** The order names the certificate that it replaces (RFC 9773 5): such orders are exempt from all but failed validations. */
  replaces: boolean;
}

export interface Rules {
  /** Null: no limits but the CA's own pause. */
  limits: Limits | null;
  registered: RegisteredDomain;
}

/** Null when the order can be made now, else why not, in words, and when it can. */
export const mayOrder = (
  ledger: Ledger,
  { names, replaces }: Request,
  { limits, registered }: Rules,
  now: number,
): { reason: string; again: number } | null => {
  const paused = blockedUntil(ledger.pause, now);
  if (paused !== null) return { reason: ledger.pause?.reason ?? '', again: paused };
  if (limits === null) return null;
  const full: { reason: string; again: number }[] = [];
  const look = (list: readonly number[] | undefined, limit: Limit, what: string): void => {
    const again = roomAt(list ?? [], limit, now);
    const span =
      limit.window >= 86_400
        ? `${limit.window / 86_400} days`
        : limit.window === hour
          ? 'an hour'
          : `${limit.window / hour} hours`;
    if (again !== null)
      full.push({ reason: `${limit.most} ${what} in ${span}, which is close to the limit of the CA`, again });
  };
  for (const name of new Set(names.map(bare)))
    look(ledger.failures.get(name), limits.failures, `failed validations of ${name}`);
  if (!replaces) {
    look(ledger.orders, limits.orders, 'orders');
    look(ledger.sets.get(setOf(names)), limits.set, `certificates for the same names as this one`);
    for (const domain of domainsOf(names, registered))
      look(ledger.domains.get(domain), limits.domain, `certificates below ${domain}`);
  }
  // All of them have to have room.
  return full.reduce<(typeof full)[number] | null>(
    (last, one) => (last === null || one.again > last.again ? one : last),
    null,
  );
};

const kept = (map: ReadonlyMap<string, readonly number[]>, limit: Limit, now: number): Map<string, number[]> =>
  new Map(
    [...map]
      .map(([key, list]) => [key, counting(list, limit, now).slice(-limit.most)] as const)
      .filter(([, list]) => list.length > 0),
  );

/** The ledger without what no longer counts. Without limits it holds nothing but the pause. */
export const prune = (ledger: Ledger, limits: Limits | null, now: number): Ledger =>
  limits === null
    ? { ...emptyLedger, pause: ledger.pause }
    : {
        orders: counting(ledger.orders, limits.orders, now).slice(-limits.orders.most),
        domains: kept(ledger.domains, limits.domain, now),
        sets: kept(ledger.sets, limits.set, now),
        failures: kept(ledger.failures, limits.failures, now),
        pause: ledger.pause,
      };

const add = (
  map: ReadonlyMap<string, readonly number[]>,
  keys: readonly string[],
  now: number,
): Map<string, readonly number[]> => {
  const changed = new Map(map);
  for (const key of keys) changed.set(key, [...(map.get(key) ?? []), now]);
  return changed;
};

/** An order is about to be made. Noted before, so that a run that is killed in between has counted it. */
export const noteOrder = (ledger: Ledger, { replaces }: Request, { limits }: Rules, now: number): Ledger =>
  prune(replaces ? ledger : { ...ledger, orders: [...ledger.orders, now] }, limits, now);

/** The CA has made a certificate. It also ends a pause. */
export const noteCertificate = (
  ledger: Ledger,
  { names, replaces }: Request,
  { limits, registered }: Rules,
  now: number,
): Ledger => {
  const sets = add(ledger.sets, [setOf(names)], now);
  const domains = replaces ? ledger.domains : add(ledger.domains, domainsOf(names, registered), now);
  return prune({ ...ledger, sets, domains, pause: null }, limits, now);
};

/** The CA could not validate a name. */
export const noteFailedValidation = (ledger: Ledger, name: string, { limits }: Rules, now: number): Ledger =>
  prune({ ...ledger, failures: add(ledger.failures, [bare(name)], now) }, limits, now);

/** Something that all sites would run into: the CA cannot be reached, asks for a pause, or the clock is wrong. */
export const notePause = (
  ledger: Ledger,
  trouble: Omit<Trouble, 'names'>,
  now: number,
  random: () => number,
): Ledger => ({
  ...ledger,
  pause: noteFailure(ledger.pause, trouble, now, random),
});

/** The CA answered: there is no reason to pause any more. */
export const endPause = (ledger: Ledger): Ledger => ({ ...ledger, pause: null });

/** Somebody knows better than an earlier failure; what the CA asked for holds. */
export const endOwnPause = (ledger: Ledger): Ledger => (ledger.pause?.retryAfter === true ? ledger : endPause(ledger));
