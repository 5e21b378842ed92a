import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } from '@peculiar/x509';
import t from 'tap';
import { createX509 } from '../../agent/adapters/x509.ts';
import { epoch, makeAuthority, makeCertificate } from '../certificates/make-certificate.ts';

const x509 = createX509();
const day = 86_400;
const now = epoch;
const authority = await makeAuthority();
const names = ['example.org', '*.example.org'];
const good = await authority.issue({ names });
const { intermediate, root } = authority;

t.test('read', async (t) => {
  const [leaf, issuer] = x509.read(`some words above\n${good.chainPem}\r\n`);
  t.match(leaf, {
    names,
    issuer: 'Test Intermediate',
    notBefore: epoch - day,
    notAfter: epoch + 89 * day,
    keyType: 'ecdsa',
    selfSigned: false,
    fingerprint: /^[0-9a-f]{64}$/,
    serial: /^[0-9a-f]+$/,
  });
  t.match(issuer, { issuer: 'Test Root', names: [] });
  t.equal(x509.read(root.certificatePem)[0]?.selfSigned, true);
  const rsa = await authority.issue({ names: ['a.example'], kind: 'rsa' });
  t.equal(x509.read(rsa.chainPem)[0]?.keyType, 'rsa');
  const odd = await authority.issue({ names: ['EXAMPLE.org', 'evil.org, DNS:bank.example', 'a"b', 'a\u0000b'] });
  t.same(x509.read(odd.chainPem)[0]?.names, ['example.org'], 'a name cannot pretend to be two');
  const loud = await makeCertificate({ names: ['a.example'], name: 'a\u001b[31m\nb' }, null);
  t.notMatch(x509.read(loud.certificatePem)[0]?.issuer, /[\u0000-\u001f]/);
});

t.test('a pair that is right', async (t) => {
  t.equal(x509.wrong(good, ['example.org', 'www.example.org', '*.example.org'], now), null);
  t.equal(x509.wrong({ ...good, chainPem: good.leaf.certificatePem }, ['example.org'], now), null, 'leaf alone');
  t.equal(x509.wrong({ ...good, chainPem: good.chainPem + root.certificatePem }, [], now), null, 'with its root');
  t.equal(x509.wrong({ ...good, chainPem: good.chainPem.replaceAll('\n', '\r\n') }, [], now), null, 'from Windows');
  const rsa = await authority.issue({ names, kind: 'rsa' });
  t.equal(x509.wrong(rsa, names, now), null);
  const sec1 = createPrivateKey(good.keyPem).export({ type: 'sec1', format: 'pem' }).toString();
  t.equal(
    x509.wrong(
      { ...good, keyPem: `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${sec1}` },
      [],
      now,
    ),
    null,
    'as openssl ecparam writes it',
  );
  const pkcs1 = createPrivateKey(rsa.keyPem).export({ type: 'pkcs1', format: 'pem' }).toString();
  t.equal(x509.wrong({ ...rsa, keyPem: pkcs1 }, [], now), null);
  const expired = await makeCertificate({ name: 'Old Root', ca: true, notBefore: 0, notAfter: 1000 }, null);
  const below = await makeCertificate({ names }, expired);
  t.equal(
    x509.wrong({ chainPem: below.certificatePem + expired.certificatePem, keyPem: below.keyPem }, names, now),
    null,
    'nobody looks at the dates of a root',
  );
  t.equal(x509.wrong(await authority.issue({ names, purposes: ['1.3.6.1.5.5.7.3.1'] }), names, now), null);
  t.equal(
    x509.wrong(await authority.issue({ names, notBefore: now + 200 }), names, now),
    null,
    'a clock a little behind',
  );
});

t.test('a pair that is wrong, in words', async (t) => {
  const other = await authority.issue({ names, kind: 'rsa' });
  const elsewhere = await makeAuthority('Other');
  const wrong = (pair: Partial<typeof good>, wanted: readonly string[] = names): string | null =>
    x509.wrong({ ...good, ...pair }, wanted, now);
  t.equal(wrong({ keyPem: other.keyPem }), 'the key does not belong to the certificate');
  t.equal(wrong({ keyPem: (await authority.issue({ names })).keyPem }), 'the key does not belong to the certificate');
  t.equal(
    wrong({}, ['example.org', 'a.b.example.org', 'example.com']),
    'the certificate is not for a.b.example.org, example.com but for example.org, *.example.org',
  );
  const bare = await authority.issue({ names: ['*.example.org'] });
  t.match(x509.wrong(bare, ['example.org'], now), /is not for example\.org but/, 'a wildcard is for one part more');
  t.match(
    x509.wrong(await authority.issue({ names: ['a.example.org'] }), ['*.example.org'], now),
    /is not for \*\.example\.org/,
  );
  t.match(x509.wrong(await authority.issue({ name: 'example.org' }), [], now), /names no domain in its subjectAltName/);
  t.equal(
    x509.wrong(await authority.issue({ names, notAfter: now }), names, now),
    'the certificate expired at 2027-01-15T08:00:00Z',
  );
  t.equal(
    x509.wrong(await authority.issue({ names, notBefore: now + 301 }), names, now),
    'the certificate is not valid before 2027-01-15T08:05:01Z',
  );
  t.match(x509.wrong(good, names, now + 366 * day), /expired/, 'a clock that is a year ahead');
  t.match(x509.wrong(good, names, now - 366 * day), /not valid before/, 'a clock that is a year behind');
  t.equal(
    x509.wrong(await authority.issue({ names, purposes: ['1.3.6.1.5.5.7.3.2'] }), names, now),
    'the certificate is not made for servers',
  );
  const { leaf } = good;
  t.equal(
    wrong({ chainPem: intermediate.certificatePem + leaf.certificatePem }),
    'the chain is out of order: the certificate of the key is number 2, it has to come first',
  );
  t.equal(
    wrong({ chainPem: leaf.certificatePem + root.certificatePem + intermediate.certificatePem }),
    'the chain is out of order: certificate 3 has to follow certificate 1',
  );
  t.equal(wrong({ chainPem: leaf.certificatePem + good.chainPem }), 'the chain has certificate 1 twice');
  t.equal(
    wrong({ chainPem: leaf.certificatePem + elsewhere.intermediate.certificatePem }),
    'the chain is of another issuer: certificate 2 (Other Intermediate) did not issue certificate 1, Test Intermediate did',
  );
  const impostor = await makeCertificate({ name: 'Test Intermediate', ca: true }, root);
  t.match(
    wrong({ chainPem: leaf.certificatePem + impostor.certificatePem }),
    /of another issuer/,
    'the name alone is no signature',
  );
  const noAuthority = await makeCertificate({ name: 'Somebody', names: ['somebody.example'] }, intermediate);
  const below = await makeCertificate({ names }, noAuthority);
  t.match(
    x509.wrong({ chainPem: below.certificatePem + noAuthority.certificatePem, keyPem: below.keyPem }, names, now),
    /certificate 2 of the chain \(Somebody\) is not that of an authority/,
  );
  const ended = await makeCertificate({ name: 'Ended', ca: true, notBefore: 0, notAfter: 1000 }, root);
  const late = await makeCertificate({ names }, ended);
  t.match(
    x509.wrong({ chainPem: late.certificatePem + ended.certificatePem, keyPem: late.keyPem }, names, now),
    /certificate 2 of the chain \(Ended\) expired/,
  );
  const weak = await makeCertificate({ names, kind: 'rsa-1024' }, intermediate);
  t.match(x509.wrong({ chainPem: weak.certificatePem, keyPem: weak.keyPem }, names, now), /RSA key has 1024 bits/);
  const modern = await makeCertificate({ names, kind: 'ed25519' }, intermediate);
  t.match(
    x509.wrong({ chainPem: modern.certificatePem, keyPem: modern.keyPem }, names, now),
    /of type ed25519, which browsers do not take/,
  );
  t.throws(() => x509.read(modern.certificatePem), { code: 'AF_CERTIFICATE', message: /ed25519/ });
});

t.test('hostile PEM', (t) => {
  const { leaf } = good;
  const chain = (chainPem: string): string | null => x509.wrong({ ...good, chainPem }, [], now);
  const key = (keyPem: string): string | null => x509.wrong({ ...good, keyPem }, [], now);
  const lines = leaf.certificatePem.split('\n');
  const texts: [string, RegExp][] = [
    ['', /no certificate in PEM/],
    ['x'.repeat(10 * 1024 * 1024), /larger than 256 KB/],
    ['-----BEGIN CERTIFICATE-----\n'.repeat(9000), /cut off/],
    [`${leaf.certificatePem}\0`, /not a text in PEM/],
    [lines.slice(0, 5).join('\n'), /cut off/],
    [lines.filter((_, at) => at !== 3).join('\n'), /certificate 1 cannot be read/],
    [lines.slice(1).join('\n'), /no beginning/],
    [`-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n`, /certificate 1 cannot be read/],
    [`-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`, /certificate 1 cannot be read/],
    [leaf.certificatePem.repeat(11), /more than 10 certificates/],
    [leaf.certificatePem + leaf.keyPem, /holds a private key/],
    [leaf.certificatePem.replaceAll('CERTIFICATE', 'CERTIFICATE REQUEST'), /no certificate in PEM/],
  ];
  for (const [text, message] of texts) {
    t.match(chain(text), message);
    t.throws(() => x509.read(text), { code: 'AF_CERTIFICATE', message });
  }
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const locked = { cipher: 'aes-256-cbc', passphrase: 'x' };
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const keys: [string, RegExp][] = [
    ['', /no private key in PEM/],
    ['x'.repeat(10 * 1024 * 1024), /larger than 256 KB/],
    [`${good.keyPem}\0`, /not a text in PEM/],
    [good.keyPem + good.keyPem, /more than one private key/],
    [privateKey.export({ type: 'pkcs8', format: 'pem', ...locked }).toString(), /protected by a passphrase/],
    [rsa.export({ type: 'pkcs1', format: 'pem', ...locked }).toString(), /protected by a passphrase/],
    ['-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', /key cannot be read/],
    [createPublicKey(good.keyPem).export({ type: 'spki', format: 'pem' }).toString(), /no private key/],
    [good.keyPem.replaceAll('PRIVATE KEY', 'RSA PRIVATE KEY'), /key (cannot be read|does not belong)/],
    [
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
        .privateKey.export({ type: 'pkcs8', format: 'pem' })
        .toString(),
      /curve secp256k1/,
    ],
    [generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), /type ed25519/],
    [generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), /type x25519/],
  ];
  for (const [text, message] of keys) t.match(key(text), message);
  const never = (chainPem: string, keyPem: string): void => {
    const answer = x509.wrong({ chainPem, keyPem }, names, now);
    if (answer !== null && typeof answer !== 'string') throw new Error('no words');
    try {
      x509.read(chainPem);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'AF_CERTIFICATE') throw error;
    }
  };
  /** One place of the text changed. */
  const damaged = (text: string) =>
    fc
      .tuple(fc.nat(text.length - 1), fc.string({ maxLength: 3 }))
      .map(([at, with_]) => text.slice(0, at) + with_ + text.slice(at + 1));
  fc.assert(
    fc.property(fc.oneof(damaged(good.chainPem), fc.string()), fc.oneof(damaged(good.keyPem), fc.string()), never),
    { numRuns: 500 },
  );
  t.end();
});

t.test('thumbprint', (t) => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { e, n } = privateKey.export({ format: 'jwk' });
  const expected = createHash('sha256').update(`{"e":"${e}","kty":"RSA","n":"${n}"}`).digest('base64url');
  t.equal(x509.thumbprint(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()), expected);
  // RFC 7515 A.3 has this P-256 key; hashed as RFC 7638 3 says.
  const known = createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv: 'P-256',
      x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
      y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
      d: 'jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI',
    },
  });
  t.equal(
    x509.thumbprint(known.export({ type: 'pkcs8', format: 'pem' }).toString()),
    'oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U',
  );
  t.throws(() => x509.thumbprint('junk'), { code: 'AF_CERTIFICATE' });
  t.end();
});

t.test('made: keys, requests, placeholder', async (t) => {
  for (const type of ['ecdsa', 'rsa'] as const) {
    const keyPem = await x509.newKey(type);
    t.match(keyPem, /^-----BEGIN PRIVATE KEY-----\n/);
    const pem = await x509.csr(names, keyPem);
    const request = new Pkcs10CertificateRequest(pem);
    t.ok(await request.verify(), 'signed by its key');
    const found = request.extensions.find((one) => one instanceof SubjectAlternativeNameExtension);
    t.same(
      found?.names.toJSON(),
      names.map((value) => ({ type: 'dns', value })),
    );
    t.equal(request.subject, '');
    const key = createPublicKey(createPrivateKey(keyPem)).export({ type: 'spki', format: 'der' });
    t.ok(Buffer.from(request.publicKey.rawData).equals(key));
  }
  const pair = await x509.placeholder(['placeholder.invalid'], now);
  t.match(x509.read(pair.chainPem), [{ names: ['placeholder.invalid'], selfSigned: true, keyType: 'ecdsa' }]);
  t.equal(x509.wrong(pair, ['placeholder.invalid'], now), null);
  await t.rejects(x509.csr(names, 'junk'), { code: 'AF_CERTIFICATE' });
});
