/** What a run makes of what is noted: pauses, back-offs, names that were left out. Orders are for Pebble, on a host. */
import t from 'tap';
import { createX509 } from '../../agent/adapters/x509.ts';
import { openLedger } from '../../agent/certificates/ledger.ts';
import { CaError, type CertificateAuthority } from '../../agent/certificates/ports.ts';
import { renew, type RenewOptions, type RunParts } from '../../agent/certificates/renew.ts';
import { createStore } from '../../agent/certificates/store.ts';
import { emptyState } from '../../agent/core/certificate.ts';
import { notePause } from '../../agent/core/budget.ts';
import { createFakeHost } from '../fakes/host.ts';

const directory = 'https://ca.example/directory';
const site = 'example.org';
const reason = 'the CA wants to be left alone';
const half = (): number => 0.5;

/** A run over one site without a certificate; it comes as far as the account, and counts how often. */
const setUp = async () => {
  const host = createFakeHost();
  const x509 = createX509();
  const store = createStore(host.files, x509);
  const ledger = await openLedger(host.files, directory);
  let asked = 0;
  const wanted = { site, names: [site, `www.${site}`], keyType: 'ecdsa' as const };
  const parts: RunParts = {
    sites: [wanted],
    store,
    x509,
    ca: {} as CertificateAuthority,
    ledger,
    rules: { limits: null, registered: () => null },
    reach: { unreachable: () => Promise.resolve(null) },
    dns: null,
    profile: null,
    probe: null,
    now: () => host.clock,
    random: half,
    report: () => undefined,
    width: 1,
    prepare: () => {
      asked += 1;
      return Promise.reject(new CaError('the CA is away', { unreachable: true }));
    },
  };
  const run = (options: Partial<RenewOptions> = {}) =>
    renew(parts, { only: null, force: false, dryRun: false, ...options });
  const pause = (retryAfterSeconds: number | null) =>
    ledger.change((before) => notePause(before, { reason, retryAfterSeconds }, host.clock, half));
  return { host, store, wanted, run, pause, asked: () => asked };
};

t.test('a pause of our own ends when somebody asks for an order', async (t) => {
  const { run, pause, asked } = await setUp();
  await pause(null);
  t.match((await run()).waiting, [{ site, reason }]);
  t.equal(asked(), 0);
  t.match((await run({ force: true })).failed, [{ site, reason: /away/ }]);
  t.equal(asked(), 1);
});

t.test('a pause that the CA asked for holds, whoever asks', async (t) => {
  const { host, run, pause, asked } = await setUp();
  await pause(7200);
  t.match((await run({ force: true })).waiting, [{ site, reason, again: host.clock + 7200 }]);
  t.equal(asked(), 0);
  host.clock += 7201;
  await run({ force: true });
  t.equal(asked(), 1);
});

t.test('the same for a pause that is about one site', async (t) => {
  const { host, store, wanted, run, asked } = await setUp();
  const failure = { count: 1, at: host.clock, again: host.clock + 3600, reason, names: wanted.names };
  await store.writeState(site, { ...emptyState, failure: { ...failure, retryAfter: true } });
  t.match((await run({ force: true })).waiting, [{ site, reason, again: host.clock + 3600 }]);
  t.equal(asked(), 0);
  await store.writeState(site, { ...emptyState, failure: { ...failure, retryAfter: false } });
  await run({ force: true });
  t.equal(asked(), 1);
});

t.test('who asks for an order asks for all names', async (t) => {
  const { host, store, run } = await setUp();
  const leftOut = { [`www.${site}`]: { reason, since: host.clock, again: host.clock + 3600, count: 1 } };
  await store.writeState(site, { ...emptyState, leftOut });
  t.strictSame((await run()).due[0]?.names, [site]);
  t.strictSame((await run({ force: true })).due[0]?.names, [site, `www.${site}`]);
});
