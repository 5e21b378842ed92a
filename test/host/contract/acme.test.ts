/** The ACME adapter against Pebble: 2.6.0 (Debian 13) offers renewal information, 2.4.0 (Debian 12) does not. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { dirname } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createAcme } from '../../../agent/adapters/acme.ts';
import type { AcmeOptions } from '../../../agent/adapters/acme.ts';
import { CaError } from '../../../agent/certificates/ports.ts';
import type { CertificateAuthority, OrderView } from '../../../agent/certificates/ports.ts';
import { startPebble } from '../pebble.ts';
import type { Pebble, PebbleHost, PebbleOptions } from '../pebble.ts';

const httpPort = 5002;
const here: PebbleHost = {
  run: ([program = '', ...words], { input, allowFail } = {}) => {
    const { status, stdout, stderr } = spawnSync(program, words, { input, encoding: 'utf8' });
    if (status !== 0 && !allowFail) throw new Error(`${program} ${words.join(' ')}: ${status} ${stderr}`);
    return Promise.resolve({ code: status ?? -1, stdout });
  },
  write: (path, content, mode = 0o644) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content, { mode });
    return Promise.resolve();
  },
};

const newKey = (): string =>
  generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey;
const csrOf = (names: readonly string[]): string => {
  writeFileSync('/run/contract.key', newKey());
  const san = `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`;
  const words = ['req', '-new', '-key', '/run/contract.key', '-subj', '/', '-addext', san];
  return execFileSync('openssl', words, { encoding: 'utf8' });
};
/** Names of which no other test knows anything. */
const fresh = (...names: string[]): string[] => {
  const end = `${randomBytes(4).toString('hex')}.example.org`;
  return names.map((name) => `${name}.${end}`);
};

/** Who answers HTTP-01 for everybody, as nginx does: with the thumbprint of one key, for any token. */
let thumbprintOf: CertificateAuthority | null = null;
const responder = createServer((request, response) => {
  const token = /^\/\.well-known\/acme-challenge\/([A-Za-z0-9_-]+)$/.exec(request.url ?? '')?.[1];
  const wrong = request.headers.host?.startsWith('bad') ?? true;
  response.writeHead(token ? 200 : 404);
  response.end(token && !wrong ? thumbprintOf?.keyAuthorization(token) : 'somebody else');
});

let pebble: Pebble;
const usual: PebbleOptions = { httpPort };
const options = (more: Partial<AcmeOptions> = {}): AcmeOptions => ({
  directoryUrl: pebble.directoryUrl,
  ca: { file: pebble.caFile, pem: readFileSync(pebble.caFile, 'utf8') },
  accountKeyPem: newKey(),
  accountUrl: null,
  contacts: [],
  binding: null,
  ...more,
});
const registered = async (more: Partial<AcmeOptions> = {}): Promise<CertificateAuthority> => {
  const ca = createAcme(options(more));
  await ca.register();
  thumbprintOf = ca;
  return ca;
};
const request = (names: readonly string[]) => ({ names, replaces: null, profile: null });
const answerAll = async (ca: CertificateAuthority, order: OrderView): Promise<void> => {
  const authorizations = await ca.authorizations(order);
  await Promise.all(
    authorizations
      .filter(({ status }) => status === 'pending')
      .map(({ challenges }) => ca.answer(challenges.find(({ type }) => type === 'http-01')!)),
  );
};
const issue = async (ca: CertificateAuthority, names: readonly string[], replaces: string | null = null) => {
  const order = await ca.newOrder({ names, replaces, profile: null });
  await answerAll(ca, order);
  const settled = await ca.settled(order, 20);
  assert.deepEqual(
    settled.map(({ status }) => status),
    names.map(() => 'valid'),
  );
  const done = await ca.finalize(order, csrOf(names), 20);
  assert.equal(done.status, 'valid');
  return { order, chains: await ca.download(done) };
};
/** The CaError that something must end with. */
const refusal = async (work: Promise<unknown>): Promise<CaError> => {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof CaError, `a CaError, not ${String(error)}`);
  assert.equal(error.code, 'AF_CA');
  return error;
};
const withPebble = async (other: PebbleOptions, work: () => Promise<void>): Promise<void> => {
  await pebble.restart({ ...usual, ...other });
  try {
    await work();
  } finally {
    await pebble.restart(usual);
  }
};

before(async () => {
  await new Promise<void>((resolve) => responder.listen(httpPort, resolve));
  pebble = await startPebble(here, usual);
});
after(async () => {
  responder.close();
  responder.closeAllConnections();
  await pebble.remove();
});

void describe('account', () => {
  test('registering twice finds the same account; contacts are changed and refused in words', async () => {
    const one = options({ contacts: ['admin@example.org'] });
    const url = await createAcme(one).register();
    assert.match(url, /^https:/);
    const ca = createAcme(one);
    assert.equal(await ca.registered(), url);
    assert.equal(await ca.register(), url);
    await ca.updateContact(['other@example.org']);
    await ca.updateContact([]);
    const error = await refusal(ca.updateContact(['gopher://example.org']));
    assert.equal(error.problem?.type, 'unsupportedContact');
    assert.ok(error.hint);
  });

  test('a key that is not the account’s, an account that is not there, none at all', async () => {
    const ca = createAcme(options());
    const accountUrl = await ca.register();
    const stranger = await refusal(createAcme(options({ accountUrl })).newOrder(request(fresh('a'))));
    assert.match(stranger.problem?.type ?? '', /^(malformed|unauthorized)$/);
    const gone = createAcme(options({ accountUrl: accountUrl.replace(/[^/]+$/, 'none') }));
    assert.equal((await refusal(gone.newOrder(request(fresh('a'))))).problem?.type, 'accountDoesNotExist');
    const none = await refusal(createAcme(options()).newOrder(request(fresh('a'))));
    assert.match(none.hint ?? '', /register/);
  });

  test('a new key takes over, the old one is worth nothing', async () => {
    const before = options();
    const ca = createAcme(before);
    const accountUrl = await ca.register();
    const key = newKey();
    assert.equal(await createAcme(options({ accountKeyPem: key })).registered(), null);
    const first = ca.keyAuthorization('t');
    await ca.changeKey(key);
    assert.notEqual(ca.keyAuthorization('t'), first);
    thumbprintOf = ca;
    await issue(ca, fresh('rolled'));
    await refusal(createAcme({ ...before, accountUrl }).newOrder(request(fresh('a'))));
    assert.equal(await createAcme(options({ accountKeyPem: key })).register(), accountUrl);
    // RFC 8555 7.3.5: a key that another account has is refused.
    const taken = options();
    await createAcme(taken).register();
    assert.match((await refusal(ca.changeKey(taken.accountKeyPem))).message, /account/);
    await issue(ca, fresh('unchanged'));
    assert.equal(await createAcme(options({ accountKeyPem: key })).register(), accountUrl);
  });

  test('a deactivated account gets nothing more', async () => {
    const ca = await registered();
    await ca.deactivate();
    const error = await refusal(ca.newOrder(request(fresh('a'))));
    assert.equal(error.problem?.type, 'unauthorized');
    assert.match(error.hint ?? '', /deactivated/);
  });

  test('an external account binding that the CA demands', async () => {
    const hmacKey = randomBytes(32).toString('base64url');
    await withPebble({ bindings: { 'kid-1': hmacKey } }, async () => {
      const bare = createAcme(options());
      assert.equal((await bare.offers()).needsBinding, true);
      const error = await refusal(bare.register());
      assert.equal(error.problem?.type, 'externalAccountRequired');
      assert.match(error.hint ?? '', /key id and an HMAC key/);
      const wrong = { kid: 'kid-1', hmacKey: randomBytes(32).toString('base64url') };
      assert.ok((await refusal(createAcme(options({ binding: wrong })).register())).problem);
      const ca = await registered({ binding: { kid: 'kid-1', hmacKey } });
      await issue(ca, fresh('bound'));
    });
  });

  test('an RSA account key signs too', async () => {
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    });
    await issue(await registered({ accountKeyPem: privateKey }), fresh('rsa'));
  });
});

void describe('order', () => {
  test('five names become one certificate of the root that Pebble has now', async () => {
    const ca = await registered();
    const names = fresh('a', 'b', 'c', 'd', 'e');
    const { chains } = await issue(ca, names);
    assert.equal(chains.length, 1);
    const [leaf = '', issuer = ''] = chains[0]?.match(/-----BEGIN[^]+?-----END CERTIFICATE-----/g) ?? [];
    for (const name of names) assert.ok(new X509Certificate(leaf).checkHost(name), name);
    assert.ok(new X509Certificate(leaf).verify(new X509Certificate(issuer).publicKey));
    assert.ok(new X509Certificate(issuer).verify(new X509Certificate(await pebble.root()).publicKey));
  });

  test('one name of five that somebody else answers for: its authorization says why, with its name', async () => {
    const ca = await registered();
    const names = fresh('a', 'b', 'bad', 'd', 'e');
    const order = await ca.newOrder(request(names));
    assert.deepEqual([...order.names].sort(), [...names].sort());
    assert.ok(order.expires !== null && order.expires > Date.now() / 1000);
    await answerAll(ca, order);
    const settled = await ca.settled(order, 20);
    const invalid = settled.filter(({ status }) => status === 'invalid');
    assert.deepEqual(
      invalid.map(({ name }) => name),
      [names[2]],
    );
    const problem = invalid[0]?.challenges.find(({ type }) => type === 'http-01')?.error;
    assert.equal(problem?.type, 'unauthorized');
    assert.equal(problem?.name, names[2]);
    assert.ok(problem?.detail);
    const error = await refusal(ca.finalize(order, csrOf(names), 5));
    assert.match(error.message, /refused the order for .*and 2 more names/);
    assert.equal(error.unreachable, false);
  });

  test('names that do not resolve, whose port is closed, that the CA does not issue for', async () => {
    const ca = await registered();
    const names = fresh('servfail', 'closed');
    const [servfail = '', closed = ''] = names;
    await pebble.breakDns(servfail);
    await pebble.point(closed, ['127.0.0.2', '127.0.0.3']);
    const order = await ca.newOrder(request(names));
    await answerAll(ca, order);
    const settled = await ca.settled(order, 30);
    const typeOf = (name: string): string | undefined =>
      settled.find((one) => one.name === name)?.challenges.find(({ type }) => type === 'http-01')?.error?.type;
    assert.match(typeOf(servfail) ?? '', /^(dns|connection|unauthorized)$/);
    await withPebble({ blocked: ['blocked.example'] }, async () => {
      const again = await registered();
      const error = await refusal(again.newOrder(request(['www.blocked.example', 'good.example.org'])));
      assert.equal(error.problem?.type, 'rejectedIdentifier');
      assert.match(error.message, /blocked\.example/);
      assert.match(error.hint ?? '', /does not issue/);
    });
  });

  test('a wildcard by DNS-01', async () => {
    const ca = await registered();
    const [bare = ''] = fresh('wild');
    const order = await ca.newOrder(request([`*.${bare}`]));
    const [authorization] = await ca.authorizations(order);
    assert.equal(authorization?.name, `*.${bare}`);
    const challenge = authorization?.challenges.find(({ type }) => type === 'dns-01');
    assert.ok(challenge);
    const { createHash } = await import('node:crypto');
    const value = createHash('sha256').update(ca.keyAuthorization(challenge.token)).digest('base64url');
    await pebble.setTxt(bare, value);
    await ca.answer(challenge);
    assert.deepEqual(
      (await ca.settled(order, 20)).map(({ status }) => status),
      ['valid'],
    );
    await ca.finalize(order, csrOf([`*.${bare}`]), 20);
  });

  test('another process takes an order up by its URL, at every point of it', async () => {
    const mine = options();
    const accountUrl = await createAcme(mine).register();
    const again = (): CertificateAuthority => (thumbprintOf = createAcme({ ...mine, accountUrl }));
    const names = fresh('a', 'b');
    const { url } = await again().newOrder(request(names));
    const found = async (): Promise<OrderView> => {
      const order = await again().order(url);
      assert.ok(order);
      return order;
    };
    assert.equal((await found()).status, 'pending');
    await answerAll(again(), await found());
    await again().settled(await found(), 20);
    assert.equal((await found()).status, 'ready');
    await again().finalize(await found(), csrOf(names), 20);
    const done = await found();
    assert.equal(done.status, 'valid');
    // Finalizing what is done asks for nothing more.
    assert.equal((await again().finalize(done, csrOf(names), 20)).status, 'valid');
    assert.equal((await again().download(done)).length, 1);
    assert.equal(await again().order(url.replace(/[^/]+$/, 'none')), null);
    assert.equal(await (await registered()).order(url), null, 'an order of somebody else');
  });

  test('a request for other names than the order’s is refused with the reason', async () => {
    const ca = await registered();
    const order = await ca.newOrder(request(fresh('a')));
    await answerAll(ca, order);
    await ca.settled(order, 20);
    const error = await refusal(ca.finalize(order, csrOf(fresh('z')), 5));
    assert.match(error.problem?.type ?? '', /^(unauthorized|badCSR|malformed)$/);
  });

  test('names that are never answered for are waited for no longer than told', async () => {
    const ca = await registered();
    const order = await ca.newOrder(request(fresh('a')));
    const began = performance.now();
    assert.deepEqual(
      (await ca.settled(order, 2)).map(({ status }) => status),
      ['pending'],
    );
    const error = await refusal(ca.finalize(order, csrOf(order.names), 1));
    assert.equal(error.unreachable, true);
    assert.ok(performance.now() - began < 6000);
  });

  test('other chains come after the usual one', async () => {
    await withPebble({ alternateRoots: 2 }, async () => {
      const { chains } = await issue(await registered(), fresh('a'));
      assert.equal(chains.length, 3);
      assert.equal(new Set(chains).size, 3);
    });
  });

  test('20 orders at the same time, with 5 of 100 nonces refused', async () => {
    const ca = await registered();
    const began = performance.now();
    const all = await Promise.all(Array.from({ length: 20 }, () => issue(ca, fresh('a'))));
    assert.equal(all.length, 20);
    console.log(`# 20 orders at the same time: ${(performance.now() - began).toFixed(0)} ms`);
  });

  test('30 of 100 nonces refused still works, all of them ends with the reason', async () => {
    await withPebble({ rejectedNonces: 30 }, async () => void (await issue(await registered(), fresh('a'))));
    await withPebble({ rejectedNonces: 100 }, async () => {
      assert.equal((await refusal(registered())).problem?.type, 'badNonce');
    });
  });
});

void describe('certificate', () => {
  test('revoking, twice; with a reason that the CA does not take', async () => {
    const ca = await registered();
    const [one, other] = [await issue(ca, fresh('a')), await issue(ca, fresh('b'))];
    await ca.revoke(one.chains[0] ?? '', 4);
    await ca.revoke(one.chains[0] ?? '', 4);
    assert.equal((await refusal(ca.revoke(other.chains[0] ?? '', 7))).problem?.type, 'badRevocationReason');
    await refusal(ca.revoke('no certificate', 0));
  });

  test('renewal information where there is any, and an order that replaces', async () => {
    const ca = await registered();
    const names = fresh('a');
    const [chain = ''] = (await issue(ca, names)).chains;
    const { renewalInfo } = await ca.offers();
    const id = ca.certificateId(chain);
    const text = execFileSync('openssl', ['x509', '-noout', '-serial', '-ext', 'authorityKeyIdentifier'], {
      input: chain,
      encoding: 'utf8',
    });
    const keyId = /\b[0-9A-F]{2}(?::[0-9A-F]{2}){7,}/.exec(text)?.[0].replaceAll(':', '') ?? '';
    const [key = '', serial = ''] = id.split('.').map((part) => Buffer.from(part, 'base64url').toString('hex'));
    assert.equal(key, keyId.toLowerCase());
    assert.equal(serial.replace(/^00/, ''), /serial=([0-9A-F]+)/.exec(text)?.[1]?.toLowerCase());
    const found = await ca.renewalInfo(chain);
    assert.equal(found !== null, renewalInfo);
    if (found) {
      const { validTo } = new X509Certificate(chain);
      assert.ok(found.start < found.end && found.end <= Date.parse(validTo) / 1000);
      assert.ok(found.retryAfterSeconds >= 60);
    }
    await issue(ca, names, id);
    // The same one again: a conflict (RFC 9773 5), and the order goes on without.
    await issue(ca, names, id);
    await issue(ca, names, 'AAAA.AAAA');
  });

  test('minutes-long lifetimes', async () => {
    await withPebble({ validitySeconds: 300 }, async () => {
      const ca = await registered();
      const [chain = ''] = (await issue(ca, fresh('a'))).chains;
      const { validFrom, validTo } = new X509Certificate(chain);
      assert.ok(Math.abs(Date.parse(validTo) - Date.parse(validFrom) - 300_000) <= 1000, `${validFrom} to ${validTo}`);
      const found = await ca.renewalInfo(chain);
      console.log(
        `# renewal of a certificate of 300 s: ${JSON.stringify(found)}, now ${Math.floor(Date.now() / 1000)}`,
      );
    });
  });

  test('a profile is asked for where there are profiles only', async () => {
    const ca = await registered();
    const { profiles } = await ca.offers();
    const asked = ca.newOrder({ names: fresh('a'), replaces: null, profile: 'no-such-profile' });
    if (profiles.length === 0) assert.equal((await asked).status, 'pending');
    else assert.match((await refusal(asked)).hint ?? '', new RegExp(profiles[0] ?? ''));
    console.log(`# profiles: ${profiles.join(' ') || 'none'}`);
  });
});

void describe('trouble', () => {
  test('nobody there, nobody answering, a restart that forgot the account', async () => {
    const ca = await registered({ timeoutSeconds: 1 });
    await pebble.freeze();
    const began = performance.now();
    const slow = await refusal(ca.newOrder(request(fresh('a'))));
    await pebble.thaw();
    assert.equal(slow.unreachable, true);
    assert.match(slow.message, /within 1 s/);
    assert.ok(performance.now() - began < 3000);
    assert.equal((await ca.newOrder(request(fresh('a')))).status, 'pending');
    await pebble.stop();
    const down = await refusal(ca.newOrder(request(fresh('a'))));
    assert.equal(down.unreachable, true);
    assert.match(down.message, /localhost:14000 could not be reached: connection refused/);
    await pebble.restart();
    assert.equal((await refusal(ca.newOrder(request(fresh('a'))))).problem?.type, 'accountDoesNotExist');
    await ca.register();
    assert.equal((await ca.newOrder(request(fresh('a')))).status, 'pending');
  });

  test('a name that does not resolve, a page that is no directory, a port that is not TLS', async () => {
    const wrong = async (directoryUrl: string): Promise<CaError> =>
      refusal(createAcme(options({ directoryUrl, timeoutSeconds: 5 })).offers());
    await pebble.breakDns('nobody.invalid');
    assert.match((await wrong('https://nobody.invalid/dir')).message, /does not resolve|cannot be resolved|reached/);
    assert.match((await wrong(`http://127.0.0.1:${httpPort}/dir`)).message, /answered 404/);
    assert.match((await wrong(`${pebble.directoryUrl}/../root-of-nothing`)).message, /answered|refused/);
    assert.equal((await wrong(`https://127.0.0.1:${httpPort}/dir`)).unreachable, true);
  });

  test('a CA whose own certificate nobody trusts names the setting', async () => {
    const error = await refusal(createAcme(options({ ca: null })).offers());
    assert.match(error.message, /not trusted/);
    assert.match(error.hint ?? '', /acme_ca_file/);
    assert.equal(error.unreachable, true);
    const stranger = { file: '/etc/ssl/other.pem', pem: await pebble.root() };
    const other = await refusal(createAcme(options({ ca: stranger })).offers());
    assert.match(other.message, /not trusted/);
    assert.match(other.hint ?? '', /^\/etc\/ssl\/other\.pem, which acme_ca_file in \S+ names, does not hold the root/);
    await refusal(createAcme(options({ ca: { ...stranger, pem: 'no certificate' } })).offers());
  });

  test('what stands before a CA: too many requests with both forms of Retry-After, an error page, an endless answer', async () => {
    const date = new Date(Date.now() + 90_000).toUTCString();
    const answers: Readonly<Record<string, [status: number, headers: Record<string, string>, body: string]>> = {
      '/seconds': [429, { 'retry-after': '120' }, '<h1>slow down</h1>'],
      '/date': [503, { 'retry-after': date }, 'down for maintenance'],
      '/document': [
        503,
        { 'retry-after': '60', 'content-type': 'application/problem+json' },
        '{"type":"urn:ietf:params:acme:error:serverInternal","detail":"Service\\u001b[31m busy\\u0000"}',
      ],
      '/moved': [301, { location: 'https://elsewhere.example/' }, ''],
      '/empty': [200, {}, ''],
      '/long': [200, {}, 'x'.repeat(5_000_000)],
    };
    const [cert, key] = ['leaf.pem', 'leaf.key'].map((name) => readFileSync(`${dirname(pebble.caFile)}/${name}`));
    const front = createTlsServer({ cert, key }, ({ url }, response) => {
      const [status, headers, body] = answers[url ?? ''] ?? [404, {}, ''];
      response.writeHead(status, headers).end(body);
    });
    await new Promise<void>((resolve) => front.listen(5443, resolve));
    const ask = (path: string): Promise<CaError> =>
      refusal(createAcme(options({ directoryUrl: `https://localhost:5443${path}` })).offers());
    try {
      const limited = await ask('/seconds');
      assert.equal(limited.problem?.type, 'rateLimited');
      assert.equal(limited.retryAfterSeconds, 120);
      assert.match(limited.hint ?? '', /wait/);
      const maintained = await ask('/date');
      assert.equal(maintained.unreachable, true);
      assert.ok(Math.abs((maintained.retryAfterSeconds ?? 0) - 90) <= 2);
      const document = await ask('/document');
      assert.deepEqual([document.problem?.type, document.unreachable], ['serverInternal', false]);
      assert.equal(document.problem?.detail, 'Service [31m busy');
      assert.match((await ask('/moved')).message, /301/);
      assert.match((await ask('/empty')).message, /not the directory/);
      await ask('/long');
    } finally {
      front.closeAllConnections();
      front.close();
    }
  });
});
