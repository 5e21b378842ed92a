/** What is known of a site's certificate, and the file that keeps it over restarts. Times are seconds since the epoch. */
import { type Failure, noteFailure, type Trouble } from './attempts.ts';

/** The certificate in use, as far as deciding about it needs. */
export interface CurrentCertificate {
  /** ASCII, lower case. */
  names: readonly string[];
  notBefore: number;
  notAfter: number;
  keyType: 'ecdsa' | 'rsa';
  /** sha256 of the whole, in hex. */
  fingerprint: string;
  /** When it was installed by this host's clock; null when unknown. */
  obtained: number | null;
}

/** What the site's file asks for. */
export interface WantedCertificate {
  /** ASCII, lower case. */
  names: readonly string[];
  keyType: 'ecdsa' | 'rsa';
}

/** A name that is not in the certificate, and why. */
export interface LeftOut {
  reason: string;
  /** When it was first left out. */
  since: number;
  /** It is not tried before then. */
  again: number;
  /** Attempts in a row that had to go without it. */
  count: number;
}

/** An order that the CA knows of: a run that was killed goes on with it. */
export interface OrderUnderWay {
  url: string;
  /** The key that the certificate will be for. */
  keyPem: string;
  names: readonly string[];
  began: number;
}

/** When the CA wants the certificate to be renewed (RFC 9773), and the moment that we chose inside its window. */
export interface RenewalWindow {
  start: number;
  end: number;
  chosen: number;
  explanation: string | null;
  asked: number;
  /** Not asked again before then. */
  again: number;
  /** Fingerprint of the certificate that it is about. */
  of: string;
}

export interface CertificateState {
  /** Why the last attempt failed, and when to try again. */
  failure: Failure | null;
  leftOut: Readonly<Record<string, LeftOut>>;
  order: OrderUnderWay | null;
  renewal: RenewalWindow | null;
}

export const emptyState: CertificateState = { failure: null, leftOut: {}, order: null, renewal: null };

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** Beyond that a number is no time of ours (year 5138). */
const isTime = (value: unknown): value is number => typeof value === 'number' && Math.abs(value) < 1e11;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isText = (value: unknown): value is string => typeof value === 'string';
/** Also keeps `__proto__` and its like out: a name has no underscore. */
const isName = (value: unknown): value is string =>
  isText(value) && value.length <= 255 && /^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(value);
const isNames = (value: unknown): value is string[] => Array.isArray(value) && value.every(isName);

/** A failure out of JSON, or null when it is none. */
export const parseFailure = (value: unknown): Failure | null => {
  if (!isFields(value)) return null;
  const { count, unreachable, at, again, reason, retryAfter, names } = value;
  if (!isCount(count) || !isTime(at) || !isTime(again) || !isText(reason)) return null;
  return {
    count,
    ...(isCount(unreachable) && unreachable > 0 ? { unreachable: Math.min(unreachable, count) } : {}),
    at,
    again,
    reason,
    retryAfter: retryAfter === true,
    ...(isNames(names) ? { names } : {}),
  };
};

const parseLeftOut = (value: unknown): LeftOut | null => {
  if (!isFields(value)) return null;
  const { reason, since, again, count } = value;
  return isText(reason) && isTime(since) && isTime(again) && isCount(count) ? { reason, since, again, count } : null;
};

const parseOrder = (value: unknown): OrderUnderWay | null => {
  if (!isFields(value)) return null;
  const { url, keyPem, names, began } = value;
  return isText(url) && /^https?:\/\//.test(url) && isText(keyPem) && isNames(names) && isTime(began)
    ? { url, keyPem, names, began }
    : null;
};

const parseRenewal = (value: unknown): RenewalWindow | null => {
  if (!isFields(value)) return null;
  const { start, end, chosen, explanation, asked, again, of } = value;
  if (!isTime(start) || !isTime(end) || !isTime(chosen) || !isTime(asked) || !isTime(again) || !isText(of)) return null;
  return { start, end, chosen, explanation: isText(explanation) ? explanation : null, asked, again, of };
};

/** The fields of a JSON text; none when it is anything else. */
export const parseFields = (text: string | null): Fields => {
  try {
    const value: unknown = text === null ? null : JSON.parse(text);
    return isFields(value) ? value : {};
  } catch {
    return {};
  }
};

/** The state out of its file. Whatever is not as we write it counts as absent, each part for itself. */
export const parseState = (text: string | null): CertificateState => {
  const fields = parseFields(text);
  const leftOut = Object.entries(isFields(fields['leftOut']) ? fields['leftOut'] : {}).flatMap(([name, value]) => {
    const one = isName(name) ? parseLeftOut(value) : null;
    return one === null ? [] : [[name, one] as const];
  });
  return {
    failure: parseFailure(fields['failure']),
    leftOut: Object.fromEntries(leftOut),
    order: parseOrder(fields['order']),
    renewal: parseRenewal(fields['renewal']),
  };
};

/** The text of the state's file. */
export const printState = (state: CertificateState): string => `${JSON.stringify(state, null, 2)}\n`;

/** Why a name is not in the certificate, or undefined. Safe for any name. */
export const leftOutOf = (state: CertificateState, name: string): LeftOut | undefined =>
  Object.hasOwn(state.leftOut, name) ? state.leftOut[name] : undefined;

/** The state after an attempt for all that the site wants has failed; the row of failures belongs to what is wanted. */
export const attemptFailed = (
  state: CertificateState,
  wanted: WantedCertificate,
  current: CurrentCertificate | null,
  trouble: Omit<Trouble, 'names' | 'lifetime'>,
  now: number,
  random: () => number,
): CertificateState => {
  const lifetime = current === null ? null : current.notAfter - current.notBefore;
  return {
    ...state,
    failure: noteFailure(state.failure, { ...trouble, lifetime, names: wanted.names }, now, random),
  };
};

/** The state after a certificate for these names was installed. */
export const attemptSucceeded = (
  state: CertificateState,
  wanted: WantedCertificate,
  names: readonly string[],
): CertificateState => ({
  failure: null,
  order: null,
  renewal: null,
  leftOut: Object.fromEntries(
    Object.entries(state.leftOut).filter(([name]) => wanted.names.includes(name) && !names.includes(name)),
  ),
});
