import t from 'tap';
import { describeStep } from '../../agent/core/step.ts';
import type { Beside } from '../../agent/reconcile/beside.ts';
import { createPulls } from '../../agent/reconcile/pulls.ts';
import { createReconciler, type Report } from '../../agent/reconcile/reconcile.ts';
import { createWholePass, type Said } from '../../agent/reconcile/whole-pass.ts';
import { createWorks, type LongStep } from '../../agent/reconcile/works.ts';
import { templates } from '../core/golden-cases.ts';
import { createLivingHost, type LivingHost } from './living-host.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const turns = async (count = 20): Promise<void> => {
  for (let i = 0; i < count; i++) await turn();
};

const slow = 'slow.example.org';
const www = 'www.example.org';
const node = (more = ''): string => `[site]\nruntime = node\nimage = node:20\nidle = never\n${more}`;
const fixed = (more = ''): string => `[site]\nruntime = static\nroot = /srv/www\n${more}`;

/** A host whose slow containers stop when the test says so, and an agent whose passes the test makes. */
const createAgent = (host: LivingHost = createLivingHost()) => {
  host.images.add('node:20').add('mariadb:11');
  const held = new Set<string>();
  const waits: { unit: string; go: (error?: Error) => void }[] = [];
  const { units } = host;
  /** systemd says that the unit is deactivating from the call until its container has ended. */
  const hold =
    (work: (unit: string) => Promise<void>) =>
    async (unit: string): Promise<void> => {
      if (!held.has(unit) || host.active.get(unit) !== 'active') return work(unit);
      host.active.set(unit, 'deactivating');
      const error = await new Promise<Error | undefined>((go) => waits.push({ unit, go }));
      host.active.set(unit, 'active');
      if (error !== undefined) throw error;
      await work(unit);
    };
  host.units = {
    ...units,
    tryRestart: hold((unit) => units.tryRestart(unit)),
    stop: hold((unit) => units.stop(unit)),
  };
  const reconciler = createReconciler(host, templates, () => 'x');
  const ended: string[] = [];
  const pulls = createPulls(
    host.containers,
    () => 0,
    () => undefined,
  );
  const works = createWorks(
    () => 0,
    ({ step, outcome }) => void ended.push(`${describeStep(step)}: ${outcome}`),
  );
  const pass = (
    onResult: (said: Said) => void = () => undefined,
    beside: Beside = { pulls, works },
    only: ReadonlySet<string> | null = null,
  ): Promise<Report> =>
    reconciler.apply({ width: 8, clock: () => 0, onProgress: () => undefined, onResult, beside, only });
  const put = (path: string, text: string | null): void => {
    if (text === null) host.disk.delete(`/etc/appfleet/${path}`);
    else host.disk.set(`/etc/appfleet/${path}`, text);
  };
  return {
    host,
    held,
    ended,
    works,
    pass,
    put,
    /** Passes until nothing is under way and nothing left to do, as the agent makes them. */
    settle: async (): Promise<void> => {
      for (let rounds = 0; ; rounds++) {
        await works.settled();
        if ((await pass()).plan.length === 0 && !works.any()) return;
        if (rounds > 10) throw new Error('there is always something to do');
      }
    },
    whole: createWholePass({ pulls, works }, pass),
    /** Lets what waits end, with an error or well. */
    go: async (error?: Error): Promise<string[]> => {
      const now = waits.splice(0);
      for (const { go } of now) go(error);
      await turns();
      return now.map(({ unit }) => unit);
    },
  };
};
const outcomes = (report: Pick<Report, 'results'>): string[] =>
  report.results.map(({ step, outcome, reason }) =>
    [`${describeStep(step)}: ${outcome}`, ...(reason === undefined ? [] : [reason])].join(' '),
  );
const without = (lines: readonly string[], outcome: string): string[] =>
  lines.filter((line) => !line.includes(`: ${outcome}`));

/** An agent with one site awake whose container takes its time to stop. */
const withSlowSite = async () => {
  const agent = createAgent();
  agent.put(`sites/${slow}.ini`, node());
  await agent.settle();
  agent.held.add(`${slow}-app.service`).add(`${slow}.service`);
  agent.host.changes.length = 0;
  agent.ended.length = 0;
  return agent;
};
const reason = 'its settings changed';
const restart = `restart ${slow}-app.service: ${reason}`;

t.test('a container that is slow to stop: the pass goes on, and other sites have theirs', async (t) => {
  const { host, pass, put, go, ended, works } = await withSlowSite();
  put(`sites/${slow}.ini`, node('memory = 64m\n'));
  const first = await pass();
  t.strictSame(without(outcomes(first), 'done'), [`${restart}: waiting its container`]);
  put(`sites/${www}.ini`, fixed());
  const second = await pass(undefined, undefined, new Set([www]));
  t.strictSame(without(outcomes(second), 'done'), []);
  t.ok(host.disk.has(`/etc/nginx/appfleet/${www}.conf`), 'served');
  t.equal(host.active.get(`${www}.service`), 'active');
  t.ok(works.any());
  t.strictSame(await go(), [`${slow}-app.service`]);
  t.notOk(works.any());
  t.strictSame(ended, [`${restart}: done`], 'another pass is asked for');
  t.strictSame((await pass()).plan, []);
});

t.test('a site that changes again while it restarts is not worked on twice', async (t) => {
  const { host, pass, put, go, settle, held } = await withSlowSite();
  put(`sites/${slow}.ini`, node('memory = 64m\n'));
  await pass();
  put(`sites/${slow}.ini`, node('memory = 65m\n'));
  // Also when systemd says that it is up already.
  host.active.set(`${slow}-app.service`, 'active');
  const again = await pass();
  t.match(host.disk.get(`/var/lib/appfleet/start/${slow}/container.json`), String(65 * 1024 * 1024), 'is written');
  t.strictSame(without(outcomes(again), 'done'), [`${restart}: waiting ${restart}`]);
  held.clear();
  await go();
  await settle();
  t.equal(
    host.docker.get(slow)?.spec,
    /^spec=(.*)$/m.exec(host.disk.get(`/var/lib/appfleet/start/${slow}/launch`) ?? '')?.[1],
  );
});

t.test('a site that is removed while it restarts goes when that has ended', async (t) => {
  const { host, pass, put, go, settle, held, ended } = await withSlowSite();
  put(`sites/${slow}.ini`, node('memory = 64m\n'));
  await pass();
  put(`sites/${slow}.ini`, null);
  const removed = await pass();
  t.notOk(host.disk.has(`/etc/nginx/appfleet/${slow}.conf`), 'nobody sees it any more');
  t.ok(outcomes(removed).includes(`stop ${slow}.service: waiting ${restart}`));
  t.ok(host.docker.has(slow));
  t.notOk(host.changes.includes('daemon-reload'), 'for units that are still there');
  held.clear();
  await go(new Error('it does not start'));
  t.strictSame(ended, [`${restart}: failed`], 'somebody waited for it');
  await settle();
  const traces = [...host.disk.keys(), ...host.links.keys(), ...host.docker.keys()];
  t.strictSame(
    traces.filter((path) => path.includes(slow)),
    [],
  );
});

t.test('a site that comes back while it is stopped for good is open in the end', async (t) => {
  const { host, pass, put, go, settle, held } = await withSlowSite();
  put(`sites/${slow}.ini`, null);
  t.ok(outcomes(await pass()).includes(`stop ${slow}.service: waiting its container`));
  put(`sites/${slow}.ini`, node('memory = 64m\n'));
  const back = await pass();
  t.ok(outcomes(back).includes(`start and enable ${slow}.service: waiting stop ${slow}.service`));
  held.clear();
  await go();
  t.equal(host.active.get(`${slow}.service`), 'inactive');
  await settle();
  t.equal(host.active.get(`${slow}.service`), 'active');
  t.equal(host.links.get(`/etc/systemd/system/multi-user.target.wants/${slow}.service`), `../${slow}.service`);
});

t.test('an agent that is killed while a site stops: the next one finishes', async (t) => {
  const { host, pass, put } = await withSlowSite();
  put(`sites/${slow}.ini`, null);
  await pass();
  // systemd goes on by itself.
  for (const unit of [`${slow}.service`, `${slow}-app.service`, `${slow}.socket`]) host.active.set(unit, 'inactive');
  const next = createAgent(host);
  await next.settle();
  t.strictSame(
    [...host.disk.keys(), ...host.docker.keys()].filter((path) => path.includes(slow)),
    [],
  );
});

t.test('who needs a shared container waits for the work on it', async (t) => {
  const agent = createAgent();
  const { host, put, pass, go, settle, held } = agent;
  const mysql = (more = ''): string => `[service]\nimage = mariadb:11\n${more}`;
  put('services/mysql.ini', mysql());
  put('services/cache.ini', mysql('needs = mysql\n'));
  put(`sites/${slow}.ini`, node('needs = cache\n'));
  await settle();
  held.add('mysql-app.service');
  put('services/mysql.ini', mysql('memory = 1g\n'));
  put(`sites/${slow}.ini`, node('needs = cache\nmemory = 64m\n'));
  host.changes.length = 0;
  const mysqlRestarts = `restart mysql-app.service: ${reason}`;
  t.strictSame(without(outcomes(await pass()), 'done'), [
    `${mysqlRestarts}: waiting its container`,
    `${restart}: waiting ${mysqlRestarts}`,
  ]);
  held.clear();
  await go();
  await settle();
  const restarts = host.changes.filter((change) => change.startsWith('restart'));
  t.equal(restarts[0], 'restart mysql-app.service');
  t.ok(restarts.length <= 2, 'and the site once at most');
  t.equal(host.active.get(`${slow}-app.service`), 'active');
});

t.test('who asks for a pass waits for all, sees each step once, and what was under way before', async (t) => {
  const { pass, put, go, whole, host } = await withSlowSite();
  put(`sites/${slow}.ini`, node('memory = 64m\n'));
  await pass();
  put(`sites/${www}.ini`, fixed());
  const said: Said[] = [];
  let report: Report | null = null;
  const asked = whole((line) => void said.push(line)).then((one) => (report = one));
  await turns();
  t.equal(host.active.get(`${www}.service`), 'active', 'nobody else waits');
  t.equal(report, null);
  await go();
  const { results } = await asked;
  t.strictSame(said, results);
  t.strictSame(without(outcomes({ results }), 'done'), []);
  t.equal(outcomes({ results }).filter((line) => line === `${restart}: done`).length, 1);
});

t.test('who asks for a pass learns of a failure, which is not tried for ever', async (t) => {
  const { put, go, whole, host } = await withSlowSite();
  put(`sites/${slow}.ini`, node('memory = 64m\n'));
  const asked = whole(() => undefined);
  await turns();
  await go(new Error('it does not end'));
  const report = await asked;
  t.strictSame(without(outcomes(report), 'done'), [`${restart}: failed it does not end`]);
  t.equal(host.changes.filter((change) => change.startsWith('restart')).length, 0);

  // A start that fails at once and is wanted again at once.
  const agent = createAgent();
  agent.put(`sites/${slow}.ini`, node());
  await agent.settle();
  await agent.host.units.stop(`${slow}-app.service`);
  agent.host.brokenUnits.add(`${slow}-app.service`);
  const failed = outcomes(await agent.whole(() => undefined));
  t.equal(failed.filter((line) => line.startsWith(`start ${slow}-app.service: it never sleeps: failed`)).length, 1);
  t.equal(failed.length, new Set(failed).size, 'each once');
});

t.test('a failure that nobody waited for asks for no pass', async (t) => {
  const { put, pass, go, ended, works } = await withSlowSite();
  put(`sites/${slow}.ini`, node('memory = 64m\n'));
  await pass();
  await go(new Error('it does not end'));
  t.notOk(works.any());
  t.strictSame(ended, []);
});

t.test('no more than half of the jobs that the bus bears, all in the end', async (t) => {
  let running = 0;
  let most = 0;
  const ends: (() => void)[] = [];
  const works = createWorks(
    () => 0,
    () => undefined,
  );
  for (let n = 0; n < 100; n++) {
    const step: LongStep = { kind: 'stop-unit', owner: `s${n}.example`, unit: `s${n}.example.service` };
    works.begin(step, async () => {
      most = Math.max(most, ++running);
      await new Promise<void>((resolve) => ends.push(resolve));
      running -= 1;
    });
  }
  while (works.any()) {
    for (const end of ends.splice(0)) end();
    await turn();
  }
  t.equal(most, 32);
});

t.test('another pass is wanted soon by those who wait, else when the last has ended', async (t) => {
  const said: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const works = createWorks(
    () => 0,
    ({ step }, soon) => void said.push(`${step.owner ?? ''} ${soon ? 'soon' : 'later'}`),
  );
  const begin = (owner: string): void => {
    works.begin(
      { kind: 'stop-unit', owner, unit: `${owner}.service` },
      () => new Promise((resolve, reject) => void ends.set(owner, (e) => (e === undefined ? resolve() : reject(e)))),
    );
  };
  const end = async (owner: string, error?: Error): Promise<void> => {
    ends.get(owner)?.(error);
    await turns(3);
  };
  for (const owner of ['plain', 'again', 'awaited', 'broken', 'last']) begin(owner);
  works.of(['again'], 'stop-unit');
  works.of(['awaited'], 'open');
  works.of(['broken'], 'open');
  await turns(3);
  for (const owner of ['plain', 'again', 'awaited']) await end(owner);
  await end('broken', new Error('it does not end'));
  await end('last');
  t.strictSame(said, ['plain later', 'again later', 'awaited soon', 'broken later', 'last soon']);
});
