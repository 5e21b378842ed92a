/** A certificate authority by RFC 8555: acme-client signs and counts nonces, what is asked and what answers mean is decided here. */
import { createHash, createPublicKey, X509Certificate } from 'node:crypto';
import { CaError } from '../certificates/ports.ts';
import type { CertificateAuthority } from '../certificates/ports.ts';
import { messageOf } from '../errors.ts';
import { systemTimers } from '../net/timers.ts';
import type { Timers } from '../net/timers.ts';
import { fieldsOf, retryAfterOf, urlOf } from './acme-answer.ts';
import type { Fields } from './acme-answer.ts';
import { createOrders } from './acme-orders.ts';
import { renewalName, renewalOf } from './acme-renewal.ts';
import { createSigner } from './acme-signer.ts';
import type { Client } from './acme-signer.ts';
import type { Answer } from './acme-transport.ts';

/*
 * INVARIANTS
 * - acme-client is loaded at the first request and by this file only; the program has it as a second file.
 * - Only its signing is used: its own waiting, repeating and error texts lose the CA's problem documents.
 * - No call waits for longer than its limit; no answer is used before it was looked at.
 */

export interface AcmeOptions {
  directoryUrl: string;
  /** Roots to trust besides Node's own for the directory's TLS, and the file that they are from. */
  ca: { file: string; pem: string } | null;
  accountKeyPem: string;
  /** Null: not registered yet; `register` comes first. */
  accountUrl: string | null;
  /** E-mail addresses, or URLs like mailto:admin@example.org. */
  contacts: readonly string[];
  /** External account binding (RFC 8555 7.3.4); the key in base64url. */
  binding: { kid: string; hmacKey: string } | null;
  /** For one request and its answer. */
  timeoutSeconds?: number;
  timers?: Timers;
  /** Milliseconds since the epoch. */
  wallClock?: () => number;
}

const contactsOf = (contacts: readonly string[]): string[] =>
  contacts.map((contact) => (contact.includes(':') ? contact : `mailto:${contact}`));

/** RFC 7638; `export` gives the members, the RFC their order. */
const thumbprint = (keyPem: string): string => {
  const { crv, e, kty, n, x, y } = createPublicKey(keyPem).export({ format: 'jwk' });
  const members = kty === 'RSA' ? { e, kty, n } : { crv, kty, x, y };
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url');
};

export const createAcme = (options: AcmeOptions): CertificateAuthority => {
  const { directoryUrl, timeoutSeconds = 30, timers = systemTimers, wallClock = Date.now } = options;
  const { host } = new URL(directoryUrl);
  let keyPem = options.accountKeyPem;
  let accountUrl = options.accountUrl;
  let opened: Promise<Client> | null = null;

  const refuse = (message: string, hint?: string): CaError =>
    new CaError(`the certificate authority ${host} ${message}`, { hint });

  const open = async (): Promise<Client> => {
    const { axios, Client } = await import('acme-client');
    const transport = { directoryUrl, ca: options.ca, timeoutMs: timeoutSeconds * 1000, timers, wallClock };
    return createSigner({ axios, Client, transport, binding: options.binding });
  };
  const client = (): Promise<Client> =>
    (opened ??= open().catch((error: unknown) => {
      opened = null;
      throw error;
    }));

  /** Whatever goes wrong inside becomes a CaError. */
  const guarded = async <T>(work: (client: Client) => Promise<T>): Promise<T> => {
    try {
      return await work(await client());
    } catch (error) {
      throw error instanceof CaError
        ? error
        : new CaError(`talking to the certificate authority ${host} failed: ${messageOf(error)}`, { cause: error });
    }
  };
  const account = (): { keyPem: string; accountUrl: string } => {
    if (accountUrl === null) throw refuse('does not know this host yet', 'register the account first');
    return { keyPem, accountUrl };
  };
  /** A signed request to a URL or a resource of the directory; null as payload reads (POST-as-GET, RFC 8555 6.3). */
  const post = (where: string, payload: object | null): Promise<Answer> =>
    guarded((client) => client.post(where, payload, account()));

  const directory = async (): Promise<{ directory: Fields; meta: Fields }> => {
    const directory = await guarded((client) => client.directory());
    return { directory, meta: fieldsOf(directory['meta']) };
  };
  const offers: CertificateAuthority['offers'] = async () => {
    const { directory: resources, meta } = await directory();
    return {
      terms: urlOf(meta['termsOfService']),
      profiles: Object.keys(fieldsOf(meta['profiles'])),
      renewalInfo: urlOf(resources['renewalInfo']) !== null,
      needsBinding: meta['externalAccountRequired'] === true,
    };
  };

  const renewalId = (chainPem: string): string => {
    let name: string | null = null;
    try {
      name = renewalName(chainPem);
    } catch (cause) {
      throw new CaError(`the certificate cannot be read: ${messageOf(cause)}`, { cause });
    }
    if (name === null)
      throw new CaError('the certificate does not say which key signed it (no authority key identifier)');
    return name;
  };

  /** URL of the account that a key has; null when it has none. */
  const accountOf = async (key: string): Promise<string | null> => {
    const find = { onlyReturnExisting: true };
    try {
      const found = await guarded((client) => client.post('newAccount', find, { keyPem: key, accountUrl: null }));
      return urlOf(found.headers['location']);
    } catch (error) {
      if (error instanceof CaError && error.problem?.type === 'accountDoesNotExist') return null;
      throw error;
    }
  };

  return {
    offers,
    registered: () => accountOf(keyPem),
    register: () =>
      guarded(async (client) => {
        const contact = contactsOf(options.contacts);
        const request = { termsOfServiceAgreed: true, ...(contact.length > 0 ? { contact } : {}) };
        const answer = await client.post('newAccount', request, { keyPem, accountUrl: null });
        accountUrl = urlOf(answer.headers['location']);
        if (accountUrl === null) throw refuse('gave the account no URL');
        return accountUrl;
      }),
    updateContact: async (contacts) => void (await post(account().accountUrl, { contact: contactsOf(contacts) })),
    changeKey: async (newKeyPem) => {
      await guarded((client) => client.changeKey(newKeyPem, account()));
      // Who throws the old key away must be sure: Pebble answers 200, and changes nothing, for a key that another account has.
      if ((await accountOf(newKeyPem)) !== accountUrl)
        throw refuse('did not take the new key: it belongs to another account');
      keyPem = newKeyPem;
    },
    deactivate: async () => void (await post(account().accountUrl, { status: 'deactivated' })),

    ...createOrders({ host, offers, post, timers, wallClock }),
    revoke: async (chainPem, reason) => {
      const certificate = await guarded(() => Promise.resolve(new X509Certificate(chainPem).raw.toString('base64url')));
      await post('revokeCert', { certificate, reason }).catch((error: unknown) => {
        if (!(error instanceof CaError) || error.problem?.type !== 'alreadyRevoked') throw error;
      });
    },
    renewalInfo: async (chainPem) => {
      const { directory: resources } = await directory();
      const base = urlOf(resources['renewalInfo']);
      if (base === null) return null;
      const url = `${base.replace(/\/$/, '')}/${renewalId(chainPem)}`;
      try {
        const { data, headers } = await guarded((client) => client.get(url));
        const found = renewalOf(data, retryAfterOf(headers['retry-after'], wallClock() / 1000));
        if (!found) throw refuse('answered with no time to renew');
        return found;
      } catch (error) {
        // It offers none for this one: a certificate of another CA, or one that it forgot.
        if (error instanceof CaError && [400, 404].includes(error.problem?.status ?? 0)) return null;
        throw error;
      }
    },
    certificateId: renewalId,
    keyAuthorization: (token) => `${token}.${thumbprint(keyPem)}`,
  };
};
