/** A thousand sites in Consul: how long from nothing, what it costs the agent, what a pass writes, how soon a change shows. */
import { startConsul } from '../host/consul.ts';
import { settingsFile, testSettings } from '../host/fleet.ts';
import { type Figure, median } from './figure.ts';
import type { Part } from './lab.ts';
import type { MirrorInput } from './programs/mirror.ts';
import type { Filled, Memory, ThousandInput } from './programs/thousand-sites.ts';

const count = 1000;
/** The tenth of the thousand is static: closing and opening it starts no container. */
const site = 's0010.example.org';

const pause = (seconds: number): Promise<void> => new Promise((done) => setTimeout(done, seconds * 1000));

export const mirror: Part = async ({ host, fleet, log, measure }) => {
  const sites = <T>(input: ThousandInput): Promise<T> => measure<T>('thousand-sites', input);
  const program = <T>(input: MirrorInput): Promise<T> => measure<T>('mirror', input);
  const consul = await startConsul(host, log);
  const name = (await host.run(['hostname', '-s'])).stdout.trim();
  log(`${count} sites for Consul`);
  await sites<Filled>({ step: 'fill', count, limitSeconds: 300 });
  await host.sh('systemctl restart appfleet');
  await fleet.apply();
  await pause(5);
  const before = await sites<Memory>({ step: 'memory' });
  log(`${count} sites: into Consul`);
  const seconds = await program<number>({
    step: 'fill',
    count,
    settings: `${testSettings}[consul]\n`,
    host: name,
  });
  await pause(5);
  await fleet.apply();
  await pause(5);
  const after = await sites<Memory>({ step: 'memory' });
  const writes = await consul.lastWrites();
  await fleet.apply();
  await pause(2);
  const written = (await consul.lastWrites()).filter((index, place) => index !== writes[place]).length;
  log(`${count} sites: one is closed and opened`);
  const times = await program<number[]>({ step: 'change', site, samples: 20 });
  log(`${count} sites: away again`);
  await host.write(settingsFile, testSettings);
  await fleet.apply();
  await consul.stop();
  await sites<null>({ step: 'empty', limitSeconds: 300 });
  return [
    {
      name: `${count} sites: in Consul, from nothing`,
      value: seconds,
      unit: 's',
      target: { atMost: 5 },
      from: `services, checks and keys; ${Math.round(count / seconds)} in a second`,
    },
    {
      name: `${count} sites in Consul: what a pass writes that has nothing to do`,
      value: written,
      unit: '',
      target: { atMost: 0 },
      from: "Consul's indexes of services, checks and keys",
    },
    {
      name: `${count} sites in Consul: a change of state until the catalog shows it`,
      value: median(times),
      unit: 'ms',
      target: { atMost: 100 },
      from: `median of ${times.length}, the worst ${Math.max(...times).toFixed(0)} ms`,
    },
    {
      name: `${count} sites in Consul: more memory of the agent`,
      value: (after.agent - before.agent) / 1e6,
      unit: 'MB',
      target: { atMost: 20 },
      from: `${(before.agent / 1e6).toFixed(0)} MB before`,
    },
  ] satisfies Figure[];
};
