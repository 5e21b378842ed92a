/** Decides which site gets which of the certificates that another program left. Changes nothing. */
import { AppFleetError, messageOf } from '../errors.ts';
import type { FoundPair } from './layouts.ts';
import type { CertificateDetails, DnsName, Pair, X509 } from './ports.ts';

export interface ImportSite {
  site: string;
  /** All its names. */
  names: readonly DnsName[];
  /** When the certificate that it has ends, in seconds since the epoch; null when it has none. */
  expires: number | null;
}

/** What becomes of a pair. */
export type ImportDecision =
  | { source: string; use: true; pair: Pair; sites: readonly string[]; names: readonly DnsName[]; expires: number }
  /** `reason`: a sentence about it, without itself. */
  | { source: string; use: false; reason: string };

interface Candidate {
  source: string;
  pair: Pair;
  leaf: CertificateDetails;
}

const listed = 3;

const shortList = (items: readonly string[]): string =>
  items.length <= listed ? items.join(', ') : `${items.slice(0, listed).join(', ')} and ${items.length - listed} more`;

/** What no visitor's browser trusts, although everything else about it is right. */
const untrusted = ({ selfSigned, issuer }: CertificateDetails): string | null => {
  if (selfSigned) return 'it is self-signed';
  return /\(STAGING\)|^Fake LE /.test(issuer) ? `it is from a CA for tests (${issuer})` : null;
};

/** The pair, or what is wrong with it whichever site it is for. */
const examine = (found: FoundPair, x509: X509, now: number): Candidate | string => {
  if (found.pair === null) return found.problem;
  try {
    const [leaf] = x509.read(found.pair.chainPem);
    if (leaf === undefined) return 'there is no certificate in it';
    const wrong = untrusted(leaf) ?? x509.wrong(found.pair, [], now);
    return wrong ?? { source: found.source, pair: found.pair, leaf };
  } catch (error) {
    if (error instanceof AppFleetError) return messageOf(error);
    throw error;
  }
};

/** Patterns of certificates that cover the name (RFC 9525 6.3). */
const patternsFor = (name: DnsName): string[] =>
  name.startsWith('*.') ? [name] : [name, `*${name.slice(name.indexOf('.'))}`];

const covers = (names: ReadonlySet<string>, name: DnsName): boolean =>
  patternsFor(name).some((pattern) => names.has(pattern));

/**
 * A decision for each pair, in their order. A site takes the pair that covers all its names and lives longest, if it lives longer
 * than what the site has. `now`: seconds since the epoch.
 */
export const decideImports = (
  found: readonly FoundPair[],
  sites: readonly ImportSite[],
  x509: X509,
  now: number,
): ImportDecision[] => {
  const examined = found.map((one) => examine(one, x509, now));
  /** Candidates by each name of theirs: a thousand sites and a thousand pairs are not held against each other one by one. */
  const byName = new Map<string, Set<Candidate>>();
  const namesOf = new Map<Candidate, ReadonlySet<string>>();
  for (const one of examined) {
    if (typeof one === 'string') continue;
    namesOf.set(one, new Set(one.leaf.names));
    for (const name of one.leaf.names) byName.set(name, (byName.get(name) ?? new Set()).add(one));
  }
  const isFor = (one: Candidate, name: DnsName): boolean => covers(namesOf.get(one) ?? new Set(), name);

  const taken = new Map<Candidate, string[]>();
  /** Why a pair that has to do with a site is not for it; the first such reason is told. */
  const reasons = new Map<Candidate, string>();
  const giveUp = (one: Candidate, reason: string): void => void (reasons.has(one) || reasons.set(one, reason));

  for (const { site, names, expires } of sites) {
    const near = new Set(names.flatMap(patternsFor).flatMap((pattern) => [...(byName.get(pattern) ?? [])]));
    const fitting = [...near].filter((one) => {
      const lacking = names.filter((name) => !isFor(one, name));
      if (lacking.length > 0) giveUp(one, `it lacks ${shortList(lacking)} of the site ${site}`);
      return lacking.length === 0;
    });
    const longest = fitting.reduce<Candidate | null>(
      (best, one) => (best === null || one.leaf.notAfter > best.leaf.notAfter ? one : best),
      null,
    );
    for (const one of fitting) {
      if (one !== longest) giveUp(one, `for ${site}, ${longest?.source} is valid for longer`);
      else if (expires !== null && expires >= one.leaf.notAfter)
        giveUp(one, `${site} has a certificate that is valid for as long or longer`);
      else taken.set(one, [...(taken.get(one) ?? []), site]);
    }
  }

  return examined.map((one, at): ImportDecision => {
    const source = found[at]?.source ?? '';
    if (typeof one === 'string') return { source, use: false, reason: one };
    const { names, notAfter } = one.leaf;
    const chosen = taken.get(one);
    if (chosen !== undefined) return { source, use: true, pair: one.pair, sites: chosen, names, expires: notAfter };
    return {
      source,
      use: false,
      reason: reasons.get(one) ?? `no site here has one of its names (${shortList(names)})`,
    };
  });
};
