/** Asks one address as a CA would (RFC 8555 8.3): over HTTP, following redirects, caring for no certificate on the way. */
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { shown } from '../core/value.ts';
import { messageOf } from '../errors.ts';

export type AddressAnswer =
  | { kind: 'ours' }
  /** Nobody answered; `fromHere`: because this host has no way to such addresses, which says nothing about others. */
  | { kind: 'silent'; words: string; fromHere: boolean }
  | { kind: 'other'; words: string };

export interface Question {
  name: string;
  port: number;
  httpsPort: number;
  token: string;
  expected: string;
  limitMs: number;
  /** Where another name is that a redirect leads to; null when it is not to be asked. */
  find: (name: string) => Promise<string | null>;
}

/** As many as Let's Encrypt follows. */
const mostRedirects = 10;
const redirects: readonly number[] = [301, 302, 303, 307, 308];

const connectionWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  EHOSTUNREACH: 'no way to that host',
  ENETUNREACH: 'no way to that network from here',
  EADDRNOTAVAIL: 'no way to that network from here',
  ETIMEDOUT: 'no connection in time',
};

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

class Refused extends Error {}

/** The beginning of a body, long enough to tell it from what is expected. */
const beginningOf = async (answer: IncomingMessage, length: number): Promise<string> => {
  let body = '';
  for await (const chunk of answer.setEncoding('latin1') as AsyncIterable<string>) {
    body += chunk;
    if (body.length > length) break;
  }
  return body;
};

/** Where the CA would go next. Let's Encrypt takes names on the two usual ports and nothing else. */
const nextUrl = (from: URL, location: string, question: Question): URL => {
  const refuse = (): never => {
    throw new Refused(`it redirects to ${shown(location)}, which a CA does not follow`);
  };
  if (!URL.canParse(location, from.href)) return refuse();
  const next = new URL(location, from);
  const ports = ['', '80', '443', String(question.port), String(question.httpsPort)];
  if (!['http:', 'https:'].includes(next.protocol) || !ports.includes(next.port)) return refuse();
  if (isIP(next.hostname) !== 0 || next.hostname.startsWith('[') || next.username !== '') return refuse();
  return next;
};

/** The answer of a server to GET. */
const get = (url: URL, address: string, question: Question, signal: AbortSignal): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const secure = url.protocol === 'https:';
    const usual = secure ? question.httpsPort : question.port;
    const options = {
      host: address,
      port: url.port === '' ? usual : Number(url.port),
      path: url.pathname + url.search,
      headers: { host: url.host, 'user-agent': 'appfleet (looks whether a CA would find this host)', accept: '*/*' },
      agent: false,
      signal,
    };
    const call: ClientRequest = secure
      ? // No CA looks at certificates here: getting one is what this is for.
        httpsRequest({ ...options, servername: url.hostname, rejectUnauthorized: false })
      : httpRequest(options);
    // It stays for the whole life of the request: an answer may break off after it began.
    call.on('error', reject);
    call.once('response', resolve);
    call.end();
  });

const follow = async (address: string, question: Question, signal: AbortSignal): Promise<void> => {
  const { name, token, expected } = question;
  let url = new URL(`http://${name}/.well-known/acme-challenge/${token}`);
  let at = address;
  for (let redirected = 0; redirected <= mostRedirects; redirected += 1) {
    const answer = await get(url, at, question, signal);
    try {
      const { statusCode = 0, headers } = answer;
      if (redirects.includes(statusCode) && headers.location !== undefined) {
        url = nextUrl(url, headers.location, question);
        // The address that is looked at stays the one that is looked at.
        const next = url.hostname === name ? address : await question.find(url.hostname);
        if (next === null) throw new Refused(`it redirects to ${shown(url.hostname)}, which a CA would not find`);
        at = next;
        continue;
      }
      if (statusCode !== 200) throw new Refused(`status ${statusCode}`);
      const body = await beginningOf(answer, expected.length + 16);
      // A body without a length ends with its connection, also when we are the ones who cut it.
      signal.throwIfAborted();
      if (body.trimEnd() !== expected) throw new Refused('with another text');
      return;
    } finally {
      answer.destroy();
    }
  }
  throw new Refused(`it redirects more than ${mostRedirects} times`);
};

/** What answers at the address for the challenge of this name. */
export const ask = async (address: string, question: Question): Promise<AddressAnswer> => {
  const abort = new AbortController();
  const limit = setTimeout(() => abort.abort(), question.limitMs);
  try {
    await follow(address, question, abort.signal);
    return { kind: 'ours' };
  } catch (error) {
    if (error instanceof Refused) return { kind: 'other', words: error.message };
    if (abort.signal.aborted)
      return { kind: 'silent', words: `no answer within ${question.limitMs / 1000} s`, fromHere: false };
    const code = codeOf(error);
    if (code.startsWith('HPE_')) return { kind: 'other', words: 'what answers is no web server' };
    const fromHere = code === 'ENETUNREACH' || code === 'EADDRNOTAVAIL';
    return { kind: 'silent', words: connectionWords[code] ?? messageOf(error), fromHere };
  } finally {
    clearTimeout(limit);
  }
};
