import t from 'tap';
import { bytes } from '../../agent/commands/duration.ts';
import { duration } from '../../agent/core/duration.ts';
import { statusCommand } from '../../agent/commands/status.ts';
import { table } from '../../agent/commands/table.ts';
import { createFleetReader } from '../../agent/reconcile/fleet.ts';
import { standingFailure } from '../../agent/reconcile/failure.ts';
import { createMetrics } from '../../agent/reconcile/metrics.ts';
import type { Report } from '../../agent/reconcile/reconcile.ts';
import { readStatus, type SiteStatus } from '../../agent/reconcile/status.ts';
import type { ActiveState } from '../../agent/ports.ts';
import { createFakeContext } from '../fakes/context.ts';
import { createFakeHost, type FakeHost } from '../fakes/host.ts';

const site = (host: FakeHost, name: string, text: string): void => {
  host.disk.set(`/etc/appfleet/sites/${name}.ini`, `[site]\n${text}`);
  host.disk.set(`/var/lib/appfleet/start/${name}/launch`, 'run=x\nruntime=node\nimage=node:20\n');
  host.disk.set(`/var/lib/appfleet/start/${name}/opened`, '\n');
  host.links.set(`/etc/systemd/system/multi-user.target.wants/${name}.service`, `../${name}.service`);
};

const node = 'runtime = node\nimage = node:20\n';
const run = (name: string): string => `/run/appfleet/${name}`;

/** An open site, asleep unless its container's unit is said to be in another state. */
const open = (host: FakeHost, name: string, app?: ActiveState): void => {
  host.active.set(`${name}.service`, 'active');
  host.active.set(`${name}.socket`, 'active');
  host.accessed.set(`${run(name)}/wake.sock`, 0);
  if (app !== undefined) host.active.set(`${name}-app.service`, app);
  host.links.set(`${run(name)}/http.sock`, `${run(name)}/${app === 'active' ? 'r1/app' : 'wake'}.sock`);
};

/** No pass came to it. */
const never = (host: FakeHost, name: string): void => {
  for (const file of ['launch', 'opened']) host.disk.delete(`/var/lib/appfleet/start/${name}/${file}`);
};

const ago = (host: FakeHost, seconds: number) => ({ since: host.clock - seconds, restarts: 0, mainPid: 0 });

/** A member in each state. The host booted 1,000 s ago. */
const everyState = (): FakeHost => {
  const host = createFakeHost();
  host.images.add('node:20');
  host.disk.set('/proc/uptime', '1000.00 1.00');
  host.disk.set(
    '/proc/net/unix',
    [
      'Num RefCount Protocol Flags Type St Inode Path',
      `0: 00000002 00000000 00010000 0001 01 10 ${run('awake.example.org')}/r1/app.sock`,
      `0: 00000003 00000000 00000000 0001 03 11 ${run('awake.example.org')}/r1/app.sock`,
      `0: 00000003 00000000 00000000 0001 03 12 ${run('awake.example.org')}/r1/app.sock`,
      `0: 00000002 00000000 00010000 0001 01 20 ${run('waking.example.org')}/wake.sock`,
      `0: 00000002 00000000 00000000 0001 02 21 ${run('waking.example.org')}/wake.sock`,
      '',
    ].join('\n'),
  );
  site(host, 'asleep.example.org', node);
  open(host, 'asleep.example.org');
  host.disk.set(`${run('asleep.example.org')}/wakes`, '500.00 0.31\n600.00 0.29\n');
  host.accessed.set(`${run('asleep.example.org')}/last-request`, host.clock - 7200);

  site(host, 'awake.example.org', `${node}aliases = www.awake.example.org\nneeds = mysql\n`);
  open(host, 'awake.example.org', 'active');
  host.details.set('awake.example.org-app.service', { ...ago(host, 200), restarts: 2 });
  host.accessed.set(`${run('awake.example.org')}/r1/app.sock`, host.clock - 3);
  host.docker.set('awake.example.org', {
    name: 'awake.example.org',
    site: 'awake.example.org',
    spec: '',
    running: true,
    paused: false,
    imageId: '',
    memory: 43e6,
  });

  site(host, 'failed.example.org', node);
  open(host, 'failed.example.org', 'failed');
  host.disk.set(`${run('failed.example.org')}/failed`, '3 941.30 the container exited with code 3 after 0 s\n');

  site(host, 'sleeping.example.org', node);
  open(host, 'sleeping.example.org', 'deactivating');
  host.details.set('sleeping.example.org-app.service', ago(host, 1));

  site(host, 'static.example.org', 'runtime = static\nroot = /srv/www\n');
  host.active.set('static.example.org.service', 'active');
  host.details.set('static.example.org.service', ago(host, 3 * 86400));
  host.disk.set(`${run('static.example.org')}/open`, '');

  site(host, 'stopped.example.org', node);
  host.active.set('stopped.example.org.service', 'inactive');
  host.links.delete('/etc/systemd/system/multi-user.target.wants/stopped.example.org.service');

  site(host, 'waking.example.org', node);
  open(host, 'waking.example.org', 'activating');
  host.details.set('waking.example.org-app.service', ago(host, 0.5));

  host.disk.set('/etc/appfleet/services/mysql.ini', '[service]\nimage = mariadb:11\n');
  host.disk.set('/var/lib/appfleet/start/mysql/launch', '');
  host.active.set('mysql.service', 'active');
  host.active.set('mysql-app.service', 'active');
  host.details.set('mysql-app.service', ago(host, 3600));
  return host;
};

const statusesOf = async (host: FakeHost): Promise<Map<string, SiteStatus>> => {
  const statuses = await readStatus(host, await createFleetReader(host.files)());
  return new Map(statuses.map((status) => [status.name, status]));
};

t.test('the state of each member, from what is on the host', async (t) => {
  const host = everyState();
  const statuses = await statusesOf(host);
  for (const [name, { state, kind, problem }] of statuses) {
    t.equal(state, { 'static.example.org': 'served', mysql: 'awake' }[name] ?? name.split('.')[0], name);
    t.equal(kind, name === 'mysql' ? 'service' : 'site');
    if (state !== 'failed') t.equal(problem, null, name);
  }
  t.same(statuses.get('awake.example.org'), {
    name: 'awake.example.org',
    kind: 'site',
    state: 'awake',
    since: new Date((host.clock - 200) * 1000).toISOString(),
    runtime: 'node',
    image: 'node:20',
    file: '/etc/appfleet/sites/awake.example.org.ini',
    aliases: ['www.awake.example.org'],
    needs: ['mysql'],
    enabled: true,
    idle: 600,
    lastRequest: new Date((host.clock - 3) * 1000).toISOString(),
    memoryBytes: 43e6,
    restarts: 2,
    wakes: 0,
    lastWakeSeconds: null,
    held: 0,
    connections: 2,
    certificate: {
      issuer: null,
      names: [],
      expires: null,
      renewal: new Date(host.clock * 1000).toISOString(),
      leftOut: [],
      failure: null,
      problem: null,
    },
    problem: null,
    problems: [],
  });
  t.match(statuses.get('waking.example.org'), { held: 1, connections: 0 });
  t.match(statuses.get('stopped.example.org'), { enabled: false });
  t.match(statuses.get('asleep.example.org'), { wakes: 2, lastWakeSeconds: 0.29 });
  t.match(statuses.get('failed.example.org'), {
    problem: 'the container exited with code 3 after 0 s',
    // 941.3 is when it may be tried again, 0.8 s after the third failure; now is 1000
    since: new Date((host.clock - 59.5) * 1000).toISOString(),
  });
  t.equal(host.calls.get('list'), 1, 'systemd was asked once for all');
  t.equal(host.calls.get('start'), undefined, 'and nobody was woken');
});

t.test('what is wrong is said in words that tell what to do', async (t) => {
  const host = everyState();
  host.active.set('mysql.service', 'inactive');
  host.active.set('mysql-app.service', 'inactive');
  host.disk.set('/var/lib/appfleet/start/mysql/opened', '\n');
  host.active.set('asleep.example.org.socket', 'inactive');
  host.disk.delete(`${run('static.example.org')}/open`);
  host.links.delete(`${run('waking.example.org')}/http.sock`);
  host.refused.set('sleeping.example.org', '/etc/appfleet/vhost.d/sleeping.example.org.conf:1: unknown directive "x"');
  site(host, 'new.example.org', 'runtime = node\nimage = registry.example.org:5000/nowhere:1\n');
  never(host, 'new.example.org');
  site(host, 'newer.example.org', node);
  host.disk.set('/etc/appfleet/services/redis.ini', '[service]\nimage = redis:7\nimag = x\n');
  site(host, 'needy.example.org', `${node}needs = redis\n`);
  open(host, 'needy.example.org');
  never(host, 'newer.example.org');
  site(host, 'half.example.org', node);
  host.disk.delete('/var/lib/appfleet/start/half.example.org/opened');
  host.active.set('half.example.org.service', 'inactive');
  site(host, 'refused.example.org', 'runtime = nod\nimage = node:20\n');
  never(host, 'refused.example.org');
  site(host, 'stopped.example.org', 'runtime = nod\nimage = node:20\n');
  site(host, 'broken.example.org', 'runtime = nod\nimage = node:20\n');
  open(host, 'broken.example.org', 'active');
  site(host, 'env.example.org', `${node}env_file = /etc/appfleet/absent.env\n`);
  open(host, 'env.example.org');
  const statuses = await statusesOf(host);
  const problem = (name: string) => statuses.get(name)?.problem;
  t.equal(problem('awake.example.org'), 'mysql is stopped');
  t.equal(problem('needy.example.org'), 'redis is refused');
  t.equal(
    problem('asleep.example.org'),
    'its socket does not listen; repair it with: systemctl restart asleep.example.org.socket',
  );
  t.match(problem('static.example.org'), 'it is not marked as open');
  t.match(problem('waking.example.org'), '/run/appfleet/waking.example.org/http.sock is missing');
  t.match(problem('sleeping.example.org'), 'unknown directive "x"');
  t.equal(
    problem('new.example.org'),
    'image registry.example.org:5000/nowhere:1 is not on this host; docker pull registry.example.org:5000/nowhere:1 says' +
      ' why not; where a login is wanted first: docker login registry.example.org:5000; from a file: docker load -i FILE',
  );
  const state = (name: string) => statuses.get(name)?.state;
  t.equal(state('new.example.org'), 'not applied');
  t.equal(state('newer.example.org'), 'not applied');
  t.match(problem('newer.example.org'), /^it is not applied, because the agent does not run; start it/);
  t.equal(state('half.example.org'), 'not applied', 'its files are there, and it could not be opened');
  t.match(problem('half.example.org'), /^it is not applied/);
  t.equal(state('refused.example.org'), 'refused');
  t.match(problem('refused.example.org'), /refused.example.org.ini:2: runtime: /);
  t.equal(statuses.get('refused.example.org')?.problems.length, 1, 'nothing else is to be done');
  t.equal(state('stopped.example.org'), 'stopped', 'once it was open, closing it was a choice');
  t.match(problem('stopped.example.org'), /stopped.example.org.ini:2: runtime: /);
  t.match(problem('broken.example.org'), /^\/etc\/appfleet\/sites\/broken.example.org.ini:2: runtime: .*did you mean/);
  t.match(
    statuses.get('broken.example.org'),
    { state: 'awake', runtime: 'node', image: 'node:20' },
    'it keeps what it has',
  );
  t.match(problem('env.example.org'), '/etc/appfleet/absent.env');
  host.active.set('mysql.service', 'active');
  host.active.set('appfleet.service', 'active');
  host.active.set('mysql-app.service', 'failed');
  host.disk.set(`${run('mysql')}/failed`, '1 990.00 Docker does not answer\n');
  const later = await statusesOf(host);
  t.equal(later.get('awake.example.org')?.problem, 'mysql failed: Docker does not answer');
  t.match(later.get('newer.example.org')?.problem, /^it is not applied yet; .*: appfleet apply$/);
});

t.test('a site that cannot start is not called sleeping, whatever moment it is looked at', async (t) => {
  const host = createFakeHost();
  const name = 'never.example.org';
  site(host, name, `${node}idle = never\n`);
  const seen = async (app: ActiveState, failed: string | null) => {
    open(host, name, app);
    if (failed === null) host.disk.delete(`${run(name)}/failed`);
    else host.disk.set(`${run(name)}/failed`, failed);
    const { state, problem } = (await statusesOf(host)).get(name) ?? {};
    return [state, problem];
  };
  const reason = 'the container exited with code 1';
  t.strictSame(await seen('activating', null), ['waking', null], 'the first try');
  t.strictSame(await seen('deactivating', `1 9.00 ${reason}\n`), ['failed', reason]);
  t.strictSame(await seen('activating', `1 9.00 ${reason}\n`), [
    'waking',
    `the start before this one failed: ${reason}`,
  ]);
  t.strictSame(await seen('activating', `2 9.00 ${reason}\n`), ['failed', reason]);
  t.strictSame(await seen('deactivating', null), ['sleeping', null], 'a restart');
  t.match(
    await seen('inactive', null),
    ['asleep', /^it does not run, though idle is never; /],
    'its needs failed, say',
  );
  host.active.set(`${name}.service`, 'deactivating');
  host.active.set(`${name}-app.service`, 'deactivating');
  t.match((await statusesOf(host)).get(name), { state: 'sleeping' }, 'it is being stopped');
});

t.test('a Docker that hangs keeps nobody from seeing the rest', async (t) => {
  const host = everyState();
  host.containers.memory = () => new Promise(() => undefined);
  host.containers.hasImage = () => new Promise(() => undefined);
  const began = performance.now();
  t.match((await statusesOf(host)).get('awake.example.org'), { state: 'awake', memoryBytes: null });
  t.ok(performance.now() - began < 5000);
});

t.test('a failure counts until a start succeeded', (t) => {
  const text = '2 100.40 no memory\n';
  t.match(standingFailure(text, []), { count: 2, reason: 'no memory', at: 100 });
  t.match(standingFailure(text, [{ at: 90, seconds: 9 }]), { count: 2 }, 'started, then failed');
  t.equal(standingFailure(text, [{ at: 101, seconds: 0.3 }]), null, 'failed, then started');
  t.equal(standingFailure(null, []), null);
  t.equal(standingFailure('nonsense', []), null);
  t.end();
});

t.test('the table', async (t) => {
  const host = everyState();
  const context = createFakeContext(host, { width: 132 });
  t.equal(await statusCommand(context, undefined, { json: false }), 1, 'a site failed');
  t.equal(
    `\n${context.take()}\n`,
    `
SITE                  STATE            SINCE  RUNTIME  LAST REQUEST  MEMORY  RESTARTS  PROBLEM
asleep.example.org    ○ asleep                node              2 h
awake.example.org     ● awake     3 min 20 s  node              3 s   43 MB         2
failed.example.org    ✗ failed          59 s  node                                     the container exited with code 3 after 0 s
sleeping.example.org  ◑ sleeping         1 s  node
static.example.org    ● served           3 d  static
stopped.example.org   ■ stopped               node
waking.example.org    ◐ waking           0 s  node
mysql                 ● awake            1 h  shared

7 sites: 1 awake, 1 served, 1 asleep, 1 waking, 1 sleeping, 1 stopped, 1 failed; 1 shared container: 1 awake
`,
    'what fits stands in columns',
  );
  const narrow = createFakeContext(host, { width: 60 });
  await statusCommand(narrow, undefined, { json: false });
  t.equal(
    `\n${narrow.out.slice(0, 5).join('\n')}\n`,
    `
SITE                  STATE            SINCE  RUNTIME
asleep.example.org    ○ asleep                node
awake.example.org     ● awake     3 min 20 s  node
failed.example.org    ✗ failed          59 s  node
    the container exited with code 3 after 0 s
`,
    'a narrow terminal loses columns, not names or problems',
  );
  t.ok(narrow.out.slice(0, -1).every((line) => line.length <= 60));

  host.disk.delete('/etc/appfleet/sites/failed.example.org.ini');
  t.equal(await statusCommand(context, undefined, { json: false }), 0);
  context.take();
  host.disk.set('/etc/appfleet/appfleet.ini', '[appfleet]\nparallel_start = 4\n');
  t.equal(await statusCommand(context, undefined, { json: false }), 1, 'the settings belong to nobody');
  t.match(context.take(), /appfleet.ini:2: parallel_start: .*parallel_starts/);

  const empty = createFakeContext(createFakeHost());
  t.equal(await statusCommand(empty, undefined, { json: false }), 0);
  t.match(empty.take(), 'No sites yet');
});

t.test('a folder of files that is missing leaves the sites as they are, and status goes on to show them', async (t) => {
  const host = everyState();
  host.disk.set('/var/lib/appfleet/start/mysql/launch', 'kind=service\n');
  const before = await statusesOf(host);
  for (const path of host.disk.keys()) if (path.startsWith('/etc/appfleet/sites/')) host.disk.delete(path);
  const after = await statusesOf(host);
  t.strictSame([...after.keys()], [...before.keys()]);
  t.strictSame(after.get('stopped.example.org')?.state, 'stopped');
  t.strictSame(after.get('stopped.example.org')?.enabled, false);
  const context = createFakeContext(host);
  t.equal(await statusCommand(context, undefined, { json: false }), 1);
  t.match(context.take(), /\/etc\/appfleet\/sites: the folder is missing, so what was in it stays as it is/);
  for (const path of host.disk.keys()) if (path.startsWith('/etc/appfleet/services/')) host.disk.delete(path);
  t.match((await statusesOf(host)).get('mysql'), { kind: 'service', runtime: 'shared', state: 'awake' });
});

t.test('one member', async (t) => {
  const host = everyState();
  const context = createFakeContext(host);
  t.equal(await statusCommand(context, 'www.awake.example.org', { json: false }), 0, 'an alias is known too');
  t.equal(
    `\n${context.take()}\n`,
    `
awake.example.org  ● awake since 3 min 20 s (2027-01-15T07:56:40.000Z)
  file          /etc/appfleet/sites/awake.example.org.ini
  aliases       www.awake.example.org
  runtime       node, node:20
  needs         mysql
  at boot       opens
  sleeps        after 10 min without a request
  last request  3 s ago (2027-01-15T07:59:57.000Z)
  connections   2 open, 0 waiting
  memory        43 MB
  starts        0 since boot
  restarts      2
  certificate   none yet; the placeholder stands in
`,
  );
  t.equal(await statusCommand(context, 'failed.example.org.service', { json: true }), 1);
  t.match(JSON.parse(context.take()), { name: 'failed.example.org', state: 'failed' });
  t.equal(await statusCommand(context, 'awak.example.org', { json: false }), 2);
  t.match(context.take(), 'did you mean awake.example.org');
  await statusCommand(context, undefined, { json: true });
  t.match(JSON.parse(context.take()), { members: [{ name: 'asleep.example.org' }], problems: [] });
});

t.test('a large fleet is not asked about one by one', async (t) => {
  const host = createFakeHost();
  for (let i = 0; i < 1000; i++) {
    site(host, `s${i}.example.org`, node);
    open(host, `s${i}.example.org`, i < 5 ? 'active' : undefined);
  }
  const files = host.files;
  // The fake looks at every path for each folder; a thousand times that is slow, and no part of the test.
  const folders = new Map<string, string[]>();
  for (const path of [...host.disk.keys(), ...host.links.keys(), ...host.accessed.keys()]) {
    const cut = path.lastIndexOf('/');
    folders.set(path.slice(0, cut), [...(folders.get(path.slice(0, cut)) ?? []), path.slice(cut + 1)]);
  }
  folders.set(
    '/var/lib/appfleet/start',
    [...Array(1000).keys()].map((i) => `s${i}.example.org`),
  );
  host.files = { ...files, list: (folder) => Promise.resolve(folders.get(folder) ?? []) };
  const statuses = await statusesOf(host);
  t.equal(statuses.size, 1000);
  t.equal(host.calls.get('list'), 1);
  t.equal(host.calls.get('detail'), 5, 'those that run');
});

t.test('columns give way in order', (t) => {
  const columns = [{ title: 'A', least: 8 }, { title: 'B', spare: true, align: 'right' as const }, { title: 'EMPTY' }];
  const rows = [[{ text: 'a-very-long-name-indeed' }, { text: '12345' }, { text: '' }]];
  t.same(table(columns, rows, 80), ['A                            B', 'a-very-long-name-indeed  12345']);
  t.same(table(columns, rows, 20), ['A                  B', 'a-very…indeed  12345']);
  t.same(table(columns, rows, 10), ['A', 'a-ve…eed'], 'a spare column goes before a name becomes a riddle');
  t.same(table(columns, [[{ text: 'x', paint: (text) => `<${text}>` }, { text: '1' }]], 80), ['A  B', '<x>  1']);
  t.end();
});

t.test('quantities as people say them', (t) => {
  const cases: Readonly<Record<string, readonly number[]>> = {
    '0 s': [0, 0.9, -5],
    '59 s': [59.9],
    '1 min': [60],
    '1 min 30 s': [90],
    '9 min 59 s': [599],
    '10 min': [600, 659],
    '59 min': [3599],
    '1 h': [3600, 3659],
    '1 h 17 min': [77 * 60],
    '23 h': [86_399],
    '1 d': [86_400],
    '1 d 23 h': [47 * 3600],
    '12 d': [12.9 * 86_400],
  };
  for (const [text, all] of Object.entries(cases)) for (const seconds of all) t.equal(duration(seconds), text);
  t.same([null, 0, 999, 43e6, 1.25e9].map(bytes), ['', '0 KB', '1 KB', '43 MB', '1.3 GB']);
  t.end();
});

/** Series of a text in Prometheus' format. */
const parseMetrics = (text: string): Map<string, number> =>
  new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const match = /^([a-z_]+(?:\{[^{}]*\})?) (\S+)$/.exec(line);
        return [match?.[1] ?? `not a series: ${line}`, Number(match?.[2])];
      }),
  );

t.test('metrics', async (t) => {
  const host = everyState();
  const metrics = createMetrics('1.2.3', host.files);
  const series = async (one = metrics) => parseMetrics(await one.text([...(await statusesOf(host)).values()]));
  const first = await series();
  t.notOk([...first.keys()].some((key) => key.startsWith('not a series')));
  t.equal(first.get('appfleet_build_info{version="1.2.3"}'), 1);
  t.equal(first.get('appfleet_site_state{site="awake.example.org",state="awake"}'), 1);
  t.equal(first.get('appfleet_site_state{site="awake.example.org",state="asleep"}'), 0);
  t.equal(first.get('appfleet_requests_held{site="waking.example.org"}'), 1);
  t.equal(first.get('appfleet_last_request_timestamp_seconds{site="awake.example.org"}'), host.clock - 3);
  t.equal(first.get('appfleet_wakes_total{site="asleep.example.org"}'), 2);
  t.equal(first.get('appfleet_wake_seconds_bucket{le="0.3",site="asleep.example.org"}'), 1);
  t.equal(first.get('appfleet_wake_seconds_count{site="asleep.example.org"}'), 2);
  t.equal(first.get('appfleet_start_failures_total{site="failed.example.org"}'), 3);

  const wakes = `${run('asleep.example.org')}/wakes`;
  host.disk.set(wakes, `${host.disk.get(wakes) ?? ''}700.00 2.00\n`);
  host.disk.set(`${run('failed.example.org')}/failed`, '1 999.00 again\n');
  const second = await series();
  t.equal(second.get('appfleet_wakes_total{site="asleep.example.org"}'), 3, 'each line counts once');
  t.equal(second.get('appfleet_wake_seconds_sum{site="asleep.example.org"}'), 2.6);
  t.equal(second.get('appfleet_start_failures_total{site="failed.example.org"}'), 4);
  const restarted = await series(createMetrics('1.2.3', host.files));
  t.equal(restarted.get('appfleet_wakes_total{site="asleep.example.org"}'), 3, 'a new agent tells the same');
  t.equal(restarted.get('appfleet_wake_seconds_sum{site="asleep.example.org"}'), 2.6);

  host.disk.set(wakes, '5.00 1.00\n');
  t.equal((await series()).get('appfleet_wakes_total{site="asleep.example.org"}'), 1, 'after another boot');
  host.disk.delete('/etc/appfleet/sites/asleep.example.org.ini');
  t.notOk(
    [...(await series()).keys()].some((key) => key.includes('asleep.example.org')),
    'gone with its site',
  );

  const link = { path: '/a', target: 'b' };
  const report = {
    results: [
      { step: { kind: 'reload-web', owner: null }, outcome: 'done', seconds: 0.1 },
      { step: { kind: 'write-link', owner: 'a', link }, outcome: 'failed', seconds: 0 },
    ],
    problems: [],
    refusals: [],
    plan: [],
    fleet: await createFleetReader(host.files)(),
  } satisfies Report;
  metrics.passed(report, 0.2);
  metrics.passed({ ...report, results: [] }, 0.01);
  metrics.passFailed(3);
  const last = await series();
  t.equal(last.get('appfleet_passes_total{result="incomplete"}'), 1);
  t.equal(last.get('appfleet_passes_total{result="ok"}'), 1);
  t.equal(last.get('appfleet_passes_total{result="error"}'), 1);
  t.equal(last.get('appfleet_steps_total{kind="write-link",outcome="failed"}'), 1);
  t.equal(last.get('appfleet_pass_seconds_count'), 3);
});
