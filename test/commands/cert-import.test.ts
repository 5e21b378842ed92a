import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import { createX509 } from '../../agent/adapters/x509.ts';
import { certImportCommand } from '../../agent/commands/cert-import.ts';
import { accountKey } from '../../agent/core/names.ts';
import { makeAuthority } from '../certificates/make-certificate.ts';
import { createFakeTools } from '../fakes/certificates.ts';
import { createFakeContext } from '../fakes/context.ts';
import { createFakeHost } from '../fakes/host.ts';

const directory = 'https://acme-v02.api.letsencrypt.org/directory';
const accounts = '/etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org/directory';
const name = 'example.org';
const x509 = createX509();

const newJwk = (): string =>
  JSON.stringify(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }));

/** A host with certbot's account on it; only dry runs, as real ones take the machine's lock. */
const setUp = () => {
  const host = createFakeHost();
  host.disk.set(`/etc/appfleet/sites/${name}.ini`, '[site]\nruntime = static\nroot = /srv/a\n');
  const context = createFakeContext(host, { certificates: () => createFakeTools(host.files) });
  host.disk.set(`${accounts}/aa/private_key.json`, newJwk());
  host.disk.set(`${accounts}/aa/regr.json`, '{"uri": "https://acme-v02.api.letsencrypt.org/acme/acct/1"}');
  const run = async (options: { json?: boolean } = {}, ...folders: string[]) => {
    const code = await certImportCommand(context, folders, { dryRun: true, json: false, ...options });
    return { code, said: context.take() };
  };
  return { host, run };
};

t.test("certbot's account becomes this host's", async (t) => {
  const { host, run } = setUp();
  const source = `${accounts}/aa/private_key.json`;
  t.match(await run(), { code: 0, said: `this host would take the account ${source}` });
  const { said } = await run({ json: true });
  t.match(JSON.parse(said), { account: { source, url: /acct\/1$/ } });
  t.notMatch(said, /PRIVATE|"d":/);
  t.notOk(host.disk.has(accountKey(directory)), 'a dry run takes nothing');
});

t.test('an account of its own stays', async (t) => {
  const { host, run } = setUp();
  host.disk.set(accountKey(directory), await x509.newKey('ecdsa'));
  const { code, said } = await run({ json: true });
  t.equal(code, 0);
  t.match(JSON.parse(said), { account: null, unused: [{ reason: 'this host has an account with that CA' }] });
});

t.test('of several, the one that was used most', async (t) => {
  const { host, run } = setUp();
  host.disk.set(`${accounts}/bb/private_key.json`, newJwk());
  host.disk.set(`${accounts}/cc/private_key.json`, '{}');
  host.disk.set('/etc/letsencrypt/renewal/example.org.conf', 'account = bb\n');
  const { account, unused } = JSON.parse((await run({ json: true })).said) as Record<string, unknown>;
  t.match(account, { source: `${accounts}/bb/private_key.json`, url: null });
  t.match(unused, [{ reason: /another account is used for more/ }, { reason: /not a private key/ }]);
});

t.test('of another CA, and of none', async (t) => {
  const { host, run } = setUp();
  for (const other of ['letsencrypt-staging', 'none']) {
    host.disk.set('/etc/appfleet/appfleet.ini', `[appfleet]\nacme_directory = ${other}\n`);
    t.match(await run(), { code: 0, said: /there is no certificate in/ }, other);
    t.equal((await run({}, '/etc/letsencrypt/live')).code, 2);
  }
});

t.test('certificates beside it', async (t) => {
  const { host, run } = setUp();
  const { chainPem, keyPem } = await (await makeAuthority()).issue({ names: [name] });
  host.disk.set(`/srv/old/${name}.crt`, chainPem);
  host.disk.set(`/srv/old/${name}.key`, keyPem);
  t.match(await run({}, '/srv/old'), { code: 0, said: `${name} would take /srv/old/${name}.crt, good for 89 d` });
});
