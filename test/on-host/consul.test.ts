/** What a real Consul is told of this host, in every state of a site, and what happens to sites and records when Consul goes. */
import t, { type Test } from 'tap';
import { startConsul, type TestConsul, waysIn } from '../host/consul.ts';
import { settingsFile } from '../host/fleet.ts';
import { pause, testHost, until } from './support.ts';

const fleet = testHost();
const { host } = fleet;
const domain = (name: string): string => `${name}.consul.example`;
const [app, page, port, broken] = [domain('app'), domain('page'), domain('port'), domain('broken')];
const cache = 'cache-consul';
const own = [app, page, port, broken];
const folder = '/srv/consul-test';
let consul: TestConsul;
let before = '';
let hostName = '';

const front = (name: string): string => `appfleet:${hostName}:${name}`;
const label = (name: string): string => name.replaceAll('.', '-');
const stateOf = async (name: string): Promise<string | undefined> =>
  (await consul.catalog(label(name)))[0]?.ServiceMeta['state'];
const recordOf = async (name: string): Promise<Record<string, unknown>> =>
  JSON.parse((await consul.key(`appfleet/hosts/${hostName}/sites/${name}`)) ?? '{}') as Record<string, unknown>;

/** Waits until Consul's catalog says this of a site. */
const shows = (name: string, state: string, status: string, seconds = 20): Promise<true> => {
  let seen = '';
  return until(
    () => `${name} is ${state} and ${status} in Consul; it has ${seen}`,
    async () => {
      const [now, check] = [await stateOf(name), await consul.check(front(name))];
      seen = `${now ?? 'nothing'}, ${check?.Status ?? 'no check'}: ${check?.Output ?? ''}`;
      return now === state && check?.Status === status;
    },
    seconds,
  );
};

/** After so long whatever was to be written is written. */
const settled = async (): Promise<string[]> => {
  let last = '';
  return until('Consul is quiet', async () => {
    const now = await consul.lastWrites();
    const same = now.join() === last;
    last = now.join();
    if (!same) await pause(700);
    return same ? now : null;
  });
};

const ours = async (): Promise<string[]> =>
  Object.keys((await consul.get<Record<string, unknown>>('/agent/services')) ?? {})
    .filter((id) => id.startsWith(`appfleet:${hostName}`))
    .sort();

/** A pass of the agent, to its end. */
const pass = async (t: Test): Promise<void> => void t.equal((await fleet.apply()).code, 0, 'a pass');

const answers = async (t: Test, name: string): Promise<void> => {
  t.equal((await fleet.ask(name)).status, 200, `${name} answers`);
};

t.before(async () => {
  before = (await host.run(['cat', settingsFile], { allowFail: true })).stdout;
  hostName = (await host.run(['hostname', '-s'])).stdout.trim();
  consul = await startConsul(host, () => undefined);
  await host.write(`${folder}/index.html`, 'static');
  await host.sh(`docker rm -f sick 2>/dev/null || true
    docker create --name sick demo/http >/dev/null
    docker commit --change 'HEALTHCHECK --interval=1s --retries=1 CMD test ! -e /tmp/sick' sick consul-test/http >/dev/null
    docker rm sick >/dev/null`);
  await fleet.putSite(app, 'runtime = node\nimage = demo/node-app\nidle = 1h\n[env]\nSECRET_WORD = swordfish');
  await fleet.putSite(page, `runtime = static\nroot = ${folder}`);
  await fleet.putSite(
    port,
    'runtime = container\nimage = consul-test/http\nport = 3000\nidle = 1h\n[env]\nSERVICE_NAME = tool\nSERVICE_TAGS = "one,two"',
  );
  await fleet.putService(cache, 'image = demo/http\nready = port:3000');
  await fleet.apply();
});

t.teardown(async () => {
  await consul.thaw();
  await host.write(settingsFile, before);
  for (const name of own) await fleet.removeSite(name);
  await host.run(['rm', '-rf', `/etc/appfleet/services/${cache}.ini`, folder]);
  await fleet.apply();
  await consul.stop();
  await host.run(['docker', 'rmi', 'consul-test/http'], { allowFail: true });
});

t.test('without the section nothing of it is loaded', async (t) => {
  await host.sh('mv /usr/lib/appfleet/consul.cjs /usr/lib/appfleet/away.cjs; systemctl restart appfleet');
  await pass(t);
  await answers(t, page);
  t.strictSame(await ours(), []);
  await host.sh('mv /usr/lib/appfleet/away.cjs /usr/lib/appfleet/consul.cjs');
});

t.test('by its socket and by HTTPS with a certificate of our own, as well; a wrong CA is named', async (t) => {
  const { socket, httpsPort, ca, certificate, key } = waysIn;
  const secure = `address = https://localhost:${httpsPort}\ncertificate = ${certificate}\ncertificate_key = ${key}\n`;
  for (const lines of [`address = unix://${socket}\n`, `${secure}ca_file = ${ca}\n`]) {
    await host.write(
      settingsFile,
      `${before}[consul]\n${lines}tags = ${lines.includes('unix') ? 'socket' : 'secure'}\n`,
    );
    await pass(t);
    const tag = lines.includes('unix') ? 'socket' : 'secure';
    await until(`${app} by ${tag}`, async () => (await consul.catalog(label(app)))[0]?.ServiceTags[0] === tag);
  }
  await host.write(settingsFile, `${before}[consul]\n${secure}`);
  await pass(t);
  await until('a word about it', async () =>
    /https:\/\/localhost:8501: .*(unable to verify|self.signed)/i.test(
      (await host.run(['journalctl', '-u', 'appfleet', '--since=-1min', '-o', 'cat'])).stdout,
    ),
  );
  await host.write(settingsFile, `${before}[consul]\nttl = 10s\ntags = test\n`);
  await pass(t);
});

t.test('every site and shared container is there, asleep ones as passing', async (t) => {
  await shows(app, 'asleep', 'passing');
  await shows(page, 'served', 'passing');
  t.match(await consul.catalog(label(app)), [
    {
      ServiceID: front(app),
      ServicePort: 80,
      ServiceTags: ['test'],
      ServiceMeta: { 'appfleet-host': hostName, domain: app, runtime: 'node', release: 'demo/node-app' },
    },
  ]);
  t.match(await consul.catalog('tool'), [{ ServiceID: front(port), ServiceTags: ['test', 'one', 'two'] }]);
  const address = (
    await host.run(['docker', 'inspect', '-f', '{{.NetworkSettings.Networks.bridge.IPAddress}}', cache])
  ).stdout.trim();
  t.match(await consul.catalog(cache), [{ ServiceAddress: address, ServicePort: 3000 }], 'at its own address');
  t.match(await recordOf(app), { state: 'asleep', release: 'demo/node-app', wakes: 0, certificateExpires: null });
  t.strictSame(await consul.resolve(`${label(app)}.service.consul`), ['127.0.0.1'], 'the address of the Consul node');
  t.strictSame(await consul.resolve(`${cache}.service.consul`), [address]);
});

t.test('status --fleet: all hosts, and whose agent is away', async (t) => {
  // Sorted by host: this name comes after whatever this host is called.
  const record = { state: 'awake', since: null, release: 'x', certificateExpires: null, wakes: 1 };
  await consul.put(`/kv/appfleet/hosts/zz2/sites/${app}`, JSON.stringify(record));
  await consul.put('/kv/appfleet/hosts/zz2/sites/broken', '{');
  const { code, stdout } = await host.run(['appfleet', 'status', app, '--fleet', '--json'], { allowFail: true });
  t.match(JSON.parse(stdout), [
    { host: hostName, name: app, kind: 'site', state: 'asleep', fresh: true },
    { host: 'zz2', name: app, state: 'awake', fresh: false },
  ]);
  t.equal(code, 1, 'an agent is away');
  const { stdout: text } = await host.run(['appfleet', 'status', '--fleet'], { allowFail: true });
  t.match(text, new RegExp(`${app} +zz2 .* away`));
  t.match(text, new RegExp(`${cache} +${hostName} .* lives`));
  for (const name of [app, 'broken']) await consul.remove(`/kv/appfleet/hosts/zz2/sites/${name}`);
});

t.test('for longer than its TTL a sleeping site stays asleep and passing, and nothing is written', async (t) => {
  const writes = await settled();
  await pause(11_000);
  t.strictSame(await consul.lastWrites(), writes);
  await pass(t);
  await pause(1000);
  t.strictSame(await consul.lastWrites(), writes, 'nor by a pass');
  t.equal((await fleet.status(app))['state'], 'asleep');
  await shows(app, 'asleep', 'passing', 1);
});

t.test('waking, sleeping, stopping, starting', async (t) => {
  await answers(t, app);
  await shows(app, 'awake', 'passing');
  t.match(await recordOf(app), { state: 'awake', wakes: 1 });
  t.match(await consul.catalog(`${label(app)}-app`), [
    { ServiceID: `${front(app)}:container`, ServiceMeta: { container: app } },
  ]);
  await host.run(['appfleet', 'sleep', app]);
  await shows(app, 'asleep', 'passing');
  t.strictSame(await consul.catalog(`${label(app)}-app`), [], 'its container is gone');
  await host.run(['service', app, 'stop']);
  await shows(app, 'stopped', 'critical');
  t.match(await consul.check(front(app)), { Output: /^stopped by hand/ });
  t.strictSame(await consul.resolve(`${label(app)}.service.consul`), [], 'DNS does not name it');
  await host.run(['service', app, 'start']);
  await shows(app, 'asleep', 'passing');
});

t.test('the address of a container with a port, and the verdict of its HEALTHCHECK', async (t) => {
  await answers(t, port);
  const address = (
    await host.run(['docker', 'inspect', '-f', '{{.NetworkSettings.Networks.bridge.IPAddress}}', port])
  ).stdout.trim();
  const health = (status: string) =>
    until(`${port} is ${status}`, async () => (await consul.check(front(port)))?.Status === status);
  await health('passing');
  t.match(await consul.catalog('tool-app'), [{ ServiceAddress: address, ServicePort: 3000 }]);
  await host.run(['docker', 'exec', port, 'touch', '/tmp/sick']);
  await health('critical');
  t.match(await consul.check(`${front(port)}:container`), { Status: 'critical', Output: /unhealthy/ });
  await host.run(['docker', 'exec', port, 'rm', '/tmp/sick']);
  await health('passing');
});

t.test('a container that is killed, and one that cannot start', async (t) => {
  await answers(t, app);
  await shows(app, 'awake', 'passing');
  await host.run(['docker', 'kill', app]);
  await shows(app, 'failed', 'critical');
  t.strictSame(await consul.catalog(`${label(app)}-app`), []);

  await fleet.putSite(
    broken,
    'runtime = node\nimage = demo/node-app\ncommand = node -e process.exit(7)\nstart_timeout = 5s',
  );
  await fleet.apply();
  await fleet.ask(broken);
  await shows(broken, 'failed', 'critical');
  t.match(await consul.check(front(broken)), { Output: /^failed: ./ });
  await fleet.removeSite(broken);
  await pass(t);
  await until(`${broken} is gone`, async () => !(await ours()).includes(front(broken)));
  t.equal(await consul.key(`appfleet/hosts/${hostName}/sites/${broken}`), null);
  await answers(t, app);
  await shows(app, 'awake', 'passing');
  await host.run(['appfleet', 'sleep', app]);
  await shows(app, 'asleep', 'passing');
});

t.test('what others wrote stays; of ours what is missing comes back, and what is left over goes', async (t) => {
  await consul.put('/agent/service/register', JSON.stringify({ ID: 'foreign', Name: 'foreign', Port: 1 }));
  await consul.put(
    '/agent/service/register',
    JSON.stringify({ ID: 'ghost', Name: 'ghost', Meta: { 'appfleet-host': hostName } }),
  );
  await consul.put(`/kv/appfleet/hosts/${hostName}/note`, 'by hand');
  await consul.put(`/agent/service/deregister/${front(app)}`);
  await consul.remove(`/kv/appfleet/hosts/${hostName}/sites/${app}`);
  await pass(t);
  await shows(app, 'asleep', 'passing');
  await until('the ghost is gone', async () => (await consul.catalog('ghost')).length === 0);
  t.match(await recordOf(app), { state: 'asleep' });
  t.equal((await consul.catalog('foreign')).length, 1);
  t.equal(await consul.key(`appfleet/hosts/${hostName}/note`), 'by hand');
  const writes = await settled();
  await pass(t);
  await pause(1000);
  t.strictSame(await consul.lastWrites(), writes, 'and the next pass writes nothing');
});

t.test('no secret is there, in no record', async (t) => {
  const all = JSON.stringify([
    await consul.get('/agent/services'),
    await consul.get('/agent/checks'),
    ((await consul.get<{ Value: string | null }[]>('/kv/?recurse')) ?? []).map(({ Value }) =>
      Buffer.from(Value ?? '', 'base64').toString('utf8'),
    ),
  ]);
  t.match(all, app);
  t.notMatch(all, /swordfish|SECRET_WORD/);
});

t.test('Consul forgets everything: all is back without a pass', async (t) => {
  const all = await ours();
  await consul.stop();
  await answers(t, app);
  await host.run(['service', page, 'stop']);
  t.equal((await fleet.ask(page)).status, 503, 'sites do not need it');
  const { code, stdout } = await fleet.apply();
  t.equal(code, 0, `nor passes: ${stdout}`);
  await host.run(['service', page, 'start']);
  await consul.start();
  await shows(app, 'awake', 'passing', 40);
  await shows(page, 'served', 'passing');
  t.strictSame(await ours(), [...all, `${front(app)}:container`].sort());
  const said = (await host.run(['journalctl', '-u', 'appfleet', '--since=-2min', '-o', 'cat'])).stdout;
  t.match(said, /Consul at http:\/\/127\.0\.0\.1:8500: .*sites go on without it/);
  t.match(said, /Consul at http:\/\/127\.0\.0\.1:8500 knows this host again/);
});

t.test('Consul hangs: passes take no longer, and it is told what it missed', async (t) => {
  await consul.freeze();
  const began = performance.now();
  await host.run(['service', page, 'stop']);
  await pass(t);
  t.ok(performance.now() - began < 8000, 'nobody waits for it');
  await pause(7000);
  await consul.thaw();
  await shows(page, 'stopped', 'critical', 40);
  await host.run(['service', page, 'start']);
  await shows(page, 'served', 'passing');
});

t.test('the agent is killed and stays away: what it said turns critical; it comes back without a double', async (t) => {
  const all = await ours();
  await host.sh(
    'systemctl mask --runtime appfleet.service; systemctl kill -s KILL appfleet.service; systemctl stop appfleet.socket',
  );
  await until(
    'the TTL ran out',
    async () =>
      (await consul.check(front(page)))?.Status === 'critical' &&
      (await consul.check(`appfleet:${hostName}`))?.Status === 'critical',
    30,
  );
  await answers(t, app);
  await host.sh(
    'systemctl unmask --runtime appfleet.service; systemctl start appfleet.socket; systemctl start appfleet.service',
  );
  await shows(page, 'served', 'passing');
  t.strictSame(await ours(), all);
});

t.test('without the section all of it is taken back, and nothing else', async (t) => {
  await consul.put('/agent/service/register', JSON.stringify({ ID: 'foreign', Name: 'foreign', Port: 1 }));
  await consul.put(`/kv/appfleet/hosts/${hostName}/note`, 'by hand');
  await host.write(settingsFile, before);
  await pass(t);
  await until('nothing of ours is left', async () => (await ours()).length === 0);
  const keys = (await consul.get<{ Key: string }[]>('/kv/appfleet/?recurse')) ?? [];
  t.strictSame(
    keys.map(({ Key }) => Key),
    [`appfleet/hosts/${hostName}/note`],
  );
  t.equal((await consul.catalog('foreign')).length, 1);
});
