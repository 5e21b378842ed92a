import fc from 'fast-check';
import t from 'tap';
import {
  attemptFailed,
  attemptSucceeded,
  emptyState,
  leftOutOf,
  parseState,
  printState,
} from '../../agent/core/certificate.ts';
import type { CertificateState } from '../../agent/core/certificate.ts';
import { generationName, generationTime, lookAtGone } from '../../agent/core/generation.ts';
import { leaveOut } from '../../agent/core/left-out.ts';

const now = 1_800_000_000;
const day = 86_400;
const chance = () => 0.5;
const full: CertificateState = {
  failure: { count: 3, unreachable: 1, at: now, again: now + 10, reason: 'no', retryAfter: true, names: ['a.example'] },
  leftOut: { 'b.example': { reason: 'does not resolve', since: now, again: now + 5, count: 1 } },
  order: { url: 'https://ca.example/order/1', keyPem: 'KEY', names: ['a.example'], began: now },
  renewal: { start: 1, end: 2, chosen: 1.5, explanation: null, asked: now, again: now + 9, of: 'ab' },
};

t.test('the state survives being written', (t) => {
  t.same(parseState(printState(full)), full);
  t.same(parseState(printState(emptyState)), emptyState);
  t.end();
});

t.test('what is not as we write it counts as absent, each part for itself', (t) => {
  for (const text of [
    null,
    '',
    '{',
    'null',
    '[]',
    '1',
    '"x"',
    '\0',
    '{"failure":1,"leftOut":[],"order":"x","renewal":{}}',
  ])
    t.same(parseState(text), emptyState, String(text));
  const { order, ...rest } = full;
  t.ok(order);
  t.same(parseState(JSON.stringify({ ...rest, order: { ...full.order, url: 'file:///etc/passwd' } })), {
    ...rest,
    order: null,
  });
  t.same(parseState(JSON.stringify({ failure: { ...full.failure, again: '1e999' } })).failure, null);
  t.same(parseState('{"failure":{"count":1,"at":1,"again":1e999,"reason":"x"}}').failure, null, 'no end of time');
  const hostile = parseState(
    '{"__proto__":{"failure":{}},"leftOut":{"__proto__":{"reason":"x","since":1,"again":1,"count":1},"a b":{"reason":"x","since":1,"again":1,"count":1}}}',
  );
  t.same(hostile, emptyState);
  t.equal(({} as { reason?: string }).reason, undefined);
  t.equal(leftOutOf(hostile, '__proto__'), undefined);
  t.equal(leftOutOf(hostile, 'constructor'), undefined);
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.jsonValue().map((value) => JSON.stringify({ failure: value, leftOut: value, order: value, renewal: value })),
      ),
      (text) => {
        t.same(Object.keys(parseState(text)), Object.keys(emptyState));
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});

t.test('attempts', (t) => {
  const wanted = { names: ['a.example', 'b.example'], keyType: 'ecdsa' as const };
  const out = leaveOut(emptyState, 'b.example', { reason: 'does not resolve' }, now, chance);
  t.match(out.leftOut['b.example'], { since: now, again: now + 270, count: 1 });
  const twice = leaveOut(out, 'b.example', { reason: 'does not resolve' }, now + 1000, chance);
  t.match(twice.leftOut['b.example'], { since: now, again: now + 1000 + 540, count: 2 });
  const failed = attemptFailed(twice, wanted, null, { reason: 'no' }, now, chance);
  t.match(failed.failure, { count: 1, names: wanted.names });
  t.same(
    attemptSucceeded(failed, wanted, ['a.example']),
    { ...emptyState, leftOut: twice.leftOut },
    'what is left out stays so',
  );
  t.same(attemptSucceeded(failed, wanted, wanted.names), emptyState);
  t.same(attemptSucceeded(failed, { ...wanted, names: ['a.example'] }, ['a.example']), emptyState);
  t.end();
});

t.test('names of generations', (t) => {
  const name = generationName(now + 0.7, 'abcdef0123456789');
  t.equal(name, '20270115T080000Z-abcdef01');
  t.equal(generationTime(name), now);
  for (const text of ['', '..', '.placeholder', 'current', `${name}/..`, `${name}.tmp`, '20271315T080000Z-abcdef01'])
    t.equal(generationTime(text), null, text);
  t.end();
});

t.test('30 days gone, by days that were seen', (t) => {
  let mark: string | null = null;
  const look = (time: number): boolean => {
    const { text, over } = lookAtGone(mark, time);
    mark = text;
    return over;
  };
  for (let nth = 0; nth < 60; nth += 1) t.equal(look(now + (nth * day) / 2), false);
  t.equal(look(now + 30 * day), true);
  mark = null;
  t.equal(look(now), false);
  t.equal(look(now + 365 * day), false, 'the clock jumped: one day');
  t.equal(look(now), false, 'and back: none');
  for (let nth = 1; nth < 29; nth += 1) t.equal(look(now + nth * day), false);
  t.equal(look(now + 29 * day), true);
  for (const text of ['', 'x', '{}', '{"gone":-5,"seen":1}', '{"gone":"9e9","seen":0}'])
    t.equal(lookAtGone(text, now).over, false);
  t.end();
});
