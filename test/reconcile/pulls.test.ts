import t from 'tap';
import { describeStep } from '../../agent/core/step.ts';
import { createPulls, type Pulls } from '../../agent/reconcile/pulls.ts';
import { createReconciler, type Report } from '../../agent/reconcile/reconcile.ts';
import { createWholePass, type Said } from '../../agent/reconcile/whole-pass.ts';
import { createWorks } from '../../agent/reconcile/works.ts';
import { templates } from '../core/golden-cases.ts';
import { createLivingHost } from './living-host.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An engine whose pulls end when the test says so. */
const createRegistry = () => {
  const ends: { image: string; resolve: () => void; reject: (error: Error) => void }[] = [];
  return {
    ends,
    pull: (image: string, onProgress: (line: string) => void): Promise<void> => {
      onProgress(`${image}: half of it`);
      return new Promise((resolve, reject) => void ends.push({ image, resolve, reject }));
    },
  };
};

t.test('an image is pulled once at a time, and who listens hears of it', async (t) => {
  const registry = createRegistry();
  const ended: string[] = [];
  const heard: string[] = [];
  const pulls = createPulls(
    registry,
    () => 0,
    (image) => void ended.push(image),
  );
  const deaf = pulls.listen((line) => void heard.push(line));
  pulls.begin('a');
  pulls.begin('a');
  pulls.begin('b');
  deaf();
  t.strictSame(
    registry.ends.map(({ image }) => image),
    ['a', 'b'],
  );
  t.strictSame(heard, ['a: half of it', 'b: half of it']);
  let settled = false;
  const all = pulls.settled().then(() => (settled = true));
  registry.ends[0]?.resolve();
  await turn();
  t.strictSame(ended, ['a']);
  t.notOk(settled);
  registry.ends[1]?.reject(new Error('no such image'));
  await all;
  t.strictSame(ended, ['a', 'b']);
});

t.test('what failed waits longer each time, up to a quarter of an hour, unless it is forgiven', async (t) => {
  const registry = createRegistry();
  let now = 0;
  const pulls = createPulls(
    registry,
    () => now,
    () => undefined,
  );
  const fail = async (): Promise<void> => {
    pulls.begin('a');
    registry.ends.at(-1)?.reject(new Error('too many requests'));
    await pulls.settled();
  };
  const delays: number[] = [];
  for (let round = 0; round < 7; round++) {
    await fail();
    const began = now;
    while (!isAllowed(pulls, registry.ends)) now += 1;
    delays.push(now - began);
    registry.ends.at(-1)?.reject(new Error('too many requests'));
    await pulls.settled();
    now += 10_000;
  }
  t.ok(
    delays.every((delay, index) => delay === 900 || delay > (delays[index - 1] ?? 0)),
    delays.join(', '),
  );
  t.equal(delays.at(-1), 900);
  await fail();
  t.throws(() => pulls.begin('a'), { message: 'too many requests' });
  pulls.forgive();
  pulls.begin('a');
  registry.ends.at(-1)?.resolve();
  await pulls.settled();
  await fail();
  now += 30;
  pulls.begin('a');
  t.pass('a success makes the next failure the first one');
});

const isAllowed = (pulls: Pulls, ends: readonly unknown[]): boolean => {
  const before = ends.length;
  try {
    pulls.begin('a');
  } catch {
    return false;
  }
  return ends.length > before;
};

t.test('a slow registry holds up the site that waits for it, and nobody else', async (t) => {
  const registry = createRegistry();
  const host = createLivingHost();
  host.disk.set('/etc/appfleet/sites/slow.example.org.ini', '[site]\nruntime = node\nimage = slow:1\n');
  host.disk.set('/etc/appfleet/sites/www.example.org.ini', '[site]\nruntime = static\nroot = /srv/www\n');
  const pulls = createPulls(
    {
      pull: async (image, onProgress) => {
        await registry.pull(image, onProgress);
        host.images.add(image);
      },
    },
    () => 0,
    () => undefined,
  );
  const reconciler = createReconciler(host, templates, () => 'x');
  const beside = {
    pulls,
    works: createWorks(
      () => 0,
      () => undefined,
    ),
  };
  const pass = (onResult: (said: Said) => void = () => undefined): Promise<Report> =>
    reconciler.apply({ width: 8, clock: () => 0, onProgress: () => undefined, onResult, beside });
  const first = await pass();
  t.strictSame(
    first.results.filter(({ outcome }) => outcome === 'failed' || outcome === 'skipped'),
    [],
  );
  t.equal(host.active.get('www.example.org.service'), 'active');
  t.equal(host.active.get('slow.example.org.service'), undefined);

  const lines: Said[] = [];
  let ended: Report | null = null;
  const whole = createWholePass(beside, pass)((line) => void lines.push(line)).then((report) => (ended = report));
  await turn();
  await turn();
  t.equal(ended, null, 'who asked for a pass waits for the image');
  t.equal((await pass()).results.filter(({ outcome }) => outcome === 'failed').length, 0, 'others have their passes');
  t.equal(registry.ends.length, 1);
  registry.ends[0]?.resolve();
  const report = await whole;
  t.ok(report.results.length > 0);
  t.strictSame([...new Set(report.results.map(({ outcome }) => outcome))], ['done']);
  t.strictSame(lines, report.results, 'and sees each step once');
  t.equal(host.active.get('slow.example.org.service'), 'active');
});

t.test('who asks for a pass learns that a pull failed', async (t) => {
  const host = createLivingHost();
  host.disk.set('/etc/appfleet/sites/a.example.org.ini', '[site]\nruntime = node\nimage = gone:1\n');
  const pulls = createPulls(
    host.containers,
    () => 0,
    () => undefined,
  );
  const reconciler = createReconciler(host, templates, () => 'x');
  const said: string[] = [];
  const works = createWorks(
    () => 0,
    () => undefined,
  );
  const whole = createWholePass({ pulls, works }, (onResult, beside) =>
    reconciler.apply({ width: 8, clock: () => 0, onProgress: () => undefined, onResult, beside }),
  );
  for (const round of [1, 2]) {
    said.length = 0;
    await whole((line) => {
      if ('step' in line) said.push(`${describeStep(line.step)}: ${line.outcome} ${line.reason ?? ''}`);
    });
    t.match(
      said.filter((line) => line.startsWith('pull')),
      ['pull image gone:1: failed a.example.org: cannot pull gone:1: not found'],
      `round ${round}`,
    );
  }
});
