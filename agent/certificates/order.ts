/**
 * One certificate, from the order to a chain and its key (RFC 8555 7.4).
 *
 * INVARIANTS
 * - The order and its key are on disk before anything is done with the order: a run that was killed goes on with it, and the CA
 *   sees one order where there would have been two.
 * - Records of a DNS hook are taken away again, however the order ends.
 * - What comes back is a pair that was checked, or a refusal that says which names are to blame.
 */
import { refusalHint, refusalInWords } from '../core/acme-words.ts';
import type { OrderUnderWay } from '../core/certificate.ts';
import { sha256Url } from '../core/hash.ts';
import { messageOf } from '../errors.ts';
import {
  type AuthorizationView,
  CaError,
  type CertificateAuthority,
  type ChallengeView,
  type DnsHook,
  type DnsName,
  type OrderView,
  type Pair,
  type X509,
} from './ports.ts';

export interface OrderParts {
  ca: CertificateAuthority;
  x509: X509;
  dns: DnsHook | null;
  /** Seconds since the epoch. */
  now: () => number;
  /** Before a new order is made: counts it, or throws why it may not be made. */
  mayOrder: (names: readonly DnsName[], replaces: boolean) => Promise<void>;
  /** Keeps the order under way on disk, null when there is none any more. */
  keep: (order: OrderUnderWay | null) => Promise<void>;
  report: (line: string) => void;
}

export interface OrderRequest {
  names: readonly DnsName[];
  keyType: 'ecdsa' | 'rsa';
  profile: string | null;
  /** certID of the certificate that it replaces (RFC 9773 5). */
  replaces: string | null;
  /** An order that an earlier run left. */
  underWay: OrderUnderWay | null;
}

export type OrderResult =
  | { pair: Pair }
  /** The CA could not validate these names; the order is spent. */
  | { failed: readonly { name: DnsName; reason: string; retryAfterSeconds: number | null }[] };

const validationSeconds = 180;
const issuingSeconds = 180;
/** A CA forgets orders after a week; so do we. */
const longestOrder = 7 * 86_400;

const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && new Set([...a, ...b]).size === a.length;

const resumed = async (parts: OrderParts, request: OrderRequest): Promise<[OrderView, string] | null> => {
  const { underWay } = request;
  if (underWay === null) return null;
  const age = parts.now() - underWay.began;
  const usable = sameNames(underWay.names, request.names) && Math.abs(age) < longestOrder;
  const order = usable ? await parts.ca.order(underWay.url) : null;
  if (order !== null && order.status !== 'invalid') return [order, underWay.keyPem];
  await parts.keep(null);
  return null;
};

const begun = async (parts: OrderParts, request: OrderRequest): Promise<[OrderView, string]> => {
  const { names, replaces, profile } = request;
  const keyPem = await parts.x509.newKey(request.keyType);
  await parts.mayOrder(names, replaces !== null);
  const order = await parts.ca.newOrder({ names, replaces, profile });
  await parts.keep({ url: order.url, keyPem, names, began: parts.now() });
  return [order, keyPem];
};

/** The way to prove a name: over HTTP where that is possible, by DNS for a wildcard. */
const chosen = (authorization: AuthorizationView, dns: DnsHook | null): ChallengeView | null => {
  const of = (type: string): ChallengeView | null =>
    authorization.challenges.find((challenge) => challenge.type === type) ?? null;
  const byHttp = authorization.name.startsWith('*.') ? null : of('http-01');
  return byHttp ?? (dns === null ? null : of('dns-01'));
};

const whyInvalid = (authorization: AuthorizationView): string => {
  const problem = authorization.challenges.find(({ error }) => error !== null)?.error ?? null;
  if (problem === null)
    return authorization.status === 'pending'
      ? `the CA did not come to an end within ${validationSeconds} s`
      : `the CA says no more than: ${authorization.status}`;
  const hint = refusalHint({ ...problem, name: problem.name ?? authorization.name });
  return `${refusalInWords({ ...problem, name: null })}${hint === undefined ? '' : `; ${hint}`}`;
};

/** Proves the names that the CA has not seen proved yet; what comes back are those that it did not believe. */
const prove = async (
  { ca, dns, report }: OrderParts,
  order: OrderView,
): Promise<readonly { name: DnsName; reason: string; retryAfterSeconds: null }[]> => {
  const open = (await ca.authorizations(order)).filter(({ status }) => status === 'pending');
  const records: { name: DnsName; value: string }[] = [];
  const failed = new Map<DnsName, string>();
  try {
    const ready: ChallengeView[] = [];
    for (const authorization of open) {
      const { name } = authorization;
      const challenge = chosen(authorization, dns);
      if (challenge === null) {
        failed.set(name, name.startsWith('*.') ? 'a wildcard needs acme_dns_hook' : 'the CA offers no way to prove it');
        continue;
      }
      if (challenge.type === 'dns-01' && dns !== null) {
        const record = { name: name.replace(/^\*\./, ''), value: sha256Url(ca.keyAuthorization(challenge.token)) };
        try {
          records.push(record);
          await dns.add(record.name, record.value);
        } catch (error) {
          failed.set(name, messageOf(error));
          continue;
        }
      }
      if (challenge.status === 'pending') ready.push(challenge);
    }
    // Not one is answered in vain: an order with a name that cannot be proved is lost anyway.
    if (failed.size === 0) {
      await Promise.all(ready.map((challenge) => ca.answer(challenge)));
      if (open.length > 0) report(`the CA validates ${open.map(({ name }) => name).join(', ')}`);
      for (const authorization of await ca.settled(order, validationSeconds))
        if (authorization.status !== 'valid') failed.set(authorization.name, whyInvalid(authorization));
    }
  } finally {
    for (const { name, value } of records)
      await dns
        ?.remove(name, value)
        .catch((error: unknown) => report(`a DNS record stays behind: ${messageOf(error)}`));
  }
  return [...failed].map(([name, reason]) => ({ name, reason, retryAfterSeconds: null }));
};

/**
 * Now, or the moment of the leaf's life that is next to it: a certificate that was made just now and is not valid now says that
 * our clock is wrong, which is for who asked to find out (clockTrouble).
 */
const withinLife = (x509: X509, chainPem: string, now: number): number => {
  try {
    const [leaf] = x509.read(chainPem);
    return leaf === undefined ? now : Math.max(leaf.notBefore, Math.min(now, leaf.notAfter - 1));
  } catch {
    return now; // `wrong` says what it is instead
  }
};

const download = async (
  { ca, x509, now }: OrderParts,
  order: OrderView,
  keyPem: string,
  names: readonly string[],
): Promise<Pair> => {
  const chains = await ca.download(order);
  let wrong = 'the CA sent no chain';
  for (const chainPem of chains) {
    const verdict = x509.wrong({ chainPem, keyPem }, names, withinLife(x509, chainPem, now()));
    if (verdict === null) return { chainPem, keyPem };
    wrong = verdict;
    // The default chain is what the CA recommends; another one mends only what is wrong with the chain.
  }
  throw new CaError(`the CA sent a certificate that cannot be used: ${wrong}`);
};

/** Gets a certificate for these names. Throws CaError, and what `mayOrder` and `keep` throw. */
export const obtain = async (parts: OrderParts, request: OrderRequest): Promise<OrderResult> => {
  const [order, keyPem] = (await resumed(parts, request)) ?? (await begun(parts, request));
  let now = order;
  if (now.status === 'pending') {
    const failed = await prove(parts, now);
    if (failed.length > 0) {
      await parts.keep(null);
      return { failed };
    }
    now = (await parts.ca.order(now.url)) ?? now;
  }
  if (now.status !== 'valid') {
    const csr = await parts.x509.csr(request.names, keyPem);
    try {
      now = await parts.ca.finalize(now, csr, issuingSeconds);
    } catch (error) {
      // Nothing more comes of an order that was refused; one that only takes long is gone on with.
      if (!(error instanceof CaError) || !error.unreachable) await parts.keep(null);
      throw error;
    }
  }
  const pair = await download(parts, now, keyPem, request.names).catch(async (error: unknown) => {
    if (!(error instanceof CaError) || !error.unreachable) await parts.keep(null);
    throw error;
  });
  return { pair };
};
