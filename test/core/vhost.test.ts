import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { isAtLeast, listenLines, type NginxFacts } from '../../agent/core/listen.ts';
import { quoteNginx } from '../../agent/core/nginx-quote.ts';
import { parseSettings } from '../../agent/core/settings.ts';
import { parseSite } from '../../agent/core/site.ts';
import type { Settings, SiteSpec } from '../../agent/core/spec.ts';
import { renderShared, renderVhost, snippetCopy, vhostCandidate } from '../../agent/core/vhost.ts';
import { type Directive, parseNginx } from './nginx-tokens.ts';

const folder = new URL('../../vhost-templates/', import.meta.url);
const templates = Object.fromEntries(
  readdirSync(folder).map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]),
);
const modern: NginxFacts = { version: [1, 26, 3], ipv6: true, configured: new Set(['gzip']) };
const read = parseSettings({ path: '/etc/appfleet/appfleet.ini', text: '' });
if ('problems' in read) throw new Error('the default settings have problems');
const settings: Settings = read.settings;
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

const wildSpec: fc.Arbitrary<SiteSpec> = fc
  .record({
    runtime: fc.constantFrom('php-fpm' as const, 'node' as const, 'container' as const, 'static' as const),
    name: domain,
    file: orWild(fc.constant('/etc/appfleet/sites/x.ini')),
    aliases: fc.array(domain, { maxLength: 3 }),
    root: fc.oneof({ weight: 4, arbitrary: wildPath }, { weight: 1, arbitrary: fc.constant(null) }),
    containerRoot: wildPath,
    index: fc.array(fileName, { minLength: 1, maxLength: 3 }),
    readTimeoutSeconds: count,
    maxBodyBytes: count,
    redirect: fc.constantFrom('none' as const, 'to-apex' as const, 'to-www' as const),
    basicAuth: fc.option(wildPath),
    headers: fc.array(fc.tuple(orWild(fc.constantFrom('X-One', 'Cache-Control')), wild), { maxLength: 3 }),
    maintenancePage: fc.option(wildPath),
  })
  .map((some) => ({ ...siteOf('x.example.ini', '[site]\nruntime = static\nroot = /srv/www/x\n'), ...some }));

/** The same site with nothing special in any value; names stay, because redirects depend on them. */
const tame = (spec: SiteSpec): SiteSpec => ({
  ...spec,
  file: '/etc/appfleet/sites/x.ini',
  root: spec.root === null ? null : '/srv/x',
  containerRoot: '/srv/y',
  index: spec.index.map(() => 'index.php'),
  readTimeoutSeconds: 60,
  maxBodyBytes: 1,
  basicAuth: spec.basicAuth === null ? null : '/etc/x',
  headers: spec.headers.map(([name]) => [name === 'Cache-Control' ? name : 'X-Y', 'z']),
  maintenancePage: spec.maintenancePage === null ? null : '/srv/page.html',
});

const shape = (directives: Directive[]): string =>
  directives
    .map(({ words, block }) => `${words[0]} ${words.length}${block === null ? ';' : `{${shape(block)}}`}`)
    .join('');

const tameShapes = new Map<string, string>();
const tameShape = (spec: SiteSpec): string => {
  const like = tame(spec);
  const key = JSON.stringify(like);
  const known = tameShapes.get(key) ?? shape(parseNginx(renderVhost(like, modern, noSnippets, settings, templates)));
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
    fc.property(wildSpec, (spec) => {
      let text: string;
      try {
        text = renderVhost(spec, modern, noSnippets, settings, templates);
      } catch (error) {
        return error instanceof TypeError || error instanceof URIError;
      }
      rendered += 1;
      const tree = parseNginx(text);
      if (shape(tree) !== tameShape(spec)) return false;
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
  ];
  for (const some of wrong)
    t.throws(() => renderVhost({ ...spec, ...some }, modern, noSnippets, settings, templates), JSON.stringify(some));
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
    parseNginx(renderShared(settings, { ...modern, configured: new Set(configured) }, templates)).map(
      ({ words }) => words[0],
    );
  t.ok(names([]).includes('gzip') && names([]).includes('server_names_hash_bucket_size'));
  const fewer = names(['gzip', 'gzip_types', 'server_names_hash_bucket_size']);
  for (const gone of ['gzip', 'gzip_types', 'server_names_hash_bucket_size']) t.notOk(fewer.includes(gone), gone);
  t.ok(fewer.includes('gzip_vary'));
  t.end();
});

t.test('a snippet is included as a copy that is named after its content, and there is a text without it', (t) => {
  const spec = siteOf('x.example.ini', '[site]\nruntime = static\nroot = /srv/www/x\n');
  const server = { file: '/etc/appfleet/vhost.d/x.example.conf', text: 'autoindex on;\n' };
  const candidate = vhostCandidate(spec, modern, { server, location: null }, settings, templates);
  t.same(candidate.snippets, [{ ...server, copy: snippetCopy(server.text) }]);
  t.match(candidate.text, `include ${snippetCopy(server.text)};`);
  t.equal(candidate.plainText, renderVhost(spec, modern, noSnippets, settings, templates));
  t.not(snippetCopy('a'), snippetCopy('b'));
  t.equal(vhostCandidate(spec, modern, noSnippets, settings, templates).plainText, null);
  t.end();
});

t.test('www and apex send visitors to each other as asked, and never in a circle', (t) => {
  const text = (aliases: string[], redirect: SiteSpec['redirect']) => {
    const spec = siteOf('x.example.ini', '[site]\nruntime = static\nroot = /srv/www/x\n');
    const tree = parseNginx(renderVhost({ ...spec, aliases, redirect }, modern, noSnippets, settings, templates));
    return [wordsOf(tree, 'server_name'), wordsOf(tree, 'set').map(([, to]) => to)];
  };
  t.same(text(['www.x.example', 'y.example'], 'to-apex'), [
    [['www.x.example'], ['x.example', 'y.example']],
    ['x.example'],
  ]);
  t.same(text(['www.x.example', 'y.example'], 'to-www'), [
    [['x.example'], ['www.x.example', 'y.example']],
    ['www.x.example'],
  ]);
  t.same(text(['www.x.example'], 'none'), [[['x.example', 'www.x.example']], []]);
  t.same(text(['www.y.example'], 'to-apex'), [[['x.example', 'www.y.example']], []]);
  t.end();
});
