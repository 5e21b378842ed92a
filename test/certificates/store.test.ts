import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createFiles } from '../../agent/adapters/files.ts';
import { createX509 } from '../../agent/adapters/x509.ts';
import { createStore } from '../../agent/certificates/store.ts';
import { emptyState } from '../../agent/core/certificate.ts';
import { currentGeneration, previousGeneration } from '../../agent/core/names.ts';
import { AppFleetError } from '../../agent/errors.ts';
import type { Files } from '../../agent/ports.ts';
import { createFakeHost, type FakeHost } from '../fakes/host.ts';
import { epoch as now, makeAuthority } from './make-certificate.ts';

const x509 = createX509();
const day = 86_400;
const site = 'example.org';
const names = ['example.org', 'www.example.org'];
const authority = await makeAuthority();
const first = await authority.issue({ names });
const second = await authority.issue({ names, kind: 'rsa' });
const folder = `/var/lib/appfleet/certs/${site}`;

const methods = ['read', 'stamp', 'list', 'write', 'makeFolder', 'remove', 'removeTree', 'link', 'readLink'] as const;
const changing: readonly string[] = ['write', 'makeFolder', 'remove', 'removeTree', 'link'];

/** Files that call back before each operation that changes something; what that throws, they throw. */
const watched = (files: Files, before: (what: string, path: string) => void): Files => {
  const wrapped: Record<string, unknown> = { ...files };
  for (const method of methods)
    wrapped[method] = (...args: unknown[]) => {
      const [one] = args;
      const path = typeof one === 'string' ? one : (one as { path: string }).path;
      if (changing.includes(method)) before(method, path);
      return (files[method] as (...all: unknown[]) => unknown)(...args);
    };
  return wrapped as unknown as Files;
};

/** The machine's files, below a folder of the test's. */
const below = (root: string): Files => {
  const files = createFiles();
  return watched(
    {
      ...files,
      read: (path) => files.read(root + path),
      stamp: (path) => files.stamp(root + path),
      list: (path) => files.list(root + path),
      write: (file) => files.write({ ...file, path: root + file.path }),
      makeFolder: (path, mode) => files.makeFolder(root + path, mode),
      remove: (path) => files.remove(root + path),
      removeTree: (path) => files.removeTree(root + path),
      link: (path, target) => files.link(root + path, target),
      readLink: (path) => files.readLink(root + path),
    },
    () => undefined,
  );
};

/** What is on the host of certificates. */
const certificatesOn = ({ disk, links }: FakeHost): string[] =>
  [...disk.keys(), ...links.keys()].filter((path) => path.startsWith('/var/lib/appfleet/'));

t.test('install and read', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'af-t-'));
  t.teardown(() => rm(root, { recursive: true, force: true }));
  const store = createStore(below(root), x509);
  t.equal(await store.current(site), null);
  t.same(await store.sites(), []);
  t.same(await store.readState(site), emptyState);
  const installed = await store.install(site, first, names, now + 0.5);
  t.match(installed, { site, names, obtained: now, generation: /^20270115T080000Z-[0-9a-f]{8}$/, keyType: 'ecdsa' });
  t.equal(installed.chainPath, `${folder}/${installed.generation}/chain.pem`);
  t.same(await store.current(site), installed);
  t.same(await store.pair(installed), { chainPem: first.chainPem, keyPem: first.keyPem });
  const mode = (path: string): number => statSync(root + path).mode & 0o7777;
  for (const path of ['/var/lib/appfleet/certs', folder, installed.folder]) t.equal(mode(path), 0o700, path);
  for (const path of [installed.chainPath, installed.keyPath]) t.equal(mode(path), 0o600, path);
  t.same(await store.install(site, first, names, now + 60), installed, 'the same once more is nothing new');
  const next = await store.install(site, second, names, now + 60);
  t.match(await store.current(site), { keyType: 'rsa', generation: next.generation });
  t.same(await createStore(below(root), x509).current(site), next, 'another process sees the same');
  t.same(await store.generations(site), [installed.generation, next.generation]);
  const alone = { ...second, chainPem: second.leaf.certificatePem };
  const third = await store.install(site, alone, names, now + 60);
  t.not(third.generation, next.generation, 'another chain in the same second changes no generation that is in use');
  await store.writeState(site, {
    ...emptyState,
    failure: { count: 1, at: 1, again: 2, reason: 'x', retryAfter: false },
  });
  t.equal(mode(`${folder}/state.json`), 0o600);
  t.match(await store.readState(site), { failure: { count: 1 } });
  t.match(await store.readState(site), { failure: { count: 1 } });
  t.same(
    (await readdir(root + folder)).sort(),
    [installed.generation, next.generation, third.generation, 'current', 'previous', 'state.json'].sort(),
  );
});

t.test('what is not good is not installed', async (t) => {
  const host = createFakeHost();
  const store = createStore(host.files, x509);
  const bad: [string, { chainPem: string; keyPem: string }, readonly string[], number][] = [
    ['the key does not belong to the certificate', { ...first, keyPem: second.keyPem }, names, now],
    ['the certificate is not for other.example but for example.org, www.example.org', first, ['other.example'], now],
    ['the certificate expired', first, names, now + 365 * day],
  ];
  for (const [message, pair, wanted, time] of bad)
    await t.rejects(store.install(site, pair, wanted, time), {
      code: 'AF_CERTIFICATE',
      message: new RegExp(`for example.org is not installed: ${message}`),
    });
  t.equal(certificatesOn(host).length, 0);
  for (const name of ['../x', '.placeholder', '', 'a/b'])
    await t.rejects(store.install(name, first, names, now), { code: 'AF_CERTIFICATE' });
  const lying = createStore(
    { ...host.files, read: async (path) => (path.endsWith('key.pem') ? second.keyPem : host.files.read(path)) },
    x509,
  );
  await t.rejects(lying.install(site, first, names, now), {
    code: 'AF_CERTIFICATE',
    message: /after writing it, the key does not belong/,
  });
  t.equal(certificatesOn(host).length, 0, 'and nothing of it stays');
});

t.test('cut at every step: the old one or the new one, whole', async (t) => {
  for (const withOld of [true, false]) {
    for (let cut = 1; ; cut += 1) {
      const host = createFakeHost();
      if (withOld) await createStore(host.files, x509).install(site, first, names, now);
      let steps = 0;
      // Dead is dead: what would clean up does not run either.
      const dying = watched(host.files, () => {
        steps += 1;
        if (steps >= cut) throw new Error('killed');
      });
      const done = await createStore(dying, x509)
        .install(site, second, names, now + 60)
        .then(
          () => true,
          () => false,
        );
      const after = createStore(host.files, x509);
      const found = await after.current(site);
      if (found === null) t.notOk(withOld, `cut ${cut}: nothing yet`);
      else {
        const pair = await after.pair(found);
        t.equal(x509.wrong(pair, names, now), null, `cut ${cut}: ${found.keyType}`);
        t.ok(found.keyType === 'rsa' || (withOld && !done));
      }
      // The next run finishes the job, and a later one leaves no rest.
      const again = await after.install(site, second, names, now + 120);
      t.match(await after.current(site), { keyType: 'rsa', generation: again.generation });
      await after.sweep(new Set([site]), new Set(), now + 2 * 3600);
      t.ok((await after.generations(site)).length <= 2, `cut ${cut}: no rest`);
      t.equal(x509.wrong(await after.pair(again), names, now), null);
      if (done) {
        t.ok(cut > 5);
        break;
      }
    }
  }
});

t.test('a full disk: the old one stays, and the error says so', async (t) => {
  for (const nth of [1, 2]) {
    const host = createFakeHost();
    const old = await createStore(host.files, x509).install(site, first, names, now);
    let writes = 0;
    const full = watched(host.files, (what, path) => {
      if (what === 'write' && (writes += 1) >= nth)
        throw new AppFleetError('AF_FILE', `cannot write ${path}: no space left on the device`);
    });
    const store = createStore(full, x509);
    await t.rejects(store.install(site, second, names, now + 60), {
      code: 'AF_FILE',
      message:
        /^the certificate for example\.org is not installed: cannot write .*: no space left on the device; the old one stays in use$/,
    });
    t.same(await store.current(site), old);
    t.same(await store.generations(site), [old.generation], 'nothing of the new one takes up space');
    await t.rejects(store.writeState(site, emptyState), { code: 'AF_FILE' });
  }
});

t.test('what somebody broke is no certificate', async (t) => {
  const breakers: [string, (host: ReturnType<typeof createFakeHost>, path: string) => void][] = [
    ['key gone', (host, path) => void host.disk.delete(`${path}/key.pem`)],
    ['chain gone', (host, path) => void host.disk.delete(`${path}/chain.pem`)],
    ['half a chain', (host, path) => void host.disk.set(`${path}/chain.pem`, first.chainPem.slice(0, 300))],
    ['empty', (host, path) => void host.disk.set(`${path}/chain.pem`, '')],
    ['key of another', (host, path) => void host.disk.set(`${path}/key.pem`, second.keyPem)],
    ['link out of the folder', (host) => void host.links.set(`${folder}/current`, '../../../../etc')],
    ['link to nothing', (host) => void host.links.set(`${folder}/current`, '20270115T080000Z-00000000')],
  ];
  for (const [what, breaks] of breakers) {
    const host = createFakeHost();
    const store = createStore(host.files, x509);
    const { folder: path } = await store.install(site, first, names, now);
    breaks(host, path);
    t.equal(await store.current(site), null, what);
    await store.install(site, second, names, now + 60);
    t.match(await store.current(site), { keyType: 'rsa' }, `${what}: and it can be mended`);
  }
  const host = createFakeHost();
  const store = createStore(host.files, x509);
  const { keyPath: mixed } = await store.install(
    'mixed.example',
    await authority.issue({ names: ['mixed.example'] }),
    [],
    now,
  );
  host.disk.set(mixed, second.keyPem);
  t.equal(await store.current('mixed.example'), null);
  const quick = createStore(host.files, x509, 'chain');
  t.match(await quick.current('mixed.example'), { site: 'mixed.example' }, 'who only watches does not open keys');
  host.disk.delete(mixed);
  t.equal(await quick.current('mixed.example'), null, 'but they have to be there');
  host.disk.set(`${folder}/state.json`, '{"failure":');
  t.same(await store.readState(site), emptyState);
  const { chainPath, keyPath } = { chainPath: '/x', keyPath: '/y' };
  await t.rejects(store.pair({ site, chainPath, keyPath }), { code: 'AF_CERTIFICATE', message: /is gone from \/x/ });
});

t.test('sweep', async (t) => {
  const host = createFakeHost();
  const store = createStore(host.files, x509);
  const all: string[] = [];
  for (let nth = 0; nth < 5; nth += 1) {
    // The clock goes back: names of generations do not tell their order.
    const pair = nth % 2 === 0 ? first : second;
    all.push((await store.install(site, pair, names, now - nth * 3600)).generation);
  }
  const named = new Set([`${folder}/${all[0]}`]);
  const present = new Set([site]);
  t.same(
    await store.sweep(present, named, now),
    [all[2], all[1]].map((one) => `${folder}/${one}`),
    'not the current one, not the one before, not what a vhost names',
  );
  t.same((await store.generations(site)).sort(), [all[0], all[3], all[4]].sort());
  t.same(await store.sweep(present, named, now), []);

  const gone = new Set<string>();
  for (let nth = 0; nth < 30; nth += 1) t.same(await store.sweep(gone, named, now + nth * day), []);
  t.match(await store.current(site), { site }, 'for thirty days');
  t.same(await store.sweep(gone, named, now + 31 * day), [], 'and as long as a vhost names it');
  t.same(await store.sweep(present, named, now + 32 * day), []);
  t.notOk(host.disk.has(`${folder}/gone`), 'it came back');
  for (let nth = 0; nth < 30; nth += 1) t.same(await store.sweep(gone, gone, now + nth * day), []);
  t.same(await store.sweep(gone, gone, now + 3000 * day), [folder]);
  t.equal(await store.current(site), null);
  t.same(await store.sites(), []);
  t.equal(certificatesOn(host).length, 0);
});

t.test(
  'what is being written meanwhile is not swept: the agent installs pairs of the admin without the lock',
  async (t) => {
    const host = createFakeHost();
    const store = createStore(host.files, x509);
    const old = await store.install(site, first, names, now - 2 * 3600);
    const fresh = await store.install(site, second, names, now);
    // As it is between the last file and the link.
    host.links.set(currentGeneration(site), old.generation);
    host.links.delete(previousGeneration(site));
    const none = new Set<string>();
    t.same(await store.sweep(new Set([site]), none, now + 60), []);
    for (let nth = 0; nth < 30; nth += 1) await store.sweep(none, none, now - (30 - nth) * day);
    t.same(await store.sweep(none, none, now + 60), [], 'also when the site has just come back');
    t.same(await store.sweep(new Set([site]), none, now + 2 * 3600), [fresh.folder]);
  },
);

t.test('the placeholder', async (t) => {
  const host = createFakeHost();
  let made = 0;
  const counted = {
    ...x509,
    placeholder: (...args: Parameters<typeof x509.placeholder>) => ((made += 1), x509.placeholder(...args)),
  };
  const store = createStore(host.files, counted);
  const { chainPath, keyPath } = await store.placeholder(now);
  t.equal(chainPath, '/var/lib/appfleet/certs/.placeholder/chain.pem');
  t.equal(
    x509.wrong({ chainPem: host.disk.get(chainPath) ?? '', keyPem: host.disk.get(keyPath) ?? '' }, [], now),
    null,
  );
  await store.placeholder(now + 5000 * day);
  await createStore(host.files, counted).placeholder(now - 5000 * day);
  t.equal(made, 1, 'once, whatever the clock says');
  t.same(await store.sites(), [], 'it is no site');
  host.disk.set(keyPath, first.keyPem);
  await store.placeholder(now);
  t.equal(made, 2, 'made again when its halves do not match');
});
