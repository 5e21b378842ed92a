import t, { type Test } from 'tap';
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { parseCommand } from '../../agent/core/command.ts';
import { domains, parseDomain, parseSiteName } from '../../agent/core/domain.ts';
import { siteKeys, serviceKeys } from '../../agent/core/keys.ts';
import { distance, nearest } from '../../agent/core/nearest.ts';
import { inside, page, parsePath, root, volumes } from '../../agent/core/path.ts';
import { health, ready } from '../../agent/core/readiness.ts';
import {
  choice,
  cpus,
  duration,
  fileNames,
  idle,
  image,
  network,
  parseServiceName,
  port,
  size,
} from '../../agent/core/scalar.ts';
import type { Parsed } from '../../agent/core/value.ts';
import { parseEnvName, parseEnvValue, parseHeaderName, parseHeaderValue } from '../../agent/core/variable.ts';

const value = <T>(parsed: Parsed<T>): T | undefined => (parsed.ok ? parsed.value : undefined);
const runs = { numRuns: 10_000 };

/** Texts near the border of what is allowed: pieces of sound values with what would break out of a target grammar. */
const near = (...sound: readonly string[]) =>
  fc
    .array(
      fc.oneof(
        fc.constantFrom(...sound),
        fc.constantFrom(
          ...[
            '\n',
            '\r',
            '\0',
            ';',
            '#',
            '"',
            "'",
            '\\',
            '$',
            '$host',
            '{',
            '}',
            '`',
            '|',
            '&',
            ' ',
            '\t',
            '..',
            '/',
            ':',
            ',',
            '%',
          ],
        ),
        fc.constantFrom(
          ...[
            '=',
            '-',
            '--x',
            '@',
            '*',
            '.',
            '\u00a0',
            '\u2028',
            '\u202e',
            '\u00ad',
            '\u00df',
            '\u0130',
            '\uff0e',
            '\u3002',
            '\ud800',
            '_',
            '[',
            ']',
          ],
        ),
        fc.string({ unit: 'binary', maxLength: 3 }),
      ),
      { maxLength: 6 },
    )
    .map((pieces) => pieces.join(''));

/** Whatever is accepted has this form, character by character. */
const always = (
  t: Test,
  name: string,
  texts: fc.Arbitrary<string>,
  parse: (text: string) => Parsed<unknown>,
  form: RegExp,
): void => {
  let accepted = 0;
  fc.assert(
    fc.property(texts, (text) => {
      const parsed = parse(text);
      if (!parsed.ok) return !/[\p{C}\u2028\u2029]/u.test(parsed.message + (parsed.hint ?? ''));
      accepted++;
      return form.test(typeof parsed.value === 'string' ? parsed.value : JSON.stringify(parsed.value));
    }),
    runs,
  );
  t.ok(accepted > 50, `${name}: ${accepted} accepted`);
};

t.test('domains', (t) => {
  const good: [string, string][] = [
    ['example.org', 'example.org'],
    ['EXAMPLE.Org', 'example.org'],
    ['b\u00fccher.de', 'xn--bcher-kva.de'],
    ['bu\u0308cher.de', 'xn--bcher-kva.de'],
    ['xn--bcher-kva.de', 'xn--bcher-kva.de'],
    ['\u4f8b\u3048.jp', 'xn--r8jz45g.jp'],
    ['a.b.c.d', 'a.b.c.d'],
    ['1.2.3.4x', '1.2.3.4x'],
    ['4.example', '4.example'],
    ['deploy.sh', 'deploy.sh'],
    ['*.example.org', '*.example.org'],
    [`${'a'.repeat(63)}.org`, `${'a'.repeat(63)}.org`],
  ];
  for (const [text, ascii] of good) t.equal(value(parseDomain(text)), ascii, text);
  const bad = [
    ...[
      '',
      'localhost',
      '.',
      '..',
      'a..b',
      '.a.b',
      'a.b.',
      '-a.b',
      'a-.b',
      'a_b.c',
      'a b.c',
      'a;b.de',
      'a/b.de',
      'evil.com/x',
      'a:80.b',
      'a.b:80',
    ],
    ...[
      '1.2.3.4',
      '0x7f.1',
      '127.1',
      '\uff11.2.3.4',
      'a.1',
      'a.0x',
      '\u0661.\u0662',
      '*',
      '*.',
      '**.a.b',
      'a.*.b',
      '*a.b',
      '*.*.a.b',
      'xn--a.de',
    ],
    ...[
      'http://a.b',
      'a@b.c',
      "a'.b",
      'a".b',
      'a$.b',
      'a%2e.b',
      'a\n.b',
      'a\0.b',
      'a\u00ad.b',
      'a\u200d.b',
      'a\u3002b',
      'a\uff0eb',
      'a.\u2460',
    ],
    ...[
      `${'a'.repeat(64)}.org`,
      `${'a.'.repeat(150)}org`,
      `*.${'a.'.repeat(125)}org`,
      `${'\u00fc'.repeat(60)}.${'\u00fc'.repeat(60)}.de`.repeat(3),
    ],
  ];
  for (const text of bad) t.equal(value(parseDomain(text)), undefined, JSON.stringify(text));
  for (const type of [
    'service',
    'socket',
    'target',
    'timer',
    'path',
    'mount',
    'slice',
    'scope',
    'device',
    'swap',
    'automount',
  ])
    t.equal(value(parseSiteName(`a.${type}`)), undefined, type);
  t.equal(value(parseSiteName('a.services')), 'a.services');
  t.equal(value(parseSiteName('*.a.org')), undefined);
  t.strictSame(value(domains.parse('a.org, b.org  c.org')), ['a.org', 'b.org', 'c.org']);
  t.strictSame(value(domains.parse('')), []);
  for (const text of ['a.org,,b.org', ',', 'a.org,', 'a.org A.org', 'a.org; b.org'])
    t.equal(value(domains.parse(text)), undefined, text);

  const form = /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+(?![0-9]+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
  always(t, 'domain', near('example.org', 'a.', 'b', 'xn--', '\u00fc.de', '*.', '1.'), parseDomain, form);
  fc.assert(
    fc.property(fc.oneof(near('a.', 'b.de', '\u00fc'), fc.domain()), (text) => {
      const ascii = value(parseDomain(text));
      return ascii === undefined || (value(parseDomain(ascii)) === ascii && ascii.length <= 253);
    }),
    runs,
  );
  t.end();
});

t.test('paths', (t) => {
  t.equal(value(parsePath('/srv/www/a b/\u00fc')), '/srv/www/a b/\u00fc');
  t.equal(value(parsePath('/srv/')), '/srv');
  for (const text of [
    '',
    'srv',
    './a',
    '/a/../b',
    '/..',
    '/a/./b',
    '//a',
    '/a//b',
    '/a:b',
    '/a,b',
    '/a$b',
    '/a"b',
    '/a;b',
    '/a\nb',
    '/a\\b',
    '/a /b',
    '/a{b',
    '/a*',
    `/${'a'.repeat(1000)}`,
    '~/a',
  ])
    t.equal(value(parsePath(text)), undefined, JSON.stringify(text));
  for (const text of [
    '/',
    '/etc',
    '/etc/nginx',
    '/usr',
    '/usr/bin',
    '/usr/share',
    '/usr/local',
    '/usr/local/bin',
    '/var',
    '/var/run/x',
    '/var/lib/appfleet/x',
    '/run/x',
    '/proc/1',
    '/sys',
    '/dev',
    '/root/x',
    '/home',
    '/boot',
    '/bin',
    '/lib64',
    '/tmp',
  ])
    t.equal(value(root.parse(text)), undefined, text);
  for (const text of [
    '/srv',
    '/srv/www/a',
    '/var/www/html',
    '/usr/share/wordpress',
    '/usr/local/share/x',
    '/home/a/www',
    '/opt/app',
    '/etcetera',
  ])
    t.equal(value(root.parse(text)), text, text);
  t.equal(value(page.parse('/srv/a.html')), '/srv/a.html');
  t.equal(value(page.parse('/srv/a.txt')), undefined);
  for (const text of ['/', '/proc', '/dev/x', '/run/appfleet/x']) t.equal(value(inside.parse(text)), undefined, text);
  t.strictSame(value(volumes.parse('/a:/b:ro, data:/c')), [
    { host: '/a', container: '/b', readOnly: true },
    { host: 'data', container: '/c', readOnly: false },
  ]);
  for (const text of [
    '/a',
    '/a:b',
    'a:/b:rx',
    './a:/b',
    'a/b:/c',
    '/:/b',
    '/a:/',
    '/a:/b,/c:/b',
    '/a:/b:ro:z',
    '/a:/b,',
    '/a:/proc',
    '-a:/b',
    '/a/../b:/c',
    ':/b',
  ])
    t.equal(value(volumes.parse(text)), undefined, text);
  always(
    t,
    'path',
    near('/', '/a', '/b c', '\u00fc'),
    parsePath,
    /^(?!.*(\/\.\.?(\/|$)|\/\/))\/([^\0-\x1f\x7f$"'\\;#{}:,`|&*<>()[\]\u2028\u2029\u00a0])*$/u,
  );
  always(
    t,
    'volumes',
    near('/a', ':/b', ':ro', ', ', 'data'),
    volumes.parse,
    /^\[(\{"host":"[^"\\:,$;#]+","container":"\/[^"\\:,$;#]+","readOnly":(true|false)\},?)*\]$/,
  );
  t.end();
});

t.test('images and networks', (t) => {
  for (const text of [
    'a',
    'wordpress:php8.2-fpm',
    'a/b',
    'docker.io/library/a:1',
    'localhost:5000/a_b/c__d/e-f:Tag_1.2-x',
    `a@sha256:${'0'.repeat(64)}`,
  ])
    t.equal(value(image.parse(text)), text, text);
  for (const text of [
    '',
    'A',
    'a:',
    ':a',
    'a b',
    '-a',
    '/a',
    'a//b',
    'a:b:c',
    'a@sha256:00',
    '../a',
    'http://a/b',
    'a;b',
    'a'.repeat(256),
    'a\n',
  ])
    t.equal(value(image.parse(text)), undefined, text);
  always(
    t,
    'image',
    near('a', 'b/c', ':tag', 'r.example:5000/', '@sha256:'),
    image.parse,
    /^[A-Za-z0-9][A-Za-z0-9._/:@-]*$/,
  );
  for (const text of ['bridge', 'none', 'my_net.1']) t.equal(value(network.parse(text)), text);
  for (const text of ['host', 'container:x', 'default', '', '-a', 'a b'])
    t.equal(value(network.parse(text)), undefined, text);
  always(t, 'network', near('bridge', 'none', 'net'), network.parse, /^[A-Za-z0-9][A-Za-z0-9_.-]*$/);
  t.end();
});

t.test('numbers, durations, sizes, words', (t) => {
  const second = duration(1);
  t.equal(value(second.parse('1h30m')), 5400);
  t.equal(value(second.parse('1d')), 86400);
  t.equal(value(duration(0).parse('0s')), 0);
  for (const text of [
    '',
    '0s',
    '5',
    '-5s',
    '1.5h',
    '5 s',
    '5ms',
    '1m1h',
    '366d',
    '9999999999s',
    's',
    '5S',
    '\u0665s',
    '1e3s',
  ])
    t.equal(value(second.parse(text)), undefined, text);
  t.equal(value(idle.parse('never')), 'never');
  t.match(idle.parse('0'), { hint: 'write `never` to keep it awake' });
  t.equal(value(size('1k').parse('64M')), 64 * 2 ** 20);
  for (const text of ['', '64', '64mb', '-1m', '1.5g', '0m', '65t', '99999999999g', 'm', '1 m'])
    t.equal(value(size('1k').parse(text)), undefined, text);
  t.equal(value(size('6m').parse('5m')), undefined);
  t.equal(value(cpus.parse('0.5')), 0.5);
  for (const text of ['', '0', '-1', '1e3', '.5', '1.', '0.0001', '2000', 'NaN', 'Infinity', '0x1', '1,5'])
    t.equal(value(cpus.parse(text)), undefined, text);
  t.equal(value(port.parse('65535')), 65535);
  for (const text of ['', '0', '65536', '080', '80 ', '+80', '8e1', '\u0668\u0660'])
    t.equal(value(port.parse(text)), undefined, text);
  t.equal(value(choice('a', 'b').parse('b')), 'b');
  t.equal(value(choice('a', 'b').parse('toString')), undefined);
  t.strictSame(value(fileNames.parse('index.php index.html')), ['index.php', 'index.html']);
  for (const text of ['/etc/passwd', '../a', '.htaccess', '-a', 'a/b', '$uri', 'a;', '=404'])
    t.equal(value(fileNames.parse(text)), undefined, text);
  always(t, 'index', near('index.php', 'a.html', ', '), fileNames.parse, /^\[("[A-Za-z0-9_][A-Za-z0-9._-]*",?)*\]$/);
  always(t, 'duration', near('1', '5m', '2h', '3s', '0'), second.parse, /^[1-9]\d{0,7}$/);
  always(t, 'size', near('1', '5m', '2g', '3k'), size('1k').parse, /^[1-9]\d{0,15}$/);
  always(t, 'cpus', near('1', '5', '.', '25'), cpus.parse, /^\d{1,4}(\.\d{1,3})?$/);
  always(t, 'service name', near('mysql', '-', 'a', '1'), parseServiceName, /^(?!appfleet)[a-z0-9][a-z0-9-]{1,62}$/);
  t.end();
});

t.test('readiness', (t) => {
  t.strictSame(value(health.parse('/a?b=c')), { kind: 'http', path: '/a?b=c' });
  for (const text of ['', 'http://a', 'a', '/a b', '/a;b', '/a#b', '/a"b', '/a\nb', `/${'a'.repeat(1001)}`])
    t.equal(value(health.parse(text)), undefined, text);
  for (const text of ['port:0', 'port:', 'socket:', 'socket:a', `socket:/${'a'.repeat(107)}`, 'socket:/\u00fc', '/a'])
    t.equal(value(ready.parse(text)), undefined, text);
  always(
    t,
    'health',
    near('/', '/a', 'connect', 'ping', '?b=c'),
    health.parse,
    /^\{"kind":"(connect|fastcgi-ping)"\}$|^\{"kind":"http","path":"\/[^"\\\s;$#{}]*"\}$/,
  );
  always(
    t,
    'ready',
    near('port:', 'socket:', '/a', '33', '/b'),
    ready.parse,
    /^null$|^\{"kind":"(port","port":\d+|socket","path":"\/[ -~]*")\}$/,
  );
  t.end();
});

t.test('variables and headers', (t) => {
  for (const text of ['', '1A', 'A-B', 'A B', 'A=B', '__proto__', 'A\n', '\u00c4', 'a'.repeat(256)])
    t.equal(value(parseEnvName(text)), undefined, text);
  t.equal(value(parseEnvValue('any $text; "at" all #')), 'any $text; "at" all #');
  for (const text of ['a\nb', 'a\0', 'a\tb', '\u007f', '\u2028', 'a'.repeat(32 * 1024 + 1)])
    t.equal(value(parseEnvValue(text)), undefined);
  always(t, 'variable', near('A', 'b_', '1'), parseEnvName, /^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]*$/);
  always(t, 'value', near('a', 'b', '='), parseEnvValue, /^[^\0-\x1f\x7f-\x9f\u2028\u2029]*$/);
  always(t, 'header', near('X', '-A', 'b'), parseHeaderName, /^[A-Za-z][A-Za-z0-9-]*$/);
  always(t, 'header value', near('a', 'b', '='), parseHeaderValue, /^[ -#%-~]+$/);
  t.end();
});

/** The words that a real shell makes of each text. */
const byShell = (texts: readonly string[]): string[][] => {
  const script = texts.map((text) => `set -- ${text}\nfor w do printf '%s\\001' "$w"; done; printf '\\002'\n`).join('');
  const { stdout } = spawnSync('sh', ['-f'], { input: script, encoding: 'utf8' });
  return stdout
    .split('\u0002')
    .slice(0, -1)
    .map((words) => words.split('\u0001').slice(0, -1));
};

t.test('commands', (t) => {
  t.strictSame(value(parseCommand('a  "b c" \'d e\' f\\ g "" h"i"\'j\'')), ['a', 'b c', 'd e', 'f g', '', 'hij']);
  t.strictSame(value(parseCommand('find . -exec ls {} \\;')), ['find', '.', '-exec', 'ls', '{}', ';']);
  t.strictSame(value(parseCommand('a $HOME * ~ "$x"')), ['a', '$HOME', '*', '~', '$x']);
  t.strictSame(value(parseCommand('')), []);
  for (const text of ['a "b', "a 'b", 'a \\', 'a && b', 'a | b', 'a > b', 'a 2>&1', '"" a'])
    t.equal(value(parseCommand(text)), undefined, text);
  const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 6 }), { minLength: 1, maxLength: 4 }), (words) => {
      const parsed = parseCommand(words.map(quote).join(' '));
      return words[0] === '' ? !parsed.ok : JSON.stringify(value(parsed)) === JSON.stringify(words);
    }),
    runs,
  );
  const pieces = fc.array(fc.constantFrom('a', 'b', ' ', '"', "'", '\\', '\\"', '%', '-', '{}', '='), {
    minLength: 1,
    maxLength: 12,
  });
  const samples = fc
    .sample(pieces, { ...runs, seed: 7 })
    .map((each) => `x${each.join('')}`)
    .filter((text) => parseCommand(text).ok);
  t.ok(samples.length > 2_000, `${samples.length} commands compared with a shell`);
  t.same(
    samples.map((text) => value(parseCommand(text))),
    byShell(samples),
  );
  t.end();
});

t.test('suggestions', (t) => {
  t.equal(distance('abc', 'acb'), 1);
  t.equal(distance('', 'abc'), 3);
  t.equal(distance('kitten', 'sitting'), 3);
  const keys = Object.keys(siteKeys);
  for (const [word, key] of Object.entries({
    alias: 'aliases',
    imgae: 'image',
    idel: 'idle',
    cpu: 'cpus',
    Runtime: 'runtime',
    'env-file': 'env_file',
    max_body: 'max_body_size',
    mem: 'memory',
    redirects: 'redirect',
  }))
    t.equal(nearest(word, keys), key, word);
  for (const word of ['', 'zzz', 'x'.repeat(1000), '__proto__']) t.equal(nearest(word, keys), undefined, word);
  fc.assert(
    fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
      const steps = distance(a, b);
      return steps === distance(b, a) && (steps === 0) === (a === b) && steps <= Math.max(a.length, b.length);
    }),
    runs,
  );
  t.end();
});

t.test('every default and every example of the table is sound', (t) => {
  for (const key of [...Object.values(siteKeys), ...Object.values(serviceKeys)])
    for (const text of [
      key.example,
      ...(key.default === null || key.default === '' ? [] : [key.default]),
      ...Object.values(key.defaults),
    ]) {
      t.ok(key.type.parse(text).ok, `${key.section}.${key.name} = ${text}`);
      if (key.type.pattern !== undefined) t.match(text, new RegExp(key.type.pattern));
    }
  t.end();
});
