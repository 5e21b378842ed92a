/** A Consul that lets nobody do anything without a token: the least rights are enough, and less is said clearly and costs no site anything. */
import t from 'tap';
import { startConsul, type TestConsul } from '../host/consul.ts';
import { settingsFile } from '../host/fleet.ts';
import { pause, testHost, until } from './support.ts';

const fleet = testHost();
const { host } = fleet;
const app = 'app.acl.example';
const tokenFile = '/etc/appfleet/consul-test.token';
let consul: TestConsul;
let before = '';
let hostName = '';

/** What README lists; `web-` is the service prefix of this test. */
const rules = `
service_prefix "web-" { policy = "write" }
key_prefix "appfleet/" { policy = "write" }
session_prefix "" { policy = "write" }
agent_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
`;

const makeToken = async (text: string): Promise<{ id: string; secret: string }> => {
  const name = `test-${Math.round(performance.now())}`;
  await consul.put('/acl/policy', JSON.stringify({ Name: name, Rules: text }));
  const token = JSON.parse(await consul.put('/acl/token', JSON.stringify({ Policies: [{ Name: name }] }))) as {
    AccessorID: string;
    SecretID: string;
  };
  return { id: token.AccessorID, secret: token.SecretID };
};
const status = async (): Promise<string | undefined> => (await consul.check(`appfleet:${hostName}:${app}`))?.Status;
const said = async (): Promise<string> =>
  (await host.run(['journalctl', '-u', 'appfleet', '--since=-1min', '-o', 'cat'])).stdout;

t.before(async () => {
  before = (await host.run(['cat', settingsFile], { allowFail: true })).stdout;
  hostName = (await host.run(['hostname', '-s'])).stdout.trim();
  consul = await startConsul(host, () => undefined, { secured: true });
  await fleet.putSite(app, 'runtime = node\nimage = demo/node-app\nidle = 1h');
  await host.write(tokenFile, '00000000-0000-0000-0000-00000000dead\n', 0o600);
  await host.write(settingsFile, `${before}[consul]\ntoken_file = ${tokenFile}\nservice_prefix = web-\nttl = 10s\n`);
});

t.teardown(async () => {
  await host.write(settingsFile, before);
  await fleet.removeSite(app);
  await fleet.apply();
  await consul.stop();
  await host.run(['rm', '-f', tokenFile, '/var/lib/appfleet/consul-env.json']);
});

t.test('a token that is refused: said with its cause, and no site minds', async (t) => {
  t.equal((await fleet.apply()).code, 0);
  await until('a word about it', async () => /ACL not found.*token_file.*sites go on without it/.test(await said()));
  t.equal((await fleet.ask(app)).status, 200);
  t.equal(await status(), undefined);
});

t.test('the rights that README lists are enough, for records, variables and the lock', async (t) => {
  const { id, secret } = await makeToken(rules);
  await host.write(tokenFile, `${secret}\n`, 0o600);
  await until('it is told', async () => (await status()) === 'passing', 40);
  await consul.put('/kv/appfleet/env/shared/WORD', 'value');
  await until('the variable', async () =>
    (await host.read(`/var/lib/appfleet/start/${app}/container.json`)).includes('WORD=value'),
  );
  await consul.put('/kv/other/key', 'x');
  t.equal((await consul.catalog(`web-${app.replaceAll('.', '-')}`)).length, 1);
  t.notMatch(await said(), /restarted without a lock/);
  // Now it is taken away, while the agent runs.
  await host.run([
    'curl',
    '-sS',
    '-X',
    'DELETE',
    '-H',
    'X-Consul-Token: 11111111-2222-3333-4444-555555555555',
    `http://127.0.0.1:8500/v1/acl/token/${id}`,
  ]);
  await until('what it said turns critical', async () => (await status()) === 'critical', 40);
  t.equal((await fleet.apply()).code, 0);
  await pause(1000);
  t.match(
    await host.read(`/var/lib/appfleet/start/${app}/container.json`),
    /WORD=value/,
    'the variables of a site do not go with the token',
  );
  await host.write(tokenFile, `${(await makeToken(rules)).secret}\n`, 0o600);
  await until('with a new one it is told again', async () => (await status()) === 'passing', 60);
});

t.test('no token is in the journal', async (t) => {
  t.notMatch(await said(), new RegExp((await host.read(tokenFile)).trim()));
});
