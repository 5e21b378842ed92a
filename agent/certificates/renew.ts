/**
 * A run over all sites: what is due is ordered, most urgent first, and loaded by nginx once for all.
 *
 * INVARIANTS
 * - The caller holds the host's lock for certificates: there is one run at a time.
 * - A site's failure is its own. What concerns all (the CA is away, the clock is wrong) ends the run after the first to find out.
 * - nginx is told of everything in one pass, and only if there is something to tell.
 */
import { blockedUntil } from '../core/attempts.ts';
import { endOwnPause, mayOrder, notePause } from '../core/budget.ts';
import type { CertificateState } from '../core/certificate.ts';
import { byUrgency, type Due, dueOf, noteWindow, shouldAskWindow } from '../core/due.ts';
import type { WantedSite } from '../core/wanted-sites.ts';
import { inWords, messageOf } from '../errors.ts';
import { CaError } from './ports.ts';
import { runSite, type SiteJob, type SiteParts, type SiteResult } from './site-run.ts';
import type { InstalledCertificate } from './store.ts';

export interface RenewOptions {
  /** Names of sites; null for all. */
  only: readonly string[] | null;
  /** Also what is not due, and what a back-off of our own keeps waiting. Budgets, and what the CA asked for (Retry-After), hold. */
  force: boolean;
  /** Say what would be ordered; ask nobody but the CA for renewal times. */
  dryRun: boolean;
}

export interface RenewReport {
  renewed: readonly { site: string; names: readonly string[]; expires: number; folder: string }[];
  failed: readonly { site: string; reason: string; again: number }[];
  waiting: readonly { site: string; reason: string; again: number }[];
  /** Names that are missing in certificates. */
  leftOut: readonly { site: string; name: string; reason: string; again: number }[];
  /** With dryRun: what would be ordered. */
  due: readonly { site: string; names: readonly string[]; reason: string }[];
  unchanged: number;
  /** Seconds since the epoch at which something will be due, as far as is known now. */
  next: number | null;
}

export interface RunParts extends Omit<SiteParts, 'stopped'> {
  sites: readonly WantedSite[];
  /** Orders under way side by side. */
  width: number;
  /** Gets the account and has nginx answer for it; once, before the first order. */
  prepare: () => Promise<void>;
}

interface Candidate {
  site: string;
  wanted: WantedSite;
  current: InstalledCertificate | null;
  due: Due;
}

const eachOf = async <T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> => {
  const queue = [...items];
  const lane = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
};

/** Asks the CA when it wants each certificate to be renewed. A CA that does not answer costs nothing but its wish. */
const askWindows = async (parts: RunParts, sites: readonly WantedSite[]): Promise<void> => {
  let away = false;
  await eachOf(sites, parts.width, async ({ site }) => {
    const current = await parts.store.current(site);
    if (current === null || current.selfSigned || away) return;
    const state = await parts.store.readState(site);
    if (!shouldAskWindow(state, current, parts.now())) return;
    try {
      const { chainPem } = await parts.store.pair(current);
      const answer = await parts.ca.renewalInfo(chainPem);
      await parts.store.writeState(site, noteWindow(state, current, answer, parts.now(), parts.random));
    } catch (error) {
      if (error instanceof CaError && error.unreachable) away = true;
      else if (error instanceof CaError)
        await parts.store.writeState(site, noteWindow(state, current, null, parts.now(), parts.random));
      // A full disk, for instance: what cannot be noted is asked again.
      else parts.report(`${site}: ${messageOf(error)}`);
    }
  });
};

/** What becomes of a site for which an order was asked for. */
const forcedDue = (wanted: WantedSite, found: Due, { failure }: CertificateState, now: number): Due => {
  if (found.due) return found;
  const wish = failure?.retryAfter === true ? blockedUntil(failure, now, wanted.names) : null;
  return wish === null
    ? { due: true, why: 'missing', reason: 'asked for', names: [...wanted.names] }
    : { due: false, at: wish, blocked: failure?.reason ?? '' };
};

const candidateOf = async (parts: RunParts, wanted: WantedSite, force: boolean): Promise<Candidate> => {
  const { site } = wanted;
  const current = await parts.store.current(site);
  const before = await parts.store.readState(site);
  const state = force ? { ...before, leftOut: {} } : before;
  if (force && Object.keys(before.leftOut).length > 0)
    await parts.store.writeState(site, state).catch((error: unknown) => parts.report(`${site}: ${messageOf(error)}`));
  const found = dueOf(wanted, current, state, parts.now());
  return { site, wanted, current, due: force ? forcedDue(wanted, found, state, parts.now()) : found };
};

export const renew = async (parts: RunParts, options: RenewOptions): Promise<RenewReport> => {
  const { only } = options;
  const sites = parts.sites.filter(({ site }) => only === null || only.includes(site));
  await askWindows(parts, sites);
  const candidates = await Promise.all(
    sites.map((wanted) => candidateOf(parts, wanted, options.force && !options.dryRun)),
  );
  const due = byUrgency(candidates, parts.now()).filter((one) => one.due.due);
  const results: SiteResult[] = [];
  let stopped = false;

  const jobOf = ({ site, wanted, current, due }: Candidate): SiteJob => ({
    site,
    wanted,
    current,
    names: due.due ? due.names : [],
  });
  const one = async (candidate: Candidate): Promise<void> => {
    const { site } = candidate;
    const paused = mayOrder(parts.ledger.now(), { names: [], replaces: true }, parts.rules, parts.now());
    if (stopped || paused !== null) {
      stopped = true;
      results.push({
        site,
        outcome: 'waiting',
        reason: paused?.reason ?? 'the run ended',
        again: paused?.again ?? parts.now(),
      });
      return;
    }
    // What is thrown here is trouble with this host's own disk: it is this site's failure, and nobody else's.
    const result = await runSite({ ...parts, stopped: () => stopped }, jobOf(candidate)).catch(
      (error: unknown): SiteResult => ({ site, outcome: 'failed', reason: messageOf(error), again: parts.now() }),
    );
    results.push(result);
  };

  /** Nothing can be ordered at all: the first site to find out is told, and the others wait. */
  const prepared = async (): Promise<boolean> => {
    // Who asks for it knows better than an earlier failure.
    if (options.force) await parts.ledger.change(endOwnPause);
    const paused = mayOrder(parts.ledger.now(), { names: [], replaces: true }, parts.rules, parts.now());
    if (paused !== null) {
      for (const { site } of due) results.push({ site, outcome: 'waiting', ...paused });
      return false;
    }
    try {
      await parts.prepare();
      return true;
    } catch (error) {
      if (!(error instanceof CaError)) throw error;
      const { unreachable, retryAfterSeconds } = error;
      const trouble = { reason: inWords(error), unreachable, retryAfterSeconds };
      await parts.ledger.change((ledger) => notePause(ledger, trouble, parts.now(), parts.random));
      const again = parts.ledger.now().pause?.again ?? parts.now();
      due.forEach(({ site }, index) =>
        results.push({ site, outcome: index === 0 ? 'failed' : 'waiting', reason: trouble.reason, again }),
      );
      return false;
    }
  };

  if (!options.dryRun && due.length > 0 && (await prepared())) await eachOf(due, parts.width, one);

  const left = await Promise.all(
    sites.map(async ({ site, names }) => {
      const { leftOut } = await parts.store.readState(site);
      return Object.entries(leftOut)
        .filter(([name]) => names.includes(name))
        .map(([name, { reason, again }]) => ({ site, name, reason, again }));
    }),
  );
  const blocked = candidates.flatMap(({ site, due }) =>
    !due.due && due.blocked !== null ? [{ site, reason: due.blocked, again: due.at }] : [],
  );
  const times = [
    ...candidates.flatMap(({ due }) => (due.due ? [] : [due.at])),
    ...results.flatMap((result) => (result.outcome === 'renewed' ? [] : [result.again])),
  ];
  const pick = <O extends SiteResult['outcome']>(outcome: O) =>
    results.filter((result): result is Extract<SiteResult, { outcome: O }> => result.outcome === outcome);
  return {
    renewed: pick('renewed').map(({ site, certificate: { names, notAfter, folder } }) => ({
      site,
      names,
      expires: notAfter,
      folder,
    })),
    failed: pick('failed').map(({ site, reason, again }) => ({ site, reason, again })),
    waiting: [...pick('waiting').map(({ site, reason, again }) => ({ site, reason, again })), ...blocked],
    leftOut: left.flat(),
    due: due.map(({ site, due }) => ({ site, names: due.due ? due.names : [], reason: due.due ? due.reason : '' })),
    unchanged: candidates.length - due.length - blocked.length,
    next: times.length === 0 ? null : Math.min(...times),
  };
};
