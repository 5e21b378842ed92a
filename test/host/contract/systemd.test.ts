/*
 * The systemd adapter against the real one. Runs inside a test host as root: bundled into one file, started with `node`,
 * TAP on stdout, exit code 1 when something failed. node:test because tap cannot be bundled.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createBus } from '../../../agent/adapters/bus.ts';
import { createSystemd } from '../../../agent/adapters/systemd.ts';
import { named, removeUnits, run, until, writeUnit } from './fixture.ts';

const bus = createBus();
const units = createSystemd(bus);

before(removeUnits);
after(() => {
  units.close();
  removeUnits();
});

const stateOf = async (unit: string): Promise<string> => {
  const [found] = await units.list([unit]);
  return found === undefined ? 'not loaded' : `${found.active} ${found.sub}`;
};
const oneshot = (more = ''): string => `[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n${more}`;
const failsWith = (result: RegExp | string) => (error: unknown) => {
  assert.ok(error instanceof Error && 'code' in error);
  assert.equal(error.code, 'AF_UNIT_JOB');
  assert.match(error.message, result instanceof RegExp ? result : new RegExp(`\\(${result}\\)$`));
  return true;
};
/** How many match rules our own connection has, as the bus itself tells: it is the one with the rule for systemd's name. */
const countRules = async (): Promise<number> => {
  const daemon = { destination: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus' };
  const statistics = { ...daemon, interface: 'org.freedesktop.DBus.Debug.Stats', member: 'GetAllMatchRules' };
  const [rules] = await bus.call(statistics);
  const ours = Object.values(rules as Record<string, string[]>).filter(
    (one) =>
      one.some((rule) => rule.includes("arg0='org.freedesktop.systemd1'")) &&
      one.some((rule) => rule.includes('JobRemoved')),
  );
  assert.equal(ours.length, 1, JSON.stringify(rules, null, 1));
  return ours[0]?.length ?? 0;
};

test('a unit is started, seen, restarted and stopped', async () => {
  const unit = writeUnit('1.ex-ample.org.service', '[Service]\nExecStart=/bin/sleep infinity\n');
  assert.equal(await stateOf(unit), 'not loaded');
  await units.start(unit);
  assert.equal(await stateOf(unit), 'active running');
  const first = await units.detail(unit);
  assert.ok(first.mainPid > 1);
  assert.equal(first.restarts, 0);
  assert.ok(Math.abs((first.since ?? 0) - Date.now() / 1000) < 10);
  await units.start(unit);
  assert.equal((await units.detail(unit)).mainPid, first.mainPid, 'starting what runs does nothing');
  await units.tryRestart(unit);
  assert.notEqual((await units.detail(unit)).mainPid, first.mainPid);
  await units.stop(unit);
  assert.match(await stateOf(unit), /not loaded|inactive dead/);
  await units.tryRestart(unit);
  assert.match(await stateOf(unit), /not loaded|inactive dead/, 'what does not run is not restarted');
  const never = await units.detail(writeUnit('never.service', oneshot()));
  assert.deepEqual(never, { since: null, restarts: 0, mainPid: 0 });
});

test('sockets have a since and no process', async () => {
  writeUnit('s.service', oneshot());
  const socket = writeUnit('s.socket', '[Socket]\nListenStream=/run/af-t/s.sock\nRemoveOnStop=yes\n');
  await units.start(socket);
  const { since, restarts, mainPid } = await units.detail(socket);
  assert.ok((since ?? 0) > 0);
  assert.deepEqual([restarts, mainPid], [0, 0]);
  await units.stop(socket);
});

test('the result of a job that goes wrong is said in words', async () => {
  const failing = writeUnit('failing.service', '[Service]\nType=oneshot\nExecStart=/bin/false\n');
  await assert.rejects(units.start(failing), failsWith('failed'));
  assert.equal(await stateOf(failing), 'failed failed');
  await units.resetFailed(failing);
  assert.match(await stateOf(failing), /not loaded|inactive dead/);

  const needing = writeUnit('needing.service', `[Unit]\nRequires=${failing}\nAfter=${failing}\n${oneshot()}`);
  await assert.rejects(units.start(needing), failsWith('dependency'));

  const slow = '[Service]\nType=oneshot\nExecStart=/bin/sleep 60\n';
  const late = writeUnit('late.service', `[Unit]\nJobTimeoutSec=1\n${slow}`);
  await assert.rejects(units.start(late), failsWith('timeout'));

  const pushed = writeUnit('pushed.service', slow);
  const start = assert.rejects(units.start(pushed), failsWith('canceled'));
  await until('the job begins', async () => (await stateOf(pushed)).startsWith('activating'));
  await units.stop(pushed);
  await start;

  const asserting = writeUnit('asserting.service', `[Unit]\nAssertPathExists=/nowhere\n${oneshot()}`);
  await assert.rejects(units.start(asserting), failsWith('assert'));

  const broken = writeUnit('broken.service', '[Service]\nType=nonsense\n');
  await assert.rejects(units.start(broken), failsWith(/broken/));
});

test('two who stop the same unit at once are both told when it has stopped', async () => {
  const unit = writeUnit('slow.service', '[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sleep 0.3\n');
  for (let round = 0; round < 5; round++) {
    await units.start(unit);
    await Promise.all([units.stop(unit), units.stop(unit), pause(100).then(() => units.stop(unit))]);
    assert.match(await stateOf(unit), /not loaded|inactive dead/);
  }
});

test('units that nobody knows', async () => {
  await assert.rejects(units.start(named('absent.service')), failsWith(/not found/));
  await units.stop(named('absent.service'));
  await units.resetFailed(named('absent.service'));
  await assert.rejects(units.start('no unit name'), failsWith(/no unit name/));
  assert.deepEqual(await units.list([named('absent*')]), []);
});

test('a changed file is read again after reload', async () => {
  const unit = writeUnit('changed.service', oneshot());
  await units.start(unit);
  await units.stop(unit);
  writeUnit('changed.service', oneshot('ExecStart=/bin/false\n'));
  await units.reload();
  await assert.rejects(units.start(unit), failsWith('failed'));
});

test('600 jobs at once end, and PID 1 stays on the bus', async () => {
  writeUnit('many@.socket', '[Socket]\nListenStream=/run/af-t/%i.sock\nRemoveOnStop=yes\n');
  writeUnit('many@.service', oneshot());
  const sockets = Array.from({ length: 600 }, (_, i) => named(`many@${i}.socket`));
  const owner = (): string => run('busctl', 'status', 'org.freedesktop.systemd1').match(/UniqueName=(\S+)/)?.[1] ?? '';
  const present = owner();
  assert.notEqual(present, '');
  const seen = new Set<string | null>();
  const stop = await units.watch((unit) => seen.add(unit));
  await Promise.all(sockets.map((socket) => units.start(socket)));
  const active = await units.list([named('many@*.socket')]);
  assert.equal(active.filter((unit) => unit.active === 'active').length, 600);
  assert.ok(
    sockets.every((socket) => seen.has(socket)),
    'every one was reported',
  );
  await Promise.all(sockets.map((socket) => units.stop(socket)));
  stop();
  assert.equal(owner(), present);
});

test('watching and working leave no match rules behind', async () => {
  const unit = writeUnit('rules.service', `[Unit]\nStartLimitIntervalSec=0\n${oneshot()}`);
  await units.start(unit);
  const before = await countRules();
  assert.equal(before, 2);
  for (let i = 0; i < 200; i++) {
    const stop = await units.watch(() => undefined);
    await units.tryRestart(unit);
    stop();
  }
  assert.equal(await countRules(), before);
  await units.stop(unit);
});

test('after daemon-reexec signals and jobs go on', async () => {
  const unit = writeUnit('reexec.service', oneshot());
  const seen: (string | null)[] = [];
  const stop = await units.watch((name) => seen.push(name));
  run('systemctl', 'daemon-reexec');
  await until('told that changes were missed', () => seen.includes(null));
  seen.length = 0;
  await units.start(unit);
  await until('told of the unit', () => seen.includes(unit));
  await units.stop(unit);
  stop();
});

for (const [how, interrupt] of [
  ['killed', () => run('systemctl', 'kill', '--signal=KILL', 'dbus.service')],
  ['restarted', () => run('systemctl', 'restart', 'dbus.service')],
] as const) {
  test(`the bus is ${how} under load: every call settles, then everything works again`, async () => {
    writeUnit('load@.service', oneshot());
    const names = Array.from({ length: 300 }, (_, i) => named(`load@${how}-${i}.service`));
    const seen: (string | null)[] = [];
    const stop = await units.watch((unit) => seen.push(unit));
    let settled = 0;
    const outcomes = names.map((unit) => units.start(unit).finally(() => (settled += 1)));
    const all = Promise.allSettled(outcomes);
    await until('under way', () => settled > 30);
    interrupt();
    const began = Date.now();
    for (const outcome of await all) {
      if (outcome.status === 'rejected') assert.equal((outcome.reason as { code?: string }).code, 'AF_BUS');
    }
    await until('told that changes were missed', () => seen.includes(null));
    const told = Date.now() - began;
    // PID 1 itself comes back to the bus a moment later than we do; what failed meanwhile is simply asked again.
    await until('all are started', async () => {
      const again = await Promise.allSettled(names.map((unit) => units.start(unit)));
      return again.every((outcome) => outcome.status === 'fulfilled');
    });
    console.log(`# reconnected after ${told} ms, all work done after ${Date.now() - began} ms`);
    seen.length = 0;
    await units.stop(names[0] ?? '');
    await until('signals arrive', () => seen.includes(names[0] ?? ''));
    await Promise.all(names.map((unit) => units.stop(unit)));
    stop();
  });
}

test('no bus at all: calls say so, and it is found when it is back', async () => {
  const elsewhere = '/run/af-t-bus';
  writeFileSync(elsewhere, '');
  const lonely = createSystemd(createBus({ address: `unix:path=${elsewhere}` }));
  await assert.rejects(lonely.list(['*']), { code: 'AF_BUS', message: /ECONNREFUSED/ });
  const patient = lonely.list(['dbus.service']);
  await pause(300);
  run('ln', '-sf', '/run/dbus/system_bus_socket', elsewhere);
  assert.equal((await patient).length, 1);
  lonely.close();
  run('rm', elsewhere);
});
