/** Who signs the demo's certificates: Pebble on the host itself, trusted by that host and by nobody else. */
import { createHash } from 'node:crypto';
import { settingsFile } from './fleet.ts';
import { pebblePaths, removePebble, startPebble } from './pebble.ts';
import type { TestHost } from './test-host.ts';
import { TourStop } from './tour.ts';

const days90 = 90 * 86_400;
const trusted = '/usr/local/share/ca-certificates';
const renewUnit = 'appfleet-renew.service';

export const demoSettings = `[appfleet]
; Pebble, a certificate authority for tests, runs on this host. A server with a way out needs none of these lines.
acme_directory = ${pebblePaths.directoryUrl}
acme_ca_file   = ${pebblePaths.caFile}
acme_email     = admin@example.org
`;

/** Starts it and lets the host trust its root, unless it runs: one that is started anew has another root. */
export const startDemoAuthority = async (host: TestHost): Promise<void> => {
  const asked = await host.run(['systemctl', 'is-active', '--quiet', pebblePaths.unit], { allowFail: true });
  if (asked.code === 0) return;
  const pebble = await startPebble(host, { validitySeconds: days90 });
  const root = await pebble.root();
  // By a name of its own: what an earlier one signed, before a reboot for instance, stays good.
  const name = createHash('sha256').update(root).digest('hex').slice(0, 8);
  await host.write(`${trusted}/demo-${name}.crt`, root);
  await host.run(['update-ca-certificates']);
};

/** Waits for the certificates that the agent orders by itself. Throws TourStop when they are not what curl trusts. */
export const awaitCertificates = async (host: TestHost, domains: readonly string[]): Promise<void> => {
  // A run that is under way is waited for, and where none was begun yet this is it.
  const command = `systemctl start ${renewUnit}`;
  const { code, stderr } = await host.run(command.split(' '), { allowFail: true });
  if (code !== 0) throw new TourStop(command, stderr.trim(), renewUnit);
  for (const domain of domains) {
    // An address that nginx answers by itself: nobody is woken.
    const question = ['curl', '-sS', '-o', '/dev/null', `https://${domain}/.well-known/acme-challenge/demo`];
    const said = await host.run(question, { allowFail: true });
    if (said.code !== 0) throw new TourStop(question.join(' '), said.stderr.trim(), renewUnit);
  }
};

export const removeDemoAuthority = async (host: TestHost): Promise<void> => {
  await host.sh(`rm -f ${trusted}/demo-*.crt; update-ca-certificates --fresh >/dev/null
    rm -rf /var/lib/appfleet/acme /var/lib/appfleet/certs/*.example.org`);
  await removePebble(host);
};

/** The demo's settings, unless somebody has changed them since. */
export const putDemoSettings = async (host: TestHost): Promise<void> => {
  const known = await host.run(['test', '-e', settingsFile], { allowFail: true });
  if (known.code !== 0) await host.write(settingsFile, demoSettings);
};
