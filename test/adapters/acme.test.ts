import fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import t from 'tap';
import {
  alternatesOf,
  authorizationOf,
  orderOf,
  problemOf,
  retryAfterOf,
  textOf,
  urlOf,
} from '../../agent/adapters/acme-answer.ts';
import { renewalName, renewalOf } from '../../agent/adapters/acme-renewal.ts';
import { namesInWords, refusalHint, refusalInWords } from '../../agent/core/acme-words.ts';

const acme = 'urn:ietf:params:acme:error:';
/** 2026-11-21T12:00:00Z */
const now = 1_795_262_400;

t.test('Retry-After in both forms', (t) => {
  const cases: [header: unknown, seconds: number | null][] = [
    ['120', 120],
    [' 0 ', 0],
    ['Sat, 21 Nov 2026 12:01:30 GMT', 90],
    ['Sat, 21 Nov 2026 11:00:00 GMT', 0],
    ['Saturday, 21-Nov-26 12:00:10 GMT', 10],
    ['-5', null],
    ['1.5', null],
    ['soon', null],
    ['', null],
    ['99999999999999999999', null],
    [undefined, null],
    [['5'], null],
  ];
  for (const [header, seconds] of cases) t.equal(retryAfterOf(header, now), seconds, String(header));
  t.end();
});

t.test('problem documents', (t) => {
  const identifier = { type: 'dns', value: 'WWW.Example.org' };
  const document = {
    type: `${acme}malformed`,
    detail: 'Some names\nwere rejected\u001b[2J',
    status: 400,
    subproblems: [{ type: `${acme}rejectedIdentifier`, detail: 'forbidden', identifier }, 'nonsense'],
  };
  const problem = problemOf(document);
  t.match(problem, { type: 'malformed', detail: 'Some names were rejected [2J', status: 400, name: null });
  t.match(problem?.subproblems, [{ type: 'rejectedIdentifier', name: 'www.example.org' }]);
  t.equal(problem?.subproblems.length, 1);
  t.equal(problem && refusalInWords(problem).includes('www.example.org: forbidden (rejectedIdentifier)'), true);
  t.match(problem && refusalHint(problem), /does not issue for www\.example\.org/);
  t.match(problemOf({ type: 'https://ca.example/no', title: 'No' }), { type: 'https://ca.example/no', detail: 'No' });
  t.equal(problemOf({ type: `${acme}dns`, detail: 'x' }, 'a.example')?.name, 'a.example');
  for (const none of [null, undefined, '', 'text', [], {}, 5, { type: 5 }]) t.equal(problemOf(none), null);
  t.match(refusalHint({ type: 'unauthorized', detail: '', name: null, subproblems: [] }), /deactivated/);
  t.match(refusalHint({ type: 'unauthorized', detail: '', name: 'a.example', subproblems: [] }), /answered for a\.ex/);
  t.equal(refusalHint({ type: 'somethingNew', detail: '', name: null, subproblems: [] }), undefined);
  t.equal(refusalHint({ type: 'constructor', detail: '', name: null, subproblems: [] }), undefined);
  t.end();
});

t.test('many names and parts stay readable', (t) => {
  t.equal(namesInWords(['a', 'b', 'c', 'd']), 'a, b, c, d');
  t.equal(namesInWords(Array.from({ length: 100 }, (_, n) => `n${n}`)), 'n0, n1, n2 and 97 more names');
  const part = { type: 'caa', detail: 'no', name: 'a', subproblems: [] };
  t.match(refusalInWords({ ...part, subproblems: Array.from({ length: 9 }, () => part) }), /; and 6 more$/);
  t.end();
});

t.test('orders, authorizations and links', (t) => {
  const order = { status: 'ready', finalize: 'https://ca/f', identifiers: [{ type: 'dns', value: 'A.example' }] };
  t.match(orderOf(order, 'https://ca/o'), { status: 'ready', names: ['a.example'], expires: null, certificate: null });
  t.equal(orderOf({ ...order, status: 'new' }, 'u'), null);
  t.equal(orderOf({ ...order, finalize: 'javascript:1' }, 'u'), null);
  t.equal(orderOf({ ...order, expires: '2026-11-21T12:00:00Z' }, 'u')?.expires, now);
  const challenge = { type: 'http-01', url: 'https://ca/c', token: 'abc_-9', status: 'pending' };
  const view = (more: object) =>
    authorizationOf({ status: 'pending', identifier: { value: 'a.example' }, challenges: [challenge], ...more }, 'u');
  t.match(view({}), { name: 'a.example', challenges: [{ token: 'abc_-9', error: null }] });
  t.equal(view({ wildcard: true })?.name, '*.a.example');
  t.equal(view({ identifier: null }), null);
  t.same(view({ challenges: [{ ...challenge, token: '../../etc' }] })?.challenges, [], 'a token is no path');
  const link =
    '<https://ca/dir>;rel="index", <https://ca/1>;rel="alternate", <https://ca/2> ; title="x"; rel=alternate';
  t.same(alternatesOf(link), ['https://ca/1', 'https://ca/2']);
  t.same(alternatesOf(['<https://ca/1>;rel="alternate"', '<file:///etc>;rel="alternate"']), ['https://ca/1']);
  t.same(alternatesOf(undefined), []);
  t.end();
});

t.test('no answer throws or leaves control characters', (t) => {
  fc.assert(
    fc.property(fc.anything(), fc.string({ unit: 'binary' }), (value, text) => {
      problemOf(value);
      orderOf(value, 'https://ca/');
      authorizationOf(value, 'https://ca/');
      renewalOf(value, null);
      retryAfterOf(text, now);
      alternatesOf(text);
      urlOf(text);
      return !/\p{Cc}/u.test(textOf(text));
    }),
  );
  t.end();
});

t.test('renewal information', (t) => {
  const window = { start: '2026-11-21T12:00:00Z', end: '2026-11-21T13:00:00Z' };
  t.same(renewalOf({ suggestedWindow: window, explanationURL: 'https://ca/why' }, 120), {
    start: now,
    end: now + 3600,
    explanation: 'https://ca/why',
    retryAfterSeconds: 120,
  });
  t.equal(renewalOf({ suggestedWindow: window }, null)?.retryAfterSeconds, 21_600);
  t.equal(renewalOf({ suggestedWindow: window }, 1)?.retryAfterSeconds, 60);
  t.equal(renewalOf({ suggestedWindow: window }, 1e9)?.retryAfterSeconds, 86_400);
  t.equal(renewalOf({ suggestedWindow: { ...window, end: window.start } }, null), null, 'RFC 9773 4.2');
  t.end();
});

t.test("RFC 9773's own example of a certID, and serials of all kinds", (t) => {
  // The RFC's certificate (Appendix A): AKI 69:88:5B:6B:87:46:40:41:E1:B3:7B:84:7B:A0:AE:2C:DE:01:C8:D4, serial 87:65:43:21
  const issue = (serial: string): string => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '/dev/null'];
    const ids = ['-addext', 'subjectKeyIdentifier=69885B6B87464041E1B37B847BA0AE2CDE01C8D4'];
    const words = ['req', '-x509', ...key, '-subj', '/CN=x', '-set_serial', serial, ...ids];
    const own = ['-addext', 'authorityKeyIdentifier=keyid:always'];
    return execFileSync('openssl', [...words, ...own], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  };
  const key = 'aYhba4dGQEHhs3uEe6CuLN4ByNQ';
  t.equal(renewalName(issue('0x87654321')), `${key}.AIdlQyE`);
  t.equal(renewalName(issue('0x7f')), `${key}.fw`);
  t.equal(renewalName(issue('0x0102')), `${key}.AQI`);
  t.throws(() => renewalName('nothing'));
  t.end();
});
