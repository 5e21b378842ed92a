/** The part of a site's status that is about its certificate. */
import type { CertificateView } from '../core/certificate-view.ts';

/** Plain JSON; times are ISO 8601. */
export interface CertificateStatus {
  /** Null while the placeholder stands in. */
  issuer: string | null;
  /** Names in it. */
  names: readonly string[];
  expires: string | null;
  /** When an order is thought of again; null for a certificate that is not ours to renew. */
  renewal: string | null;
  /** Names of the site that are not in it, why, and when they are tried again. */
  leftOut: readonly { name: string; reason: string; again: string }[];
  /** Orders in a row that failed, and why the last one did; null when it did not. */
  failure: { count: number; reason: string; again: string } | null;
  /** What is wrong in one line; null when nothing is. */
  problem: string | null;
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();

export const certificateStatus = (view: CertificateView): CertificateStatus => ({
  issuer: view.issuer,
  names: view.names,
  expires: view.expires === null ? null : iso(view.expires),
  renewal: view.renewal === null ? null : iso(view.renewal),
  leftOut: view.leftOut.map(({ name, reason, again }) => ({ name, reason, again: iso(again) })),
  failure: view.failure === null ? null : { ...view.failure, again: iso(view.failure.again) },
  problem: view.alarm === 'none' && view.leftOut.length === 0 ? null : view.problem,
});
