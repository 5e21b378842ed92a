/** One site in a run: checks its names from outside in, orders, installs, and keeps what is to be known next time. */
import { clockTrouble, lifetimeOf } from '../core/due.ts';
import {
  endPause,
  mayOrder as mayOrderNow,
  noteCertificate,
  noteFailedValidation,
  noteOrder,
  notePause,
  type Rules,
} from '../core/budget.ts';
import { attemptFailed, attemptSucceeded, type CertificateState, type WantedCertificate } from '../core/certificate.ts';
import { leaveOut, namesToOrder } from '../core/left-out.ts';
import { inWords } from '../errors.ts';
import type { LedgerFile } from './ledger.ts';
import { obtain, type OrderParts, type OrderResult } from './order.ts';
import { CaError, type CertificateAuthority, type DnsHook, type DnsName, type Reach, type X509 } from './ports.ts';
import type { CertificateStore, InstalledCertificate } from './store.ts';

export interface SiteParts {
  store: CertificateStore;
  x509: X509;
  ca: CertificateAuthority;
  ledger: LedgerFile;
  rules: Rules;
  reach: Reach;
  dns: DnsHook | null;
  profile: string | null;
  /** What the check of port 80 goes by; null when names are not checked before an order. */
  probe: { addresses: 'host' | 'any' | readonly string[]; port: number } | null;
  now: () => number;
  random: () => number;
  report: (line: string) => void;
  /** The run is asked to end, or something came up that concerns all: no new order is begun. */
  stopped: () => boolean;
}

export interface SiteJob {
  site: string;
  wanted: WantedCertificate;
  current: InstalledCertificate | null;
  names: readonly DnsName[];
}

export type SiteResult =
  | { site: string; outcome: 'renewed'; certificate: InstalledCertificate }
  /** It was tried and did not work. */
  | { site: string; outcome: 'failed'; reason: string; again: number }
  /** It was not tried: a budget is used up, or all wait for the same thing. */
  | { site: string; outcome: 'waiting'; reason: string; again: number };

/** Not an error of anybody: the order would go beyond a limit. */
class OutOfBudget extends Error {
  readonly again: number;
  constructor(reason: string, again: number) {
    super(reason);
    this.again = again;
  }
}

/** A name that fails takes an order with it; more rounds than that would only use up the budget. */
const mostRounds = 3;

/** Names that the CA refused by name already when the order was made. */
const blamed = (error: CaError, names: readonly DnsName[]): { name: DnsName; reason: string }[] => {
  const problems = error.problem === null ? [] : [error.problem, ...error.problem.subproblems];
  return problems.flatMap(({ name, detail, type }) =>
    name !== null && names.includes(name) ? [{ name, reason: `${detail} (${type})` }] : [],
  );
};

/** Trouble that the next site would run into as well. */
const concernsAll = (error: CaError): boolean =>
  error.unreachable ||
  ['accountDoesNotExist', 'externalAccountRequired', 'userActionRequired'].includes(error.problem?.type ?? '') ||
  (error.problem?.type === 'unauthorized' && error.problem.name === null) ||
  (error.problem?.type === 'rateLimited' && /\b(new orders|requests|account|busy|load)\b/i.test(error.problem.detail));

export const runSite = async (parts: SiteParts, job: SiteJob): Promise<SiteResult> => {
  const { store, ca, ledger, rules, now, random, report } = parts;
  const { site, wanted, current } = job;
  const lifetime = current === null ? null : lifetimeOf(current);
  let state = await store.readState(site);
  const keep = async (change: (state: CertificateState) => CertificateState): Promise<void> => {
    state = change(state);
    await store.writeState(site, state);
  };
  const without = (name: DnsName, reason: string): Promise<void> => {
    report(`${site}: goes without ${name}: ${reason}`);
    return keep((before) => leaveOut(before, name, { reason, lifetime }, now(), random));
  };
  const failedWith = async (reason: string, error: unknown = null): Promise<SiteResult> => {
    const known = error instanceof CaError ? error : null;
    const trouble = {
      reason,
      unreachable: known?.unreachable ?? false,
      retryAfterSeconds: known?.retryAfterSeconds ?? null,
    };
    await keep((before) => attemptFailed(before, wanted, current, trouble, now(), random));
    if (known !== null && concernsAll(known))
      await ledger.change((before) => notePause(before, { ...trouble, lifetime }, now(), random));
    return { site, outcome: 'failed', reason, again: state.failure?.again ?? now() };
  };

  /** Names that the CA would not find here. */
  const checkNames = async (names: readonly DnsName[]): Promise<void> => {
    const { probe } = parts;
    if (probe === null) return;
    const token = `appfleet-${Math.floor(random() * 1e12).toString(36)}`;
    const expected = ca.keyAuthorization(token);
    const asked = names.filter((name) => !name.startsWith('*.'));
    const answers = await Promise.all(
      asked.map((name) => parts.reach.unreachable(name, { token, expected, ...probe })),
    );
    // One after the other: the state is one file.
    for (const [index, why] of answers.entries()) if (why !== null) await without(asked[index] ?? '', why);
  };

  const orderParts: OrderParts = {
    ca,
    x509: parts.x509,
    dns: parts.dns,
    now,
    report: (line) => report(`${site}: ${line}`),
    keep: (order) => keep((before) => ({ ...before, order })),
    mayOrder: async (names, replaces) => {
      const request = { names, replaces };
      const full = mayOrderNow(ledger.now(), request, rules, now());
      if (full !== null) throw new OutOfBudget(full.reason, full.again);
      await ledger.change((before) => noteOrder(before, request, rules, now()));
    },
  };

  const round = async (names: readonly DnsName[]): Promise<OrderResult> => {
    const replaces = current === null || current.selfSigned ? null : await replacedBy(parts, current);
    const request = { names, keyType: wanted.keyType, profile: parts.profile, replaces, underWay: state.order };
    try {
      const result = await obtain(orderParts, request);
      if ('pair' in result)
        await ledger.change((before) => noteCertificate(before, { names, replaces: replaces !== null }, rules, now()));
      return result;
    } catch (error) {
      const failed = error instanceof CaError && !concernsAll(error) ? blamed(error, names) : [];
      if (failed.length === 0) throw error;
      return { failed: failed.map((one) => ({ ...one, retryAfterSeconds: null })) };
    }
  };

  await checkNames(job.names);
  for (let rounds = 0; rounds < mostRounds; rounds++) {
    const names = namesToOrder(job.names, state, now());
    if (names.length === 0) return failedWith(reasonWithout(state, job.names));
    if (parts.stopped()) return { site, outcome: 'waiting', reason: 'the run ends', again: now() };
    report(`${site}: orders a certificate for ${names.join(', ')}`);
    let result: OrderResult;
    try {
      result = await round(names);
    } catch (error) {
      if (error instanceof OutOfBudget) return { site, outcome: 'waiting', reason: error.message, again: error.again };
      return failedWith(inWords(error), error);
    }
    if ('pair' in result) {
      const [fresh] = parts.x509.read(result.pair.chainPem);
      const clock = fresh === undefined ? null : clockTrouble(fresh, now());
      if (clock !== null) {
        await ledger.change((before) => notePause(before, { reason: clock, lifetime }, now(), random));
        return failedWith(clock);
      }
      try {
        const certificate = await store.install(site, result.pair, names, now());
        await keep((before) => attemptSucceeded(before, wanted, names));
        await ledger.change(endPause);
        return { site, outcome: 'renewed', certificate };
      } catch (error) {
        return failedWith(inWords(error), error);
      }
    }
    for (const { name, reason } of result.failed) {
      await ledger.change((before) => noteFailedValidation(before, name, rules, now()));
      await without(name, reason);
    }
  }
  return failedWith(reasonWithout(state, job.names));
};

const replacedBy = async ({ ca, store }: SiteParts, current: InstalledCertificate): Promise<string | null> => {
  try {
    const { renewalInfo } = await ca.offers();
    return renewalInfo ? ca.certificateId((await store.pair(current)).chainPem) : null;
  } catch (error) {
    if (error instanceof CaError && error.unreachable) throw error;
    // A certificate that another CA made, or without an identifier: the order goes without it.
    return null;
  }
};

const reasonWithout = ({ leftOut }: CertificateState, names: readonly DnsName[]): string => {
  const reasons = names.flatMap((name) =>
    Object.hasOwn(leftOut, name) ? [`${name}: ${leftOut[name]?.reason ?? ''}`] : [],
  );
  return reasons.length === 0 ? 'the CA validated none of its names' : reasons.join('; ');
};
