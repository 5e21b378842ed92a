import t from 'tap';
import { createTapReader, type Outcome } from './outcome.ts';

const read = (text: string, code = 0, depth = 0): { outcome: Outcome; shown: string[] } => {
  const shown: string[] = [];
  const reader = createTapReader((line) => shown.push(line), depth);
  for (const line of text.split('\n')) reader.line(line);
  return { outcome: reader.end(code), shown };
};

const good = `TAP version 14
# Subtest: a.test.ts
    # Subtest: one
        ok 1 - x
        ok 2 - y
        1..2
    ok 1 - one # time=12.5ms
    ok 2 - direct
    1..2
ok 1 - a.test.ts # time=100ms
1..1`;
const bad = `# Subtest: a.test.ts
    # Subtest: one
        ok 1 - x
          ---
          why: ok 7 - is no assertion
          ...
        not ok 2 - y
          ---
          found: 3
          ...
        1..2
    not ok 1 - one
      ---
      at: nowhere
      ...
    1..1
not ok 1 - a.test.ts`;

t.test('assertions are counted, their sums are not', (t) => {
  t.strictSame(read(good).outcome, { passed: 3, failed: 0 });
  t.strictSame(read(good).shown, ['  ok a.test.ts (100 ms)']);
  t.strictSame(read(good, 0, 1).shown, ['    ok one (12 ms)', '    ok direct', '  ok a.test.ts (100 ms)']);
  t.end();
});

t.test('a failure is shown once, with its place and diagnosis', (t) => {
  const { outcome, shown } = read(bad, 1);
  t.strictSame(outcome, { passed: 1, failed: 1 });
  t.strictSame(shown, ['  not ok: a.test.ts > one > y\n    found: 3']);
  t.end();
});

t.test('what fails without a failed assertion fails', (t) => {
  t.strictSame(read(good, 1).outcome, { passed: 3, failed: 1 }, 'the runner');
  t.strictSame(read('', 0).outcome, { passed: 0, failed: 1 }, 'no test at all');
  t.strictSame(read('# Subtest: a\n    ok 1 - x\nnot ok 1 - a').outcome, { passed: 1, failed: 1 }, 'a crash');
  t.strictSame(read('ok 1 - x # SKIP no Docker').outcome, { passed: 0, failed: 1 }, 'a check that was not made');
  t.strictSame(read('not ok 1 - x # TODO later').outcome, { passed: 0, failed: 1 });
  t.strictSame(read('ok 1 - about \\# SKIP').outcome, { passed: 1, failed: 0 });
  t.end();
});
