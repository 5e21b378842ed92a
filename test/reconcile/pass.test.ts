import t from 'tap';
import type { Step } from '../../agent/core/step.ts';
import { applyPlan, type ApplyOptions, type Executors, type StepResult } from '../../agent/reconcile/apply.ts';
import { createLoop } from '../../agent/reconcile/loop.ts';
import { createFakeTimers } from '../net/fake-timers.ts';

const startUnit = (owner: string, unit = `${owner}.socket`): Step => ({
  kind: 'start-unit',
  owner,
  unit,
  why: 'so',
  needs: [],
});
const stopUnit = (owner: string): Step => ({ kind: 'stop-unit', owner, unit: `${owner}.service` });
const removeFile = (owner: string, path: string): Step => ({ kind: 'remove-file', owner, path, isUnit: false });
const pull = (...owners: string[]): Step => ({ kind: 'pull-image', owner: null, owners, image: 'x' });
const reload: Step = { kind: 'reload-units', owner: null, owners: [] };
const vhosts: Step = { kind: 'install-vhosts', owner: null, change: ['a', 'b'], remove: [], shared: false };

/** Executors that say what they do; each step ends when its turn in the event loop has come. */
const executorsThat = (said: string[], act: (step: Step) => ReadonlyMap<string, string> | void = () => undefined) => {
  const run = async (step: Step): Promise<ReadonlyMap<string, string> | void> => {
    const name = `${step.kind} ${step.owner ?? ''}`.trim();
    said.push(`+${name}`);
    await new Promise((resolve) => setImmediate(resolve));
    said.push(`-${name}`);
    return act(step);
  };
  return new Proxy({}, { get: () => run }) as Executors;
};
const options: ApplyOptions = { width: 8, clock: () => 0 };
const outcomes = (results: readonly StepResult[]): string[] =>
  results.map(({ step, outcome, reason }) =>
    [step.kind, step.owner, outcome, reason].filter((word) => word !== undefined && word !== null).join(' '),
  );
const failing =
  (...owners: string[]) =>
  (step: Step): void => {
    if (step.owner !== null && owners.includes(step.owner)) throw new Error(`${step.owner} is broken`);
  };

t.test('neighbours of one kind run side by side, kinds one after the other', async (t) => {
  const said: string[] = [];
  await applyPlan([startUnit('a'), startUnit('b'), reload, stopUnit('a'), stopUnit('b')], executorsThat(said), options);
  t.strictSame(said, [
    '+start-unit a',
    '+start-unit b',
    '-start-unit a',
    '-start-unit b',
    '+reload-units',
    '-reload-units',
    '+stop-unit a',
    '+stop-unit b',
    '-stop-unit a',
    '-stop-unit b',
  ]);
});

t.test('no more than `width` steps at once, all of them in the end, and images one by one', async (t) => {
  const said: string[] = [];
  const steps = Array.from({ length: 20 }, (_, n) => startUnit(`s${n}`));
  const results = await applyPlan([pull('a'), pull('b'), ...steps], executorsThat(said), { ...options, width: 3 });
  t.equal(results.filter(({ outcome }) => outcome === 'done').length, 22);
  const depth = (words: string[]): number => {
    let now = 0;
    return Math.max(...words.map((word) => (now += word.startsWith('+') ? 1 : -1)));
  };
  t.equal(depth(said.filter((word) => word.includes('start-unit'))), 3);
  t.equal(depth(said.filter((word) => word.includes('pull-image'))), 1);
});

t.test('a step that fails stops the later steps of its owner and of nobody else', async (t) => {
  const plan = [startUnit('a'), startUnit('b'), reload, stopUnit('a'), stopUnit('b'), removeFile('a', '/x')];
  t.strictSame(outcomes(await applyPlan(plan, executorsThat([], failing('a')), options)), [
    'start-unit a failed a is broken',
    'start-unit b done',
    'reload-units done',
    'stop-unit a skipped start a.socket: so: a is broken',
    'stop-unit b done',
    'remove-file a skipped start a.socket: so: a is broken',
  ]);
});

t.test('a step of several owners is left out only when all of them failed', async (t) => {
  const run = (...owners: string[]) =>
    applyPlan([startUnit('a'), startUnit('b'), pull('a', 'b')], executorsThat([], failing(...owners)), options);
  t.equal(outcomes(await run('a')).at(-1), 'pull-image done');
  t.match(outcomes(await run('a', 'b')).at(-1), 'pull-image skipped');
});

t.test('a step about many sites can fail for some of them', async (t) => {
  const refuse = (step: Step): ReadonlyMap<string, string> =>
    new Map(step.kind === 'install-vhosts' ? [['a', 'no ;']] : []);
  t.strictSame(outcomes(await applyPlan([vhosts, stopUnit('a'), stopUnit('b')], executorsThat([], refuse), options)), [
    'install-vhosts failed a: no ;',
    'stop-unit a skipped no ;',
    'stop-unit b done',
  ]);
});

t.test('each step is told before, each result after; a watcher that dies ends the pass', async (t) => {
  const seen: string[] = [];
  await applyPlan([reload, startUnit('a')], executorsThat([]), {
    ...options,
    onStep: ({ kind }, index) => void seen.push(`${index} ${kind}`),
    onResult: ({ step, outcome, seconds }) => void seen.push(`${step.kind} ${outcome} ${seconds}`),
  });
  t.strictSame(seen, ['0 reload-units', 'reload-units done 0', '1 start-unit', 'start-unit done 0']);
  const said: string[] = [];
  const dying = applyPlan([reload, startUnit('a'), reload], executorsThat(said), {
    ...options,
    onStep: (_step, index) => {
      if (index === 1) throw new Error('killed');
    },
  });
  await t.rejects(dying, { message: 'killed' });
  t.strictSame(said, ['+reload-units', '-reload-units']);
});

// ---------------------------------------------------------------------------------------------------------------------

const loopWith = (pass: (reasons: readonly string[]) => Promise<void>) => {
  const timers = createFakeTimers();
  const errors: string[] = [];
  const loop = createLoop({
    pass,
    onError: (error, retry) => void errors.push(`${error instanceof Error ? error.message : ''} ${retry}`),
    quietSeconds: 0.2,
    longestSeconds: 1,
    intervalSeconds: () => 60,
    timers,
  });
  /** Lets time pass in small steps, so that what a pass sets off happens at its time. */
  const wait = async (seconds: number): Promise<void> => {
    const step = seconds > 10 ? 500 : 50;
    for (let left = Math.round(seconds * 1000); left > 0; left -= step) {
      timers.pass(Math.min(step, left));
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { loop, timers, errors, wait };
};

t.test('a burst is one pass, when it has been quiet for a moment', async (t) => {
  const passes: string[] = [];
  const { loop, wait } = loopWith((reasons) => Promise.resolve(void passes.push(reasons.join('+'))));
  loop.trigger('a');
  await wait(0.15);
  loop.trigger('b');
  loop.trigger('a');
  await wait(0.15);
  t.strictSame(passes, []);
  await wait(0.05);
  t.strictSame(passes, ['a+b']);
  await loop.stop();
});

t.test('triggers without end do not put it off for ever', async (t) => {
  const passes: number[] = [];
  const { loop, timers, wait } = loopWith(() => Promise.resolve(void passes.push(timers.now())));
  for (let i = 0; i < 40; i++) {
    loop.trigger('again');
    await wait(0.1);
  }
  t.strictSame(passes, [1000, 2000, 3000, 4000]);
  await loop.stop();
});

t.test('one pass at a time; what is asked for meanwhile is one more', async (t) => {
  let running = 0;
  let most = 0;
  const passes: string[] = [];
  const ends: (() => void)[] = [];
  const { loop, wait } = loopWith(async (reasons) => {
    passes.push(reasons.join('+'));
    most = Math.max(most, ++running);
    await new Promise<void>((resolve) => ends.push(resolve));
    running -= 1;
  });
  loop.trigger('a');
  await wait(0.2);
  for (const reason of ['b', 'c', 'd']) loop.trigger(reason);
  await wait(5);
  t.strictSame(passes, ['a'], 'however long it takes');
  ends.shift()?.();
  await wait(0.2);
  t.strictSame(passes, ['a', 'b+c+d']);
  ends.shift()?.();
  await wait(5);
  t.equal(passes.length, 2);
  t.equal(most, 1);
  await loop.stop();
});

t.test('without any trigger a pass comes after each interval', async (t) => {
  const passes: string[] = [];
  const { loop, wait } = loopWith((reasons) => Promise.resolve(void passes.push(reasons.join('+'))));
  loop.trigger('start');
  await wait(0.2);
  await wait(59);
  t.strictSame(passes, ['start']);
  await wait(1);
  await wait(60);
  t.strictSame(passes, ['start', 'interval', 'interval']);
  await loop.stop();
});

t.test(
  'a pass that throws is tried again, less and less often, and the count begins anew after a success',
  async (t) => {
    let broken = true;
    const at: number[] = [];
    const { loop, timers, errors, wait } = loopWith(() => {
      at.push(timers.now() / 1000);
      return broken ? Promise.reject(new Error('no bus')) : Promise.resolve();
    });
    loop.trigger('start');
    await wait(8);
    t.strictSame(errors, ['no bus 0.5', 'no bus 1', 'no bus 2', 'no bus 4', 'no bus 8']);
    t.strictSame(at, [0.2, 0.7, 1.7, 3.7, 7.7]);
    for (let i = 0; i < 20; i++) await wait(60);
    t.equal(errors.at(-1), 'no bus 60', 'never later than the interval');
    broken = false;
    await wait(60);
    broken = true;
    errors.length = 0;
    loop.trigger('again');
    await wait(0.2);
    t.strictSame(errors, ['no bus 0.5']);
    await loop.stop();
  },
);

t.test('what is asked for while a pass fails is not forgotten', async (t) => {
  const passes: string[] = [];
  const { loop, wait } = loopWith((reasons) => {
    passes.push(reasons.join('+'));
    if (passes.length > 1) return Promise.resolve();
    loop.trigger('b');
    return Promise.reject(new Error('no bus'));
  });
  loop.trigger('a');
  await wait(0.7);
  t.strictSame(passes, ['a', 'b']);
  await loop.stop();
});

t.test('stop waits for the pass under way, and no other starts', async (t) => {
  const passes: string[] = [];
  let end = (): void => undefined;
  const { loop, timers, wait } = loopWith(async (reasons) => {
    passes.push(reasons.join('+'));
    await new Promise<void>((resolve) => (end = resolve));
  });
  loop.trigger('a');
  await wait(0.2);
  let stopped = false;
  const stopping = loop.stop().then(() => (stopped = true));
  await wait(1);
  t.notOk(stopped, 'the pass runs');
  end();
  await stopping;
  loop.trigger('b');
  await wait(300);
  t.strictSame(passes, ['a']);
  t.equal(timers.armed(), 0, 'nothing is left to ring');
});
