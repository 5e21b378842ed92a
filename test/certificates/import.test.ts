import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { createFiles } from '../../agent/adapters/files.ts';
import { createX509 } from '../../agent/adapters/x509.ts';
import { findCertbotAccounts } from '../../agent/certificates/certbot-accounts.ts';
import { decideImports, type ImportSite } from '../../agent/certificates/import.ts';
import { findPairs } from '../../agent/certificates/layouts.ts';
import { epoch as now, makeAuthority, makeCertificate } from './make-certificate.ts';

const day = 86_400;
const files = createFiles();
const x509 = createX509();
const authority = await makeAuthority();
const issue = (names: string[], days = 60) => authority.issue({ names, notAfter: now + days * day });

const put = async (path: string, text: string): Promise<void> => {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
};
const link = async (path: string, target: string): Promise<void> => {
  await mkdir(dirname(path), { recursive: true });
  await symlink(target, path);
};

/** What certbot (2.1) makes of a certificate. */
const putCertbot = async (base: string, name: string, pairs: readonly { chainPem: string; keyPem: string }[]) => {
  for (const [at, { chainPem, keyPem }] of pairs.entries()) {
    await put(`${base}/archive/${name}/fullchain${at + 1}.pem`, chainPem);
    await put(`${base}/archive/${name}/privkey${at + 1}.pem`, keyPem);
  }
  for (const what of ['fullchain', 'privkey'])
    await link(`${base}/live/${name}/${what}.pem`, `../../archive/${name}/${what}${pairs.length}.pem`);
  await put(`${base}/live/README`, 'This directory contains your keys and certificates.\n');
  await put(`${base}/live/${name}/README`, 'This directory contains your keys and certificates.\n');
  await put(
    `${base}/renewal/${name}.conf`,
    `version = 2.1.0\narchive_dir = ${base}/archive/${name}\n[renewalparams]\naccount = 0123456789abcdef0123456789abcdef\n`,
  );
};

const site = (name: string, aliases: string[] = [], expires: number | null = null): ImportSite => ({
  site: name,
  names: [name, ...aliases],
  expires,
});
const decide = async (folder: string, sites: readonly ImportSite[], time = now) =>
  decideImports(await findPairs(files, folder), sites, x509, time).map((one) => ({
    source: one.source.replace(`${folder}/`, ''),
    ...(one.use ? { sites: one.sites } : {}),
    ...(one.use ? {} : { reason: one.reason.replaceAll(`${folder}/`, '') }),
  }));

const certbot = async (t: Test) => {
  const base = join(t.testdir(), 'letsencrypt');
  await putCertbot(base, 'example.org', [
    await issue(['example.org'], 20),
    await issue(['example.org', 'www.example.org'], 60),
  ]);
  await putCertbot(base, 'example.org-0001', [await issue(['example.org', 'www.example.org', 'old.example.org'], 40)]);
  await putCertbot(base, 'wild', [await issue(['shop.example', '*.shop.example'])]);
  await putCertbot(base, 'elsewhere.net', [
    await issue(['elsewhere.net', 'a.elsewhere.net', 'b.elsewhere.net', 'c.elsewhere.net']),
  ]);
  await putCertbot(base, 'late.example', [await issue(['late.example'], -1)]);
  return base;
};

t.test("certbot's folder", async (t) => {
  const base = await certbot(t);
  const sites = [
    site('example.org', ['www.example.org']),
    site('a.shop.example'),
    site('shop.example', ['*.shop.example']),
    site('late.example'),
    site('new.example'),
  ];
  const expected = [
    {
      source: 'live/elsewhere.net/fullchain.pem',
      reason: 'no site here has one of its names (elsewhere.net, a.elsewhere.net, b.elsewhere.net and 1 more)',
    },
    { source: 'live/example.org/fullchain.pem', sites: ['example.org'] },
    {
      source: 'live/example.org-0001/fullchain.pem',
      reason: 'for example.org, live/example.org/fullchain.pem is valid for longer',
    },
    { source: 'live/late.example/fullchain.pem', reason: 'the certificate expired at 2027-01-14T08:00:00Z' },
    { source: 'live/wild/fullchain.pem', sites: ['a.shop.example', 'shop.example'] },
  ];
  t.same(await decide(base, sites), expected);
  t.same(await decide(`${base}/`, []).then((all) => all.filter(({ sites }) => sites !== undefined)), []);
  const fromLive = await decide(`${base}/live`, sites);
  t.same(
    fromLive.map(({ sites }) => sites),
    expected.map(({ sites }) => sites),
    'named by live/ itself',
  );
  const [, chosen] = decideImports(await findPairs(files, base), sites, x509, now);
  t.match(chosen, { use: true, names: ['example.org', 'www.example.org'], expires: now + 60 * day });
  t.equal(chosen?.use === true ? x509.wrong(chosen.pair, ['www.example.org'], now) : '', null);
});

t.test('names must all be covered, and what is there must not live longer', async (t) => {
  const base = await certbot(t);
  const of = async (name: string, sites: ImportSite[]) =>
    (await decide(base, sites)).find(({ source }) => source === `live/${name}/fullchain.pem`);
  t.match(await of('example.org', [site('example.org', ['www.example.org', 'shop.example.org', 'old.example.org'])]), {
    reason: 'it lacks shop.example.org, old.example.org of the site example.org',
  });
  t.match(await of('example.org-0001', [site('example.org', ['old.example.org'])]), { sites: ['example.org'] });
  t.match(
    await of('wild', [site('a.b.shop.example')]),
    { reason: /^no site here has one of its names/ },
    'one label deep',
  );
  t.match(await of('wild', [site('a.shop.example', ['b.a.shop.example'])]), {
    reason: 'it lacks b.a.shop.example of the site a.shop.example',
  });
  t.match(await of('example.org', [site('example.org', [], now + 60 * day)]), {
    reason: 'example.org has a certificate that is valid for as long or longer',
  });
  t.match(await of('example.org', [site('example.org', [], now + 59 * day)]), { sites: ['example.org'] });
});

t.test('a copy of which links or parts were lost', async (t) => {
  const base = await certbot(t);
  const sites = [site('example.org', ['www.example.org']), site('shop.example'), site('late.example')];
  for (const name of ['example.org', 'wild']) await rm(`${base}/live/${name}`, { recursive: true });
  await rm(`${base}/archive/wild`, { recursive: true });
  await rm(`${base}/live/late.example/privkey.pem`);
  await rm(`${base}/archive/late.example/privkey1.pem`);
  await rm(`${base}/archive/example.org/privkey2.pem`);
  const found = await decide(base, sites);
  const of = (name: string) => found.find(({ source }) => source.includes(name));
  t.match(of('archive/example.org/'), {
    source: 'archive/example.org/fullchain1.pem',
    reason: /^it lacks www\.example\.org/,
  });
  t.match(of('wild'), { reason: 'neither live/ nor archive/ has its files' });
  t.match(of('late.example'), { reason: 'there is no live/late.example/privkey.pem' });
});

t.test("acme-companion's folder", async (t) => {
  const base = join(t.testdir(), 'certs');
  const pair = await issue(['example.org', 'www.example.org']);
  await put(`${base}/example.org/fullchain.pem`, pair.chainPem);
  await put(`${base}/example.org/key.pem`, pair.keyPem);
  await put(`${base}/example.org/chain.pem`, authority.intermediate.certificatePem);
  await put(`${base}/example.org/cert.pem`, pair.leaf.certificatePem);
  for (const name of ['example.org', 'www.example.org']) {
    await link(`${base}/${name}.crt`, './example.org/fullchain.pem');
    await link(`${base}/${name}.key`, './example.org/key.pem');
    await link(`${base}/${name}.chain.pem`, './example.org/chain.pem');
    await link(`${base}/${name}.dhparam.pem`, './dhparam.pem');
  }
  await put(`${base}/dhparam.pem`, '-----BEGIN DH PARAMETERS-----\n-----END DH PARAMETERS-----\n');
  const self = await makeCertificate({ names: ['example.org'], name: 'nginx-proxy' }, null);
  await put(`${base}/default.crt`, self.certificatePem);
  await put(`${base}/default.key`, self.keyPem);
  const staging = await (
    await makeAuthority('(STAGING) Pretend Pear')
  ).issue({ names: ['example.org', 'www.example.org'] });
  await put(`${base}/_test_example.org/fullchain.pem`, staging.chainPem);
  await put(`${base}/_test_example.org/key.pem`, staging.keyPem);
  // nginx-proxy without companion
  const hand = await issue(['hand.example']);
  await put(`${base}/hand.example.crt`, hand.chainPem);
  await put(`${base}/hand.example.key`, hand.keyPem);
  await put(`${base}/lonely.example.crt`, hand.chainPem);
  await put(`${base}/mixed.example.crt`, hand.chainPem);
  await put(`${base}/mixed.example.key`, pair.keyPem);
  await put(`${base}/notes.txt`, 'hello');
  await put(`${base}/unfinished.example/account.conf`, 'hello');
  const sites = [site('example.org', ['www.example.org']), site('hand.example')];
  t.same(await decide(base, sites), [
    {
      source: '_test_example.org/fullchain.pem',
      reason: 'it is from a CA for tests ((STAGING) Pretend Pear Intermediate)',
    },
    { source: 'default.crt', reason: 'it is self-signed' },
    { source: 'example.org/fullchain.pem', sites: ['example.org'] },
    { source: 'hand.example.crt', sites: ['hand.example'] },
    { source: 'lonely.example.crt', reason: 'there is no lonely.example.key' },
    { source: 'mixed.example.crt', reason: 'the key does not belong to the certificate' },
  ]);
});

t.test('odd folders', async (t) => {
  const base = join(t.testdir(), 'odd');
  t.same(await findPairs(files, `${base}/absent`), []);
  await put(`${base}/a.crt`, 'not a certificate');
  await put(`${base}/a.key`, 'not a key');
  await put(`${base}/b.crt`, '-----BEGIN CERTIFICATE-----\nAAAA\n');
  await put(`${base}/b.key`, '');
  await mkdir(`${base}/c.crt`);
  await put(`${base}/c.key`, 'x');
  await link(`${base}/d.crt`, 'd.crt');
  await put(`${base}/d.key`, 'x');
  t.match(await decide(base, [site('a.example')]), [
    { source: 'a.crt', reason: 'there is no certificate in PEM in the file' },
    { source: 'b.crt', reason: /cut off/ },
    { source: 'c.crt', reason: /^cannot read c\.crt: it is a directory/ },
    { source: 'd.crt', reason: /too many symbolic links/ },
  ]);
  t.same(await findPairs(files, `${base}/a.crt`), [], 'a file is no folder of certificates');
});

t.test('a thousand sites', async (t) => {
  const folder = t.testdir();
  const one = await issue(['*.many.example']);
  await put(join(folder, 'all.crt'), one.chainPem);
  await put(join(folder, 'all.key'), one.keyPem);
  for (let at = 0; at < 300; at += 1) {
    await put(join(folder, `s${at}.crt`), `# ${at}\n${one.chainPem}`);
    await put(join(folder, `s${at}.key`), one.keyPem);
  }
  const sites = Array.from({ length: 1000 }, (_, at) => site(`s${at}.many.example`));
  const found = await findPairs(files, folder);
  const decisions = decideImports(found, sites, x509, now);
  t.equal(decisions.length, 301);
  t.match(decisions[0], { use: true, sites: { length: 1000 } });
  t.ok(decisions.slice(1).every(({ use }) => !use));
});

t.test("certbot's accounts", async (t) => {
  const base = join(t.testdir(), 'letsencrypt');
  const directory = 'https://acme-v02.api.letsencrypt.org/directory';
  const accounts = `${base}/accounts/acme-v02.api.letsencrypt.org/directory`;
  const ids = ['0123456789abcdef0123456789abcdef', 'fedcba9876543210fedcba9876543210'];
  const keys = [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ];
  for (const [at, id] of ids.entries()) {
    const jwk = keys[at]?.privateKey.export({ format: 'jwk' });
    await put(`${accounts}/${id}/private_key.json`, JSON.stringify(jwk));
    await put(`${accounts}/${id}/meta.json`, '{"creation_dt": "2026-01-02T03:04:05Z", "creation_host": "web1"}');
  }
  await put(
    `${accounts}/${ids[0]}/regr.json`,
    '{"body": {}, "uri": "https://acme-v02.api.letsencrypt.org/acme/acct/1"}',
  );
  await put(`${accounts}/${ids[1]}/regr.json`, '{"body": {}, "uri": "file:///etc/passwd"}');
  await putCertbot(base, 'example.org', [await issue(['example.org'])]);
  const find = (of: string) => findCertbotAccounts(files, base, of, (jwk) => x509.keyOfJwk(jwk));
  const found = await find(directory);
  t.match(found, [
    {
      source: `${accounts}/${ids[0]}/private_key.json`,
      url: 'https://acme-v02.api.letsencrypt.org/acme/acct/1',
      used: 1,
    },
    { source: `${accounts}/${ids[1]}/private_key.json`, url: null, used: 0 },
  ]);
  for (const [at, one] of found.entries()) {
    const original = keys[at]?.privateKey;
    t.ok(one.keyPem !== null && original?.equals(createPrivateKey(one.keyPem)), 'the same key');
    t.match(x509.thumbprint(one.keyPem ?? ''), /^[\w-]{43}$/);
  }
  t.same(await find('https://ca.example/directory'), [], 'another CA');
  t.same(await find('https://../../etc'), []);

  const secret = 'SECRET'.repeat(10);
  for (const [id, text] of Object.entries({
    aa: '{',
    ab: '[]',
    ac: 'null',
    ad: JSON.stringify(generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })),
    ae: JSON.stringify(keys[0]?.publicKey.export({ format: 'jwk' })),
    af: JSON.stringify({ kty: 'RSA', d: secret, n: 'x', e: 'AQAB' }),
  })) {
    await put(`${accounts}/${id}/private_key.json`, text);
    const one = (await find(directory)).find(({ source }) => source.includes(`/${id}/`));
    t.match(one, { keyPem: null, problem: /^it is not a private key/ }, text.slice(0, 10));
    t.notMatch(JSON.stringify(one), /SECRET/);
  }
  t.equal((await find(directory))[0]?.source, `${accounts}/${ids[0]}/private_key.json`, 'a good one comes first');
});
