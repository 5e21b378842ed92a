import t from 'tap';
import { createX509 } from '../../agent/adapters/x509.ts';
import { certAccountCommand } from '../../agent/commands/cert-account.ts';
import { accountFile, accountKey } from '../../agent/core/names.ts';
import { createFakeTools } from '../fakes/certificates.ts';
import { createFakeContext } from '../fakes/context.ts';
import { createFakeHost } from '../fakes/host.ts';

const directory = 'https://acme-v02.api.letsencrypt.org/directory';
const show = { json: false, update: false, rollover: false, deactivate: false };

const setUp = () => {
  const host = createFakeHost();
  const context = createFakeContext(host, { certificates: () => createFakeTools(host.files) });
  return { host, context };
};

t.test('to show an account is to change nothing', async (t) => {
  const { host, context } = setUp();
  const before = new Map(host.disk);
  t.equal(await certAccountCommand(context, show), 0);
  t.match(context.take(), /account +none yet: the first order makes it\n/);
  t.equal(await certAccountCommand(context, { ...show, json: true }), 0);
  t.match(JSON.parse(context.take()), { directory, url: null, thumbprint: null, keyFile: accountKey(directory) });
  t.strictSame(host.disk, before);
});

t.test('there is nothing to end', async (t) => {
  const { host, context } = setUp();
  t.equal(await certAccountCommand(context, { ...show, deactivate: true }), 2);
  t.match(context.take(), /there is no account/);
  t.notOk(host.disk.has(accountKey(directory)));
});

t.test('the thumbprint is shown, the key is not', async (t) => {
  const { host, context } = setUp();
  const keyPem = await createX509().newKey('ecdsa');
  host.disk.set(accountKey(directory), keyPem);
  host.disk.set(accountFile(directory), JSON.stringify({ directory, url: 'https://ca.example/7' }));
  for (const json of [true, false]) {
    await certAccountCommand(context, { ...show, json });
    const said = context.take();
    t.match(said, 'https://ca.example/7');
    t.match(said, createX509().thumbprint(keyPem));
    t.notMatch(said, /PRIVATE/);
    t.notMatch(said, keyPem.split('\n')[1] ?? 'nothing');
  }
});

t.test('no CA, no account', async (t) => {
  const { host, context } = setUp();
  host.disk.set('/etc/appfleet/appfleet.ini', '[appfleet]\nacme_directory = none\n');
  await t.rejects(certAccountCommand(context, show), { code: 'AF_CONFIG', message: /acme_directory is none/ });
});
