import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listenersIn } from '../../agent/switchboard/listeners.ts';
import t from 'tap';
import { appSocket, appUnit, httpSocket, wakeSocket, wakeUnit } from '../../agent/core/names.ts';
import { parseService } from '../../agent/core/service.ts';
import { parseSite } from '../../agent/core/site.ts';
import type { ServiceSpec, SiteSpec } from '../../agent/core/spec.ts';
import { AppFleetError, messageOf } from '../../agent/errors.ts';
import type { ActiveState } from '../../agent/ports.ts';
import { countConnections } from '../../agent/switchboard/connections.ts';
import { createIdleWatch } from '../../agent/switchboard/idle.ts';
import { putToSleep } from '../../agent/switchboard/sleep.ts';
import { parseFailure, parseWakes, stateOf, type StateFacts } from '../../agent/switchboard/state.ts';
import { countWaiting } from '../../agent/switchboard/waiting.ts';
import { createFakeHost, type FakeHost } from '../fakes/host.ts';

const table = (...lines: string[]): string =>
  ['Num       RefCount Protocol Flags    Type St Inode Path', ...lines, ''].join('\n');
const line = (flags: string, state: string, path = ''): string =>
  `00000000102b612c: 00000002 00000000 ${flags} 0001 ${state} 1362603${path === '' ? '' : ` ${path}`}`;
const listener = (path: string): string => line('00010000', '01', path);
const open = (path: string): string => line('00000000', '03', path);
const queued = (path: string): string => line('00000000', '02', path);

t.test('who listens, in /proc/net/unix', (t) => {
  const table = [
    'Num       RefCount Protocol Flags    Type St Inode Path',
    '0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/appfleet/a.example/wake.sock',
    '0000000000000000: 00000003 00000000 00000000 0001 03 12346 /run/appfleet/b.example/wake.sock',
  ].join('\n');
  t.strictSame([...listenersIn(table)], ['/run/appfleet/a.example/wake.sock']);
  t.end();
});

t.test('connections in /proc/net/unix: accepted and waiting ones, by the path of their listener', (t) => {
  const [a, b] = ['/run/appfleet/a.example/r1/app.sock', '/run/appfleet/b.example/r1/app.sock'];
  const text = table(
    listener(a),
    open(a),
    open(a),
    queued(a),
    listener(b),
    listener('/run/appfleet/a.example/wake.sock'),
    queued('/run/appfleet/a.example/wake.sock'),
    line('00000000', '03'),
    line('00000000', '01'),
    open('@/tmp/.X11-unix/X0'),
    line('00000000', '04', b),
    'garbage',
  );
  t.strictSame(
    [...countConnections(text)],
    [
      [a, 3],
      ['/run/appfleet/a.example/wake.sock', 1],
    ],
  );
  t.strictSame(
    [...countWaiting(text)],
    [
      [a, 1],
      ['/run/appfleet/a.example/wake.sock', 1],
    ],
  );
  t.equal(countConnections('').size, 0);
  t.end();
});

t.test('the kernel writes it like that', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'appfleet-unix-'));
  const path = join(folder, 'app.sock');
  const clients: Socket[] = [];
  const served: Socket[] = [];
  const server = createServer((socket) => served.push(socket));
  const count = (): [number, number] => {
    const now = readFileSync('/proc/net/unix', 'utf8');
    return [countConnections(now).get(path) ?? 0, countWaiting(now).get(path) ?? 0];
  };
  try {
    await new Promise<void>((resolve) => server.listen(path, resolve));
    t.strictSame(count(), [0, 0], 'a listener is no connection');
    for (let i = 0; i < 3; i++)
      clients.push(
        await new Promise<Socket>((resolve) => {
          const client = connect(path, () => resolve(client));
        }),
      );
    while (served.length < 3) await new Promise((resolve) => setImmediate(resolve));
    t.strictSame(count(), [3, 0]);
    // libuv connects at once and accepts in its next round: in between the connection waits.
    clients.push(connect(path));
    t.strictSame(count(), [4, 1]);
    while (served.length < 4) await new Promise((resolve) => setImmediate(resolve));
    for (const socket of [...served, ...clients]) socket.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    t.strictSame(count(), [0, 0]);
  } finally {
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  }
});

t.test('the state of a site is what systemd and the file of its failure say', (t) => {
  const state = (
    facade: ActiveState | undefined,
    app: ActiveState | undefined,
    count = 0,
    container = true,
  ): string => {
    const failure = count > 0 ? { count, reason: 'x' } : null;
    const facts: StateFacts = { container, facade, app, failure, opened: true, refused: false };
    return stateOf(facts);
  };
  const rows: [ActiveState | undefined, ActiveState | undefined, number, string][] = [
    ['active', undefined, 0, 'asleep'],
    ['active', 'inactive', 0, 'asleep'],
    ['active', 'activating', 0, 'waking'],
    ['active', 'activating', 1, 'waking'],
    ['active', 'activating', 2, 'failed'],
    ['active', 'active', 0, 'awake'],
    ['active', 'active', 3, 'awake'],
    ['active', 'reloading', 0, 'awake'],
    ['active', 'deactivating', 0, 'sleeping'],
    ['active', 'deactivating', 1, 'failed'],
    ['deactivating', 'deactivating', 1, 'sleeping'],
    ['active', 'failed', 0, 'failed'],
    ['active', 'inactive', 1, 'failed'],
    ['activating', undefined, 0, 'asleep'],
    ['reloading', 'active', 0, 'awake'],
    ['inactive', 'inactive', 0, 'stopped'],
    ['inactive', 'failed', 2, 'stopped'],
    ['failed', 'inactive', 0, 'stopped'],
    ['deactivating', 'inactive', 0, 'stopped'],
    ['deactivating', 'deactivating', 0, 'sleeping'],
    [undefined, undefined, 0, 'stopped'],
  ];
  for (const [facade, app, count, expected] of rows)
    t.equal(state(facade, app, count), expected, `${facade ?? 'no facade'}, ${app ?? 'no app'}, ${count} failures`);
  t.equal(state('active', undefined, 0, false), 'served');
  t.equal(state('inactive', undefined, 0, false), 'stopped');
  t.end();
});

t.test('what units/launch leaves behind', (t) => {
  t.strictSame(parseFailure('3 1234.56 the container exited with code 1\n'), {
    count: 3,
    reason: 'the container exited with code 1',
  });
  for (const text of [null, '', 'x', '3\n', '3 x y\n', '-1 2.0 x\n']) t.equal(parseFailure(text), null, text ?? 'null');
  t.strictSame(parseWakes('10.50 0.31\n20.00 1.20\nhalf a li'), [
    { at: 10.5, seconds: 0.31 },
    { at: 20, seconds: 1.2 },
  ]);
  t.strictSame(parseWakes(null), []);
  t.end();
});

// ---------------------------------------------------------------------------------------------------------------------

const siteOf = (name: string, more = ''): SiteSpec => {
  const text = `[site]\nruntime = node\nimage = node:20\nidle = 10s\n${more}`;
  const parsed = parseSite({ path: `/etc/appfleet/sites/${name}.ini`, text });
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  return parsed.spec;
};
const serviceOf = (name: string, more = ''): ServiceSpec => {
  const parsed = parseService({ path: `/etc/appfleet/services/${name}.ini`, text: `[service]\nimage = x\n${more}` });
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  return parsed.spec;
};

const wake = (host: FakeHost, name: string): void => {
  host.active.set(appUnit(name), 'active');
  host.accessed.set(appSocket(name), host.clock);
  host.links.set(httpSocket(name), appSocket(name));
};
const connectionsOf = (host: FakeHost, ...names: string[]): void =>
  void host.disk.set('/proc/net/unix', table(...names.map((name) => open(appSocket(name)))));

t.test('putting a site to sleep: the switch first, then a look at who is there, then the stop', async (t) => {
  const host = createFakeHost();
  wake(host, 'a.example');
  const order: string[] = [];
  const link = host.files.link.bind(host.files);
  host.files.link = async (path, target) => {
    order.push(`link ${target}`);
    await link(path, target);
  };
  const stop = host.units.stop.bind(host.units);
  host.units.stop = async (unit) => {
    order.push(`stop ${unit}`);
    await stop(unit);
  };
  t.strictSame(await putToSleep(host, 'a.example'), { asleep: true });
  t.strictSame(order, [`link ${wakeSocket('a.example')}`, `stop ${appUnit('a.example')}`]);
  t.match(await putToSleep(host, 'a.example'), { asleep: false, because: 'it is not awake' });
});

t.test('a site that is in use is given back to its visitors', async (t) => {
  const host = createFakeHost();
  wake(host, 'a.example');
  connectionsOf(host, 'a.example');
  t.strictSame(await putToSleep(host, 'a.example'), { asleep: false, because: '1 connection is open' });
  connectionsOf(host, 'a.example', 'b.example', 'a.example');
  t.strictSame(await putToSleep(host, 'a.example'), { asleep: false, because: '2 connections are open' });
  connectionsOf(host, 'b.example');
  for (const state of ['active', 'activating'] as const) {
    host.active.set(wakeUnit('a.example'), state);
    t.strictSame(await putToSleep(host, 'a.example'), { asleep: false, because: 'a request came' }, state);
  }
  t.equal(host.links.get(httpSocket('a.example')), appSocket('a.example'));
  t.equal(host.calls.get('stop'), undefined, 'nothing was ever stopped');
});

t.test('a container that ended while we looked does not get the switch back', async (t) => {
  const host = createFakeHost();
  wake(host, 'a.example');
  connectionsOf(host, 'a.example');
  const list = host.units.list.bind(host.units);
  host.units.list = (patterns) => {
    if (patterns.includes(wakeUnit('a.example'))) host.active.set(appUnit('a.example'), 'failed');
    return list(patterns);
  };
  t.equal((await putToSleep(host, 'a.example')).asleep, false);
  t.equal(host.links.get(httpSocket('a.example')), wakeSocket('a.example'));
});

t.test('a stop that a request cancelled is no failure; one that failed is', async (t) => {
  const host = createFakeHost();
  wake(host, 'a.example');
  host.units.stop = () => Promise.reject(new AppFleetError('AF_UNIT_JOB', 'cannot stop x: (canceled)'));
  t.strictSame(await putToSleep(host, 'a.example'), { asleep: false, because: 'a request came' });
  wake(host, 'a.example');
  host.units.stop = () => Promise.reject(new AppFleetError('AF_UNIT_JOB', 'cannot stop x: (timeout)'));
  await t.rejects(putToSleep(host, 'a.example'), { code: 'AF_UNIT_JOB' });
});

// ---------------------------------------------------------------------------------------------------------------------

/** An idle watch with a clock that only the test moves; `said` is what became of whom. */
const watchOver = (host: FakeHost, sites: readonly SiteSpec[], services: readonly ServiceSpec[] = []) => {
  let now = 1000;
  const said: string[] = [];
  const watch = createIdleWatch(host, () => now, {
    slept: (name, outcome, idle) =>
      void said.push(`${name} ${outcome.asleep ? 'asleep' : outcome.because} after ${idle}`),
    failed: (name, error) => void said.push(`${name}: ${messageOf(error)}`),
  });
  return {
    said,
    /** Some seconds later: a round, and what it began. */
    later: async (seconds: number): Promise<string[]> => {
      now += seconds;
      await watch.round(sites, services);
      // putToSleep waits 30 ms before it looks.
      await new Promise((resolve) => setTimeout(resolve, 45));
      return said.splice(0);
    },
  };
};

t.test('nobody for its idle time: asleep; the first look counts as use', async (t) => {
  const host = createFakeHost();
  wake(host, 'a.example');
  const { later } = watchOver(host, [siteOf('a.example')]);
  t.strictSame(await later(5000), [], 'a new agent knows nothing');
  t.strictSame(await later(9.5), []);
  t.strictSame(await later(0.5), ['a.example asleep after 10']);
  t.strictSame(await later(100), [], 'and it is not asked to sleep again');
});

t.test('a connection in between begins it anew, whatever its time says', async (t) => {
  const host = createFakeHost();
  wake(host, 'a.example');
  const { later } = watchOver(host, [siteOf('a.example')]);
  await later(0);
  await later(9);
  for (const time of [host.clock + 9, host.clock - 86400, 0]) {
    host.accessed.set(appSocket('a.example'), time);
    t.strictSame(await later(9), [], `touched at ${time}`);
  }
  t.strictSame(await later(10), ['a.example asleep after 10']);
});

t.test('somebody sets the clock: nobody falls asleep, nobody stays awake', async (t) => {
  const host = createFakeHost();
  wake(host, 'a.example');
  const { later } = watchOver(host, [siteOf('a.example')]);
  await later(0);
  host.clock += 10 * 365 * 86400;
  t.strictSame(await later(5), []);
  host.clock -= 20 * 365 * 86400;
  t.strictSame(await later(4), []);
  t.strictSame(await later(1), ['a.example asleep after 10']);
});

t.test('an open connection keeps it awake for as long as it is open', async (t) => {
  const host = createFakeHost();
  wake(host, 'a.example');
  connectionsOf(host, 'a.example');
  const { later } = watchOver(host, [siteOf('a.example')]);
  for (let i = 0; i < 10; i++) t.strictSame(await later(3600), []);
  connectionsOf(host);
  t.strictSame(await later(9), []);
  t.strictSame(await later(1), ['a.example asleep after 10']);
});

t.test('one that turned out to be in use gets a whole idle time more', async (t) => {
  const host = createFakeHost();
  wake(host, 'a.example');
  const { later } = watchOver(host, [siteOf('a.example')]);
  await later(0);
  host.active.set(wakeUnit('a.example'), 'active');
  t.strictSame(await later(10), ['a.example a request came after 10']);
  host.active.delete(wakeUnit('a.example'));
  t.strictSame(await later(1), []);
  t.strictSame(await later(9), []);
  t.strictSame(await later(1), ['a.example asleep after 10']);
});

t.test('what sleeps, wakes up or never sleeps is left alone', async (t) => {
  const host = createFakeHost();
  for (const name of ['a.example', 'b.example', 'c.example', 'd.example']) wake(host, name);
  host.active.set(appUnit('b.example'), 'activating');
  host.active.set(appUnit('c.example'), 'deactivating');
  host.accessed.delete(appSocket('d.example'));
  const sites = [
    siteOf('a.example', 'stop_timeout = 1m\n'),
    siteOf('b.example'),
    siteOf('c.example'),
    siteOf('d.example'),
  ].map((spec) => (spec.name === 'a.example' ? { ...spec, idleSeconds: 'never' as const } : spec));
  const { later } = watchOver(host, sites);
  for (let i = 0; i < 3; i++) t.strictSame(await later(3600), []);
  t.equal(host.calls.get('stop'), undefined);
});

t.test('it slept and woke between two rounds: that is a new life', async (t) => {
  const host = createFakeHost();
  wake(host, 'a.example');
  const { later } = watchOver(host, [siteOf('a.example')]);
  await later(0);
  await later(9);
  host.active.set(appUnit('a.example'), 'inactive');
  await later(0);
  host.active.set(appUnit('a.example'), 'active');
  t.strictSame(await later(5), []);
  t.strictSame(await later(10), ['a.example asleep after 10']);
});

t.test('one that takes its time to stop, or cannot be looked at, keeps nobody else awake', async (t) => {
  const host = createFakeHost();
  for (const name of ['a.example', 'b.example', 'c.example']) wake(host, name);
  const stop = host.units.stop.bind(host.units);
  let stops = 0;
  host.units.stop = (unit) => {
    stops += 1;
    return unit === appUnit('a.example') ? new Promise(() => undefined) : stop(unit);
  };
  const lastAccess = host.files.lastAccess.bind(host.files);
  host.files.lastAccess = (path) =>
    path.includes('c.example') ? Promise.reject(new Error('input/output error')) : lastAccess(path);
  const { later } = watchOver(host, [siteOf('a.example'), siteOf('c.example'), siteOf('b.example')]);
  t.strictSame(await later(0), ['c.example: input/output error']);
  t.strictSame(await later(10), ['c.example: input/output error', 'b.example asleep after 10']);
  t.strictSame(await later(60), ['c.example: input/output error']);
  t.equal(stops, 2, 'it is not asked twice');
});

t.test('a stop that fails is told, and tried again', async (t) => {
  const host = createFakeHost();
  wake(host, 'a.example');
  host.brokenUnits.add(appUnit('a.example'));
  const { later } = watchOver(host, [siteOf('a.example')]);
  await later(0);
  t.match(await later(10), [/^a.example: cannot stop/]);
  host.brokenUnits.clear();
  host.links.set(httpSocket('a.example'), appSocket('a.example'));
  t.match(await later(1), [/^a.example asleep/]);
});

t.test('a database sleeps when nobody who needs it has been awake for its idle time', async (t) => {
  const host = createFakeHost();
  const db = serviceOf('db', 'idle = 1m\nneeds = cache\n');
  const cache = serviceOf('cache', 'idle = 30s\n');
  const always = serviceOf('always');
  for (const name of ['db', 'cache', 'always']) host.active.set(appUnit(name), 'active');
  host.active.set(appUnit('a.example'), 'activating');
  const { later } = watchOver(host, [siteOf('a.example', 'needs = db\n')], [db, cache, always]);
  t.strictSame(await later(3600), []);
  t.strictSame(await later(3600), [], 'somebody who needs it wakes up');
  host.active.set(appUnit('a.example'), 'inactive');
  t.strictSame(await later(59), []);
  t.strictSame(await later(1), ['db asleep after 60'], 'and the cache only after it');
  t.strictSame(await later(29), []);
  t.strictSame(await later(1), ['cache asleep after 30']);
  t.equal(host.active.get(appUnit('always')), 'active');
});
