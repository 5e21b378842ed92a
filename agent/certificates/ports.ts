/** What issuing certificates needs from the outside: a certificate authority, X.509, a look from outside in, a DNS provider. */
import type { CurrentCertificate } from '../core/certificate.ts';
import { AppFleetError } from '../errors.ts';

/** A name as the CA knows it: ASCII, lower case, maybe `*.` in front. */
export type DnsName = string;

/** What the CA's directory says about itself (RFC 8555 7.1.1). */
export interface CaOffers {
  terms: string | null;
  profiles: readonly string[];
  renewalInfo: boolean;
  needsBinding: boolean;
}

export interface OrderView {
  url: string;
  status: 'pending' | 'ready' | 'processing' | 'valid' | 'invalid';
  names: readonly DnsName[];
  /** Seconds since the epoch. */
  expires: number | null;
  error: CaProblem | null;
}

export interface ChallengeView {
  type: string;
  url: string;
  token: string;
  status: 'pending' | 'processing' | 'valid' | 'invalid';
  error: CaProblem | null;
}

export interface AuthorizationView {
  url: string;
  /** With `*.` for a wildcard. */
  name: DnsName;
  status: 'pending' | 'valid' | 'invalid' | 'deactivated' | 'expired' | 'revoked';
  challenges: readonly ChallengeView[];
}

/** RFC 7807 document of the CA. `type` without `urn:ietf:params:acme:error:`. */
export interface CaProblem {
  type: string;
  detail: string;
  status: number | null;
  name: DnsName | null;
  subproblems: readonly CaProblem[];
}

/** When the CA wants a certificate to be renewed (RFC 9773 4.2); times in seconds since the epoch. */
export interface RenewalInfo {
  start: number;
  end: number;
  explanation: string | null;
  retryAfterSeconds: number;
}

/** Every method throws CaError and nothing else. */
export interface CertificateAuthority {
  offers(): Promise<CaOffers>;
  /** Registers the account key or finds its account (RFC 8555 7.3); resolves to the account URL. */
  register(): Promise<string>;
  /** URL of the account that the key has; null when it has none. Makes none (RFC 8555 7.3.1). */
  registered(): Promise<string | null>;
  updateContact(contacts: readonly string[]): Promise<void>;
  changeKey(newKeyPem: string): Promise<void>;
  deactivate(): Promise<void>;
  newOrder(request: { names: readonly DnsName[]; replaces: string | null; profile: string | null }): Promise<OrderView>;
  /** Null: the CA does not know it any more. */
  order(url: string): Promise<OrderView | null>;
  authorizations(order: OrderView): Promise<readonly AuthorizationView[]>;
  /** Tells the CA to validate. */
  answer(challenge: ChallengeView): Promise<void>;
  /** Resolves when no authorization is pending any more, or after the limit; polls with the CA's Retry-After. */
  settled(order: OrderView, limitSeconds: number): Promise<readonly AuthorizationView[]>;
  finalize(order: OrderView, csrPem: string, limitSeconds: number): Promise<OrderView>;
  /** The default chain and the alternates, PEM, leaf first. */
  download(order: OrderView): Promise<readonly string[]>;
  /** `reason`: RFC 5280 5.3.1. */
  revoke(chainPem: string, reason: number): Promise<void>;
  /** RFC 9773; null where the CA offers none. */
  renewalInfo(chainPem: string): Promise<RenewalInfo | null>;
  /** RFC 9773 section 4.1 certID of a certificate, for `replaces`. */
  certificateId(chainPem: string): string;
  keyAuthorization(token: string): string;
}

/** The CA said no, or nothing at all. */
export class CaError extends AppFleetError {
  readonly problem: CaProblem | null;
  /** From Retry-After. */
  readonly retryAfterSeconds: number | null;
  /** No connection, no answer in time, or a server error without a word about it: says nothing about the request. */
  readonly unreachable: boolean;

  constructor(
    message: string,
    options: {
      problem?: CaProblem | null;
      retryAfterSeconds?: number | null;
      unreachable?: boolean;
      cause?: unknown;
      hint?: string;
    } = {},
  ) {
    super('AF_CA', message, options);
    this.name = 'CaError';
    this.problem = options.problem ?? null;
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
    this.unreachable = options.unreachable ?? false;
  }
}

/** What is in a certificate. */
export interface CertificateDetails extends Omit<CurrentCertificate, 'obtained'> {
  serial: string;
  issuer: string;
  selfSigned: boolean;
}

export interface Pair {
  chainPem: string;
  keyPem: string;
}

export interface X509 {
  /** Leaf first; throws AF_CERTIFICATE. */
  read(pem: string): readonly CertificateDetails[];
  /**
   * Null when the pair can be installed, else what is wrong in a sentence: key does not match, a name is missing, expired, not
   * yet valid, chain out of order or of another issuer. The root is not required. `now`: seconds since the epoch.
   */
  wrong(pair: Pair, names: readonly DnsName[], now: number): string | null;
  /** What keeps a text from being certificates of authorities in PEM, in a sentence; null: nothing does. */
  wrongRoots(pem: string): string | null;
  /** PEM: P-256, or RSA 2048. */
  newKey(type: 'ecdsa' | 'rsa'): Promise<string>;
  /** PEM of a private key in JWK (RFC 7517), as certbot keeps account keys. Throws AF_CERTIFICATE. */
  keyOfJwk(text: string): string;
  csr(names: readonly DnsName[], keyPem: string): Promise<string>;
  /** Self-signed, for the time before the first certificate. */
  placeholder(names: readonly DnsName[], now: number): Promise<Pair>;
  /** RFC 7638 thumbprint of an account key (PEM). Pure node:crypto, no lazy load. */
  thumbprint(accountKeyPem: string): string;
}

export interface Reach {
  /**
   * Null when the CA will find us, else why not (one sentence: does not resolve; resolves to X which is not this host; port 80
   * of X does not answer; something else answers there). `addresses`: those that are right, 'host' for the host's own.
   */
  unreachable(
    name: DnsName,
    probe: { token: string; expected: string; addresses: 'host' | 'any' | readonly string[]; port: number },
  ): Promise<string | null>;
}

export interface DnsHook {
  add(name: DnsName, value: string): Promise<void>;
  remove(name: DnsName, value: string): Promise<void>;
}

/** The admin's programs that are run after certificates were renewed. */
export interface HookPrograms {
  /** In order of name; `refused`: why this one must not be run. Throws AF_FILE. */
  list(): Promise<readonly { path: string; refused: string | null }[]>;
  /** Null when it ended well, else how it ended and what it said last. `late`: its time was over. */
  run(path: string, env: Readonly<Record<string, string>>): Promise<{ failure: string; late: boolean } | null>;
}
