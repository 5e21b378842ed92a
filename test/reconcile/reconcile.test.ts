import fc from 'fast-check';
import t from 'tap';
import { describeStep } from '../../agent/core/step.ts';
import { concernedSites } from '../../agent/reconcile/narrow.ts';
import { createReconciler, type Reconciler, type Report } from '../../agent/reconcile/reconcile.ts';
import { templates } from '../core/golden-cases.ts';
import { createLivingHost, type LivingHost } from './living-host.ts';

const blog = `[site]
runtime = php-fpm
image = wordpress:php8.2-fpm
root = /srv/www/blog.example.org
needs = mysql
`;
const app = '[site]\nruntime = node\nimage = node:20\nidle = never\n';
const www = '[site]\nruntime = static\nroot = /srv/www/www.example.org\n';
const mysql = `[service]
image = mariadb:11
aliases = mariadb
env_file = /etc/appfleet/.env
`;

const put = (host: LivingHost, path: string, text: string | null): void => {
  if (text === null) host.disk.delete(`/etc/appfleet/${path}`);
  else host.disk.set(`/etc/appfleet/${path}`, text);
};
const fleetHost = (): LivingHost => {
  const host = createLivingHost();
  for (const image of ['wordpress:php8.2-fpm', 'node:20', 'mariadb:11', 'node:22']) host.registry.add(image);
  put(host, 'sites/blog.example.org.ini', blog);
  put(host, 'sites/app.example.org.ini', app);
  put(host, 'sites/www.example.org.ini', www);
  put(host, 'services/mysql.ini', mysql);
  return host;
};
const reconcilerOf = (host: LivingHost): Reconciler => createReconciler(host, templates, () => 'made-at-random-1');
const options = { width: 32, clock: () => 0, onProgress: () => undefined };
const pass = (host: LivingHost, reconciler = reconcilerOf(host)): Promise<Report> => reconciler.apply(options);
const bad = (report: Report): string[] =>
  report.results
    .filter(({ outcome }) => outcome !== 'done')
    .map(({ step, outcome, reason }) => `${describeStep(step)}: ${outcome} ${reason ?? ''}`);
const planned = async (host: LivingHost): Promise<string[]> =>
  (await reconcilerOf(host).plan()).steps.map((step) => describeStep(step));

t.test('from nothing to a fleet, in one pass', async (t) => {
  const host = fleetHost();
  const progress: string[] = [];
  const report = await reconcilerOf(host).apply({ ...options, onProgress: (line) => void progress.push(line) });
  t.strictSame(bad(report), []);
  t.strictSame(report.problems, []);
  t.strictSame(progress, [
    'made a database root password in /etc/appfleet/.env',
    'pulling mariadb:11',
    'pulling node:20',
    'pulling wordpress:php8.2-fpm',
  ]);
  t.match(host.disk.get('/etc/appfleet/.env'), /^MYSQL_ROOT_PASSWORD=made-at-random-1$/m);
  t.equal(host.modes.get('/etc/appfleet/.env'), 0o600);
  t.equal(host.modes.get('/var/lib/appfleet/start/mysql/container.json'), 0o600);
  t.match(host.disk.get('/var/lib/appfleet/start/mysql/container.json'), /"MYSQL_ROOT_PASSWORD=made-at-random-1"/);
  const up = [...host.active].filter(([, state]) => state === 'active').map(([name]) => name);
  t.strictSame(up.sort(), [
    'app.example.org-app.service',
    'app.example.org.service',
    'app.example.org.socket',
    'blog.example.org.service',
    'blog.example.org.socket',
    'mysql-app.service',
    'mysql.service',
    'www.example.org.service',
  ]);
  t.equal(host.links.get('/etc/systemd/system/mariadb.service'), 'mysql.service');
  for (const name of ['blog.example.org', 'app.example.org', 'www.example.org', 'mysql'])
    t.equal(
      host.links.get(`/etc/systemd/system/multi-user.target.wants/${name}.service`),
      `../${name}.service`,
      `${name} starts at boot`,
    );
  const order = (what: string): number => host.changes.findIndex((change) => change.startsWith(what));
  t.ok(order('start mysql.service') < order('start blog.example.org.service'), 'databases first');
  t.ok(order('start www.example.org.service') < order('install vhosts'), 'vhosts come last');
  t.notOk(host.changes.includes('daemon-reload'), 'systemd reads new units by itself');
  const reloads = host.changes.filter((change) => change === 'reload nginx');
  t.equal(reloads.length, 1);
});

t.test('a pass with nothing to do changes nothing, whoever runs it', async (t) => {
  const host = fleetHost();
  const reconciler = reconcilerOf(host);
  await pass(host, reconciler);
  host.changes.length = 0;
  for (const one of [reconciler, reconcilerOf(host)]) {
    const report = await pass(host, one);
    t.strictSame(report.plan, []);
    t.strictSame(host.changes, []);
  }
});

t.test('a plan is only a plan', async (t) => {
  const host = fleetHost();
  const steps = await planned(host);
  t.ok(steps.length > 15);
  t.strictSame(host.changes, []);
});

t.test('a changed site: its files, systemd reads once, its container restarts, the others do not notice', async (t) => {
  const host = fleetHost();
  await pass(host);
  host.changes.length = 0;
  put(host, 'sites/app.example.org.ini', `${app}stop_timeout = 30s\ndrain_timeout = 1m\nmax_body_size = 1g\n`);
  const report = await pass(host);
  t.strictSame(bad(report), []);
  t.equal(host.changes.filter((change) => change === 'daemon-reload').length, 1);
  t.ok(host.changes.includes('restart app.example.org-app.service'));
  t.ok(host.changes.includes('install vhosts app.example.org'));
  t.notOk(host.changes.some((change) => /blog|www|mysql/.test(change)));
  t.notOk(host.disk.has('/run/appfleet/units-changed'), 'the mark is gone');
  t.strictSame(host.staleUnits(), []);
  t.strictSame(await planned(host), []);
});

t.test('a removed site leaves no trace and takes nobody along', async (t) => {
  const host = fleetHost();
  await pass(host);
  put(host, 'sites/blog.example.org.ini', null);
  host.changes.length = 0;
  t.strictSame(bad(await pass(host)), []);
  const left = [...host.disk.keys(), ...host.links.keys(), ...host.docker.keys()];
  t.strictSame(
    left.filter((path) => path.includes('blog')),
    [],
  );
  t.notOk([...host.active].some(([unit, state]) => unit.includes('blog') && state === 'active'));
  t.equal(host.active.get('mysql-app.service'), 'active');
  const order = (what: string): number => host.changes.findIndex((change) => change.startsWith(what));
  t.ok(order('reload nginx') < order('stop blog.example.org.service'), 'nginx forgets it first');
  t.strictSame(await planned(host), []);
});

t.test('a site that becomes static, and one that stops being so', async (t) => {
  const host = fleetHost();
  await pass(host);
  put(host, 'sites/app.example.org.ini', www);
  put(host, 'sites/www.example.org.ini', app);
  t.strictSame(bad(await pass(host)), []);
  t.ok(host.disk.has('/run/appfleet/app.example.org/open'), 'open for nginx');
  t.notOk(host.docker.has('app.example.org'));
  t.notOk(host.disk.has('/etc/systemd/system/app.example.org-app.service'));
  t.equal(host.active.get('www.example.org.socket'), 'active');
  await pass(host);
  t.strictSame(await planned(host), []);
});

t.test('a broken file: the site keeps what it has, the others go on', async (t) => {
  const host = fleetHost();
  await pass(host);
  host.changes.length = 0;
  put(host, 'sites/blog.example.org.ini', `${blog}memory = plenty\n`);
  put(host, 'services/mysql.ini', 'junk');
  put(host, 'sites/new.example.org.ini', www);
  const report = await pass(host);
  t.strictSame([...new Set(report.problems.map(({ file }) => file))].sort(), [
    '/etc/appfleet/services/mysql.ini',
    '/etc/appfleet/sites/blog.example.org.ini',
  ]);
  t.strictSame(bad(report), []);
  t.notOk(host.changes.some((change) => /blog|mysql|mariadb/.test(change)));
  t.equal(host.active.get('new.example.org.service'), 'active');
  t.ok(host.disk.has('/etc/nginx/appfleet/blog.example.org.conf'));
});

t.test('an image that nobody has: its sites wait, the others do not', async (t) => {
  const host = fleetHost();
  for (const name of ['a', 'b']) put(host, `sites/${name}.example.org.ini`, '[site]\nruntime = node\nimage = gone:1\n');
  const report = await pass(host);
  const failed = bad(report);
  t.match(failed[0], 'pull image gone:1: failed');
  t.equal(failed.length, report.results.filter(({ step }) => /^[ab]\./.test(step.owner ?? '')).length + 1);
  t.equal(host.active.get('app.example.org.service'), 'active');
  t.equal(host.active.get('a.example.org.service'), undefined);
  host.registry.add('gone:1');
  t.strictSame(bad(await pass(host)), []);
  t.equal(host.active.get('a.example.org.service'), 'active');
});

t.test('a vhost that nginx refuses is its site’s affair, and is told at every pass', async (t) => {
  const host = fleetHost();
  host.refused.set('blog.example.org', 'unknown directive "x"');
  const report = await pass(host);
  t.match(bad(report), [/^test vhosts.*: failed blog.example.org: unknown directive/]);
  t.match(report.refusals, [{ site: 'blog.example.org' }]);
  t.ok(host.disk.has('/etc/nginx/appfleet/www.example.org.conf'));
  t.match((await pass(host)).refusals, [{ site: 'blog.example.org' }]);
});

t.test('a unit that does not start is its owner’s affair, and is tried again by the next pass', async (t) => {
  const host = fleetHost();
  host.brokenUnits.add('www.example.org.service');
  t.match(bad(await pass(host)), [/^start and enable www.example.org.service: failed/]);
  t.equal(host.active.get('app.example.org.service'), 'active');
  host.brokenUnits.clear();
  t.strictSame(bad(await pass(host)), []);
  t.equal(host.active.get('www.example.org.service'), 'active');
});

t.test('a value that no unit can hold is one site’s problem', async (t) => {
  const host = fleetHost();
  const reconciler = createReconciler(
    host,
    { ...templates, 'pool.conf.mustache': '{{nothing}}' },
    () => 'made-at-random-1',
  );
  const report = await reconciler.apply(options);
  t.match(report.problems, [{ file: '/etc/appfleet/sites/blog.example.org.ini' }]);
  t.strictSame(bad(report), []);
  t.equal(host.active.get('app.example.org.service'), 'active');
});

t.test('an agent that starts while the settings have a mistake goes by the last good ones', async (t) => {
  const host = fleetHost();
  put(host, 'appfleet.ini', '[appfleet]\nhttp_port = 8080\n');
  await pass(host);
  put(host, 'appfleet.ini', '[appfleet]\nhttp_port = many\n');
  t.strictSame(await planned(host), []);
  const report = await pass(host);
  t.match(report.problems, [{ file: '/etc/appfleet/appfleet.ini', line: 2 }]);
  t.strictSame(report.results, []);
  t.equal(report.fleet.settings.httpPort, 8080);
  put(host, 'appfleet.ini', null);
  t.equal((await pass(host)).fleet.settings.httpPort, 80, 'no file means the defaults');
});

t.test('a pass for one site does for it what a whole pass does, and touches no other', async (t) => {
  const name = 'app.example.org';
  const path = `sites/${name}.ini`;
  const texts: Readonly<Record<string, string | null>> = {
    changed: `${app}memory = 64m\n`,
    'another runtime': '[site]\nruntime = static\nroot = /srv/www/app\n',
    'needs a database': `${app}needs = mysql\n`,
    broken: '[site]\nruntime = nothing\n',
    removed: null,
  };
  for (const [what, text] of Object.entries(texts)) {
    const host = fleetHost();
    const reconciler = reconcilerOf(host);
    await pass(host, reconciler);
    put(host, path, text);
    // Trouble of another site, that is not for this pass.
    host.disk.set('/etc/systemd/system/blog.example.org.service', '# Generated by appfleet, and edited\n');
    const whole = (await reconcilerOf(host).plan()).steps.map((step) => describeStep(step));
    const report = await reconciler.apply({ ...options, only: new Set([name]) });
    t.strictSame(bad(report), [], what);
    const done = report.results.map(({ step }) => describeStep(step));
    const others = whole.filter((step) => step.includes('blog.example.org') || step.startsWith('make systemd'));
    t.strictSame(
      done.filter((step) => !step.startsWith('make systemd')).toSorted(),
      whole.filter((step) => !others.includes(step)).toSorted(),
      what,
    );
    t.match(host.disk.get('/etc/systemd/system/blog.example.org.service'), /and edited/, what);
    await pass(host, reconciler);
    t.strictSame(await planned(host), [], `${what}: the whole pass after it does the rest`);
  }
});

t.test('a pass for one site leaves to the whole pass what went meanwhile', async (t) => {
  const host = fleetHost();
  const reconciler = reconcilerOf(host);
  await pass(host, reconciler);
  put(host, 'sites/app.example.org.ini', null);
  put(host, 'sites/www.example.org.ini', null);
  const report = await reconciler.apply({ ...options, only: new Set(['app.example.org']) });
  t.strictSame(bad(report), []);
  t.strictSame(
    report.results.filter(({ step }) => step.owner === 'www.example.org'),
    [],
  );
  t.equal(host.active.get('www.example.org.service'), 'active');
  await pass(host, reconciler);
  t.not(host.active.get('www.example.org.service'), 'active');
  t.notOk(host.disk.has('/etc/systemd/system/www.example.org.service'));
});

t.test('which sites a pass is about', (t) => {
  const about = (...reasons: string[]): string[] | null => {
    const names = concernedSites(reasons);
    return names === null ? null : [...names];
  };
  const sites = '/etc/appfleet/sites';
  t.strictSame(about(`${sites}/a.example.ini`, `${sites}/.a.example.ini.swp`, `${sites}/4913`), ['a.example']);
  t.strictSame(about('/etc/appfleet/vhost.d/a.example_location.conf', `${sites}/münchen.example.ini`), [
    'a.example',
    'xn--mnchen-3ya.example',
  ]);
  t.equal(about(`${sites}/a.example.ini`, 'docker is back'), null);
  t.equal(about('/etc/appfleet/services/mysql.ini'), null);
  t.equal(about(`${sites}/sedX1`), null);
  t.equal(about(...Array.from({ length: 21 }, (_, n) => `${sites}/s${n}.example.ini`)), null);
  t.end();
});

t.test('a folder that is missing removes nothing, and what was closed stays closed when it is back', async (t) => {
  const host = fleetHost();
  const away = new Map<string, string>();
  await pass(host);
  const wants = '/etc/systemd/system/multi-user.target.wants/www.example.org.service';
  await host.units.stop('www.example.org.service');
  t.ok(host.links.delete(wants), 'disabled');
  for (const [path, text] of host.disk)
    if (path.startsWith('/etc/appfleet/sites/')) {
      away.set(path, text);
      host.disk.delete(path);
    }
  const report = await pass(host);
  t.match(report.problems, [{ file: '/etc/appfleet/sites', message: /missing/ }]);
  t.strictSame(report.results, []);
  for (const [path, text] of away) host.disk.set(path, text);
  t.strictSame((await pass(host)).results, []);
  t.strictSame([host.active.get('www.example.org.service'), host.links.has(wants)], ['inactive', false]);
});

t.test('sockets that somebody removed are made again', async (t) => {
  const host = fleetHost();
  await pass(host);
  host.gone.add('/run/appfleet/blog.example.org/wake.sock').add('/run/appfleet/app.example.org/r1/app.sock');
  t.strictSame(await planned(host), [
    'restart app.example.org-app.service: the socket of its container is gone',
    'restart blog.example.org.socket: nobody can reach it any more',
  ]);
});

t.test('an editor that renames a file away for a moment removes no site', async (t) => {
  const host = fleetHost();
  const path = '/etc/appfleet/sites/app.example.org.ini';
  let pauses = 0;
  const reconciler = createReconciler(
    host,
    templates,
    () => 'made-at-random-1',
    () => {
      pauses += 1;
      if (pauses === 1) host.disk.set(path, app);
      return Promise.resolve();
    },
  );
  await reconciler.apply(options);
  t.equal(pauses, 0);
  host.disk.delete(path);
  t.strictSame((await reconciler.apply(options)).results, []);
  t.equal(pauses, 1);
  host.disk.delete(path);
  t.ok((await reconciler.apply(options)).results.length > 0, 'what stays away is gone');
  t.not(host.active.get('app.example.org.service'), 'active');
});

t.test('what is done by hand: edited and lost files come back, stopped and disabled sites stay so', async (t) => {
  const host = fleetHost();
  await pass(host);
  host.disk.set('/etc/systemd/system/app.example.org.service', '# Generated by appfleet, and edited\n');
  host.disk.delete('/var/lib/appfleet/start/blog.example.org/launch');
  host.disk.set('/etc/nginx/appfleet/www.example.org.conf', 'edited');
  host.links.delete('/etc/systemd/system/multi-user.target.wants/www.example.org.service');
  await host.units.stop('www.example.org.service');
  t.strictSame(bad(await pass(host)), []);
  t.match(host.disk.get('/etc/systemd/system/app.example.org.service'), /^Wants=app.example.org.socket$/m);
  t.match(host.disk.get('/var/lib/appfleet/start/blog.example.org/launch'), /^run=/m);
  t.equal(host.active.get('www.example.org.service'), 'inactive');
  t.notOk(host.links.has('/etc/systemd/system/multi-user.target.wants/www.example.org.service'));
  t.strictSame(await planned(host), []);
});

/** What changes between two looks at the files. */
const edits: readonly ((host: LivingHost) => void)[] = [
  (host) => put(host, 'sites/blog.example.org.ini', null),
  (host) => put(host, 'sites/blog.example.org.ini', `${blog}memory = 64m\n`),
  (host) => put(host, 'sites/blog.example.org.ini', 'junk'),
  (host) => put(host, 'sites/app.example.org.ini', app.replace('node:20', 'node:22')),
  (host) => put(host, 'sites/app.example.org.ini', www),
  (host) => put(host, 'sites/www.example.org.ini', `${app}needs = mysql\n`),
  (host) => put(host, 'sites/www.example.org.ini', null),
  (host) => put(host, 'services/mysql.ini', mysql.replace('mariadb\n', 'mysqld\n')),
  (host) => put(host, 'services/mysql.ini', `${mysql}memory = 1g\nstop_timeout = 2m\n`),
  (host) => put(host, 'sites/new.example.org.ini', blog),
  (host) => put(host, 'appfleet.ini', '[appfleet]\nhttp_port = 8080\nparallel_starts = 2\n'),
  (host) => void host.links.delete('/etc/systemd/system/mariadb.service'),
];

/** A pass that dies before its step number `cut`, as `kill -9` would end it. */
const dyingPass = async (host: LivingHost, cut: number): Promise<boolean> => {
  try {
    await reconcilerOf(host).apply({
      ...options,
      width: 1,
      onStep: (_step, index) => {
        if (index === cut) throw new Error('killed');
      },
    });
    return false;
  } catch (error) {
    if (error instanceof Error && error.message === 'killed') return true;
    throw error;
  }
};

t.test('killed before any step of any change, the next pass finishes, and then there is nothing to do', async (t) => {
  let kills = 0;
  const combinations = fc.sample(
    fc.subarray(
      edits.map((_, index) => index),
      { minLength: 1, maxLength: 4 },
    ),
    {
      numRuns: 8,
      seed: 11,
    },
  );
  for (const chosen of combinations)
    for (let cut = 0, died = true; died; cut++) {
      const host = fleetHost();
      await pass(host);
      for (const index of chosen) edits[index]?.(host);
      died = await dyingPass(host, cut);
      if (died) kills += 1;
      const report = await pass(host);
      const what = `edits ${chosen.join(' ')}, killed before step ${cut}`;
      if (bad(report).length > 0) t.fail(`${what}: ${bad(report).join('; ')}`);
      const rest = await planned(host);
      if (rest.length > 0) t.fail(`${what}: still to do: ${rest.join('; ')}`);
      if (host.staleUnits().length > 0) t.fail(`${what}: systemd has old units: ${host.staleUnits().join(' ')}`);
    }
  t.ok(kills >= 40, `${kills} kills`);
});

t.test('killed before any step of the first pass', async (t) => {
  let kills = 0;
  for (let died = true; died; kills++) {
    const host = fleetHost();
    died = await dyingPass(host, kills);
    t.strictSame(bad(await pass(host)), []);
    t.strictSame(await planned(host), [], `killed before step ${kills}`);
  }
  t.ok(kills > 20, `${kills} kills`);
});
