/** What each site's certificate is and what is to become of it, for lists, status and metrics. Times: seconds since the epoch. */
import { dueOf, lifetimeOf } from '../core/due.ts';
import type { WantedSite } from '../core/wanted-sites.ts';
import type { CertificateStore, InstalledCertificate } from './store.ts';

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
  /** What is wrong in one line; null when nothing is. */
  problem: string | null;
}

/** An order that failed is reported by its certificate only when this part of its life is left. */
const lastPart = 1 / 4;

const problemOf = (
  view: Pick<CertificateView, 'leftOut' | 'failure'>,
  current: InstalledCertificate | null,
  now: number,
): string | null => {
  const why = view.failure === null ? '' : `: ${view.failure.reason}`;
  if (current === null) return view.failure === null ? 'no certificate yet' : `no certificate${why}`;
  if (now >= current.notAfter) return `the certificate has expired${why}`;
  const left = current.notAfter - now;
  if (left < lifetimeOf(current) * lastPart && view.failure !== null)
    return `the certificate expires in ${Math.max(1, Math.floor(left / 86_400))} days and is not renewed${why}`;
  const [first] = view.leftOut;
  return first === undefined ? null : `the certificate goes without ${first.name}: ${first.reason}`;
};

/** Looks at files only. */
export const viewCertificate = async (
  store: Pick<CertificateStore, 'current' | 'readState'>,
  wanted: WantedSite,
  renews: boolean,
  now: number,
): Promise<CertificateView> => {
  const { site } = wanted;
  const current = await store.current(site);
  const state = await store.readState(site);
  const due = dueOf(wanted, current, state, now);
  const leftOut = Object.entries(state.leftOut)
    .filter(([name]) => wanted.names.includes(name) && current?.names.includes(name) !== true)
    .map(([name, { reason, again }]) => ({ name, reason, again }));
  const failure =
    state.failure === null
      ? null
      : { reason: state.failure.reason, count: state.failure.count, again: state.failure.again };
  const view = {
    site,
    names: current?.names ?? [],
    issuer: current?.issuer ?? null,
    keyType: current?.keyType ?? null,
    fingerprint: current?.fingerprint ?? null,
    expires: current?.notAfter ?? null,
    renewal: !renews ? null : due.due ? now : due.at,
    leftOut,
    failure,
  };
  return { ...view, problem: problemOf(view, current, now) };
};
