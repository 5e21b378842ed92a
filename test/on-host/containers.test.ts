/** What goes wrong with containers on a real host: those that cannot run, are slow, or are taken away behind the agent's back. */
import t from 'tap';
import { fixed, openFaults, program } from './clients/faults.ts';
import { folder, pause, until } from './clients/on-host.ts';

t.setTimeout(600_000);
const { on, agent, applied, nothingLeft, traces } = await openFaults('on-host-containers', t);
const { http, sh } = on;

t.test('sites that cannot run', async (t) => {
  const beside = 'beside.broken.test';
  const shelf = '/srv/on-host-shelf';
  await sh(
    `mkdir -p ${shelf}; rm -f ${shelf}/*; docker image rm demo/absent:1 demo/vanished:1 2>/dev/null || true; docker tag demo/node-app:latest demo/vanished:1`,
  );
  const late = `start_timeout = 3s\nvolumes = ${folder}:${folder}:ro, ${shelf}:${shelf}:ro`;
  const lines = `volumes = ${folder}:${folder}:ro`;
  const withImage = (image: string): string => program().replace('demo/node-app', image);
  const exits = program().replace(`node ${folder}/app.cjs`, 'node --no-such-option');
  interface Broken {
    host: string;
    what: string;
    /** Longest that a 503 may take. */
    within: number;
    repair: () => Promise<unknown>;
  }
  const broken: Broken[] = [
    {
      host: 'absent.broken.test',
      what: 'its image was never there',
      within: 3000,
      repair: () => sh('docker tag demo/node-app:latest demo/absent:1'),
    },
    {
      host: 'vanished.broken.test',
      what: 'its image and container were removed',
      within: 3000,
      repair: () => sh('docker tag demo/node-app:latest demo/vanished:1'),
    },
    {
      host: 'exits.broken.test',
      what: 'its program exits at once',
      within: 3000,
      repair: () => on.putSite('exits.broken.test', program()),
    },
    {
      host: 'late.broken.test',
      what: 'it never gets ready',
      within: 3000 + 2500,
      repair: () => sh(`touch ${shelf}/go`),
    },
    {
      host: 'eats.broken.test',
      what: 'it eats its memory limit',
      within: 3000,
      repair: () => on.putSite('eats.broken.test', program('memory = 600m', 'EAT = 150')),
    },
  ];
  await on.putSite(beside, program('', '', 'never'));
  await on.putSite('vanished.broken.test', withImage('demo/vanished:1'));
  await applied();
  await on.awake(beside);
  t.equal((await http('vanished.broken.test')).status, 200);
  await on.sleepNow('vanished.broken.test');
  await sh('docker rm vanished.broken.test; docker image rm demo/vanished:1');

  const quiet = on.hammer([beside], { clients: 2, pauseMs: 20 });
  await pause(3000);
  const [calmBefore] = await quiet.stop();

  await on.putSite('absent.broken.test', withImage('demo/absent:1'));
  await on.putSite('exits.broken.test', exits);
  await on.putSite('late.broken.test', program(late, `START_AFTER = ${shelf}/go`).replace(`${lines}\n`, ''));
  await on.putSite('eats.broken.test', program('memory = 60m', 'EAT = 150'));
  const { code, stdout, stderr } = await on.apply();
  t.equal(code, 1, 'apply says that a site failed');
  t.match(stdout + stderr, /demo\/absent:1/, 'and which image is missing');

  const since = Date.now() / 1000;
  const hammer = on.hammer(
    broken.map(({ host }) => host),
    { clients: 2, pauseMs: 20 },
  );
  const other = on.hammer([beside], { clients: 2, pauseMs: 20 });
  await pause(8000);
  const starts = await sh(
    `docker events --since ${since} --until ${Date.now() / 1000} --filter type=container --filter event=start --format '{{.Actor.Attributes.name}}' | sort | uniq -c`,
  );
  for (const { host, what } of broken) {
    const count = Number(new RegExp(`(\\d+) ${host}`).exec(starts)?.[1] ?? 0);
    t.ok(count <= 8 + 4, `${what}: ${count} starts of its container in 8 s of hammering`);
    t.notOk(
      hammer.changes.some((change) => change.host === host && change.status === 200),
      `${what}: it does not serve`,
    );
    let problem = '';
    await until(`${what}: appfleet status calls it failed`, async () => {
      const status = await on.status(host);
      problem = String(status['problem']);
      return status['problem'] !== null && ['failed', 'not applied'].includes(String(status['state']));
    });
    t.comment(`${what}: ${problem}`);
  }
  const times: string[] = [];
  for (const { host, what, repair } of broken) {
    await repair();
    const repaired = Date.now();
    await until(`${what}: it recovers`, () => hammer.changes.some((c) => c.host === host && c.status === 200), 30);
    const at = hammer.changes.find((change) => change.host === host && change.status === 200)?.at ?? 0;
    times.push(`${host} ${((at - repaired) / 1000).toFixed(1)} s`);
    t.ok(at - repaired <= 2000, `${what}: served ${at - repaired} ms after the repair`);
  }
  const sites = await hammer.stop();
  const [calmBeside] = await other.stop();
  t.comment(`recovered: ${times.join(', ')}`);
  for (const { host, what, within } of broken) {
    const site = sites.find((one) => one.host === host);
    t.same(Object.keys(site?.statuses ?? {}).sort(), ['200', '503'], `${what}: 503 until it is repaired, then 200`);
    t.equal(site?.noRetryAfter, 0, `${what}: every 503 says when to come again`);
    const slowest = site?.slowestMs['503'] ?? Infinity;
    t.ok(slowest <= within, `${what}: slowest 503 after ${slowest} ms`);
  }
  t.comment(`the site beside them, alone: ${calmBefore?.medianMs} ms median, ${calmBefore?.p95Ms} ms 95 %`);
  t.comment(
    `the site beside them, then: ${calmBeside?.medianMs} ms median, ${calmBeside?.p95Ms} ms 95 %, slowest ${calmBeside?.slowestMs['200']} ms`,
  );
  t.same(Object.keys(calmBeside?.statuses ?? {}), ['200'], 'the site beside them is always served');
  t.ok((calmBeside?.p95Ms ?? Infinity) < Math.max(150, 10 * (calmBefore?.p95Ms ?? 0)), 'and hardly slower');

  // A running program that eats its limit: the kernel ends it, the next request starts it again.
  await on.putSite('eats.broken.test', program('memory = 60m'));
  await applied();
  t.equal((await http('eats.broken.test')).status, 200);
  const eaten = await http('eats.broken.test', { path: '/eat' });
  t.match(
    eaten,
    { status: 503, headers: { 'retry-after': /^\d+$/ } },
    `the request that ate it: 503 after ${eaten.ms} ms`,
  );
  t.ok(
    (await until('it is back', async () => (await http('eats.broken.test')).status === 200, 10)) < 3,
    'it is back at once',
  );
  t.match(
    await sh('journalctl --quiet --output=cat OBJECT_SYSTEMD_UNIT=eats.broken.test.service | tail -20'),
    /out of memory/,
  );
});

t.test('what is killed or taken away behind the back of systemd and the agent', async (t) => {
  const name = 'unit.faults.test';
  const run = `/run/appfleet/${name}`;
  await on.putSite(name, program('', '', '10m'));
  await applied();
  const back = async (what: string): Promise<void> => {
    const seconds = await until(`${what}: it serves`, async () => (await http(name)).status === 200, 10);
    t.ok(seconds < 3, `${what}: served after ${seconds.toFixed(1)} s`);
    await on.awake(name, 10);
  };
  await back('at first');
  await sh(`systemctl kill --kill-whom=main --signal=KILL ${name}-app.service`);
  await back('the process that waits for the container killed');
  await sh(`systemctl kill ${name}-app.service`);
  await back('systemctl kill');
  await sh(`docker kill ${name}`);
  await back('docker kill');
  await sh(`docker rm --force ${name}`);
  await back('docker rm --force');
  await sh(`systemctl stop ${name}-app.service`);
  await back('its -app.service stopped by hand');

  await sh(`systemctl stop ${name}.socket`);
  const seconds = await until(
    'the agent opens the socket again',
    async () => (await on.unit(`${name}.socket`)) === 'active',
    15,
  );
  t.ok(seconds < 5, `its .socket stopped by hand: open again after ${seconds.toFixed(1)} s`);
  await back('its .socket stopped by hand');

  await sh(`service ${name} stop; systemctl start ${name}.socket`);
  const closed = await until(
    'the agent closes it again',
    async () => (await on.unit(`${name}.socket`)) === 'inactive',
    10,
  );
  t.ok(closed < 3, `the .socket of a stopped site started by hand: closed again after ${closed.toFixed(1)} s`);
  t.equal((await http(name)).status, 503, 'and nobody wakes it');
  t.match(await on.status(name), { state: 'stopped', problem: null });
  await sh(`service ${name} start`);
  await back('opened again');

  const links: readonly (readonly [what: string, script: string])[] = [
    ['removed', `rm ${run}/http.sock`],
    ['dangling', `ln -sfn /run/appfleet/nobody ${run}/http.sock`],
    [
      'of the other state',
      `ln -sfn ${run}/$(readlink ${run}/http.sock | grep -q wake && echo r1/app.sock || echo wake.sock) ${run}/http.sock`,
    ],
  ];
  for (const [what, script] of links)
    for (const state of ['awake', 'asleep'] as const) {
      if (state === 'awake') await back(`before the switch is ${what}`);
      else await on.sleepNow(name);
      await sh(script);
      await applied();
      await back(`the switch ${what} while ${state}, after a pass`);
      t.ok(await nothingLeft(), `the switch ${what} while ${state}: nothing is left to do`);
    }
  for (const state of ['awake', 'asleep'] as const) {
    if (state === 'awake') await back('before its run directory is removed');
    else await on.sleepNow(name);
    await sh(`rm -rf ${run}`);
    await applied();
    await back(`its run directory removed while ${state}, after a pass`);
    t.ok(await nothingLeft(), `its run directory removed while ${state}: nothing is left to do`);
  }
  for (const state of ['awake', 'asleep'] as const) {
    if (state === 'awake') await back('before its units are removed');
    else await on.sleepNow(name);
    await sh(`rm /etc/systemd/system/${name}*; systemctl daemon-reload`);
    await applied();
    await applied();
    await back(`its units removed while ${state}, after a pass`);
    await sh(`service ${name} restart`);
    await on.sleepNow(name);
    await back(`its units removed while ${state}, after a restart and a sleep`);
    t.ok(await nothingLeft(), `its units removed while ${state}: nothing is left to do`);
  }
});

t.test('/run/appfleet is removed', async (t) => {
  const sites = { awake: 'awake.run.test', asleep: 'asleep.run.test', stopped: 'stopped.run.test' };
  const page = 'static.run.test';
  const user = 'user.run.test';
  await sh('mkdir -p /srv/files; echo page >/srv/files/page.txt');
  await on.putService(
    'rundb',
    `[service]\nimage = demo/node-app\nready = port:3000\nstop_timeout = 1s\n[env]\nPORT = 3000\n`,
  );
  for (const name of Object.values(sites)) await on.putSite(name, program('', '', '10m'));
  await on.putSite(user, program('needs = rundb', '', '10m'));
  await on.putSite(page, fixed('/srv/files'));
  await applied();
  try {
    await sh(`service ${sites.stopped} stop`);
    for (const who of ['appfleet apply', 'the agent', 'appfleet apply without an agent']) {
      await on.sleepNow(sites.asleep);
      for (const name of [sites.awake, user]) t.equal((await http(name)).status, 200);
      const database = await sh("docker inspect -f '{{.State.StartedAt}}' rundb");
      if (who.endsWith('without an agent')) await agent('stop');
      await sh('rm -rf /run/appfleet');
      if (who === 'the agent') await sh('systemctl kill --kill-whom=main --signal=HUP appfleet');
      else await applied();
      await until(
        `${who}: all is served`,
        async () => {
          const all = [sites.awake, sites.asleep, user].map(async (name) => (await http(name)).status);
          return (
            (await Promise.all(all)).every((status) => status === 200) &&
            (await http(page, { path: '/page.txt' })).status === 200 &&
            (await nothingLeft())
          );
        },
        20,
      );
      t.equal((await http(sites.stopped)).status, 503, `${who}: what was stopped still is`);
      t.equal(await on.unit(`${sites.stopped}.socket`), 'inactive');
      t.equal(await sh("stat -c '%a %U %G' /run/appfleet"), '750 root www-data', `${who}: nobody else may go there`);
      t.equal(
        await sh("docker inspect -f '{{.State.StartedAt}}' rundb"),
        database,
        `${who}: the shared container ran on`,
      );
      await sh('systemctl restart rundb-app');
      t.equal((await http(user)).status, 200, `${who}: the shared container can be restarted`);
      if (who.endsWith('without an agent')) await agent('start');
      await applied();
      t.match(await sh('curl -s --unix-socket /run/appfleet/agent.sock http://agent/v1/sites'), sites.awake);
    }
  } finally {
    await agent('start');
    await sh('rm -f /etc/appfleet/services/rundb.ini');
    await on.clear('.test');
  }
});

t.test('a container that is slow to stop holds up its own site and nobody else', async (t) => {
  const deaf = 'deaf.slow.test';
  const slow = (version: number, idle = '10m'): string =>
    program('', `DEAF = 1\nVERSION = v${version}`, idle).replace('stop_timeout = 1s', 'stop_timeout = 12s');
  const answers = async (version: number): Promise<void> => {
    const { status, text } = await http(deaf, { path: '/raw' });
    t.equal(status, 200);
    t.match(text, `"version":"v${version}"`, `${deaf} has what its file says last`);
  };
  const isStopping = async (): Promise<boolean> => (await on.unit(`${deaf}-app.service`)) === 'deactivating';
  /** A site of somebody else comes, changes and goes while the slow one stops. */
  const others = async (what: string): Promise<void> => {
    const other = `${what}.beside.slow.test`;
    const page = async (): Promise<string> => {
      const { status, headers } = await http(other, { path: '/page.txt' });
      return `${status} ${headers['x-version'] ?? ''}`;
    };
    for (const version of ['one', 'two']) {
      await on.putSite(other, fixed('/srv/files', `[headers]\nX-Version = ${version}\n`));
      const seconds = await until(`${other} is served`, async () => (await page()) === `200 ${version}`, 30);
      t.ok(seconds < 3, `${what}: version ${version} of another site after ${seconds.toFixed(1)} s`);
    }
    await on.removeSite(other);
    const gone = await until(`${other} is gone`, async () => !(await page()).startsWith('200'), 30);
    t.ok(gone < 3, `${what}: another site gone after ${gone.toFixed(1)} s`);
    t.ok(await isStopping(), `${what}: ${deaf} still stops`);
  };

  await sh('mkdir -p /srv/files; echo page >/srv/files/page.txt');
  await on.putSite(deaf, slow(1, 'never'));
  await applied();
  await on.awake(deaf);
  await answers(1);
  const reloads = (): Promise<string> =>
    sh('journalctl --quiet -u appfleet -o cat | grep -c "make nginx load" || true');

  await on.putSite(deaf, slow(2, 'never'));
  await until('it stops', isStopping, 5);
  await others('restarting');
  // Changed again while it restarts; who asks for a pass is answered when all of it has happened.
  await on.putSite(deaf, slow(3, 'never'));
  const asked = await on.apply();
  t.equal(asked.code, 0, asked.stderr);
  await answers(3);
  t.ok(await nothingLeft(), 'and nothing is left to do');

  const before = await reloads();
  await on.removeSite(deaf);
  await until('it stops', isStopping, 5);
  t.equal((await http(deaf)).status, 404, 'a removed site is nobody at once');
  t.equal(Number(await reloads()) - Number(before), 1, 'by one reload');
  await others('removed');
  // It comes back before it is gone.
  await on.putSite(deaf, slow(4));
  await applied();
  t.equal(await on.unit(`${deaf}.service`), 'active', 'a site that comes back while it stops is open in the end');
  await answers(4);

  // Removed while it restarts, with the agent killed in between.
  await on.putSite(deaf, slow(5));
  await until('it restarts', isStopping, 5);
  await on.removeSite(deaf);
  await pause(1000);
  await sh('systemctl kill --signal=KILL appfleet.service');
  await until('all of it is gone', async () => (await traces('deaf.slow.test')).length === 0, 60);
  await applied();
  t.ok(await nothingLeft(), 'nothing is left to do');
});

t.test('a shared container that is slow to stop', async (t) => {
  const user = 'user.slow.test';
  const shared = (version: number): string => `[service]
image = demo/node-app
command = node ${folder}/app.cjs
volumes = ${folder}:${folder}:ro
stop_timeout = 8s
ready = port:3000
[env]
PORT = 3000
DEAF = 1
VERSION = v${version}
`;
  await on.putService('slowdb', shared(1));
  await on.putSite(user, program('needs = slowdb', 'VERSION = v1', 'never'));
  await applied();
  await on.awake(user);
  try {
    await on.putService('slowdb', shared(2));
    await on.putSite(user, program('needs = slowdb', 'VERSION = v2', 'never'));
    await until('it stops', async () => (await on.unit('slowdb-app.service')) === 'deactivating', 5);
    await on.putSite('other.slow.test', fixed('/srv/files'));
    const seconds = await until(
      'another site is served',
      async () => (await http('other.slow.test', { path: '/page.txt' })).status === 200,
      30,
    );
    t.ok(seconds < 3, `another site is served after ${seconds.toFixed(1)} s`);
    await applied();
    t.match((await http(user, { path: '/raw' })).text, '"version":"v2"');
    const [database = 0, site = 0] = (
      await sh(
        `docker inspect -f '{{.State.StartedAt}}' slowdb ${user} | while read -r at; do date -d "$at" +%s%N; done`,
      )
    )
      .split('\n')
      .map(Number);
    t.ok(database < site, 'the shared container is up before the site that needs it');
    t.ok(await nothingLeft(), 'nothing is left to do');
  } finally {
    await sh('rm -f /etc/appfleet/services/slowdb.ini');
    await on.clear('.test');
  }
});

t.test('never more than parallel_starts at the same time', async (t) => {
  const names = Array.from({ length: 12 }, (_, index) => `p${index}.many.test`);
  const shelf = '/srv/on-host-starts';
  await sh(`rm -rf ${shelf}; mkdir -p -m 777 ${shelf}`);
  const settings = '/etc/appfleet/appfleet.ini';
  const before = await on.host.read(settings);
  await on.host.write(settings, '[appfleet]\nacme_directory = none\nparallel_starts = 2\n');
  try {
    for (const name of names) {
      const text = program('', `START_MS = 300\nSTARTS = ${shelf}/log`, '10m');
      await on.putSite(name, text.replace(`${folder}:ro`, `${folder}:ro, ${shelf}:${shelf}`));
    }
    await applied();
    const began = performance.now();
    const answers = await Promise.all(names.map((name) => http(name)));
    const seconds = (performance.now() - began) / 1000;
    t.same(
      answers.map(({ status }) => status),
      names.map(() => 200),
      `all are served after ${seconds.toFixed(1)} s`,
    );
    const marks = (await sh(`sort -n ${shelf}/log`)).split('\n').map((line) => Number(line.split(' ')[1]));
    t.equal(marks.length, 24, 'each began once and was ready once');
    let now = 0;
    const most = Math.max(...marks.map((step) => (now += step)));
    t.comment(`at most ${most} were starting at the same time; 12 sites in ${seconds.toFixed(1)} s`);
    t.equal(most, 2);
  } finally {
    await on.host.write(settings, before);
    await applied();
  }
});
