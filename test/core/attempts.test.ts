import fc from 'fast-check';
import t from 'tap';
import { blockedUntil, type Failure, noteFailure, type Trouble } from '../../agent/core/attempts.ts';

const now = 1_800_000_000;
const day = 86_400;
const longest = () => 1;
const row = (trouble: Partial<Trouble>, times: number): number[] => {
  const waits: number[] = [];
  let failure: Failure | null = null;
  let time = now;
  for (let nth = 0; nth < times; nth += 1) {
    failure = noteFailure(failure, { reason: 'no', ...trouble }, time, longest);
    waits.push(failure.again - time);
    time = failure.again;
  }
  return waits;
};

t.test('waits double', (t) => {
  t.same(row({}, 11), [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, day, day]);
  t.same(row({ unreachable: true }, 8), [60, 120, 240, 480, 960, 1920, 3600, 3600]);
  t.same(row({ lifetime: 180 }, 3), [9, 9, 9], 'never more than a twentieth of the lifetime');
  t.same(row({ lifetime: 6 * day }, 9).at(-1), (6 * day) / 20);
  t.same(row({ lifetime: 90 * day }, 12).at(-1), day);
  t.equal(noteFailure(null, { reason: 'no' }, now, () => 0).again, now + 240, 'spread over a fifth');
  t.end();
});

t.test('a CA that is away does not lengthen the waits for refusals, nor the other way round', (t) => {
  let failure: Failure | null = null;
  for (let nth = 0; nth < 20; nth += 1)
    failure = noteFailure(failure, { reason: 'away', unreachable: true }, now, longest);
  failure = noteFailure(failure, { reason: 'no' }, now, longest);
  t.match(failure, { count: 21, unreachable: 20, again: now + 300 });
  t.equal(noteFailure(failure, { reason: 'no' }, now, longest).again, now + 600);
  t.end();
});

t.test('Retry-After', (t) => {
  const after = (retryAfterSeconds: number) =>
    noteFailure(null, { reason: 'no', retryAfterSeconds, lifetime: 180 }, now, longest);
  t.match(after(3600), { again: now + 3600, retryAfter: true }, 'wins when it is larger');
  t.match(after(1), { again: now + 9, retryAfter: false });
  t.equal(after(1e9).again, now + 7 * day, 'nobody means thirty years');
  t.equal(after(NaN).again, now + 9);
  t.equal(after(-5).again, now + 9);
  t.end();
});

t.test('a row belongs to a set of names', (t) => {
  const names = ['a.example', 'b.example'];
  const failure = noteFailure(
    noteFailure(null, { reason: 'no', names }, now, longest),
    { reason: 'no', names },
    now,
    longest,
  );
  t.equal(blockedUntil(failure, now, ['b.example', 'a.example']), now + 600);
  t.equal(blockedUntil(failure, now, ['a.example']), null, 'the admin mended the file');
  t.equal(noteFailure(failure, { reason: 'no', names: ['a.example'] }, now, longest).count, 1);
  t.end();
});

t.test(
  'whatever the clock did, nothing is blocked for longer than a week, and nothing in a row is tried at once',
  (t) => {
    const failures = fc.record({
      count: fc.nat(100),
      at: fc.integer({ min: -4e10, max: 4e10 }),
      again: fc.integer({ min: -4e10, max: 4e10 }),
      reason: fc.string(),
      retryAfter: fc.boolean(),
    });
    fc.assert(
      fc.property(failures, (failure) => {
        const until = blockedUntil(failure, now);
        t.ok(until === null || (until > now && until <= now + 7 * day + 60));
      }),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(
        fc.option(failures),
        fc.boolean(),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (before, unreachable, chance) => {
          const after = noteFailure(before, { reason: 'no', unreachable }, now, () => chance);
          const until = blockedUntil(after, now);
          t.ok(until !== null && until >= now + 48 && until <= now + day);
        },
      ),
      { numRuns: 300 },
    );
    const ahead = noteFailure(null, { reason: 'no' }, now + 365 * day, longest);
    t.equal(blockedUntil(ahead, now), null, 'the clock was set back by a year');
    t.equal(blockedUntil(noteFailure(null, { reason: 'no' }, now - 365 * day, longest), now), null);
    t.equal(
      blockedUntil(noteFailure(null, { reason: 'no' }, now + 30, longest), now),
      now + 330,
      'a small step changes little',
    );
    t.end();
  },
);
