import fc from 'fast-check';
import t from 'tap';
import {
  attemptFailed,
  attemptSucceeded,
  type CertificateState,
  type CurrentCertificate,
  emptyState,
} from '../../agent/core/certificate.ts';
import {
  byUrgency,
  clockTrouble,
  dueOf,
  noteWindow,
  ownRenewal,
  renewalOf,
  shouldAskWindow,
  urgencyOf,
} from '../../agent/core/due.ts';
import { leaveOut } from '../../agent/core/left-out.ts';

const now = 1_800_000_000;
const day = 86_400;
const names = ['a.example', 'www.a.example'];
const wanted = { names, keyType: 'ecdsa' as const };
const lifetimes = [90 * day, 6 * day, 180];
const made = (at: number, lifetime: number, change: Partial<CurrentCertificate> = {}): CurrentCertificate => ({
  names,
  notBefore: at,
  notAfter: at + lifetime,
  keyType: 'ecdsa',
  fingerprint: `f${at}`,
  obtained: at,
  ...change,
});
const why = (
  current: CurrentCertificate | null,
  state: CertificateState = emptyState,
  time = now,
  want = wanted,
): string => {
  const due = dueOf(want, current, state, time);
  return due.due ? due.why : due.blocked === null ? 'no' : 'blocked';
};

t.test('why a certificate is due', (t) => {
  t.equal(why(null), 'missing');
  const young = made(now - 10 * day, 90 * day);
  t.equal(why(young), 'no');
  t.equal(why({ ...young, names: ['a.example'] }), 'names');
  t.equal(why({ ...young, names: ['www.a.example', 'a.example'] }), 'no', 'a set');
  t.equal(why({ ...young, names: [...names, 'old.example'] }), 'names');
  t.match(dueOf(wanted, { ...young, names: [...names, 'old.example'] }, emptyState, now), {
    reason: 'no longer names of the site: old.example',
  });
  t.equal(why({ ...young, keyType: 'rsa' }), 'key-type');
  t.equal(why({ ...young, notAfter: now }), 'expired');
  t.equal(why({ ...young, notBefore: now + 301 }), 'not-yet-valid');
  t.equal(why({ ...young, notBefore: now + 299 }), 'no', 'clocks differ');
  t.end();
});

t.test('two thirds of any lifetime, give or take a twentieth, always the same for one certificate', (t) => {
  for (const lifetime of lifetimes) {
    const parts = Array.from({ length: 400 }, (_, nth) => {
      const current = made(now, lifetime, { fingerprint: `${nth}` });
      t.equal(ownRenewal(current), ownRenewal(current));
      const { at } = renewalOf(current, emptyState);
      t.equal(why(current, emptyState, at - 1), 'no');
      t.equal(why(current, emptyState, at + 1), 'lifetime');
      return (at - now) / lifetime;
    });
    t.ok(Math.min(...parts) > 0.61 && Math.min(...parts) < 0.63);
    t.ok(Math.max(...parts) < 0.72 && Math.max(...parts) > 0.7);
  }
  const due = dueOf(wanted, made(now, 180), emptyState, now);
  t.ok(!due.due && due.at > now + 110 && due.at < now + 130, 'and it is known when');
  t.end();
});

t.test("the CA's window", (t) => {
  const current = made(now - 10 * day, 90 * day);
  const answer = { start: now + day, end: now + 3 * day, explanation: null, retryAfterSeconds: 21_600 };
  t.ok(shouldAskWindow(emptyState, current, now));
  const state = noteWindow(emptyState, current, answer, now, () => 0.25);
  t.equal(state.renewal?.chosen, now + 1.5 * day);
  t.notOk(shouldAskWindow(state, current, now + 21_599));
  t.ok(shouldAskWindow(state, current, now + 21_600));
  t.ok(shouldAskWindow(state, { ...current, fingerprint: 'x' }, now), 'another certificate');
  t.ok(shouldAskWindow(state, current, now - day), 'asked in the future: the clock went back');
  t.equal(why(current, state, now + 1.5 * day - 1), 'no');
  t.equal(why(current, state, now + 1.5 * day), 'ca-window');
  t.equal(noteWindow(state, current, answer, now + day, () => 0.9).renewal?.chosen, now + 1.5 * day, 'chosen once');
  const moved = noteWindow(
    state,
    current,
    { ...answer, start: now - 2 * day, end: now - day, explanation: 'https://ca.example/why' },
    now,
    () => 0.9,
  );
  t.match(dueOf(wanted, current, moved, now), {
    due: true,
    why: 'ca-window',
    reason: 'the CA wants it to be renewed, see https://ca.example/why',
  });
  t.equal(why({ ...current, fingerprint: 'x' }, moved), 'no', 'it is about another certificate');
  for (const bad of [null, { ...answer, end: answer.start }, { ...answer, end: 0 }, { ...answer, start: NaN }]) {
    const own = noteWindow(emptyState, current, bad, now, () => 0.5);
    t.same(renewalOf(current, own), { at: ownRenewal(current), by: 'lifetime' });
    t.notOk(shouldAskWindow(own, current, now + 3600), 'not at every look');
    t.ok(shouldAskWindow(own, current, now + 21_600));
  }
  const never = noteWindow(
    emptyState,
    current,
    { ...answer, start: now + 1000 * day, end: now + 2000 * day },
    now,
    () => 0,
  );
  t.equal(why(current, never, current.notAfter - 9 * day + 1), 'lifetime', 'no CA puts it off for ever');
  const rare = noteWindow(emptyState, current, { ...answer, retryAfterSeconds: 1e9 }, now, () => 0);
  t.ok(shouldAskWindow(rare, current, now + day), 'asked daily at least (RFC 9773 4.3.2)');
  t.end();
});

t.test('a CA whose certificates are always due does not get orders without end', (t) => {
  // Dated back by a month, or with a window in the past.
  const old = made(now - 30 * day, 30 * day + 180, { obtained: now });
  t.equal(why(old, emptyState, now + 1), 'no');
  t.equal(why(old, emptyState, now + 61), 'lifetime');
  const current = made(now, 90 * day);
  const past = noteWindow(
    emptyState,
    current,
    { start: now - 20, end: now - 10, explanation: null, retryAfterSeconds: 60 },
    now,
    () => 0,
  );
  t.equal(why(current, past, now + 3600), 'no');
  t.equal(why(current, past, now + day), 'ca-window');
  t.equal(
    why(
      made(now - 30 * day, 90 * day),
      noteWindow(
        emptyState,
        made(now - 30 * day, 90 * day),
        { start: 1, end: 2, explanation: null, retryAfterSeconds: 60 },
        now,
        () => 0,
      ),
    ),
    'ca-window',
    'revoked by the CA: at once',
  );
  const surplus = made(now, 90 * day, { names: [...names, 'added-by-the-ca.example'] });
  t.equal(why(surplus, emptyState, now + 60), 'no');
  t.equal(why(surplus, emptyState, now + 3600), 'names');
  t.end();
});

t.test('names left out', (t) => {
  const half = made(now - day, 90 * day, { names: ['a.example'] });
  const state = leaveOut(emptyState, 'www.a.example', { reason: 'does not resolve' }, now, () => 1);
  const due = dueOf(wanted, half, state, now);
  t.same(due, { due: false, at: now + 300, blocked: null }, 'looked at again when its time has come');
  t.match(dueOf(wanted, half, state, now + 300), { due: true, why: 'names', names });
  t.match(dueOf(wanted, null, state, now), { due: true, why: 'missing', names: ['a.example'] });
  const both = leaveOut(state, 'a.example', { reason: 'does not resolve' }, now, () => 0.5);
  t.match(dueOf(wanted, null, both, now), { due: false, at: now + 270, blocked: /no name/ });
  const ahead = leaveOut(emptyState, 'www.a.example', { reason: 'x' }, now + 365 * day, () => 1);
  t.equal(why(half, ahead), 'names', 'the clock was set back');
  t.match(dueOf({ ...wanted, names: ['constructor', 'toString'] }, null, emptyState, now), {
    names: ['constructor', 'toString'],
  });
  t.match(dueOf({ ...wanted, names: [] }, null, emptyState, now), { due: false });
  t.end();
});

t.test('a failure is waited for', (t) => {
  const state = attemptFailed(emptyState, wanted, null, { reason: 'refused' }, now, () => 1);
  t.same(dueOf(wanted, null, state, now + 1), { due: false, at: now + 300, blocked: 'refused' });
  t.equal(why(null, state, now + 300), 'missing');
  t.equal(why(null, state, now + 1, { ...wanted, names: ['a.example'] }), 'missing', 'the admin mended the file');
  t.end();
});

t.test('urgency', (t) => {
  const sites = [
    { site: 'not-yet', current: made(now + day, 90 * day) },
    { site: 'fresh', current: made(now, 90 * day) },
    { site: 'third', current: made(now - 60 * day, 90 * day) },
    { site: 'new-b', current: null },
    { site: 'new-a', current: null },
    { site: 'minutes', current: made(now - 170, 180) },
    { site: 'days', current: made(now - 86 * day, 90 * day) },
    { site: 'expired', current: made(now - 91 * day, 90 * day) },
  ];
  t.same(
    byUrgency(sites, now).map(({ site }) => site),
    ['expired', 'days', 'minutes', 'new-a', 'new-b', 'third', 'fresh', 'not-yet'],
  );
  t.ok(urgencyOf(made(now - 5, 1), now) < 0);
  t.end();
});

t.test('a clock that is wrong', (t) => {
  const fresh = { notBefore: now, notAfter: now + 90 * day };
  t.equal(clockTrouble(fresh, now), null);
  t.equal(clockTrouble(fresh, now - 200), null);
  t.match(clockTrouble(fresh, now - 365 * day), /not yet valid .* behind by at least 365 days/);
  t.match(clockTrouble(fresh, now + 365 * day), /has expired .* ahead by at least 275 days/);
  t.match(clockTrouble(fresh, now - 3600), /60 minutes/);
  t.end();
});

/** A site for a month of days, a look every few minutes, at a CA with a clock of its own. Resolves to its orders. */
const live = (
  offsetAt: (time: number) => number,
  lifetime: number,
  span: number,
  every: number,
): { orders: number[]; expired: number } => {
  let current: CurrentCertificate | null = null;
  let state = emptyState;
  const orders: number[] = [];
  let expired = 0;
  for (let time = now; time < now + span; time += every) {
    const clock = time + offsetAt(time);
    const due = dueOf(wanted, current, state, clock);
    if (due.due) {
      orders.push(time);
      const fresh = made(time, lifetime, { obtained: clock, fingerprint: `${time}` });
      if (clockTrouble(fresh, clock) === null) {
        current = fresh;
        state = attemptSucceeded(state, wanted, names);
      } else state = attemptFailed(state, wanted, current, { reason: 'clock' }, clock, () => 0.5);
    }
    if (current === null || time >= current.notAfter || time < current.notBefore) expired += every;
  }
  return { orders, expired };
};

t.test('years of a wrong clock: no storm, no end', (t) => {
  for (const lifetime of lifetimes) {
    const span = lifetime * 4;
    const every = lifetime / 500;
    const right = live(() => 0, lifetime, span, every);
    t.ok(right.orders.length >= 5 && right.orders.length <= 7, `${right.orders.length} orders`);
    t.equal(right.expired, 0);
    for (const years of [1, -1]) {
      const always = live(() => years * 365 * day, lifetime, span, every);
      // Doubling to one a day.
      t.ok(always.orders.length <= 12 + span / (0.8 * day), `always: ${always.orders.length} orders`);
      const once = live((time) => (time < now + lifetime ? years * 365 * day : 0), lifetime, span, every);
      t.ok(once.expired <= lifetime * 1.1, 'all is well as soon as the clock is');
      const later = live(
        (time) => (time > now + 0.3 * lifetime && time < now + 0.5 * lifetime ? years * 365 * day : 0),
        lifetime,
        span,
        every,
      );
      t.equal(later.expired, 0, 'a wrong clock for a while does no harm');
      t.ok(later.orders.length < 60, `a while: ${later.orders.length} orders`);
    }
  }
  t.end();
});

t.test('no state that anybody writes blocks a site for ever, and none makes it order twice in a row', (t) => {
  const time = fc.oneof(
    fc.integer({ min: now - 800 * day, max: now + 800 * day }),
    fc.integer({ min: -4e10, max: 4e10 }),
  );
  const states: fc.Arbitrary<CertificateState> = fc.record({
    failure: fc.option(
      fc.record({
        count: fc.nat(50),
        at: time,
        again: time,
        reason: fc.constant('x'),
        retryAfter: fc.boolean(),
        names: fc.constant(names),
      }),
    ),
    leftOut: fc.dictionary(
      fc.constantFrom(...names),
      fc.record({ reason: fc.constant('x'), since: time, again: time, count: fc.nat(50) }),
    ),
    order: fc.constant(null),
    renewal: fc.option(
      fc.record({
        start: time,
        end: time,
        chosen: time,
        explanation: fc.constant(null),
        asked: time,
        again: time,
        of: fc.constant('f'),
      }),
    ),
  });
  fc.assert(
    fc.property(
      states,
      fc.option(fc.record({ notBefore: time, lifetime: fc.constantFrom(...lifetimes), obtained: fc.option(time) })),
      (state, given) => {
        const current =
          given === null ? null : made(given.notBefore, given.lifetime, { obtained: given.obtained, fingerprint: 'f' });
        let clock = now;
        // Following `at` must lead to an order before the certificate's end, or within a week or so of now if that has passed.
        const end = Math.max(current?.notAfter ?? now, now) + 9 * day;
        for (let looks = 0; looks < 40; looks += 1) {
          const due = dueOf(wanted, current, state, clock);
          if (due.due) {
            const failed = attemptFailed(state, wanted, current, { reason: 'no' }, clock, () => 0);
            return !dueOf(wanted, current, failed, clock + 1).due;
          }
          if (!(due.at > clock)) return false;
          clock = due.at;
          if (clock > end) return false;
        }
        return false;
      },
    ),
    { numRuns: 2000 },
  );
  t.end();
});
