/** What status, doctor, metrics and the log say about certificates. */
import t from 'tap';
import { createX509 } from '../../agent/adapters/x509.ts';
import { createStore } from '../../agent/certificates/store.ts';
import { createCertificateAlarms } from '../../agent/commands/certificate-alarms.ts';
import { checkCertificate } from '../../agent/commands/doctor-certificate.ts';
import { findingsOn } from '../../agent/commands/finding.ts';
import { statusCommand } from '../../agent/commands/status.ts';
import { emptyState } from '../../agent/core/certificate.ts';
import { viewCertificates } from '../../agent/reconcile/certificate-views.ts';
import { createFleetReader } from '../../agent/reconcile/fleet.ts';
import { createMetrics } from '../../agent/reconcile/metrics.ts';
import { readStatus } from '../../agent/reconcile/status.ts';
import { makeAuthority } from '../certificates/make-certificate.ts';
import { createFakeContext } from '../fakes/context.ts';
import { createFakeHost } from '../fakes/host.ts';

const day = 86_400;
const name = 'example.org';
const lost = `lost.${name}`;
const reason = 'its name does not resolve';

/** A static site with a certificate of 90 days that goes without one name. */
const setUp = async () => {
  const host = createFakeHost();
  host.disk.set(`/etc/appfleet/sites/${name}.ini`, `[site]\nruntime = static\nroot = /srv/a\naliases = ${lost}\n`);
  host.disk.set(`/var/lib/appfleet/start/${name}/launch`, 'kind=static\n');
  host.active.set(`${name}.service`, 'active');
  host.disk.set(`/run/appfleet/${name}/open`, '');
  const store = createStore(host.files, createX509());
  const dates = { notBefore: host.clock, notAfter: host.clock + 90 * day };
  const { chainPem, keyPem } = await (await makeAuthority('Small')).issue({ names: [name], ...dates });
  await store.install(name, { chainPem, keyPem }, [name], host.clock);
  const leftOut = { [lost]: { reason, since: host.clock, again: host.clock + 3600, count: 1 } };
  await store.writeState(name, { ...emptyState, leftOut });
  const end = host.clock + 90 * day;
  const fleet = await createFleetReader(host.files)();
  return { host, store, end, fleet, context: createFakeContext(host), views: () => viewCertificates(host, fleet) };
};

t.test('status', async (t) => {
  const { host, store, end, context } = await setUp();
  t.equal(await statusCommand(context, name, { json: false }), 1);
  const said = context.take();
  t.match(said, /certificate +by Small Intermediate, expires in 90 d \(\d{4}-.*Z\), to be renewed in \d+ (h|min|d)/);
  t.match(said, `left out      ${lost}: ${reason}`);
  await statusCommand(context, undefined, { json: false });
  t.match(context.take(), `the certificate goes without ${lost}: ${reason}`);
  await statusCommand(context, name, { json: true });
  t.match(JSON.parse(context.take()), {
    certificate: {
      issuer: /Small Intermediate/,
      names: [name],
      expires: new Date(end * 1000).toISOString(),
      leftOut: [{ name: lost, reason }],
      failure: null,
    },
  });

  await store.writeState(name, emptyState);
  const names = [name, lost];
  const dates = { notBefore: host.clock, notAfter: end };
  const { chainPem, keyPem } = await (await makeAuthority()).issue({ names, ...dates });
  await store.install(name, { chainPem, keyPem }, names, host.clock);
  t.equal(await statusCommand(context, undefined, { json: false }), 0);
  t.notMatch(context.take(), /certificate/, 'nothing is said while all is well');
  host.clock = end - 3 * day;
  t.equal(await statusCommand(context, undefined, { json: false }), 1);
  t.match(context.take(), /the certificate expires in 3 d and no run has renewed it/);
});

t.test('status of a pair that cannot be used', async (t) => {
  const { host, context } = await setUp();
  const files = 'tls = files\ncertificate = /a.pem\ncertificate_key = /a.key\n';
  host.disk.set(`/etc/appfleet/sites/${name}.ini`, `[site]\nruntime = static\nroot = /srv/a\n${files}`);
  t.equal(await statusCommand(context, name, { json: false }), 1);
  t.match(context.take(), /certificate: \/a\.pem cannot be used: there is no such file/);
});

t.test('doctor', async (t) => {
  const { host, end, views } = await setUp();
  const examined = async () => {
    const findings = findingsOn(name);
    checkCertificate((await views()).get(name), findings, host.clock);
    return findings.all.map(({ mark, link, detail, hint }) => ({ mark, link, detail, hint }));
  };
  t.match(await examined(), [
    { mark: 'ok', link: 'certificate', detail: /by .*Small Intermediate, good for 90 d, to be renewed in/ },
    {
      mark: 'warn',
      detail: `it goes without ${lost}: ${reason}`,
      hint: `once that is mended: appfleet cert issue ${name}`,
    },
  ]);
  host.clock = end + 1;
  t.match(await examined(), [
    { mark: 'broken', detail: /has expired/, hint: `appfleet cert issue ${name}` },
    { mark: 'warn' },
  ]);
});

t.test('metrics', async (t) => {
  const { host, end, fleet } = await setUp();
  const text = await createMetrics('1', host.files).text(await readStatus(host, fleet));
  t.match(text, `appfleet_certificate_expiry_timestamp_seconds{site="${name}"} ${end}\n`);
  t.match(text, `appfleet_certificate_order_failures{site="${name}"} 0\n`);
  t.match(text, `appfleet_certificate_names_left_out{site="${name}"} 1\n`);
  t.match(text, /appfleet_certificate_renewal_timestamp_seconds\{site="example.org"\} 18\d+/);
});

t.test('the log: each thing once, louder when it gets worse', async (t) => {
  const { host, end, views } = await setUp();
  const lines: string[] = [];
  const say =
    (level: string) =>
    (...words: unknown[]): void =>
      void lines.push(`${level} ${String(words.at(-1))}`);
  let steady = 0;
  const alarms = createCertificateAlarms({ warn: say('warn'), error: say('error') }, () => steady);
  const at = async (left: number): Promise<string[]> => {
    host.clock = end - left;
    steady += 61;
    await alarms.look(views);
    return lines.splice(0);
  };
  t.strictSame(await at(60 * day), []);
  t.match(await at(20.5 * day), [/^warn the certificate expires in 20 d/]);
  t.strictSame(await at(20.4 * day), []);
  t.match(await at(8.5 * day), [/^error the certificate expires in 8 d/]);
  steady += 30;
  host.clock = end + 5;
  await alarms.look(views);
  t.strictSame(lines, [], 'not at every pass');
  t.match(await at(-10), [/^error the certificate has expired/]);
  await alarms.look(() => Promise.reject(new Error('no')));
  steady += 61;
  await alarms.look(() => Promise.reject(new Error('no disk')));
  t.match(lines, [/^warn certificates cannot be looked at: no disk/]);
});
