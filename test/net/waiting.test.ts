import t from 'tap';
import { createBackoff } from '../../agent/net/backoff.ts';
import { createLimit, doAll } from '../../agent/net/limit.ts';
import { withDeadline } from '../../agent/net/timers.ts';
import { createFakeTimers, settle } from './fake-timers.ts';

t.test('limit', (t) => {
  t.test('runs at most so many at once, in the order of arrival, and all of them', async (t) => {
    const limit = createLimit(3);
    let running = 0;
    let most = 0;
    const order: number[] = [];
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        limit(async () => {
          order.push(i);
          most = Math.max(most, ++running);
          await new Promise((resolve) => setImmediate(resolve));
          running -= 1;
          return i;
        }),
      ),
    );
    t.equal(most, 3);
    t.same(
      results,
      Array.from({ length: 50 }, (_, i) => i),
    );
    t.same(order, results);
  });

  t.test('a failure is the caller’s and frees the place', async (t) => {
    const limit = createLimit(1);
    await t.rejects(
      limit(() => Promise.reject(new Error('mine'))),
      { message: 'mine' },
    );
    await t.rejects(
      limit(() => {
        throw new Error('thrown at once');
      }),
      { message: 'thrown at once' },
    );
    t.equal(await limit(() => Promise.resolve('next')), 'next');
  });

  t.test('of many, nothing begins after a failure, and what had begun is waited for', async (t) => {
    const began: number[] = [];
    const ended: number[] = [];
    const works = Array.from({ length: 10 }, (_, i) => async (): Promise<void> => {
      began.push(i);
      if (i === 1) throw new Error('second');
      await new Promise((resolve) => setTimeout(resolve, 20));
      ended.push(i);
    });
    await t.rejects(doAll(createLimit(3), works), { message: 'second' });
    t.strictSame(
      [began, ended],
      [
        [0, 1, 2],
        [0, 2],
      ],
    );
    await doAll(createLimit(3), works.slice(2));
    t.equal(ended.length, 10);
  });

  t.test('a newcomer cannot overtake who waits while a place is handed on', async (t) => {
    const limit = createLimit(1);
    let running = 0;
    const work = async (): Promise<void> => {
      t.equal(++running, 1);
      await settle();
      running -= 1;
    };
    const first = limit(work);
    const second = limit(work);
    await first;
    await Promise.all([limit(work), limit(work), second]);
  });

  t.throws(() => createLimit(0), RangeError);
  t.throws(() => createLimit(Number.NaN), RangeError);
  t.end();
});

t.test('back-off doubles up to its cap and begins again', (t) => {
  const backoff = createBackoff(50, 300);
  t.same([backoff.next(), backoff.next(), backoff.next(), backoff.next(), backoff.next()], [50, 100, 200, 300, 300]);
  backoff.reset();
  t.equal(backoff.next(), 50);
  t.end();
});

t.test('a deadline', async (t) => {
  const timers = createFakeTimers();
  const late = withDeadline(timers, 10, new Promise(() => undefined), () => new Error('late'));
  timers.pass(10);
  await t.rejects(late, { message: 'late' });

  t.equal(await withDeadline(timers, 10, Promise.resolve('in time'), () => new Error('late')), 'in time');
  await t.rejects(
    withDeadline(timers, 10, Promise.reject(new Error('own trouble')), () => new Error('late')),
    { message: 'own trouble' },
  );
  await settle();
  t.equal(timers.armed(), 0, 'no alarm stays behind');
});
