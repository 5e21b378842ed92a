/** Orders (RFC 8555 7.4 to 7.5): from names to chains. */
import { CaError } from '../certificates/ports.ts';
import type { AuthorizationView, CertificateAuthority, OrderView } from '../certificates/ports.ts';
import { namesInWords, refusalHint, refusalInWords } from '../core/acme-words.ts';
import { sleep } from '../net/timers.ts';
import type { Timers } from '../net/timers.ts';
import { alternatesOf, authorizationOf, orderOf, retryAfterOf, textOf, urlOf } from './acme-answer.ts';
import type { Order } from './acme-answer.ts';
import type { Answer } from './acme-transport.ts';

const mostAlternates = 5;
/** Without Retry-After: the first look comes soon, the later ones seldom. */
const pollMs = { first: 100, most: 5000 };

/** `replaces` is a courtesy: what a CA may say about it must not cost the order (RFC 9773 5). */
const aboutReplaces = ['alreadyReplaced', 'conflict', 'malformed', 'unauthorized', 'notFound'];

export interface OrderOptions {
  host: string;
  offers: CertificateAuthority['offers'];
  /** A signed request to a URL or a resource of the directory; null as payload reads. */
  post: (where: string, payload: object | null) => Promise<Answer>;
  timers: Timers;
  /** Milliseconds since the epoch. */
  wallClock: () => number;
}

export type Orders = Pick<
  CertificateAuthority,
  'newOrder' | 'order' | 'authorizations' | 'answer' | 'settled' | 'finalize' | 'download'
>;

export const createOrders = ({ host, offers, post, timers, wallClock }: OrderOptions): Orders => {
  const orders = new Map<string, Order>();
  const refuse = (message: string, hint?: string): CaError =>
    new CaError(`the certificate authority ${host} ${message}`, { hint });

  const seen = ({ data }: Answer, url: string | null): Order => {
    const order = url === null ? null : orderOf(data, url);
    if (!order) throw refuse('answered with something that is no order');
    orders.set(order.url, order);
    return order;
  };
  const fetched = async (url: string): Promise<[order: Order, answer: Answer]> => {
    const answer = await post(url, null);
    return [seen(answer, url), answer];
  };
  const withUrls = async (order: OrderView): Promise<Order> => orders.get(order.url) ?? (await fetched(order.url))[0];

  const authorization = async (url: string): Promise<[view: AuthorizationView, answer: Answer]> => {
    const answer = await post(url, null);
    const view = authorizationOf(answer.data, url);
    if (!view) throw refuse('answered with something that is no authorization');
    return [view, answer];
  };

  /** Looks until `done` or until the limit has passed, and gives what it saw last. */
  const poll = async <T>(
    limitSeconds: number,
    look: () => Promise<[value: T, answer: Answer]>,
    done: (value: T) => boolean,
  ): Promise<T> => {
    const end = timers.now() + limitSeconds * 1000;
    for (let wait = pollMs.first; ; wait = Math.min(wait * 2, pollMs.most)) {
      const [value, answer] = await look();
      const left = end - timers.now();
      if (done(value) || left <= 0) return value;
      const asked = retryAfterOf(answer.headers['retry-after'], wallClock() / 1000);
      await sleep(timers, Math.min(left, asked === null ? wait : Math.max(asked * 1000, wait)));
    }
  };

  return {
    newOrder: async ({ names, replaces, profile }) => {
      const { profiles, renewalInfo } = await offers();
      if (profile !== null && profiles.length > 0 && !profiles.includes(profile))
        throw refuse(`has no profile '${profile}'`, `it has: ${profiles.join(', ')}`);
      const request = {
        identifiers: names.map((value) => ({ type: 'dns', value })),
        ...(profile !== null && profiles.length > 0 ? { profile } : {}),
      };
      const place = async (payload: object): Promise<Order> => {
        const answer = await post('newOrder', payload);
        return seen(answer, urlOf(answer.headers['location']));
      };
      if (replaces === null || !renewalInfo) return place(request);
      return place({ ...request, replaces }).catch((error: unknown) => {
        if (!(error instanceof CaError) || !aboutReplaces.includes(error.problem?.type ?? '')) throw error;
        return place(request);
      });
    },
    order: async (url) => {
      try {
        return (await fetched(url))[0];
      } catch (error) {
        // 403 is what a CA says about an order of another account: as useless as one that is gone.
        if (error instanceof CaError && [403, 404, 410].includes(error.problem?.status ?? 0)) return null;
        throw error;
      }
    },
    authorizations: async (order) => {
      const { authorizations } = await withUrls(order);
      return Promise.all(authorizations.map(async (url) => (await authorization(url))[0]));
    },
    answer: async ({ url }) => void (await post(url, {})),
    settled: async (order, limitSeconds) => {
      const { authorizations } = await withUrls(order);
      // A CA needs a moment for each name; looked at before, its Retry-After would cost seconds.
      await sleep(timers, Math.min(pollMs.first, limitSeconds * 1000));
      return Promise.all(
        authorizations.map((url) =>
          poll(
            limitSeconds,
            () => authorization(url),
            ({ status }) => status !== 'pending',
          ),
        ),
      );
    },
    finalize: async (order, csrPem, limitSeconds) => {
      const body = csrPem.replace(/-----[^-]+-----|\s/g, '');
      const csr = Buffer.from(body, 'base64').toString('base64url');
      let sent = false;
      const look = async (): Promise<[Order, Answer]> => {
        const [now, answer] = await fetched(order.url);
        if (now.status !== 'ready' || sent) return [now, answer];
        sent = true;
        const accepted = await post(now.finalize, { csr });
        return [seen(accepted, order.url), accepted];
      };
      const last = await poll(limitSeconds, look, ({ status }) => status === 'valid' || status === 'invalid');
      if (last.status === 'valid') return last;
      const about = `the order for ${namesInWords(order.names)}`;
      if (last.status !== 'invalid')
        throw new CaError(`the certificate authority ${host} did not finish ${about} within ${limitSeconds} s`, {
          unreachable: true,
        });
      throw new CaError(
        `the certificate authority ${host} refused ${about}: ${last.error ? refusalInWords(last.error) : 'no reason given'}`,
        { problem: last.error, hint: last.error ? refusalHint(last.error) : undefined },
      );
    },
    download: async (order) => {
      const cached = orders.get(order.url);
      const { certificate } = cached?.certificate ? cached : (await fetched(order.url))[0];
      if (certificate === null) throw refuse(`has no certificate for ${namesInWords(order.names)} yet`);
      const main = await post(certificate, null);
      const others = alternatesOf(main.headers['link']).slice(0, mostAlternates);
      const chains = [main, ...(await Promise.all(others.map((url) => post(url, null))))];
      return chains.map(({ data }) => {
        if (typeof data === 'string' && /-----BEGIN CERTIFICATE-----/.test(data)) return data;
        throw refuse('answered with something that is no certificate', textOf(data) || undefined);
      });
    },
  };
};
