/** Files as wild as their parsers let them be, for the properties that nothing in them can become more than a value. */
import fc from 'fast-check';
import type { Runtime } from '../../agent/core/spec.ts';
import { parseService } from '../../agent/core/service.ts';
import { parseSite } from '../../agent/core/site.ts';
import type { ServiceSpec, SiteSpec } from '../../agent/core/spec.ts';

/** Letters that mean something to systemd, a shell, perl, ini, JSON, Docker, a path, or nobody. */
const special = fc.constantFrom(...'"\'\\$%{}[]();:#~*?!@&|<>`=,./+-_^ \t\n\r\0\u0085\u2028\u202eéö漢😀');
const anything = fc.string({
  unit: fc.oneof(special, fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })),
  maxLength: 12,
});
/** Any text of one line. */
const line = fc.string({ unit: fc.constantFrom(...'"\'\\$%{}[]();:#~*?!@&|<>`=,./+-_^ aZ09éö漢😀'), maxLength: 24 });
const name = fc.string({ unit: fc.constantFrom(...'abcxyz019-'), minLength: 1, maxLength: 12 });
const letters = fc.string({ unit: fc.constantFrom(...'aBz09._~+@=%- éö漢'), minLength: 1, maxLength: 12 });

/** Mostly what its type accepts, now and then anything at all. */
const mostly = (usual: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 120, arbitrary: usual },
    { weight: 1, arbitrary: anything },
    { weight: 1, arbitrary: fc.tuple(usual, special, usual).map((parts) => parts.join('')) },
  );

const path = fc
  .array(letters, { minLength: 1, maxLength: 4 })
  .map((parts) => `/srv/x/${parts.map((part) => `p${part}p`).join('/')}`);
const duration = fc
  .tuple(fc.integer({ min: 1, max: 5000 }), fc.constantFrom('s', 'm', 'h'))
  .map((parts) => parts.join(''));
const size = fc
  .tuple(fc.integer({ min: 6, max: 9000 }), fc.constantFrom('m', 'M', 'g', 'G'))
  .map((parts) => parts.join(''));
const volume = fc
  .tuple(
    fc.oneof(
      path,
      name.map((text) => `v${text}x`),
    ),
    path,
    fc.constantFrom('', ':ro', ':rw'),
  )
  .map(([from, to, mode]) => `${from}:${to}${mode}`);
const image = fc
  .tuple(
    fc.constantFrom('', 'registry.example.org:5000/', 'a/b/'),
    fc.constantFrom('node', 'team.x_y--z', 'a__b'),
    fc.constantFrom('', ':20', ':V_1.2-x', `@sha256:${'0'.repeat(64)}`),
  )
  .map((parts) => parts.join(''));
const health = fc.string({ unit: fc.constantFrom(...'aZ09._~/%=&?+,@:-'), maxLength: 20 }).map((text) => `/${text}`);
const domain = fc
  .tuple(
    fc.constantFrom('*.', '', 'www.'),
    fc.string({ unit: fc.constantFrom(...'abcé漢09'), minLength: 1, maxLength: 20 }),
    fc.constantFrom('.example', '.example.sh', '.müller.example'),
  )
  .map(([first, label, rest]) => `${first}x${label}x${rest}`);

/** A word of a command, quoted in one of the ways that POSIX knows. */
export const quotedWord: fc.Arbitrary<{ word: string; text: string }> = fc
  .tuple(line, fc.constantFrom('single', 'double', 'backslash'))
  .map(([word, how]) => ({
    word,
    text:
      how === 'single' || word === ''
        ? `'${word.replaceAll("'", "'\\''")}'`
        : how === 'double'
          ? `"${word.replace(/["\\$`]/g, '\\$&')}"`
          : word.replace(/[^A-Za-z0-9_=,./:@%+-]/gu, '\\$&'),
  }));
const command = fc
  .array(quotedWord, { minLength: 1, maxLength: 5 })
  .map((words) => ['run', ...words.map(({ text }) => text)].join(' '));

const container: Record<string, fc.Arbitrary<string>> = {
  command,
  env_file: path,
  volumes: fc
    .uniqueArray(volume, { maxLength: 3, selector: (text) => text.replace(/^[^:]*:|:r[ow]$/g, '') })
    .map((all) => all.join(', ')),
  memory: size,
  cpus: fc.constantFrom('0.25', '2', '16.5'),
  network: fc.oneof(
    fc.constantFrom('bridge', 'none'),
    name.map((text) => `n${text}`),
  ),
  needs: fc
    .uniqueArray(
      name.map((text) => `d${text}x`),
      { maxLength: 3 },
    )
    .map((all) => all.join(' ')),
  start_timeout: duration,
  stop_timeout: duration,
};

const siteValues: Record<string, fc.Arbitrary<string>> = {
  ...container,
  aliases: fc.uniqueArray(domain, { maxLength: 3 }).map((all) => all.join(' ')),
  port: fc.integer({ min: 1, max: 65535 }).map(String),
  root: path,
  container_root: path,
  pool_dir: path,
  index: fc.constantFrom('index.php', 'index.html app.php', 'a_b-c.htm'),
  symlinks: fc.constantFrom('no', 'owner', 'yes'),
  idle: fc.oneof(duration, fc.constant('never')),
  health,
  drain_timeout: duration,
  read_timeout: duration,
  max_body_size: size,
  basic_auth: path,
  maintenance_page: path.map((text) => `${text}.html`),
};
/** Keys that stand together or not at all. */
const tlsValues: fc.Arbitrary<[string, string][]> = fc.oneof(
  fc.constantFrom<[string, string][]>([], [['tls', 'off']]),
  fc
    .tuple(mostly(path), mostly(path), mostly(fc.constantFrom('redirect', 'both', 'only', 'off')))
    .map(([certificate, key, https]): [string, string][] => [
      ['tls', 'files'],
      ['certificate', certificate],
      ['certificate_key', key],
      ['https', https],
    ]),
  fc
    .tuple(
      mostly(duration),
      mostly(fc.constantFrom('redirect', 'both', 'only')),
      mostly(fc.constantFrom('ecdsa', 'rsa')),
    )
    .map(([hsts, https, type]): [string, string][] => [
      ['hsts', hsts],
      ['https', https],
      ['key_type', type],
    ]),
);
const serviceValues: Record<string, fc.Arbitrary<string>> = {
  ...container,
  aliases: fc
    .uniqueArray(
      name.map((text) => `a${text}x`),
      { maxLength: 3 },
    )
    .map((all) => all.join(' ')),
  ready: fc.oneof(
    fc.integer({ min: 1, max: 65535 }).map((port) => `port:${port}`),
    fc.string({ unit: fc.constantFrom(...'aZ09._~+@=%- '), maxLength: 20 }).map((text) => `socket:/run/s${text}s`),
  ),
  idle: fc.oneof(duration, fc.constant('never')),
};

const keysOf: Record<Runtime, readonly string[]> = {
  'php-fpm': [
    ...Object.keys(container),
    ...'aliases container_root pool_dir index idle drain_timeout read_timeout max_body_size basic_auth maintenance_page'.split(
      ' ',
    ),
  ],
  node: [
    ...Object.keys(container),
    ...'aliases port root idle health drain_timeout read_timeout max_body_size basic_auth maintenance_page'.split(' '),
  ],
  container: [
    ...Object.keys(container),
    ...'aliases root idle health drain_timeout read_timeout max_body_size'.split(' '),
  ],
  static: 'aliases index basic_auth maintenance_page'.split(' '),
};
const requiredOf: Record<Runtime, readonly string[]> = {
  'php-fpm': ['image', 'root'],
  node: ['image'],
  container: ['image', 'port'],
  static: ['root'],
};

const envName = fc
  .string({ unit: fc.constantFrom(...'ABCabc_09'), minLength: 1, maxLength: 8 })
  .map((text) => `V${text}`);
const variables = (names: fc.Arbitrary<string>): fc.Arbitrary<[string, string][]> =>
  fc.uniqueArray(fc.tuple(names, mostly(line)), { maxLength: 3, selector: ([key]) => key.toLowerCase() });
const headerName = fc
  .string({ unit: fc.constantFrom(...'ABCabc-09'), minLength: 1, maxLength: 8 })
  .map((text) => `X-${text}`);
const headerLine = fc.string({
  unit: fc.constantFrom(...'"\'\\%{}[]();:#~*?!@&|<>`=,./+-_^ aZ09'),
  minLength: 1,
  maxLength: 20,
});

/** Every value in quotes: only the value's own type decides. */
const asIni = (section: string, values: readonly (readonly [string, string])[]): string =>
  [`[${section}]`, ...values.map(([key, value]) => `${key} = ${JSON.stringify(value)}`), ''].join('\n');

type Values = fc.Arbitrary<[string, string][]>;
type Types = Record<string, fc.Arbitrary<string>>;

/** Some of these keys, or all, each mostly with a value of its type. */
const valuesOf = (keys: readonly string[], types: Types, absent: number): Values =>
  fc
    .tuple(
      ...keys.map((key) =>
        fc.oneof(
          { weight: absent, arbitrary: fc.constant([]) },
          { weight: 1, arbitrary: mostly(types[key] ?? image).map((value): [string, string][] => [[key, value]]) },
        ),
      ),
    )
    .map((all) => all.flat());

const siteFileOf = (runtime: Runtime): fc.Arbitrary<{ path: string; text: string }> =>
  fc
    .record({
      name: mostly(domain.map((text) => text.replace('*.', ''))),
      required: valuesOf(requiredOf[runtime], siteValues, 0),
      others: valuesOf(
        keysOf[runtime].filter((key) => !requiredOf[runtime].includes(key)),
        siteValues,
        2,
      ),
      tls: tlsValues,
      env: variables(envName),
      headers: fc.uniqueArray(fc.tuple(headerName, mostly(headerLine)), {
        maxLength: 2,
        selector: ([key]) => key.toLowerCase(),
      }),
    })
    .map(({ name, required, others, tls, env, headers }) => ({
      path: `/etc/appfleet/sites/${name}.ini`,
      text: [
        asIni('site', [['runtime', runtime], ...required, ...others, ...tls]),
        ...(runtime === 'static' ? [] : [asIni('env', env)]),
        asIni('headers', headers),
      ].join(''),
    }));

/** A site file with its name. */
export const siteFile: fc.Arbitrary<{ path: string; text: string }> = fc.oneof(
  siteFileOf('php-fpm'),
  siteFileOf('node'),
  siteFileOf('container'),
  siteFileOf('static'),
);

/** A file of a shared container with its name. */
export const serviceFile: fc.Arbitrary<{ path: string; text: string }> = fc
  .record({
    name: mostly(name.map((text) => `s${text}x`)),
    image: mostly(image),
    others: valuesOf(Object.keys(serviceValues), serviceValues, 2),
    env: variables(envName),
  })
  .map(({ name, image, others, env }) => ({
    path: `/etc/appfleet/services/${name}.ini`,
    text: asIni('service', [['image', image], ...others]) + asIni('env', env),
  }));

/** The spec of a file, or null when it is refused. */
export const siteOf = (file: { path: string; text: string }): SiteSpec | null => {
  const parsed = parseSite(file);
  return 'spec' in parsed ? parsed.spec : null;
};
export const serviceOf = (file: { path: string; text: string }): ServiceSpec | null => {
  const parsed = parseService(file);
  return 'spec' in parsed ? parsed.spec : null;
};
