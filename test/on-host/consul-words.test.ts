/** Containers of the host that are not ours and speak the words of registrator, kv-consul and fleetstreet, with a real Consul. */
import t from 'tap';
import { startConsul, type TestConsul } from '../host/consul.ts';
import { settingsFile } from '../host/fleet.ts';
import { pause, testHost, until } from './support.ts';

const fleet = testHost();
const { host } = fleet;
let consul: TestConsul;
let before = '';
let hostName = '';

const run = (name: string, ...words: string[]) =>
  host.run(['docker', 'run', '-d', '--name', name, ...words, 'demo/http']);
const end = (name: string) => host.run(['docker', 'rm', '-f', name], { allowFail: true });
const service = (id: string) => consul.get<Record<string, unknown>>(`/agent/service/${id}`);
const ids = async (): Promise<string[]> =>
  Object.keys((await consul.get<Record<string, unknown>>('/agent/services')) ?? {})
    .filter((id) => !id.startsWith('appfleet:'))
    .sort();
const settings = async (lines: string): Promise<void> => {
  await host.write(settingsFile, `${before}[consul]\nservice_address = 10.1.2.3\n${lines}`);
  await fleet.apply();
};

t.before(async () => {
  before = (await host.run(['cat', settingsFile], { allowFail: true })).stdout;
  hostName = (await host.run(['hostname', '-s'])).stdout.trim();
  consul = await startConsul(host, () => undefined);
});

t.teardown(async () => {
  for (const name of ['redis.0', 'later', 'script', 'fast', 'renamed', 'named']) await end(name);
  await host.write(settingsFile, before);
  await fleet.apply();
  await consul.stop();
});

t.test('off by default', async (t) => {
  await settings('');
  const words = [
    '-p',
    '10000:3000',
    '-e',
    'SERVICE_NAME=db',
    '-e',
    'SERVICE_TAGS=master,backups',
    '-e',
    'SERVICE_REGION=us2',
  ];
  await run('redis.0', ...words, '-e', 'FLEETSTREET_NAME=mytest', '-e', 'KV_SET:foo=1', '-e', 'SECRET=swordfish');
  await fleet.apply();
  await pause(1500);
  t.strictSame(await ids(), []);
  t.equal(await consul.key('fleetstreet/mytest'), null);
  t.equal(await consul.key('foo'), null);
});

t.test('registrator: what runs already, what starts, what ends', async (t) => {
  await settings('registrator = on\n');
  const id = `${hostName}:redis.0:3000`;
  t.match(await until('it is registered', () => service(id)), {
    Service: 'db',
    Port: 10000,
    Address: '10.1.2.3',
    Tags: ['master', 'backups'],
    Meta: { region: 'us2' },
  });
  await run('later', '-p', '10001:3000', '-l', 'SERVICE_CHECK_HTTP=/', '-l', 'SERVICE_CHECK_INTERVAL=1s');
  await until('the other too', () => service(`${hostName}:later:3000`));
  t.match(await consul.check(`${hostName}:later:3000`), { Status: /^(passing|critical)$/ });
  // Consul without scripts refuses this one; it costs the others nothing.
  await run('script', '-p', '10002:3000', '-e', 'SERVICE_CHECK_SCRIPT=true');
  await consul.put('/agent/service/register', JSON.stringify({ ID: `${hostName}:foreign:1`, Name: 'foreign' }));
  await end('later');
  await until('what ended is gone', async () => (await service(`${hostName}:later:3000`)) === null);
  t.ok(await service(id));
  t.ok(await service(`${hostName}:foreign:1`), "registrator's own, or others', stay");
  await end('script');
});

t.test('a container that is made anew a hundred times, and renamed, leaves no ghost', async (t) => {
  await host.sh(
    `for n in $(seq 100); do
    docker run -d --name fast -p 10003:3000 demo/http >/dev/null; docker rm -f fast >/dev/null
  done; docker run -d --name fast -p 10003:3000 demo/http >/dev/null; docker rename fast renamed`,
    { timeoutMs: 300_000 },
  );
  await until('its last name', () => service(`${hostName}:renamed:3000`));
  await until('no ghost', async () => !(await ids()).includes(`${hostName}:fast:3000`));
  await end('renamed');
  await until('nor of that', async () => !(await ids()).includes(`${hostName}:renamed:3000`));
  t.strictSame(await ids(), [`${hostName}:foreign:1`, `${hostName}:redis.0:3000`]);
});

t.test('kv-consul and fleetstreet', async (t) => {
  await consul.put('/kv/there', 'before');
  await consul.put('/kv/fleetstreet/others', '{"ID":"others"}');
  await settings('registrator = on\nkv_set = on\nfleetstreet = on\n');
  await until('its record', () => consul.key('fleetstreet/mytest'));
  const text = (await consul.key('fleetstreet/mytest')) ?? '';
  t.match(JSON.parse(text), { ID: 'mytest', IP: '10.1.2.3', Container: { Name: '/redis.0' } });
  t.notMatch(text, /swordfish/);
  await run(
    'named',
    ...[
      '-p',
      '16379:3000',
      '-e',
      'KV_SET:#<SERVICE_NAME>#/#<SERVICE_ID>#/baz=3',
      '-e',
      'KV_SET:there?=1',
      '-e',
      'KV_SET:new?=1',
    ],
  );
  await until('its key', async () => (await consul.key(`http/${hostName}:named:3000/baz`)) === '3');
  await until('the new one', async () => (await consul.key('new')) === '1');
  t.equal(await consul.key('there'), 'before', '?= only where there is none');
  await end('named');
  await end('redis.0');
  await until('the record goes with its container', async () => (await consul.key('fleetstreet/mytest')) === null);
  t.equal(await consul.key('fleetstreet/others'), '{"ID":"others"}');
  t.equal(await consul.key('new'), '1', 'what was set stays');
});
