import t from 'tap';
import { createX509 } from '../../agent/adapters/x509.ts';
import { createStore } from '../../agent/certificates/store.ts';
import { accountKey, currentGeneration, paths, placeholderFolder, vhostPath } from '../../agent/core/names.ts';
import { defaultSettings } from '../../agent/core/settings.ts';
import { describeStep } from '../../agent/core/step.ts';
import { AppFleetError } from '../../agent/errors.ts';
import { createReconciler, type Reconciler, type Report } from '../../agent/reconcile/reconcile.ts';
import { epoch, makeAuthority } from '../certificates/make-certificate.ts';
import { templates } from '../core/golden-cases.ts';
import { createLivingHost, type LivingHost } from './living-host.ts';

const site = (lines = ''): string => `[site]\nruntime = static\nroot = /srv/www\n${lines}`;
const files = 'tls = files\ncertificate = /etc/ssl/a.pem\ncertificate_key = /etc/ssl/a.key\n';

const hostWith = (sites: Record<string, string>): LivingHost => {
  const host = createLivingHost();
  host.clock = epoch;
  for (const [name, text] of Object.entries(sites)) host.disk.set(`${paths.sites}/${name}.ini`, text);
  return host;
};
const reconcilerOf = (host: LivingHost): Reconciler => createReconciler(host, templates, () => 'secret');
const pass = (host: LivingHost, reconciler = reconcilerOf(host)): Promise<Report> =>
  reconciler.apply({ width: 32, clock: () => 0, onProgress: () => undefined });
const planned = async (host: LivingHost): Promise<string[]> =>
  (await reconcilerOf(host).plan()).steps.map((step) => describeStep(step));
const done = ({ results }: Report): string[] =>
  results.map(
    ({ step, outcome, reason }) => `${outcome}: ${describeStep(step)}${reason === undefined ? '' : ` (${reason})`}`,
  );
const said = ({ problems }: Pick<Report, 'problems'>): string[] =>
  problems.map(({ key, message }) => `${key}: ${message}`);
const named = (host: LivingHost, name: string): string =>
  /ssl_certificate (\S+);/.exec(host.disk.get(vhostPath(name)) ?? '')?.[1] ?? 'none';
/** Nothing can be written below the folder, until the returned function is called. */
const fillDisk = (host: LivingHost, folder: string): (() => void) => {
  const { files } = host;
  host.files = {
    ...files,
    write: (file) =>
      file.path.startsWith(folder)
        ? Promise.reject(new AppFleetError('AF_FILE', `cannot write ${file.path}: no space left on the device`))
        : files.write(file),
  };
  return () => void (host.files = files);
};
const placeholder = `${placeholderFolder}/chain.pem`;

t.test('a placeholder is made once, before the vhosts that name it, and only where one does', async (t) => {
  const host = hostWith({ 'a.example': site(), 'b.example': site('https = only\n') });
  const plan = await planned(host);
  t.equal(plan[0], 'make a self-signed certificate for sites that have none yet');
  t.strictSame(host.changes, []);
  const report = await pass(host);
  t.strictSame(
    done(report).map((line) => line.replace(/^done: /, '')),
    plan,
    'what was planned was done',
  );
  t.equal(named(host, 'a.example'), placeholder);
  t.equal(host.modes.get(`${placeholderFolder}/key.pem`), 0o600);
  t.strictSame(await planned(host), []);
  const before = host.disk.get(placeholder);
  host.disk.set(`${paths.sites}/c.example.ini`, site());
  await pass(host);
  t.equal(host.disk.get(placeholder), before);

  const without = hostWith({ 'a.example': site('tls = off\n') });
  await pass(without);
  t.notOk(without.disk.has(placeholder));
  t.notMatch(without.disk.get(paths.sharedVhost), /ssl/, 'the port is left to others');
});

t.test('a placeholder that is damaged is made again', async (t) => {
  const host = hostWith({ 'a.example': site() });
  const reconciler = reconcilerOf(host);
  await pass(host, reconciler);
  host.disk.set(`${placeholderFolder}/key.pem`, 'x');
  t.match(done(await pass(host, reconciler)), ['done: make a self-signed certificate for sites that have none yet']);
  t.strictSame(await planned(host), []);
});

t.test('a disk that takes no placeholder keeps nobody from being served over HTTP', async (t) => {
  const host = hostWith({ 'a.example': site(), 'only.example': site('https = only\n') });
  const mend = fillDisk(host, placeholderFolder);
  const report = await pass(host);
  t.match(done(report)[0], /^failed: make a self-signed .*no space left/);
  t.match(host.disk.get(vhostPath('a.example')), /listen 80;/);
  t.equal(named(host, 'a.example'), 'none');
  t.notOk(host.disk.has(vhostPath('only.example')), 'never over HTTP what must not be');
  t.match(said(report), [/HTTPS only/]);
  mend();
  t.strictSame(said(await pass(host)), []);
  t.equal(named(host, 'a.example'), placeholder);
  t.equal(named(host, 'only.example'), placeholder);
});

t.test('an ordered certificate is named by its own folder, and gives way to the next', async (t) => {
  const host = hostWith({ 'a.example': site('hsts = 1d\n') });
  const reconciler = reconcilerOf(host);
  await pass(host, reconciler);
  const authority = await makeAuthority();
  const store = createStore(host.files, createX509());
  const folders: string[] = [];
  for (const time of [epoch, epoch + 60]) {
    host.clock = time;
    const issued = await authority.issue({ names: ['a.example'] });
    const { folder } = await store.install('a.example', issued, ['a.example'], time);
    folders.push(folder);
    const report = await pass(host, reconciler);
    t.strictSame(done(report), ['done: test vhosts, then install a.example', 'done: make nginx load the vhosts']);
    t.equal(named(host, 'a.example'), `${folder}/chain.pem`);
    t.match(host.disk.get(vhostPath('a.example')), /return 301 https:.*max-age|max-age|return 301 https:/s);
    t.strictSame(await planned(host), []);
  }
  t.not(folders[0], folders[1]);
  // Half of it is lost: back to the placeholder, not to a pair that nginx would refuse.
  host.disk.delete(`${folders[1]}/key.pem`);
  await pass(host, reconciler);
  t.equal(named(host, 'a.example'), placeholder);
  t.notMatch(host.disk.get(vhostPath('a.example')), /Strict-Transport|301 https/);
});

t.test('a pair of the admin is checked, copied, used; a bad one is a problem and changes nothing', async (t) => {
  const host = hostWith({ 'a.example': site(`aliases = www.a.example\n${files}`), 'b.example': site() });
  const reconciler = reconcilerOf(host);
  const put = (chainPem: string, keyPem: string): void => {
    host.disk.set('/etc/ssl/a.pem', chainPem);
    host.disk.set('/etc/ssl/a.key', keyPem);
  };
  const authority = await makeAuthority();
  const names = ['a.example', 'www.a.example'];

  const missing = await pass(host, reconciler);
  t.strictSame(said(missing), ['certificate: /etc/ssl/a.pem cannot be used: there is no such file']);
  t.equal(named(host, 'a.example'), placeholder);
  t.equal(named(host, 'b.example'), placeholder, 'nobody else notices');

  const first = await authority.issue({ names });
  put(first.chainPem, first.keyPem);
  const plan = await planned(host);
  t.strictSame(plan, [
    'install the certificate in /etc/ssl/a.pem for a.example',
    'test vhosts, then install a.example',
    'make nginx load the vhosts',
  ]);
  const report = await pass(host, reconciler);
  t.strictSame(
    done(report).map((line) => line.replace(/^done: /, '')),
    plan,
  );
  const installed = named(host, 'a.example');
  t.equal(host.disk.get(installed), first.chainPem);
  t.strictSame(await planned(host), []);
  t.strictSame((await pass(host, reconciler)).plan, []);

  const other = await authority.issue({ names });
  const bad: [string, string, RegExp][] = [
    [first.chainPem, other.keyPem, /does not belong/],
    [(await authority.issue({ names: ['a.example'] })).chainPem, first.keyPem, /does not belong/],
    ['rubbish', first.keyPem, /no certificate/],
    [first.chainPem, 'rubbish', /no private key/],
  ];
  for (const [chain, key, why] of bad) {
    put(chain, key);
    const report = await pass(host, reconciler);
    t.match(said(report), [why]);
    t.strictSame(report.plan, []);
    t.equal(named(host, 'a.example'), installed);
  }
  const alone = await authority.issue({ names: ['a.example'] });
  put(alone.chainPem, alone.keyPem);
  t.match(said(await pass(host, reconciler)), [/is not for www\.a\.example/]);
  const expired = await authority.issue({ names, notAfter: epoch - 10 });
  put(expired.chainPem, expired.keyPem);
  t.match(said(await pass(host, reconciler)), [/expired/]);
  host.unreadable.set('/etc/ssl/a.key', 'permission denied');
  t.match(said(await pass(host, reconciler)), [/^certificate_key: .*permission denied/]);
  host.unreadable.clear();
  t.equal(named(host, 'a.example'), installed);

  put(other.chainPem, other.keyPem);
  t.strictSame(said(await pass(host, reconciler)), []);
  t.equal(host.disk.get(named(host, 'a.example')), other.chainPem);
  // In use, it expires: that is worth a word, and takes nothing away.
  host.clock = epoch + 90 * 86_400;
  const late = await pass(host, reconciler);
  t.match(said(late), [/expired/]);
  t.strictSame(late.plan, []);
});

t.test('a certificate that cannot be written fails its own site alone', async (t) => {
  const host = hostWith({ 'a.example': site(files), 'b.example': site() });
  const { chainPem, keyPem } = await (await makeAuthority()).issue({ names: ['a.example'] });
  host.disk.set('/etc/ssl/a.pem', chainPem);
  host.disk.set('/etc/ssl/a.key', keyPem);
  const mend = fillDisk(host, `${paths.certificates}/a.example`);
  const report = await pass(host);
  t.ok(done(report).some((line) => /^failed: install the certificate in .*no space left/.test(line)));
  t.notOk(host.links.has(currentGeneration('a.example')));
  t.equal(named(host, 'b.example'), placeholder);
  t.match(host.disk.get(vhostPath('a.example')), /listen 80;/, 'served as far as it can be');
  mend();
  await pass(host);
  t.match(named(host, 'a.example'), /certs\/a\.example\//);
});

t.test('the answer to challenges is that of the account, and an account key that is none is told', async (t) => {
  const host = hostWith({ 'a.example': site() });
  const reconciler = reconcilerOf(host);
  await pass(host, reconciler);
  t.notMatch(host.disk.get(paths.sharedVhost), /appfleet_thumbprint/);
  const key = accountKey(defaultSettings.acme.directory ?? '');
  const x509 = createX509();
  const keyPem = await x509.newKey('ecdsa');
  host.disk.set(key, keyPem);
  t.strictSame(done(await pass(host, reconciler)), [
    'done: test vhosts, then install the shared file',
    'done: make nginx load the vhosts',
  ]);
  t.ok(host.disk.get(paths.sharedVhost)?.includes(`default ${x509.thumbprint(keyPem)};`));
  t.strictSame(await planned(host), []);
  host.disk.set(key, 'rubbish');
  const report = await pass(host, reconciler);
  t.match(report.problems, [{ file: key }]);
  t.notMatch(host.disk.get(paths.sharedVhost), /appfleet_thumbprint/);
});

t.test('a site whose file has a problem keeps its certificate, and the port stays open for it', async (t) => {
  const host = hostWith({ 'a.example': site(), 'b.example': site('tls = off\n') });
  await pass(host);
  const vhost = host.disk.get(vhostPath('a.example'));
  host.disk.set(`${paths.sites}/a.example.ini`, site('tls = nonsense\n'));
  const report = await pass(host);
  t.equal(report.problems.length, 1);
  t.equal(host.disk.get(vhostPath('a.example')), vhost);
  t.match(host.disk.get(paths.sharedVhost), /ssl_reject_handshake on/);
});
