/** acme-client's signing with our own way of asking: it gets a request of ours put in, and gives answers as they are. */
import { fieldsOf, urlOf } from './acme-answer.ts';
import type { Fields } from './acme-answer.ts';
import { CaError } from '../certificates/ports.ts';
import type { Timers } from '../net/timers.ts';
import { createRequest, httpOptions, isBadNonce, refused } from './acme-transport.ts';
import type { Answer, Http, Request, TransportOptions } from './acme-transport.ts';

/** Nonces that came with answers save a request each; a CA forgets them after a while. */
const spareNonces = { most: 50, ageMs: 60_000 };

/** The parts of an acme-client that its types do not show (5.4.0: src/http.js, src/api.js); its version is pinned. */
interface Inside {
  http: {
    request: Request;
    getNonce: () => Promise<string>;
    getDirectory: () => Promise<unknown>;
    getJwk: () => object;
    createSignedBody: (url: string, payload: object) => object;
  };
  api: {
    accountUrl: string | null;
    apiRequest: (url: string, payload: object | null, valid: number[], options: object) => Promise<Answer>;
  };
}

export interface SignerOptions {
  axios: { create(options: object): Http };
  Client: new (options: { directoryUrl: string; accountKey: string; externalAccountBinding?: never }) => unknown;
  transport: TransportOptions;
  binding: { kid: string; hmacKey: string } | null;
}

/** Who signs; without a URL the key introduces itself (RFC 8555 6.2). */
export interface Account {
  keyPem: string;
  accountUrl: string | null;
}

export interface Client {
  directory(): Promise<Fields>;
  get(url: string): Promise<Answer>;
  post(where: string, payload: object | null, account: Account): Promise<Answer>;
  changeKey(newKeyPem: string, account: Account): Promise<void>;
}

const createNonces = (timers: Timers): { put(nonce: unknown): void; take(): string | null } => {
  let spare: { nonce: string; until: number }[] = [];
  return {
    put: (nonce) => {
      if (typeof nonce !== 'string' || nonce === '') return;
      spare = [...spare, { nonce, until: timers.now() + spareNonces.ageMs }].slice(-spareNonces.most);
    },
    take: () => {
      const last = spare.pop();
      return last && last.until > timers.now() ? last.nonce : null;
    },
  };
};

export const createSigner = ({ axios, Client, transport, binding }: SignerOptions): Client => {
  const { directoryUrl, timers, wallClock } = transport;
  const { host } = new URL(directoryUrl);
  const ask = createRequest(axios.create(httpOptions(transport)), transport);
  const nonces = createNonces(timers);
  const signers = new Map<string, Inside>();
  let resources: Promise<Fields> | null = null;

  const request: Request = async (url, method, options) => {
    const answer = await ask(url, method, options);
    // A nonce of HEAD, or of badNonce, is used at once by who asked.
    if (method === 'post' && !isBadNonce(answer)) nonces.put(answer.headers['replay-nonce']);
    return answer;
  };

  const load = async (): Promise<Fields> => {
    const directory = fieldsOf((await ask(directoryUrl, 'get')).data);
    const needed = ['newNonce', 'newAccount', 'newOrder', 'revokeCert', 'keyChange'];
    if (needed.some((name) => urlOf(directory[name]) === null))
      throw new CaError(`${directoryUrl} is not the directory of a certificate authority`, {
        hint: 'is the directory URL right? It often ends in /directory',
      });
    return directory;
  };
  /** Once for everybody who asks at the same time; a failure is not remembered. */
  const directory = (): Promise<Fields> =>
    (resources ??= load().catch((error: unknown) => {
      resources = null;
      throw error;
    }));

  const signer = (keyPem: string): Inside => {
    const known = signers.get(keyPem);
    if (known) return known;
    const options = { directoryUrl, accountKey: keyPem, ...(binding ? { externalAccountBinding: binding } : {}) };
    const inside = new Client(options as ConstructorParameters<SignerOptions['Client']>[0]) as Inside;
    const { http } = inside;
    const newNonce = http.getNonce.bind(http);
    http.request = request;
    http.getDirectory = directory;
    http.getNonce = () => {
      const spare = nonces.take();
      return spare === null ? newNonce() : Promise.resolve(spare);
    };
    signers.set(keyPem, inside);
    return inside;
  };

  const post: Client['post'] = async (where, payload, { keyPem, accountUrl }) => {
    const url = where.includes('/') ? where : urlOf((await directory())[where]);
    if (url === null) throw new CaError(`the certificate authority ${host} offers no ${where}`);
    const { api } = signer(keyPem);
    api.accountUrl = accountUrl;
    const introduces = accountUrl === null;
    const options = { includeJwsKid: !introduces, includeExternalAccountBinding: introduces };
    const answer = await api.apiRequest(url, payload, [], options);
    // badNonce, more often than acme-client tries again (5 times).
    if (answer.status >= 300) throw refused(host, answer, wallClock() / 1000);
    return answer;
  };

  return {
    directory,
    get: (url) => ask(url, 'get'),
    post,
    changeKey: async (newKeyPem, account) => {
      const url = urlOf((await directory())['keyChange']) ?? '';
      // RFC 8555 7.3.5: signed by the new key and without a nonce, inside of what the old key signs.
      const oldKey = signer(account.keyPem).http.getJwk();
      const inner = signer(newKeyPem).http.createSignedBody(url, { account: account.accountUrl, oldKey });
      await post('keyChange', inner, account);
    },
  };
};
