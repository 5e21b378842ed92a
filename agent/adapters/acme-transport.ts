/** One request to the CA: bounded in time and size, and every failure a CaError that says what to do. */
import { Agent } from 'node:https';
import { createSecureContext, rootCertificates } from 'node:tls';
import { CaError } from '../certificates/ports.ts';
import { refusalHint, refusalInWords } from '../core/acme-words.ts';
import { paths } from '../core/names.ts';
import { messageOf } from '../errors.ts';
import { createLimit } from '../net/limit.ts';
import type { Timers } from '../net/timers.ts';
import { fieldsOf, problemOf, retryAfterOf } from './acme-answer.ts';

/*
 * INVARIANTS
 * - Nothing is tried again here but a request whose connection the CA closed while it lay idle: acme-client's own axios waits and
 *   repeats on 429 and 5xx for as long as Retry-After says, inside a call, so its instance is not used.
 * - The trust in a CA's own certificate is this client's alone: no default of axios or Node is touched.
 */

const longestAnswer = 1 << 20;
const requestsAtOnce = 10;

/** What axios gives back, as far as we look at it. */
export interface Answer {
  status: number;
  headers: Readonly<Record<string, unknown>>;
  data: unknown;
}

/** An instance of axios of our own. */
export interface Http {
  request(options: object): Promise<Answer>;
}

export interface TransportOptions {
  directoryUrl: string;
  ca: { file: string; pem: string } | null;
  timeoutMs: number;
  timers: Timers;
  /** Milliseconds since the epoch: Retry-After may be a date. */
  wallClock: () => number;
}

export type Request = (url: string, method: string, options?: object) => Promise<Answer>;

/** Settings of an axios instance for that CA alone. */
export const httpOptions = ({ ca }: TransportOptions): object => ({
  adapter: 'http',
  httpsAgent: new Agent({
    keepAlive: true,
    maxSockets: requestsAtOnce,
    // One context for all connections: reading Node's 150 roots for each of them would take longer than the handshake.
    ...(ca === null ? {} : { secureContext: createSecureContext({ ca: [...rootCertificates, ca.pem] }) }),
  }),
  headers: { 'User-Agent': 'appfleet (acme-client)' },
  maxContentLength: longestAnswer,
  // What is signed is signed for one URL.
  maxRedirects: 0,
  validateStatus: null,
});

const untrusted = 'its own certificate is not trusted by this host';
const trustHint = (file: string | null): string =>
  file === null
    ? `if this CA is meant, name the file with its root certificate in acme_ca_file in ${paths.settings}`
    : `${file}, which acme_ca_file in ${paths.settings} names, does not hold the root that signed it: put that one there`;

/** Codes of Node and OpenSSL in words, and what to do. */
const connectionWords: Readonly<Record<string, readonly [words: string, hint?: string]>> = {
  ECONNREFUSED: ['connection refused', 'is the address of the directory right?'],
  ECONNRESET: ['the connection was cut'],
  EPIPE: ['the connection was cut'],
  ENOTFOUND: ['its name does not resolve', 'is the directory URL right, and does DNS work on this host?'],
  EAI_AGAIN: ['its name cannot be resolved now', 'does DNS work on this host? see /etc/resolv.conf'],
  EHOSTUNREACH: ['no way to that host', 'is this host connected to the internet?'],
  ENETUNREACH: ['no way to that network', 'is this host connected to the internet?'],
  ETIMEDOUT: ['no connection in time', 'does a firewall stop connections from this host to the internet?'],
  CERT_HAS_EXPIRED: ['its own certificate has expired', 'is the clock of this host right?'],
  CERT_NOT_YET_VALID: ['its own certificate is not valid yet', 'is the clock of this host right?'],
  ERR_TLS_CERT_ALTNAME_INVALID: ['its own certificate is for another name', 'is the directory URL right?'],
  ...Object.fromEntries(
    [
      'SELF_SIGNED_CERT_IN_CHAIN',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'UNABLE_TO_GET_ISSUER_CERT',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'CERT_UNTRUSTED',
      'CERT_SIGNATURE_FAILURE',
    ].map((code) => [code, [untrusted] as const]),
  ),
};

const codeOf = (error: unknown): string => {
  const { code, cause } = fieldsOf(error);
  return typeof code === 'string' ? code : cause === undefined ? '' : codeOf(cause);
};

/** The CA did not answer. */
export const unreachable = (host: string, words: string, hint?: string, cause?: unknown): CaError =>
  new CaError(`the certificate authority ${host} could not be reached: ${words}`, { unreachable: true, hint, cause });

const failed = (host: string, caFile: string | null, error: unknown): CaError => {
  const [words, hint] = connectionWords[codeOf(error)] ?? [messageOf(error) || codeOf(error)];
  return unreachable(host, words, words === untrusted ? trustHint(caFile) : hint, error);
};

/** The CA said no (or its server had trouble, which says nothing about what was asked). */
export const refused = (host: string, { status, headers, data }: Answer, now: number): CaError => {
  const retryAfterSeconds = retryAfterOf(headers['retry-after'], now);
  const said = problemOf(data);
  // Something in front of the CA may be what limits us, and it knows nothing of problem documents.
  const problem =
    said ??
    (status === 429 ? { type: 'rateLimited', detail: 'too many requests', status, name: null, subproblems: [] } : null);
  if (problem)
    return new CaError(`the certificate authority ${host} refused: ${refusalInWords(problem)}`, {
      problem: { ...problem, status: problem.status ?? status },
      retryAfterSeconds,
      hint: refusalHint(problem),
    });
  if (status >= 500)
    return new CaError(`the certificate authority ${host} has trouble: it answered ${status}`, {
      retryAfterSeconds,
      unreachable: true,
    });
  // RFC 7807 4.2: a status alone is a problem too, with nothing to say but its number.
  return new CaError(`the certificate authority ${host} answered ${status} without a reason`, {
    problem: { type: 'about:blank', detail: '', status, name: null, subproblems: [] },
    retryAfterSeconds,
    hint: status < 400 || status === 404 ? 'is the directory URL right?' : undefined,
  });
};

export const isBadNonce = (answer: Answer): boolean =>
  answer.status === 400 && problemOf(answer.data)?.type === 'badNonce';

/** Resolves to answers below 300 and to badNonce, which the signer tries again; rejects with CaError for all else. */
export const createRequest = (http: Http, options: TransportOptions): Request => {
  const { host } = new URL(options.directoryUrl);
  const limit = createLimit(requestsAtOnce);

  const once = async (request: object): Promise<Answer> => {
    const abort = new AbortController();
    // axios' own timeout looks at silence only: a byte now and then would keep us for ever.
    const callOff = options.timers.after(options.timeoutMs, () => abort.abort());
    try {
      return await http.request({ ...request, signal: abort.signal });
    } catch (error) {
      if (!abort.signal.aborted) throw error;
      throw unreachable(host, `no answer within ${options.timeoutMs / 1000} s`, undefined, error);
    } finally {
      callOff();
    }
  };

  return (url, method, extra = {}) =>
    limit(async () => {
      const headers = { ...fieldsOf(fieldsOf(extra)['headers']), 'Content-Type': 'application/jose+json' };
      const request = { ...extra, url, method, headers };
      const answer = await once(request)
        .catch((error: unknown) => {
          const idle = fieldsOf(fieldsOf(error)['request'])['reusedSocket'] === true;
          if (idle && ['ECONNRESET', 'EPIPE'].includes(codeOf(error))) return once(request);
          throw error;
        })
        .catch((error: unknown) => {
          throw error instanceof CaError ? error : failed(host, options.ca?.file ?? null, error);
        });
      if (answer.status >= 300 && !isBadNonce(answer)) throw refused(host, answer, options.wallClock() / 1000);
      return answer;
    });
};
