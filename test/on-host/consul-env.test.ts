/** Environment that comes from a real Consul: into containers, into programs, over its absence, and without a restart too many. */
import t from 'tap';
import { startConsul, type TestConsul } from '../host/consul.ts';
import { settingsFile } from '../host/fleet.ts';
import { pause, testHost, until } from './support.ts';

const fleet = testHost();
const { host } = fleet;
const [app, other] = ['app.env.example', 'other.env.example'];
const kept = '/var/lib/appfleet/consul-env.json';
const hostile = 'a "b" $c `d` \\e\n\tf=\u00e9\'\n';
let consul: TestConsul;
let before = '';

const put = (key: string, value: string): Promise<string> => consul.put(`/kv/appfleet/env/${key}`, value);
/** The environment that its container was created with. */
const inContainer = async (site: string): Promise<Record<string, string>> => {
  const { stdout } = await host.run(['docker', 'inspect', '-f', '{{json .Config.Env}}', site], { allowFail: true });
  const list = stdout.trim() === '' ? [] : (JSON.parse(stdout) as string[]);
  return Object.fromEntries(list.map((one) => [one.slice(0, one.indexOf('=')), one.slice(one.indexOf('=') + 1)]));
};
const started = async (site: string): Promise<string> =>
  (await host.run(['docker', 'inspect', '-f', '{{.State.StartedAt}}', site])).stdout.trim();
/** Waits until the next start of this site's container has the value. */
const wanted = (site: string, name: string, value: string | undefined, seconds = 20): Promise<true> =>
  until(
    `${name} of ${site}`,
    async () => {
      const body = JSON.parse(await host.read(`/var/lib/appfleet/start/${site}/container.json`)) as { Env: string[] };
      return (
        body.Env.find((one) => one.startsWith(`${name}=`)) === (value === undefined ? undefined : `${name}=${value}`)
      );
    },
    seconds,
  );
const shown = async (site: string, ...words: string[]): Promise<Record<string, { value: string; origin: string }>> => {
  const { stdout } = await host.run(['appfleet', 'env', site, '--json', ...words]);
  const list = JSON.parse(stdout) as { name: string; value: string; origin: string }[];
  return Object.fromEntries(list.map((one) => [one.name, one]));
};

t.before(async () => {
  before = (await host.run(['cat', settingsFile], { allowFail: true })).stdout;
  consul = await startConsul(host, () => undefined);
  await host.write('/etc/appfleet/env-test.env', 'LEVEL=file\nONLY_FILE=yes\n', 0o600);
  await fleet.putSite(
    app,
    'runtime = node\nimage = demo/node-app\nidle = 1h\nenv_file = /etc/appfleet/env-test.env\n[env]\nPINNED = site file',
  );
  await fleet.putSite(other, 'runtime = node\nimage = demo/node-app\nidle = 1h');
  await put('shared/LEVEL', 'shared');
  await put('shared/PINNED', 'shared');
  await put(`${app}/DB_PASSWORD`, 'swordfish');
  await put('elsewhere.example/X', 'of another host');
  await host.write(settingsFile, `${before}[consul]\n`);
  await fleet.apply();
});

t.teardown(async () => {
  await consul.thaw();
  await host.write(settingsFile, before);
  for (const name of [app, other]) await fleet.removeSite(name);
  await fleet.apply();
  await consul.stop();
  await host.sh(`rm -f ${kept} /etc/appfleet/env-test.env; rm -rf /var/lib/appfleet/env`);
});

t.test('file < shared < site < the site file, and where each comes from', async (t) => {
  await wanted(app, 'LEVEL', 'shared');
  await wanted(app, 'DB_PASSWORD', 'swordfish');
  t.match(await shown(app), {
    LEVEL: { value: 'shared', origin: 'consul:appfleet/env/shared/' },
    ONLY_FILE: { value: 'yes', origin: '/etc/appfleet/env-test.env' },
    PINNED: { value: 'site file', origin: `/etc/appfleet/sites/${app}.ini` },
    DB_PASSWORD: { value: '********', origin: `consul:appfleet/env/${app}/` },
  });
  t.equal((await shown(app, '--reveal'))['DB_PASSWORD']?.value, 'swordfish');
  t.match((await host.run(['appfleet', 'env', app])).stdout, /DB_PASSWORD +\*{8} +consul/);
  const [mode, text] = (await host.sh(`stat -c %a ${kept}; cat ${kept}`)).stdout.split('\n');
  t.equal(mode, '600');
  t.notMatch(text, /elsewhere/, "other hosts' values are not kept here");
});

t.test('a change restarts who is awake, without losing a request, and only them', async (t) => {
  for (const site of [app, other]) t.equal((await fleet.ask(site)).status, 200);
  t.match(await inContainer(app), { LEVEL: 'shared', DB_PASSWORD: 'swordfish', PINNED: 'site file' });
  const [mine, theirs] = [await started(app), await started(other)];
  let asks = true;
  const statuses: number[] = [];
  const load = (async () => {
    while (asks) statuses.push((await fleet.ask(app)).status);
  })();
  await put(`${app}/LEVEL`, hostile);
  await until(
    'the new container',
    async () => (await inContainer(app))['LEVEL'] === hostile && (await started(app)) !== mine,
    40,
  );
  await pause(1000);
  asks = false;
  await load;
  t.ok(statuses.length > 5);
  t.strictSame([...new Set(statuses)], [200], 'nobody noticed');
  t.equal(await started(other), theirs, 'others are left alone');
});

t.test('hostile keys are reported, and the rest goes on', async (t) => {
  await put('shared/NOT-A-NAME', 'x');
  await put('shared/NUL', 'a\0b');
  await put('shared/FINE', 'fine');
  await wanted(other, 'FINE', 'fine');
  const check = await host.run(['appfleet', 'check'], { allowFail: true });
  t.match(check.stdout + check.stderr, /consul:appfleet\/env\/shared\/NOT-A-NAME: `NOT-A-NAME` cannot be the name/);
  t.match(check.stdout + check.stderr, /consul:appfleet\/env\/shared\/NUL: the value holds a NUL/);
  for (const key of ['NOT-A-NAME', 'NUL']) await consul.remove(`/kv/appfleet/env/shared/${key}`);
  await until('no report', async () => (await host.run(['appfleet', 'check'], { allowFail: true })).code === 0);
});

t.test(
  'while Consul is away, and after it lost everything, the last values hold; at the start of the agent too',
  async (t) => {
    await consul.stop();
    await host.run(['systemctl', 'restart', 'appfleet']);
    t.equal((await fleet.apply()).code, 0);
    await wanted(app, 'DB_PASSWORD', 'swordfish', 2);
    await consul.start();
    await pause(4000);
    t.equal((await fleet.apply()).code, 0);
    await wanted(app, 'DB_PASSWORD', 'swordfish', 2);
    await until('a word about it', async () =>
      (await host.run(['journalctl', '-u', 'appfleet', '--since=-1min', '-o', 'cat'])).stdout.includes(
        'has no variables below',
      ),
    );
    t.equal((await fleet.ask(app)).status, 200);
    // What comes next is believed again.
    await put('shared/LEVEL', 'anew');
    await wanted(other, 'LEVEL', 'anew');
    await wanted(app, 'DB_PASSWORD', undefined);
  },
);

t.test('another host that restarts its sites is waited for', async (t) => {
  const { ID } = JSON.parse(await consul.put('/session/create', '{"TTL":"60s"}')) as { ID: string };
  const acquire = `/kv/appfleet/locks/restart?acquire=${ID}`;
  await until('the lock', async () => (await consul.put(acquire, 'another')).trim() === 'true');
  await put('shared/TURN', 'mine');
  await pause(3000);
  const body = await host.read(`/var/lib/appfleet/start/${other}/container.json`);
  t.notMatch(body, /TURN=/);
  await consul.put(`/session/destroy/${ID}`);
  await wanted(other, 'TURN', 'mine');
  await until('the lock is given back', async () => (await consul.key('appfleet/locks/restart')) === null);
});

t.test('a program gets the values byte for byte, by the agent and by the shell', async (t) => {
  await consul.put('/kv/app/web/GREETING', hostile);
  await consul.put('/kv/app/web/HOME', 'of Consul');
  await consul.put('/kv/app/web/EMPTY', '');
  await consul.put('/kv/app/web/NOT-A-NAME', 'x');
  const script = 'printf %s "$GREETING"; printf "|%s|%s" "$HOME" "${EMPTY-unset}"; exit 7';
  for (const [what, ...argv] of [
    ['agent', 'appfleet', 'env', 'exec', '--prefix', 'app/web', '--', 'sh', '-c', script],
    ['shell', '/usr/lib/appfleet/consul-env', 'app/web', 'sh', '-c', script],
  ] as const) {
    const env = { CONSUL_ENV_CACHE: '/var/lib/appfleet/env/shell.json' };
    const ran = await host.run(argv, { allowFail: true, env });
    t.equal(ran.stdout, `${hostile}|/root|`, what);
    t.equal(ran.code, 7, 'its exit code');
    t.match(ran.stderr, /NOT-A-NAME/);
    await consul.freeze();
    const again = await host.run(argv, { allowFail: true, env, timeoutMs: 60_000 });
    await consul.thaw();
    t.equal(again.stdout, `${hostile}|/root|`, `${what}: while Consul hangs`);
    t.match(again.stderr, /known last/);
  }
  const missing = await host.run(['appfleet', 'env', 'exec', '--prefix', 'x', '--', '/no/such/program'], {
    allowFail: true,
  });
  t.equal(missing.code, 127);
});
