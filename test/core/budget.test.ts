import fc from 'fast-check';
import t from 'tap';
import { loadRegisteredDomain } from '../../agent/adapters/registered-domain.ts';
import {
  emptyLedger,
  endPause,
  type Ledger,
  limitsOf,
  mayOrder,
  noteCertificate,
  noteFailedValidation,
  noteOrder,
  notePause,
  parseLedger,
  printLedger,
  prune,
} from '../../agent/core/budget.ts';

const now = 1_800_000_000;
const hour = 3600;
const day = 24 * hour;
const registered = await loadRegisteredDomain();
const limits = limitsOf('https://acme-v02.api.letsencrypt.org/directory');
const rules = { limits, registered };
const ask = (...names: string[]) => ({ names, replaces: false });

t.test('whose limits', (t) => {
  t.match(limits, { orders: { most: 250 }, domain: { most: 40 }, set: { most: 4 }, failures: { most: 4 } });
  t.match(limitsOf('https://acme-staging-v02.api.letsencrypt.org/directory'), { orders: { most: 1200 } });
  for (const url of [
    'https://localhost:14000/dir',
    'https://acme-v02.api.letsencrypt.org.evil.example/directory',
    'x',
    '',
  ])
    t.equal(limitsOf(url), null, url);
  t.end();
});

t.test('registered domains', (t) => {
  const pairs: [string, string | null][] = [
    ['www.example.co.uk', 'example.co.uk'],
    ['example.org', 'example.org'],
    ['a.b.github.io', 'b.github.io'],
    ['github.io', null],
    ['xn--mller-kva.example', 'xn--mller-kva.example'],
    ['localhost', null],
  ];
  for (const [name, domain] of pairs) t.equal(registered(name), domain, name);
  t.end();
});

t.test('orders of the account', (t) => {
  let ledger: Ledger = emptyLedger;
  for (let nth = 0; nth < 250; nth += 1) {
    t.equal(mayOrder(ledger, ask(`a${nth}.example`), rules, now + nth), null);
    ledger = noteOrder(ledger, ask(`a${nth}.example`), rules, now + nth);
  }
  t.same(mayOrder(ledger, ask('b.example'), rules, now + 300), {
    reason: '250 orders in 3 hours, which is close to the limit of the CA',
    again: now + 3 * hour,
  });
  t.equal(
    mayOrder(ledger, { names: ['b.example'], replaces: true }, rules, now + 300),
    null,
    'a renewal that the CA knows as one',
  );
  t.equal(mayOrder(ledger, ask('b.example'), { ...rules, limits: null }, now + 300), null, 'a CA without limits');
  t.equal(mayOrder(ledger, ask('b.example'), rules, now + 3 * hour), null, 'the first is forgotten');
  t.equal(noteOrder(ledger, { names: ['b.example'], replaces: true }, rules, now).orders.length, 250, 'not counted');
  t.end();
});

t.test('certificates of a registered domain, and of a set', (t) => {
  let ledger: Ledger = emptyLedger;
  for (let nth = 0; nth < 40; nth += 1)
    ledger = noteCertificate(ledger, ask(`a${nth}.example.co.uk`, 'x.other.example'), rules, now + nth);
  t.match(mayOrder(ledger, ask('new.example.co.uk'), rules, now + 50), {
    reason: /40 certificates below example\.co\.uk in 7 days/,
    again: now + 7 * day,
  });
  t.match(mayOrder(ledger, ask('*.example.co.uk'), rules, now + 50), { again: now + 7 * day });
  t.match(mayOrder(ledger, ask('z.other.example'), rules, now + 50), { reason: /below other\.example/ });
  t.equal(mayOrder(ledger, ask('example.com'), rules, now + 50), null);
  const renewal = { names: ['a1.example.co.uk'], replaces: true };
  t.equal(mayOrder(ledger, renewal, rules, now + 50), null);
  t.same(noteCertificate(ledger, renewal, rules, now + 60).domains, ledger.domains, 'does not count');
  let same: Ledger = emptyLedger;
  for (let nth = 0; nth < 4; nth += 1) same = noteCertificate(same, ask('a.example', 'b.example'), rules, now + nth);
  t.match(mayOrder(same, ask('b.example', 'a.example'), rules, now + 9), {
    reason: /4 certificates for the same names/,
    again: now + 7 * day,
  });
  t.equal(mayOrder(same, ask('a.example'), rules, now + 9), null);
  t.end();
});

t.test('failed validations', (t) => {
  let ledger: Ledger = emptyLedger;
  for (let nth = 0; nth < 4; nth += 1) ledger = noteFailedValidation(ledger, '*.a.example', rules, now + nth);
  t.match(mayOrder(ledger, { names: ['b.example', 'a.example'], replaces: true }, rules, now + 9), {
    reason: /4 failed validations of a\.example in an hour/,
    again: now + hour,
  });
  t.equal(mayOrder(ledger, ask('b.example'), rules, now + 9), null, 'other names go on');
  t.equal(mayOrder(ledger, ask('a.example'), rules, now + hour), null);
  t.end();
});

t.test('a pause is for all sites, whoever the CA is', (t) => {
  const ledger = notePause(emptyLedger, { reason: 'the CA is down', unreachable: true }, now, () => 1);
  const none = { limits: null, registered };
  t.same(mayOrder(ledger, ask('a.example'), none, now), { reason: 'the CA is down', again: now + 60 });
  t.equal(mayOrder(ledger, ask('a.example'), none, now + 60), null);
  t.equal(mayOrder(endPause(ledger), ask('a.example'), none, now), null);
  t.equal(mayOrder(noteCertificate(ledger, ask('a.example'), none, now), ask('a.example'), none, now), null);
  t.equal(
    mayOrder(
      notePause(emptyLedger, { reason: 'x' }, now + 365 * day, () => 1),
      ask('a.example'),
      none,
      now,
    ),
    null,
    'noted by a clock that ran ahead',
  );
  t.end();
});

t.test('a clock wrong by a year blocks nothing for ever', (t) => {
  for (const off of [365 * day, -365 * day]) {
    let ledger: Ledger = emptyLedger;
    for (let nth = 0; nth < 300; nth += 1)
      ledger = noteCertificate(
        noteOrder(ledger, ask('a.example'), rules, now + off),
        ask('a.example'),
        rules,
        now + off,
      );
    t.ok(mayOrder(ledger, ask('a.example'), rules, now + off));
    t.equal(mayOrder(ledger, ask('a.example'), rules, now), null);
  }
  let ledger: Ledger = emptyLedger;
  for (let nth = 0; nth < 4; nth += 1) ledger = noteCertificate(ledger, ask('a.example'), rules, now);
  t.ok(mayOrder(ledger, ask('a.example'), rules, now - day), 'set back by a day, it still counts');
  t.end();
});

t.test('the file', (t) => {
  let ledger: Ledger = emptyLedger;
  for (let nth = 0; nth < 1000; nth += 1) {
    ledger = noteOrder(ledger, ask(`a${nth}.example`), rules, now + nth);
    ledger = noteCertificate(ledger, ask(`a${nth % 50}.example`, '__proto__'), rules, now + nth);
    ledger = noteFailedValidation(ledger, `a${nth % 10}.example`, rules, now + nth);
  }
  ledger = notePause(ledger, { reason: 'x' }, now, () => 1);
  t.same(parseLedger(printLedger(ledger)), ledger);
  t.ok(printLedger(ledger).length < 40_000, `${printLedger(ledger).length} characters`);
  t.same(prune(ledger, limits, now + 8 * day), { ...emptyLedger, pause: ledger.pause });
  for (const text of [
    null,
    '',
    '{',
    '[]',
    'null',
    '{"orders":{"length":9},"domains":[1],"sets":null,"failures":{"a":"b"},"pause":7}',
    '{"orders":["1",null]}',
  ])
    t.same(parseLedger(text), emptyLedger, String(text));
  t.equal(parseLedger('{"sets":{"__proto__":[1]}}').sets.get('__proto__')?.length, 1);
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      mayOrder(parseLedger(text), ask('a.example'), rules, now);
    }),
  );
  t.end();
});
