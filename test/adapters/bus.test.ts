import t from 'tap';
import { createBus } from '../../agent/adapters/bus.ts';
import { createJobs } from '../../agent/adapters/jobs.ts';
import { createSystemd, unitObjectPath } from '../../agent/adapters/systemd.ts';
import type { BusCall, BusSignal, Wire } from '../../agent/adapters/wire.ts';
import { createFakeTimers, settle } from '../net/fake-timers.ts';

t.test('object paths of units', (t) => {
  const cases: Record<string, string> = {
    'nginx.service': 'nginx_2eservice',
    'blog.example.org.socket': 'blog_2eexample_2eorg_2esocket',
    'ex-ample.org-app.service': 'ex_2dample_2eorg_2dapp_2eservice',
    '1000.example.org.service': '_31000_2eexample_2eorg_2eservice',
    'appfleet-wake@1.org.service': 'appfleet_2dwake_401_2eorg_2eservice',
    a_b: 'a_5fb',
    'ü.service': '_c3_bc_2eservice',
    '': '_',
  };
  for (const [unit, path] of Object.entries(cases)) {
    t.equal(unitObjectPath(unit), `/org/freedesktop/systemd1/unit/${path}`);
  }
  t.end();
});

t.test('jobs', async (t) => {
  const jobs = createJobs(2);
  const late = jobs.result('/job/1');
  jobs.ended('/job/1', 'done');
  t.equal(await late, 'done', 'the reply first');

  jobs.ended('/job/2', 'failed');
  t.equal(await jobs.result('/job/2'), 'failed', 'the signal first');

  t.equal(await jobs.result('/job/2'), 'failed', 'also for who comes second: one job may have many that wait');
  const both = [jobs.result('/job/7'), jobs.result('/job/7')];
  jobs.ended('/job/7', 'done');
  t.strictSame(await Promise.all(both), ['done', 'done'], 'systemd gives two that ask for the same the same job');

  for (const id of ['3', '4', '5']) jobs.ended(`/job/${id}`, id);
  t.equal(await jobs.result('/job/5'), '5');
  t.equal(await jobs.result('/job/4'), '4');
  const forgotten = jobs.result('/job/3');
  jobs.abandon(new Error('gone'));
  await t.rejects(forgotten, { message: 'gone' }, 'old results of others are forgotten');

  jobs.ended('/job/6', 'done');
  jobs.abandon(new Error('gone'));
  const after = jobs.result('/job/6');
  jobs.ended('/job/6', 'canceled');
  t.equal(await after, 'canceled', 'what was known before is not believed after');
});

/** A bus whose connections the test holds in its hands. */
const createFakeBus = (answer: (call: BusCall) => unknown[] | Promise<unknown[]> | undefined = () => []) => {
  const timers = createFakeTimers();
  const wires: { end(reason?: string): void; signal(signal: BusSignal): void; calls: BusCall[] }[] = [];
  let refuse = false;
  const open = (): Promise<Wire> => {
    if (refuse) return Promise.reject(new Error('connect ENOENT'));
    const listeners: ((signal: BusSignal) => void)[] = [];
    const pending = new Set<(reason: Error) => void>();
    const calls: BusCall[] = [];
    let finish: (reason: Error) => void;
    const ended = new Promise<Error>((resolve) => {
      finish = resolve;
    });
    void ended.then((reason) => pending.forEach((reject) => reject(reason)));
    wires.push({
      calls,
      end: (reason = 'hung up') => finish(new Error(reason)),
      signal: (signal) => listeners.forEach((listener) => listener(signal)),
    });
    return Promise.resolve({
      ended,
      onSignal: (listener) => listeners.push(listener),
      close: () => finish(new Error('closed by us')),
      call: (call) =>
        new Promise((resolve, reject) => {
          calls.push(call);
          pending.add(reject);
          const given = answer(call);
          if (given !== undefined) Promise.resolve(given).then(resolve, reject);
        }),
    });
  };
  return {
    timers,
    wires,
    wire: () => wires[wires.length - 1],
    bus: createBus({ open, timers }),
    refuse: (value: boolean) => (refuse = value),
  };
};

const busError = (type: string, text: string): Error => Object.assign(new Error(text), { type, text });
const ping: BusCall = { destination: 'x.y', path: '/', interface: 'x.y', member: 'Ping' };

t.test('bus', (t) => {
  t.test('a call opens the connection; errors of the other side come as they are', async (t) => {
    const { bus, wires } = createFakeBus((call) =>
      call.member === 'Ping' ? ['pong'] : Promise.reject(busError('x.y.No', 'no')),
    );
    t.equal(wires.length, 0);
    t.same(await bus.call(ping), ['pong']);
    const refusal: unknown = await bus.call({ ...ping, member: 'Other' }).catch((error: unknown) => error);
    t.match(refusal, { type: 'x.y.No', text: 'no' });
    t.equal(wires.length, 1);
    bus.close();
    await t.rejects(bus.call(ping), { code: 'AF_BUS' });
  });

  t.test('at most 64 calls are out', async (t) => {
    const answers: ((value: unknown[]) => void)[] = [];
    const { bus } = createFakeBus(() => new Promise((resolve) => answers.push(resolve)));
    const all = Promise.all(Array.from({ length: 200 }, () => bus.call(ping)));
    await settle();
    t.equal(answers.length, 64);
    for (let i = 0; i < 200; i++) {
      answers[i]?.([i]);
      if (i % 64 === 63) await settle();
    }
    t.equal((await all).length, 200);
    bus.close();
  });

  t.test('when the connection ends, what is out is rejected, and the next call goes over a new one', async (t) => {
    let silent = true;
    const fake = createFakeBus(() => (silent ? undefined : ['pong']));
    const told: string[] = [];
    fake.bus.listen({ up: () => told.push('up'), down: (reason) => told.push(reason.code) });
    const calls = Promise.allSettled(Array.from({ length: 100 }, () => fake.bus.call(ping)));
    await settle();
    silent = false;
    fake.wire()?.end();
    await settle();
    t.same(told, ['up', 'AF_BUS']);
    fake.timers.pass(50);
    const results = await calls;
    const rejected = results.filter((result) => result.status === 'rejected');
    t.equal(rejected.length, 64, 'the others had not been sent and go over the new connection');
    t.match(rejected[0], { reason: { code: 'AF_BUS', message: /hung up/ } });
    t.same(told, ['up', 'AF_BUS', 'up']);
    t.same(await fake.bus.call(ping), ['pong']);
    t.equal(fake.wires.length, 2);
    fake.bus.close();
  });

  t.test('a call that nobody answers has a deadline', async (t) => {
    const { bus, timers } = createFakeBus(() => undefined);
    const late = bus.call(ping);
    await settle();
    timers.pass(25_000);
    await t.rejects(late, { code: 'AF_BUS', message: 'x.y did not answer Ping within 25 s' });
    bus.close();
  });

  t.test('without a bus, calls say so after a while and attempts go on with growing pauses', async (t) => {
    const fake = createFakeBus(() => ['pong']);
    fake.refuse(true);
    const call = fake.bus.call(ping);
    for (let i = 0; i < 10; i++) {
      await settle();
      fake.timers.pass(500);
    }
    await t.rejects(call, { code: 'AF_BUS', message: /cannot be reached: connect ENOENT/, hint: /dbus/ });
    fake.refuse(false);
    const waiting = fake.bus.call(ping);
    await settle();
    fake.timers.pass(1_000);
    t.same(await waiting, ['pong'], 'the longest pause is shorter than the time that a call waits');
    fake.bus.close();
    await settle();
    t.equal(fake.timers.armed(), 0, 'nothing keeps the process alive');
  });

  t.test('closing ends the attempts', async (t) => {
    const fake = createFakeBus();
    fake.refuse(true);
    fake.bus.open();
    await settle();
    t.equal(fake.timers.armed(), 1);
    fake.bus.close();
    await settle();
    t.equal(fake.timers.armed(), 0);
  });

  t.test('a connection that cannot be greeted is not used', async (t) => {
    const fake = createFakeBus(() => ['pong']);
    let refusals = 2;
    fake.bus.listen({
      greet: async () => {
        await Promise.resolve();
        if (refusals-- > 0) throw new Error('not yet');
      },
    });
    const call = fake.bus.call(ping);
    for (let i = 0; i < 3; i++) {
      await settle();
      fake.timers.pass(500);
    }
    t.same(await call, ['pong']);
    t.equal(fake.wires.length, 3);
    fake.bus.close();
  });
  t.end();
});

t.test('systemd', (t) => {
  /** PID 1 with the unique name `:1.0`, whose jobs end when the test says so. */
  const createFakeSystemd = () => {
    let job = 0;
    const fake = createFakeBus((call) => {
      if (call.member === 'GetNameOwner') return [':1.0'];
      if (call.member === 'Subscribe')
        return Promise.reject(busError('org.freedesktop.systemd1.AlreadySubscribed', ''));
      if (call.member.endsWith('Unit') && call.body?.[0] === 'absent.service') {
        return Promise.reject(busError('org.freedesktop.systemd1.NoSuchUnit', 'Unit absent.service not found.'));
      }
      if (call.member.endsWith('Unit')) return [`/job/${++job}`];
      return [];
    });
    const units = createSystemd(fake.bus, fake.timers);
    const removed = (id: number, unit: string, result: string, sender = ':1.0'): void =>
      fake.wire()?.signal({
        sender,
        path: '/org/freedesktop/systemd1',
        interface: 'org.freedesktop.systemd1.Manager',
        member: 'JobRemoved',
        body: [id, `/job/${id}`, unit, result],
      });
    const calls = (member: string): BusCall[] => fake.wire()?.calls.filter((call) => call.member === member) ?? [];
    return { ...fake, units, removed, calls };
  };

  t.test('a job ends with JobRemoved, and only PID 1 is believed', async (t) => {
    const { units, removed } = createFakeSystemd();
    let ended = false;
    const start = units.start('a.service').then(() => (ended = true));
    await settle();
    removed(1, 'a.service', 'done', ':1.99');
    await settle();
    t.notOk(ended);
    removed(1, 'a.service', 'done');
    await start;
    units.close();
  });

  for (const [result, words] of [
    ['failed', 'it failed'],
    ['dependency', 'a unit that it needs could not be started'],
    ['timeout', 'it took too long and was given up'],
    ['canceled', 'another job took its place'],
    ['skipped', 'it does not apply to the state the unit is in'],
    ['brand-new', 'brand-new'],
  ] as const) {
    t.test(`a job that ends with ${result}`, async (t) => {
      const { units, removed } = createFakeSystemd();
      const start = units.start('a.service');
      await settle();
      removed(1, 'a.service', result);
      await t.rejects(start, {
        code: 'AF_UNIT_JOB',
        message: `cannot start a.service: ${words} (${result})`,
        hint: 'systemctl status a.service',
        cause: { unit: 'a.service', result },
      });
      units.close();
    });
  }

  t.test('units that do not exist', async (t) => {
    const { units } = createFakeSystemd();
    await t.rejects(units.start('absent.service'), { code: 'AF_UNIT_JOB', message: /Unit absent.service not found/ });
    await units.stop('absent.service');
    await units.resetFailed('absent.service');
    units.close();
  });

  t.test('trouble of the bus is not the unit’s', async (t) => {
    const fake = createFakeBus((call) => {
      if (call.member === 'GetNameOwner') return [':1.0'];
      if (call.member !== 'StartUnit') return [];
      return Promise.reject(busError('org.freedesktop.DBus.Error.NoReply', 'recipient disconnected from message bus'));
    });
    const units = createSystemd(fake.bus, fake.timers);
    await t.rejects(units.start('a.service'), { code: 'AF_BUS', message: /cannot start a.service: recipient/ });
    units.close();
  });

  t.test('at most 64 jobs are outstanding, from the call to the end of the job', async (t) => {
    const { units, removed, calls } = createFakeSystemd();
    const all = Promise.all(Array.from({ length: 100 }, (_, i) => units.stop(`${i}.service`)));
    await settle();
    t.equal(calls('StopUnit').length, 64);
    removed(1, '0.service', 'done');
    await settle();
    t.equal(calls('StopUnit').length, 65);
    for (let i = 2; i <= 64; i++) removed(i, '', 'done');
    await settle();
    for (let i = 65; i <= 100; i++) removed(i, '', 'done');
    await all;
    units.close();
  });

  t.test('jobs do not outlive the connection, whether the bus goes or PID 1 does', async (t) => {
    const { units, wire, timers, calls, removed } = createFakeSystemd();
    const seen: (string | null)[] = [];
    await units.watch((unit) => seen.push(unit));
    const first = units.start('a.service');
    first.catch(() => undefined);
    await settle();
    wire()?.end();
    await t.rejects(first, { code: 'AF_BUS' });
    timers.pass(50);
    await settle();

    const second = units.start('a.service');
    second.catch(() => undefined);
    await settle();
    const ownerChanged = (before: string, after: string): void =>
      wire()?.signal({
        sender: 'org.freedesktop.DBus',
        path: '/org/freedesktop/DBus',
        interface: 'org.freedesktop.DBus',
        member: 'NameOwnerChanged',
        body: ['org.freedesktop.systemd1', before, after],
      });
    ownerChanged(':1.0', '');
    await t.rejects(second, { code: 'AF_BUS', message: 'systemd left the bus' });
    t.equal(calls('Subscribe').length, 1);
    ownerChanged('', ':1.7');
    await settle();
    t.equal(calls('Subscribe').length, 2, 'subscribes again');
    t.same(seen, [null, null, null], 'each time, changes may have been missed');
    removed(9, 'b.service', 'done');
    t.equal(seen.pop(), 'b.service');
    units.close();
  });
  t.end();
});
