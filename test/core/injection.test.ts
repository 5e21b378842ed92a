import fc from 'fast-check';
import ini from 'ini';
import { execFileSync } from 'node:child_process';
import t from 'tap';
import { parseCommand } from '../../agent/core/command.ts';
import { serviceStartFiles, siteStartFiles } from '../../agent/core/container.ts';
import { appSocket, runDirectory } from '../../agent/core/names.ts';
import { parseSettings } from '../../agent/core/settings.ts';
import type { ContainerSpec, ServiceSpec, SiteSpec } from '../../agent/core/spec.ts';
import { quoteUnit, serviceUnits, siteUnits, type UnitFile } from '../../agent/core/unit.ts';
import { quotedWord, serviceFile, serviceOf, siteFile, siteOf } from './arbitraries.ts';
import { templates } from './golden-cases.ts';
import { type Assignment, commandWords, parseUnit } from './unit-tokens.ts';

/** About one file in six is refused; of the others there are to be 10,000. */
const runs = { numRuns: 12_000 };
const enough = 10_000;

t.test('the quoter means exactly its value, or refuses it', (t) => {
  const nasty = fc.string({
    unit: fc.oneof(
      fc.constantFrom(...'%%%%$\\"\'`;#[]= \t\n\rab/.:-@(),~+é'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    maxLength: 16,
  });
  const tame = fc.string({ unit: fc.constantFrom(...'%%aZ09 _.:;,@/()=+~-'), maxLength: 16 });
  let held = 0;
  fc.assert(
    fc.property(fc.oneof(nasty, tame, tame, tame), (value) => {
      let word: string;
      try {
        word = quoteUnit(value);
      } catch (error) {
        return error instanceof TypeError;
      }
      held += 1;
      const [found, ...others] = parseUnit(`[Unit]\nDescription=a ${word}\nX=y\n`);
      return others.length === 1 && found?.value === `a ${value}`.trim();
    }),
    { numRuns: 21_000 },
  );
  t.ok(held >= enough, `${held} values could be written`);
  t.equal(quoteUnit('100 %i'), '100 %%i');
  for (const bad of ['a\nb', 'a\rb', 'a\\', '$HOME', '"a"', "'a'", 'é', ' a', 'a ', '\0', '\u2028', '`x`'])
    t.throws(() => quoteUnit(bad), TypeError, encodeURI(bad));
  t.end();
});

const twinContainer = (container: ContainerSpec): ContainerSpec => ({
  image: 'x',
  command: [],
  env: {},
  envFile: null,
  volumes: [],
  memory: null,
  cpus: null,
  startTimeoutSeconds: 1,
  stopTimeoutSeconds: 1,
  network: 'none',
  needs: container.needs.map((_, index) => `n${index}`),
});

/** A site with nothing special in any value, and as many of everything as decides about lines. */
const twinSite = (spec: SiteSpec): SiteSpec => ({
  ...spec,
  name: 'x.example',
  file: '/etc/appfleet/sites/x.example.ini',
  aliases: [],
  container: spec.container === null ? null : twinContainer(spec.container),
  port: 1,
  root: null,
  containerRoot: '/x',
  poolDirectory: '/x',
  index: [],
  symlinks: 'no',
  idleSeconds: spec.idleSeconds === 'never' ? 'never' : 60,
  drainTimeoutSeconds: 1,
  readTimeoutSeconds: 1,
  health: { kind: 'connect' },
  maxBodyBytes: 1,
  basicAuth: null,
  headers: [],
  maintenancePage: null,
  tls: { mode: 'auto', certificate: null, key: null, https: 'both', hstsSeconds: null, keyType: 'ecdsa' },
});
const twinService = (spec: ServiceSpec): ServiceSpec => ({
  name: 'x',
  file: '/etc/appfleet/services/x.ini',
  container: twinContainer(spec.container),
  aliases: [],
  ready: null,
  idleSeconds: spec.idleSeconds === 'never' ? 'never' : 60,
});

const parsed = (units: readonly UnitFile[]): Assignment[][] => units.map(({ text }) => parseUnit(text));
const shape = (units: readonly Assignment[][]): string =>
  units.map((unit) => unit.map(({ section, key }) => `${section} ${key}`).join('\n')).join('\n\n');

const shapes = new Map<string, string>();
const shapeOf = (key: string, make: () => UnitFile[]): string => {
  const known = shapes.get(key) ?? shape(parsed(make()));
  shapes.set(key, known);
  return known;
};

/** Every command is the program, a verb and the name; the name is a word of its own. */
const commandsAreOurs = (units: readonly Assignment[][], name: string): boolean =>
  units
    .flat()
    .filter(({ key }) => key.startsWith('Exec'))
    .every(({ value }) => {
      const [program, verb = '', subject, ...rest] = commandWords(value);
      return program === '/usr/lib/appfleet/launch' && /^[a-z]+$/.test(verb) && subject === name && rest.length === 0;
    });

const namesAre = (units: readonly UnitFile[], name: string): boolean =>
  units.every(({ unit }) => [`${name}.service`, `${name}.socket`, `${name}-app.service`].includes(unit));

const checkUnits = (units: readonly UnitFile[], usual: () => UnitFile[], key: string, name: string): void => {
  const read = parsed(units);
  if (shape(read) !== shapeOf(key, usual))
    throw new Error(`other lines than usual:\n${units.map(({ text }) => text).join('\n')}`);
  if (!commandsAreOurs(read, name)) throw new Error('another command');
  if (!namesAre(units, name)) throw new Error('another unit');
};

/** What the Engine's API knows and we use (POST /containers/create). */
const bodyKeys = ['Image', 'Cmd', 'Env', 'Labels', 'StopTimeout', 'HostConfig'];
const hostKeys = ['Binds', 'NetworkMode', 'Memory', 'MemorySwap', 'NanoCpus', 'RestartPolicy', 'LogConfig'];

interface Body {
  Image: string;
  Cmd?: string[];
  Env: string[];
  Labels: Record<string, string>;
  HostConfig: { Binds: string[]; NetworkMode: string; RestartPolicy: unknown; LogConfig: unknown };
}

const must = (ok: boolean, what: string): void => {
  if (!ok) throw new Error(what);
};
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const checkBody = (
  text: string,
  name: string,
  container: ContainerSpec,
  own: { env: string[]; binds: number },
): void => {
  const body = JSON.parse(text) as Body;
  must(
    Object.keys(body).every((key) => bodyKeys.includes(key)),
    'another key of the container',
  );
  must(
    Object.keys(body.HostConfig).every((key) => hostKeys.includes(key)),
    'another option of the container',
  );
  must(body.Image === container.image, 'another image');
  must(same(body.Cmd ?? [], container.command), 'other words of the command');
  must(same(Object.keys(body.Labels), ['appfleet.site', 'object_systemd_unit', 'appfleet.spec']), 'another label');
  must(body.Labels['appfleet.site'] === name, 'the label of another site');
  must(same(body.HostConfig.RestartPolicy, { Name: 'no' }), 'another restart policy');
  must(
    body.HostConfig.NetworkMode === container.network && !/^(host|container:)/.test(container.network),
    'the network',
  );
  const declared = Object.entries(container.env).filter(([key]) => !own.env.includes(key));
  must(body.Env.length === new Set([...Object.keys(container.env), ...own.env]).size, 'another variable');
  must(
    declared.every(([key, value]) => body.Env.includes(`${key}=${value}`)),
    'a variable has another value',
  );
  const { Binds: binds } = body.HostConfig;
  must(binds.length === own.binds + container.volumes.length, 'another mount');
  // Docker splits at colons: source, target, options.
  must(
    binds.every((bind) => /^[^:]+:\/[^:]+:(ro|rw)$/.test(bind)),
    'a mount with other options',
  );
  must(
    binds.slice(own.binds).every((bind, index) => {
      const { host = '', container: inside = '', readOnly = false } = container.volumes[index] ?? {};
      return bind === `${host}:${inside}:${readOnly ? 'ro' : 'rw'}`;
    }),
    'another mount than asked for',
  );
  must(
    !binds.some((bind) => /^(\/|\/etc\/?|\/run\/docker\.sock|\/var\/run\/docker\.sock):/.test(bind)),
    'the host itself',
  );
};

/** As units/launch reads it: `while (<$conf>) { $conf{$1} = $2 if /^(\w+)=(.*)$/ }`. */
const readLaunch = (text: string): [string, string][] =>
  (text.match(/[^\n]*\n|[^\n]+$/g) ?? []).flatMap((line) => {
    const match = /^([A-Za-z0-9_]+)=(.*)\n?$/.exec(line.replace(/\n$/, ''));
    return match === null ? [] : [[match[1] ?? '', match[2] ?? ''] as [string, string]];
  });

const siteLaunchKeys =
  'run spec image memory start_timeout stop_timeout kind runtime ready port drain_timeout slots'.split(' ');
const serviceLaunchKeys = 'run spec image memory start_timeout stop_timeout kind ready start'.split(' ');

const launchTexts: string[] = [];
const checkLaunch = (text: string, keys: readonly string[], expected: Readonly<Record<string, string>>): void => {
  launchTexts.push(text);
  const read = readLaunch(text);
  must(
    same(
      read.map(([key]) => key),
      keys,
    ),
    `other keys than usual: ${text}`,
  );
  const values = Object.fromEntries(read);
  for (const [key, value] of Object.entries(expected)) must(values[key] === value, `${key} is ${values[key]}`);
};

const fileNamed = (files: readonly { path: string; text: string }[], name: string): string =>
  files.find(({ path }) => path.endsWith(`/${name}`))?.text ?? '';

const defaults = parseSettings({ path: '/etc/appfleet/appfleet.ini', text: '' });
if ('problems' in defaults) throw new Error('the default settings have problems');
const { settings } = defaults;

const ownOf = (spec: SiteSpec): { env: string[]; binds: number } => {
  if (spec.runtime === 'container') return { env: ['PORT'], binds: 1 };
  return spec.runtime === 'node'
    ? { env: ['PORT', 'APPFLEET_SOCKET', 'NODE_OPTIONS'], binds: 2 }
    : { env: [], binds: spec.root === null ? 2 : 3 };
};

const poolOf = (text: string): Record<string, Record<string, string>> => ini.parse(text);

const checkSite = (spec: SiteSpec): void => {
  const twin = twinSite(spec);
  checkUnits(siteUnits(spec, templates), () => siteUnits(twin, templates), JSON.stringify(twin), spec.name);
  const { container } = spec;
  const files = siteStartFiles(spec, container?.env ?? {}, settings, templates);
  must(
    files.every(({ path }) => path.startsWith(`/var/lib/appfleet/start/${spec.name}/`)),
    'a file elsewhere',
  );
  const run = runDirectory(spec.name);
  if (container === null) return checkLaunch(fileNamed(files, 'launch'), ['run', 'kind'], { run, kind: 'static' });
  checkLaunch(fileNamed(files, 'launch'), siteLaunchKeys, {
    run,
    kind: 'site',
    runtime: spec.runtime,
    image: container.image,
    port: String(spec.port),
    ready: spec.health.kind === 'http' ? `http:${spec.health.path}` : 'connect',
  });
  checkBody(fileNamed(files, 'container.json'), spec.name, container, ownOf(spec));
  must(files.find(({ path }) => path.endsWith('/container.json'))?.mode === 0o600, 'the environment is secret');
  const pool = fileNamed(files, 'pool.conf');
  must((pool === '') === (spec.runtime !== 'php-fpm'), 'a pool file');
  if (pool !== '') {
    const usual = siteStartFiles(twin, {}, settings, templates);
    const read = poolOf(pool);
    must(same(Object.keys(read), ['www']), 'another pool');
    must(
      same(Object.keys(read['www'] ?? {}), Object.keys(poolOf(fileNamed(usual, 'pool.conf'))['www'] ?? {})),
      'another key of the pool',
    );
    must(read['www']?.['listen'] === appSocket(spec.name), 'it listens elsewhere');
  }
};

const checkService = (spec: ServiceSpec): void => {
  const twin = twinService(spec);
  checkUnits(serviceUnits(spec, templates), () => serviceUnits(twin, templates), JSON.stringify(twin), spec.name);
  const files = serviceStartFiles(spec, spec.container.env);
  checkLaunch(fileNamed(files, 'launch'), serviceLaunchKeys, {
    run: runDirectory(spec.name),
    kind: 'service',
    image: spec.container.image,
    ready:
      spec.ready === null
        ? 'none'
        : spec.ready.kind === 'port'
          ? `port:${spec.ready.port}`
          : `socket:${spec.ready.path}`,
  });
  checkBody(fileNamed(files, 'container.json'), spec.name, spec.container, { env: [], binds: 0 });
};

t.test('no value of a site file adds a line to a unit, a launch or pool file, or anything to a container', (t) => {
  let accepted = 0;
  fc.assert(
    fc.property(siteFile, (file) => {
      const spec = siteOf(file);
      if (spec === null) return;
      accepted += 1;
      checkSite(spec);
    }),
    runs,
  );
  t.ok(accepted >= enough, `${accepted} of ${runs.numRuns} files were accepted`);
  t.end();
});

t.test('no value of a shared container’s file adds anything either', (t) => {
  let accepted = 0;
  fc.assert(
    fc.property(serviceFile, (file) => {
      const spec = serviceOf(file);
      if (spec === null) return;
      accepted += 1;
      checkService(spec);
    }),
    runs,
  );
  t.ok(accepted >= enough, `${accepted} of ${runs.numRuns} files were accepted`);
  t.end();
});

t.test('perl reads launch files as this test does', (t) => {
  const script = `use strict; local $/ = "\\0"; while (my $file = <STDIN>) { chomp $file; open(my $conf, '<', \\$file); local $/ = "\\n";
    while (<$conf>) { print "$1=$2\\n" if /^(\\w+)=(.*)$/ } print "\\0" }`;
  const some = launchTexts.filter((_, index) => index % 10 === 0);
  const read = execFileSync('perl', ['-e', script], {
    input: some.map((text) => `${text}\0`).join(''),
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  t.ok(some.length > 1000, `${some.length} files`);
  t.equal(
    read,
    some
      .map(
        (text) =>
          `${readLaunch(text)
            .map(([key, value]) => `${key}=${value}\n`)
            .join('')}\0`,
      )
      .join(''),
  );
  t.end();
});

t.test('a command has the words that a shell would make of it, if it expanded nothing', (t) => {
  const samples = fc.sample(fc.array(quotedWord, { minLength: 1, maxLength: 6 }), { numRuns: enough, seed: 5 });
  const texts = samples.map((words) => ['run', ...words.map(({ text }) => text)].join(' '));
  for (const [index, words] of samples.entries()) {
    const read = parseCommand(texts[index] ?? '');
    const expected = ['run', ...words.map(({ word }) => word)];
    if (!read.ok || !same(read.value, expected)) t.fail(`${texts[index]}: ${JSON.stringify(read)}`);
  }
  const script = texts.map((text) => `printf '%s\\0' ${text}; printf '\\1'`).join('\n');
  const said = execFileSync('sh', { input: `${script}\n`, encoding: 'utf8', maxBuffer: 1e8 });
  t.equal(said, samples.map((words) => `run\0${words.map(({ word }) => `${word}\0`).join('')}\x01`).join(''));
  t.end();
});

t.test('a value that slipped past the parser is refused by the unit', (t) => {
  const file = { path: '/etc/appfleet/sites/x.example.ini', text: '[site]\nruntime = node\nimage = node:20\n' };
  const spec = siteOf(file);
  if (spec?.container == null) throw new Error('this file is right');
  const { container } = spec;
  const wrong: Partial<SiteSpec>[] = [
    { name: 'x.example\nExecStart=/bin/sh' },
    { name: 'x\\' },
    { name: '$x' },
    { file: '/etc/\ud800' },
    { container: { ...container, needs: ['a b\nRequires=x'] } },
    { container: { ...container, startTimeoutSeconds: NaN } },
    { drainTimeoutSeconds: Infinity },
  ];
  for (const change of wrong) t.throws(() => siteUnits({ ...spec, ...change }, templates), JSON.stringify(change));
  const wrongStart: Partial<SiteSpec>[] = [
    { name: 'x\nport=1' },
    { health: { kind: 'http', path: '/\nkind=static' } },
    { container: { ...container, image: 'x\nslots=0' } },
  ];
  for (const change of wrongStart)
    t.throws(() => siteStartFiles({ ...spec, ...change }, {}, settings, templates), JSON.stringify(change));
  t.end();
});

t.test('the tokenizer sees what an injection would do', (t) => {
  t.strictSame(parseUnit('[Service]\nDescription=a\nExecStart=/bin/sh\n').length, 2);
  t.strictSame(parseUnit('[Unit]\nA=b \\\nExecStart=/bin/sh\n'), [
    { section: 'Unit', key: 'A', value: 'b  ExecStart=/bin/sh' },
  ]);
  t.throws(() => parseUnit('[Unit]\nA=%h\n'), /specifier %h/);
  t.throws(() => commandWords('-/bin/sh'));
  t.throws(() => commandWords('/bin/launch start $x'));
  t.end();
});
