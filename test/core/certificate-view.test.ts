import t from 'tap';
import { emptyState, type CertificateState } from '../../agent/core/certificate.ts';
import { type Alarm, viewCertificate } from '../../agent/core/certificate-view.ts';
import type { Failure } from '../../agent/core/attempts.ts';

const now = 1_800_000_000;
const minute = 60;
const hour = 3600;
const day = 86_400;
const wanted = { site: 'example.org', names: ['example.org', 'www.example.org'], keyType: 'ecdsa' as const };

const certificate = (lifetime: number, left: number) => ({
  names: wanted.names,
  issuer: 'Test CA',
  notBefore: now + left - lifetime,
  notAfter: now + left,
  keyType: 'ecdsa' as const,
  fingerprint: 'f',
  obtained: now + left - lifetime,
});
const failure: Failure = {
  count: 3,
  at: now - 10,
  again: now + 500,
  reason: 'the CA is away',
  retryAfter: false,
  names: wanted.names,
};
const look = (
  lifetime: number,
  left: number,
  state: Partial<CertificateState> = {},
  options: { renews?: boolean; pause?: Failure | null } = {},
) =>
  viewCertificate(
    wanted,
    certificate(lifetime, left),
    { ...emptyState, ...state },
    { renews: true, pause: null, ...options },
    now,
  );

t.test('the alarm goes by the lifetime', (t) => {
  const rows: [lifetime: number, left: number, alarm: Alarm][] = [
    [90 * day, 60 * day, 'none'],
    // Its time to be renewed has come, and the run is not far.
    [90 * day, 34 * day, 'none'],
    [90 * day, 21 * day, 'warn'],
    [90 * day, 8 * day, 'error'],
    [90 * day, -1, 'error'],
    [6 * day, 2.2 * day, 'none'],
    [6 * day, 1.4 * day, 'warn'],
    [6 * day, 13 * hour, 'error'],
    [10 * minute, 4 * minute, 'none'],
    [10 * minute, 140, 'warn'],
    [10 * minute, 50, 'error'],
  ];
  for (const [lifetime, left, alarm] of rows)
    t.equal(look(lifetime, left).alarm, alarm, `${lifetime / day} days, ${left / day} left`);
  t.end();
});

t.test('a CA that wants it later is not late', (t) => {
  const left = 12 * day;
  const renewal = { start: now + day, end: now + 2 * day, chosen: now + 1.5 * day, explanation: null, asked: now };
  t.equal(look(90 * day, left).alarm, 'warn');
  t.equal(look(90 * day, left, { renewal: { ...renewal, again: now + hour, of: 'f' } }).alarm, 'none');
  t.end();
});

t.test('the reason is told: of the site, of the CA, or that there was no run', (t) => {
  t.match(look(90 * day, 3.5 * day, { failure }), {
    alarm: 'error',
    problem: 'the certificate expires in 3 d 12 h: the CA is away',
    failure: { count: 3 },
  });
  const pause = { ...failure, reason: 'it wants to be left alone' };
  t.match(look(90 * day, 10 * hour, {}, { pause }), {
    problem: 'the certificate expires in 10 h: it wants to be left alone',
    renewal: now + 500,
  });
  t.match(look(6 * day, day).problem, /expires in 1 d and no run has renewed it; see: systemctl status appfleet-renew/);
  t.match(look(6 * day, -day, { failure }).problem, 'the certificate has expired: the CA is away');
  t.end();
});

t.test('what nobody renews here', (t) => {
  const own = (lifetime: number, left: number) => look(lifetime, left, { failure }, { renews: false });
  t.match(own(365 * day, 60 * day), { alarm: 'none', problem: null, renewal: null, failure: null });
  t.match(own(365 * day, 13 * day), { alarm: 'warn', problem: /expires in 13 d; it is yours to renew/ });
  t.equal(own(365 * day, 2 * day).alarm, 'error');
  t.equal(own(8 * day, 5 * day).alarm, 'none');
  t.equal(own(8 * day, 1.9 * day).alarm, 'warn');
  t.end();
});

t.test('none yet', (t) => {
  const none = (state: Partial<CertificateState>, renews = true) =>
    viewCertificate(wanted, null, { ...emptyState, ...state }, { renews, pause: null }, now);
  t.match(none({}), { problem: 'no certificate yet', alarm: 'none', renewal: now });
  t.match(none({ failure }), { problem: 'no certificate: the CA is away', alarm: 'warn' });
  t.match(none({}, false), { problem: null, alarm: 'none', renewal: null });
  t.end();
});

t.test('names that it goes without', (t) => {
  const one = { reason: 'does not resolve', since: now, again: now + hour, count: 1 };
  const view = viewCertificate(
    { ...wanted, names: [...wanted.names, 'a.example.org', 'b.example.org'] },
    certificate(90 * day, 60 * day),
    { ...emptyState, leftOut: { 'a.example.org': one, 'b.example.org': one, 'former.example.org': one } },
    { renews: true, pause: null },
    now,
  );
  t.equal(view.problem, 'the certificate goes without a.example.org (and 1 more): does not resolve');
  t.strictSame(
    view.leftOut.map(({ name }) => name),
    ['a.example.org', 'b.example.org'],
  );
  t.end();
});

t.test('a clock that is behind', (t) => {
  const ahead = { ...certificate(90 * day, 90 * day + hour), notBefore: now + hour };
  t.match(viewCertificate(wanted, ahead, emptyState, { renews: true, pause: null }, now), {
    problem: /not yet valid by this host's clock/,
    alarm: 'warn',
  });
  t.end();
});
