import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { isAtLeast, listenLines, type NginxFacts } from '../../agent/core/listen.ts';
import { quoteNginx } from '../../agent/core/nginx-quote.ts';
import { parseSettings } from '../../agent/core/settings.ts';
import { parseSite } from '../../agent/core/site.ts';
import type { Settings, SiteSpec } from '../../agent/core/spec.ts';
import { renderShared, renderVhost, snippetCopy, vhostCandidate } from '../../agent/core/vhost.ts';
import { generationPair, placeholderPair as pair, type VhostPair } from '../../agent/core/vhost-tls.ts';
import { type Directive, parseNginx } from './nginx-tokens.ts';

const folder = new URL('../../vhost-templates/', import.meta.url);
const templates = Object.fromEntries(
  readdirSync(folder).map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]),
);
const modern: NginxFacts = { version: [1, 26, 3], ipv6: true, configured: new Set(['gzip']) };
const read = parseSettings({ path: '/etc/appfleet/appfleet.ini', text: '' });
if ('problems' in read) throw new Error('the default settings have problems');
const settings: Settings = read.settings;
const issued = generationPair('/var/lib/appfleet/certs/x.example/20260101T000000Z-0123abcd');
const noSnippets = { server: null, location: null };

const siteOf = (name: string, text: string): SiteSpec => {
  const parsed = parseSite({ path: `/etc/appfleet/sites/${name}`, text });
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems, null, 1));
  return parsed.spec;
};

t.test(
  'a value that needs no quotes has none, one that needs them is escaped, and what nginx cannot hold is refused',
  (t) => {
    t.equal(quoteNginx('/srv/www/example.org'), '/srv/www/example.org');
    t.equal(quoteNginx(''), '""');
    t.equal(quoteNginx('two words'), '"two words"');
    t.equal(quoteNginx('a"b\\'), '"a\\"b\\\\"');
    t.equal(quoteNginx('/srv/öffentlich'), '"/srv/öffentlich"');
    for (const bad of ['$host', 'a\nb', 'a\0', '\u00a0', '\u2028', '\ud800', '\u202e', '\x7f', 'x'.repeat(4001)])
      t.throws(() => quoteNginx(bad), TypeError, `U+${bad.codePointAt(0)?.toString(16)}`);
    t.end();
  },
);

/** Letters that mean something to nginx, to a shell, or to nobody. */
const unit = fc.oneof(
  fc.constantFrom(...'"\'\\${};#~()[]*/ .=a1é-'),
  fc.constantFrom('\n', '\r', '\t', '\0', '\u00a0', '\u2028', '\ud800', '${', '\\"', '";', ' ;', '}\n', '/../'),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
);
const anything = fc.string({ unit, maxLength: 12 });
/** What nginx can hold, as wild as it gets. */
const holdable = fc.string({ unit: fc.constantFrom(...'"\'\\{};#~()[]*/ .=a1é-'), maxLength: 12 });
const wild = fc.oneof({ weight: 12, arbitrary: holdable }, { weight: 1, arbitrary: anything });
const wildPath = wild.map((text) => `/${text}`);
const orWild = (usual: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 40, arbitrary: usual }, { weight: 1, arbitrary: wild });
const domain = orWild(fc.constantFrom('a.example', 'b-c.example', '*.d.example'));
const fileName = orWild(fc.constantFrom('index.php', 'a b.html', 'x.php'));
const count = fc.oneof({ weight: 20, arbitrary: fc.nat() }, { weight: 1, arbitrary: fc.double() });

/** About half of the cases hold something that is refused; of the others there are to be 10,000. */
const runs = { numRuns: 21_000 };

t.test('the quoter means exactly its value, whatever it is', (t) => {
  let passed = 0;
  fc.assert(
    fc.property(fc.oneof(holdable, anything), (value) => {
      let word: string;
      try {
        word = quoteNginx(value);
      } catch (error) {
        return error instanceof TypeError;
      }
      passed += 1;
      const [directive, ...others] = parseNginx(`x ${word};`);
      return (
        others.length === 0 && directive?.block === null && directive.words[1] === value && directive.words.length === 2
      );
    }),
    runs,
  );
  t.ok(passed >= 10_000, `${passed} of ${runs.numRuns} values could be written`);
  t.end();
});

/** A container that may write to this folder of the host. */
const writing = (host: string): SiteSpec['container'] => {
  const { container } = siteOf('x.example.ini', '[site]\nruntime = node\nimage = node\n');
  return container === null ? null : { ...container, volumes: [{ host, container: '/x', readOnly: false }] };
};

const wildSpec: fc.Arbitrary<SiteSpec> = fc
  .record({
    runtime: fc.constantFrom('php-fpm' as const, 'node' as const, 'container' as const, 'static' as const),
    name: domain,
    file: orWild(fc.constant('/etc/appfleet/sites/x.ini')),
    aliases: fc.array(domain, { maxLength: 3 }),
    root: fc.oneof({ weight: 4, arbitrary: wildPath }, { weight: 1, arbitrary: fc.constant(null) }),
    containerRoot: wildPath,
    index: fc.array(fileName, { minLength: 1, maxLength: 3 }),
    symlinks: fc.constantFrom('no' as const, 'owner' as const, 'yes' as const),
    readTimeoutSeconds: count,
    maxBodyBytes: count,
    redirect: fc.constantFrom('none' as const, 'to-apex' as const, 'to-www' as const),
    basicAuth: fc.option(wildPath),
    headers: fc.array(fc.tuple(orWild(fc.constantFrom('X-One', 'Cache-Control')), wild), { maxLength: 3 }),
    maintenancePage: fc.option(wildPath),
    tls: fc.record({
      mode: fc.constantFrom('auto' as const, 'off' as const, 'files' as const),
      certificate: fc.option(wildPath),
      key: fc.option(wildPath),
      https: fc.constantFrom('redirect' as const, 'both' as const, 'only' as const, 'off' as const),
      hstsSeconds: fc.option(count),
      keyType: fc.constantFrom('ecdsa' as const, 'rsa' as const),
    }),
  })
  .chain((some) =>
    fc.boolean().map((writes) => {
      const above = some.root === null ? '' : some.root.slice(0, some.root.lastIndexOf('/')) || '/';
      const spec = siteOf('x.example.ini', '[site]\nruntime = static\nroot = /srv/www/x\n');
      return { ...spec, ...some, container: writes ? writing(above) : null };
    }),
  );

/** The same site with nothing special in any value; names stay, because redirects depend on them. */
const tame = (spec: SiteSpec): SiteSpec => ({
  ...spec,
  tls: { ...spec.tls, certificate: null, key: null, hstsSeconds: spec.tls.hstsSeconds === null ? null : 1 },
  file: '/etc/appfleet/sites/x.ini',
  root: spec.root === null ? null : '/srv/x',
  container: spec.container === null ? null : writing('/srv'),
  containerRoot: '/srv/y',
  index: spec.index.map(() => 'index.php'),
  readTimeoutSeconds: 60,
  maxBodyBytes: 1,
  basicAuth: spec.basicAuth === null ? null : '/etc/x',
  headers: spec.headers.map(([name]) => [name === 'Cache-Control' ? name : 'X-Y', 'z']),
  maintenancePage: spec.maintenancePage === null ? null : '/srv/page.html',
});

/** Folders of generations are ours, but a folder is only a text. */
const wildPair: fc.Arbitrary<VhostPair | null> = fc.oneof(
  { weight: 9, arbitrary: fc.record({ chain: wildPath, key: wildPath, real: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant(null) },
);

const shape = (directives: Directive[]): string =>
  directives
    .map(({ words, block }) => `${words[0]} ${words.length}${block === null ? ';' : `{${shape(block)}}`}`)
    .join('');

const tameShapes = new Map<string, string>();
const tameShape = (spec: SiteSpec, used: VhostPair | null): string => {
  const like = tame(spec);
  const key = JSON.stringify([like, used]);
  const known =
    tameShapes.get(key) ?? shape(parseNginx(renderVhost(like, modern, noSnippets, settings, templates, used)));
  tameShapes.set(key, known);
  return known;
};

const wordsOf = (directives: Directive[], name: string): string[][] =>
  directives.flatMap(({ words, block }) => [
    ...(words[0] === name ? [words.slice(1)] : []),
    ...wordsOf(block ?? [], name),
  ]);

t.test('no value of any key changes which directives a vhost has', (t) => {
  let rendered = 0;
  fc.assert(
    fc.property(wildSpec, wildPair, (spec, used) => {
      let text: string;
      try {
        text = renderVhost(spec, modern, noSnippets, settings, templates, used);
      } catch (error) {
        return error instanceof TypeError || error instanceof URIError;
      }
      rendered += 1;
      const tree = parseNginx(text);
      if (shape(tree) !== tameShape(spec, used === null ? null : { ...issued, real: used.real })) return false;
      const roots = wordsOf(tree, 'root').map(([root]) => root);
      if (spec.root !== null && !roots.includes(spec.root)) return false;
      const values = wordsOf(tree, 'add_header').map(([, value]) => value);
      return spec.headers.every(([, value]) => values.includes(value));
    }),
    runs,
  );
  t.ok(rendered >= 10_000, `${rendered} of ${runs.numRuns} sites could be written`);
  t.end();
});

t.test('every variable of a template is a whole word, because a quote inside of a word quotes nothing', (t) => {
  for (const [name, text] of Object.entries(templates))
    for (const line of text.split('\n').filter((line) => /\{\{[^#^/!]/.test(line)))
      t.match(
        line.replaceAll(/\{\{[#^/][a-z]+\}\}/gi, ''),
        /^[^{]*((?<=\s)\{\{\w+\}\}(?=[\s;)])[^{]*)+( \{)?$/,
        `${name}: ${line}`,
      );
  t.end();
});

t.test('what is not of its kind is refused even where nginx could hold it', (t) => {
  const spec = siteOf('x.example.ini', '[site]\nruntime = static\nroot = /srv/www/x\n');
  const wrong: Partial<SiteSpec>[] = [
    { name: '~.*' },
    { name: '' },
    { aliases: ['a b'] },
    { root: 'relative' },
    { root: null },
    { index: ['/etc/passwd'] },
    { headers: [['X Y', 'z']] },
    { maintenancePage: 'x.html' },
    { maxBodyBytes: -1 },
    { basicAuth: '$x' },
    { file: '/etc/\ud800' },
    { tls: { ...spec.tls, hstsSeconds: 1.5 } },
  ];
  for (const some of wrong)
    t.throws(
      () => renderVhost({ ...spec, ...some }, modern, noSnippets, settings, templates, issued),
      JSON.stringify(some),
    );
  t.end();
});

t.test('each version of nginx is told to listen in its own words', (t) => {
  const old: NginxFacts = { version: [1, 22, 1], ipv6: true, configured: new Set() };
  const words = (nginx: NginxFacts, tls: boolean) => {
    const { listens, http2 } = listenLines(nginx, { port: 443, tls });
    return [
      ...listens.map(({ address, options }) => [address, ...options.map(({ option }) => option)].join(' ')),
      http2,
    ];
  };
  t.same(words(old, true), ['443 ssl http2', '[::]:443 ssl http2', false]);
  t.same(words(modern, true), ['443 ssl', '[::]:443 ssl', true]);
  t.same(words(old, false), ['443', '[::]:443', false]);
  t.same(words({ ...modern, ipv6: false }, false), ['443', false]);
  t.ok(isAtLeast([1, 25, 1], [1, 25, 1]) && isAtLeast([2, 0, 0], [1, 25, 1]) && isAtLeast([1, 26, 0], [1, 25, 1]));
  t.notOk(isAtLeast([1, 25, 0], [1, 25, 1]) || isAtLeast([1, 9, 9], [1, 25, 1]));
  t.end();
});

t.test('what the admin set for all of nginx is not set again', (t) => {
  const names = (configured: string[]) =>
    parseNginx(
      renderShared(settings, { ...modern, configured: new Set(configured) }, templates, {
        tls: true,
        thumbprint: null,
      }),
    ).map(({ words }) => words[0]);
  t.ok(names([]).includes('gzip') && names([]).includes('server_names_hash_bucket_size'));
  const fewer = names(['gzip', 'gzip_types', 'server_names_hash_bucket_size']);
  for (const gone of ['gzip', 'gzip_types', 'server_names_hash_bucket_size']) t.notOk(fewer.includes(gone), gone);
  t.ok(fewer.includes('gzip_vary'));
  t.end();
});

t.test('a snippet is included as a copy that is named after its content, and there is a text without it', (t) => {
  const spec = siteOf('x.example.ini', '[site]\nruntime = static\nroot = /srv/www/x\n');
  const server = { file: '/etc/appfleet/vhost.d/x.example.conf', text: 'autoindex on;\n' };
  const candidate = vhostCandidate(spec, modern, { server, location: null }, settings, templates, pair);
  t.same(candidate.snippets, [{ ...server, copy: snippetCopy(server.text) }]);
  t.match(candidate.text, `include ${snippetCopy(server.text)};`);
  t.equal(candidate.plainText, renderVhost(spec, modern, noSnippets, settings, templates, pair));
  t.not(snippetCopy('a'), snippetCopy('b'));
  t.equal(vhostCandidate(spec, modern, noSnippets, settings, templates, pair).plainText, null);
  t.end();
});

const treeOf = (lines: string, used: VhostPair | null, own: Settings = settings): Directive[] => {
  const spec = siteOf('x.example.ini', `[site]\nruntime = static\nroot = /srv/www/x\n${lines}`);
  return parseNginx(renderVhost(spec, modern, noSnippets, own, templates, used));
};

/** Conditions of the server, in their order, each with what is returned. */
const conditionsOf = (tree: Directive[]): string[] =>
  (tree[0]?.block ?? [])
    .filter(({ words }) => words[0] === 'if')
    .map(
      ({ words, block }) =>
        `${words.slice(1).join(' ')} ${wordsOf(block ?? [], 'return')
          .flat()
          .join(' ')}`,
    );
const portsOf = (tree: Directive[]): string[] => wordsOf(tree, 'listen').map((words) => words.join(' '));

t.test('www and apex send visitors to each other as asked, never in a circle, and straight to where they end', (t) => {
  const sent = (lines: string, used: VhostPair | null = pair): string[][] => {
    const tree = treeOf(lines, used);
    return [
      conditionsOf(tree).filter((text) => text.startsWith('($host')),
      wordsOf(tree, 'set').flatMap(([name, to = '']) => (name === '$appfleet_target' ? [to] : [])),
    ];
  };
  const here = '301 $scheme://$appfleet_target$appfleet_port$request_uri';
  const secure = '301 https://$appfleet_target$appfleet_https_port$request_uri';
  t.same(sent('aliases = www.x.example y.example\nredirect = www-to-apex\n'), [
    [`($host = www.x.example) ${here}`],
    ['x.example'],
  ]);
  t.same(sent('aliases = www.x.example y.example\nredirect = apex-to-www\n'), [
    [`($host = x.example) ${here}`],
    ['www.x.example'],
  ]);
  t.same(sent('tls = off\naliases = www.x.example\nredirect = www-to-apex\n', issued), [
    [`($host = www.x.example) ${here}`],
    ['x.example'],
  ]);
  t.same(sent('aliases = www.x.example\nredirect = www-to-apex\n', issued), [
    [`($host = www.x.example) ${secure}`],
    ['x.example'],
  ]);
  t.same(sent('aliases = www.x.example\n'), [[], []]);
  t.same(wordsOf(treeOf('aliases = www.x.example\nredirect = www-to-apex\n', issued), 'server_name'), [
    ['x.example', 'www.x.example'],
  ]);
  t.end();
});

t.test('which port serves, and what comes first, in every state of a site', (t) => {
  const challenge = '($appfleet_challenge) 200 $appfleet_challenge';
  const toHttps = '($scheme = http) 301 https://$host$appfleet_https_port$request_uri';
  const both = ['80', '[::]:80', '443 ssl', '[::]:443 ssl'];
  const cases: [lines: string, used: VhostPair | null, ports: string[], conditions: string[], what: string][] = [
    ['', issued, both, [challenge, toHttps], 'redirect'],
    ['', pair, both, [challenge], 'only a placeholder: the site on both'],
    ['', null, ['80', '[::]:80'], [challenge], 'not even that: over HTTP'],
    ['https = both\n', issued, both, [challenge], 'both'],
    ['https = only\n', issued, ['443 ssl', '[::]:443 ssl'], [], 'only'],
    ['https = only\n', pair, ['443 ssl', '[::]:443 ssl'], [], 'only, with a placeholder'],
    ['https = off\n', issued, ['80', '[::]:80'], [], 'off'],
    ['tls = off\n', issued, ['80', '[::]:80'], [], 'tls = off'],
    ['tls = files\ncertificate = /etc/c\ncertificate_key = /etc/k\n', issued, both, [toHttps], 'files'],
  ];
  for (const [lines, used, ports, conditions, what] of cases) {
    const tree = treeOf(lines, used);
    t.same(portsOf(tree), ports, what);
    t.same(conditionsOf(tree), conditions, what);
    const secure = ports.some((port) => port.includes('443'));
    t.same(wordsOf(tree, 'ssl_certificate'), secure ? [[used?.chain]] : [], what);
    t.same(wordsOf(tree, 'ssl_certificate_key'), secure ? [[used?.key]] : [], what);
    t.equal(tree.length, 1, 'one server');
  }
  t.throws(() => treeOf('https = only\n', null), /HTTPS only/);
  const none = { ...settings, acme: { ...settings.acme, directory: null } };
  t.same(conditionsOf(treeOf('', pair, none)), [], 'where nothing is ordered no question is answered');
  t.same(portsOf(treeOf('', issued, { ...settings, httpPort: 8080, httpsPort: 8443 })), [
    '8080',
    '[::]:8080',
    '8443 ssl',
    '[::]:8443 ssl',
  ]);
  t.end();
});

t.test('browsers are told to insist on HTTPS only when asked for and with a certificate', (t) => {
  const hsts = (lines: string, used: VhostPair) => {
    const tree = treeOf(lines, used);
    const sent = wordsOf(tree, 'add_header').filter(([name]) => name === 'Strict-Transport-Security');
    return [wordsOf(tree, 'set').filter(([name]) => name === '$appfleet_hsts_seconds'), sent.length];
  };
  t.same(hsts('', issued), [[], 0]);
  t.same(hsts('hsts = 1d\n', pair), [[], 0]);
  // the server and the page for a closed site
  t.same(hsts('hsts = 1d\n', issued), [[['$appfleet_hsts_seconds', '86400']], 2]);
  t.same(hsts('hsts = 0s\nmaintenance_page = /srv/x.html\n', issued), [[['$appfleet_hsts_seconds', '0']], 3]);
  t.end();
});

t.test('what sites share knows the account, and takes the port of HTTPS only when a site wants it', (t) => {
  const thumbprint = 'x'.repeat(43);
  const tree = (facts: { tls: boolean; thumbprint: string | null }, own: Settings = settings) =>
    parseNginx(renderShared(own, modern, templates, facts));
  const map = (of: Directive[], name: string) =>
    of.find(({ words }) => words[0] === 'map' && words[2] === name)?.block?.map(({ words }) => words);
  t.same(map(tree({ tls: true, thumbprint }), '$appfleet_thumbprint'), [['default', thumbprint]]);
  t.equal(map(tree({ tls: true, thumbprint: null }), '$appfleet_challenge')?.length, 1, 'nothing is a challenge');
  t.equal(map(tree({ tls: true, thumbprint }), '$appfleet_challenge')?.length, 2);
  t.throws(() => tree({ tls: true, thumbprint: 'x;' }), TypeError);
  t.same(portsOf(tree({ tls: false, thumbprint: null })), ['80 default_server', '[::]:80 default_server']);
  t.ok(portsOf(tree({ tls: true, thumbprint: null })).includes('443 default_server ssl'));
  t.same(wordsOf(tree({ tls: true, thumbprint: null }), 'ssl_reject_handshake'), [['on']]);
  const typed = (httpPort: number, httpsPort: number) =>
    map(tree({ tls: true, thumbprint }, { ...settings, httpPort, httpsPort }), '$appfleet_https_port')?.slice(0, -1);
  t.same(typed(80, 443), [['default', '']]);
  t.same(typed(80, 8443), [['default', ':8443']]);
  t.same(
    typed(8080, 8443),
    [
      ['default', ':8443'],
      ['http', ''],
      ['http:80', ''],
    ],
    'somebody forwards the usual ports to ours',
  );
  t.end();
});
