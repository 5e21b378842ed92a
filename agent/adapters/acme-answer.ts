/** A CA's answers, read with suspicion: whatever the directory URL points at may have written them. */
import type { AuthorizationView, CaProblem, ChallengeView, OrderView } from '../certificates/ports.ts';

const longestText = 1000;
const mostParts = 100;

export type Fields = Readonly<Record<string, unknown>>;

export const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** A text of one line that cannot play with a terminal; empty when it is none. */
export const textOf = (value: unknown): string =>
  typeof value === 'string'
    ? value
        .slice(0, longestText)
        .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
        .trim()
    : '';

/** A URL as it is, or null: nothing may be changed in what is sent back. */
export const urlOf = (value: unknown): string | null =>
  typeof value === 'string' && value.length <= 2000 && /^https?:\/\/[\x21-\x7e]+$/.test(value) ? value : null;

/** RFC 3339 -> seconds since the epoch. */
export const timeOf = (value: unknown): number | null => {
  const milliseconds = typeof value === 'string' ? Date.parse(value) : NaN;
  return Number.isFinite(milliseconds) ? Math.floor(milliseconds / 1000) : null;
};

const nameOf = (identifier: unknown): string | null => textOf(fieldsOf(identifier)['value']).toLowerCase() || null;

/** Problem document (RFC 7807, RFC 8555 6.7); null when it is none. `name` stands where the CA names none. */
export const problemOf = (value: unknown, name: string | null = null, depth = 0): CaProblem | null => {
  const fields = fieldsOf(value);
  const type = textOf(fields['type']);
  const detail = textOf(fields['detail']) || textOf(fields['title']);
  if (type === '' && detail === '') return null;
  const status = fields['status'];
  const parts = depth > 0 ? [] : listOf(fields['subproblems']).slice(0, mostParts);
  return {
    type: type.replace(/^urn:ietf:params:acme:error:/, '') || 'about:blank',
    detail,
    status: typeof status === 'number' ? status : null,
    name: nameOf(fields['identifier']) ?? name,
    subproblems: parts.flatMap((part) => problemOf(part, null, depth + 1) ?? []),
  };
};

/**
 * Retry-After (RFC 9110 10.2.3): delta-seconds or an HTTP-date. Seconds from `now` (seconds since the epoch), at least 0; null when
 * there is none or nobody can read it.
 */
export const retryAfterOf = (header: unknown, now: number): number | null => {
  if (typeof header !== 'string') return null;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text);
  // Date.parse alone would read "1.5" as a day of the year 2001.
  const date = /^[A-Z][a-z]+,? /.test(text) ? Date.parse(text) : NaN;
  return Number.isFinite(date) ? Math.max(0, Math.ceil(date / 1000 - now)) : null;
};

/** URLs of `rel="alternate"` in a Link header (RFC 8288 3, RFC 8555 7.4.2). */
export const alternatesOf = (header: unknown): readonly string[] =>
  listOf(typeof header === 'string' ? [header] : header)
    .flatMap((line) => (typeof line === 'string' ? line.split(/,\s*(?=<)/) : []))
    .flatMap((link) => {
      const [, url, parameters = ''] = /^\s*<([^>]*)>(.*)$/.exec(link) ?? [];
      return /;\s*rel\s*=\s*"?alternate"?\s*(;|$)/i.test(parameters) ? (urlOf(url) ?? []) : [];
    });

const oneOf = <T extends string>(value: unknown, words: readonly T[]): T | null =>
  words.find((word) => word === value) ?? null;

/** What an order says besides what everybody needs to know. */
export interface Order extends OrderView {
  authorizations: readonly string[];
  finalize: string;
  certificate: string | null;
}

/** RFC 8555 7.1.3; null when it is no order. */
export const orderOf = (value: unknown, url: string): Order | null => {
  const fields = fieldsOf(value);
  const status = oneOf(fields['status'], ['pending', 'ready', 'processing', 'valid', 'invalid'] as const);
  const finalize = urlOf(fields['finalize']);
  if (status === null || finalize === null) return null;
  return {
    url,
    status,
    names: listOf(fields['identifiers']).flatMap((identifier) => nameOf(identifier) ?? []),
    expires: timeOf(fields['expires']),
    error: problemOf(fields['error']),
    authorizations: listOf(fields['authorizations']).flatMap((one) => urlOf(one) ?? []),
    finalize,
    certificate: urlOf(fields['certificate']),
  };
};

const challengeOf = (value: unknown, name: string): ChallengeView | null => {
  const fields = fieldsOf(value);
  const status = oneOf(fields['status'], ['pending', 'processing', 'valid', 'invalid'] as const);
  const url = urlOf(fields['url']);
  const token = typeof fields['token'] === 'string' ? fields['token'] : '';
  // RFC 8555 8.3: base64url and nothing else; it becomes part of a path and of a DNS record.
  if (status === null || url === null || !/^[A-Za-z0-9_-]*$/.test(token)) return null;
  return { type: textOf(fields['type']), url, token, status, error: problemOf(fields['error'], name) };
};

/** RFC 8555 7.1.4; null when it is no authorization. */
export const authorizationOf = (value: unknown, url: string): AuthorizationView | null => {
  const fields = fieldsOf(value);
  const states = ['pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked'] as const;
  const status = oneOf(fields['status'], states);
  const bare = nameOf(fields['identifier']);
  if (status === null || bare === null) return null;
  const name = fields['wildcard'] === true ? `*.${bare}` : bare;
  const challenges = listOf(fields['challenges']).flatMap((one) => challengeOf(one, name) ?? []);
  return { url, name, status, challenges };
};
