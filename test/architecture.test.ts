/** The house rules that a machine can hold: which way imports go, what is pure, how large a file may grow. */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(posix.join(root, path), 'utf8');
const below = (folder: string, ending: string): string[] =>
  readdirSync(posix.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => posix.join(folder, name))
    .sort();

const sources = below('agent', '.ts');
/** What each file imports: paths of the checkout, or names of packages. */
const imports = new Map(
  sources.map((file) => {
    const found = [...read(file).matchAll(/^(?:import|export)\s[^;]*?from '([^']+)';/gms)].map(([, what = '']) => what);
    const bare = [...read(file).matchAll(/\bimport\('([^']+)'\)/g)].map(([, what = '']) => what);
    return [
      file,
      [...found, ...bare].map((what) => (what.startsWith('.') ? posix.join(posix.dirname(file), what) : what)),
    ];
  }),
);
const room = (file: string): string => (/^agent\/[^/]+\//.exec(file)?.[0] ?? file).replace(/\/$/, '');

/** What each room may import besides itself. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'agent/core': ['agent/errors.ts', 'ini', 'mustache', 'node:url', 'node:path/posix', 'node:crypto'],
  'agent/net': ['agent/errors.ts', 'node:'],
  'agent/reconcile': [
    'agent/core',
    'agent/ports.ts',
    'agent/errors.ts',
    'agent/net/limit.ts',
    'agent/net/timers.ts',
    'agent/switchboard',
    'prom-client',
  ],
  // /proc/net/unix too is read through a port
  'agent/switchboard': ['agent/core', 'agent/ports.ts', 'agent/errors.ts'],
  'agent/certificates': ['agent/core', 'agent/ports.ts', 'agent/errors.ts', 'agent/net'],
  'agent/consul': [
    'agent/core',
    'agent/ports.ts',
    'agent/errors.ts',
    'agent/net',
    'agent/reconcile',
    'agent/switchboard',
  ],
  'agent/adapters': [
    'agent/core',
    'agent/ports.ts',
    'agent/consul/ports.ts',
    'agent/certificates',
    'agent/errors.ts',
    'agent/net',
    'node:',
    'dbus-next',
    'dockerode',
    'pino',
    'acme-client',
    '@peculiar/x509',
    'tldts',
    'consul',
  ],
  'agent/api': ['agent/core', 'agent/ports.ts', 'agent/errors.ts', 'agent/reconcile', 'agent/switchboard', 'node:http'],
  'agent/commands': [
    'agent/core',
    'agent/ports.ts',
    'agent/errors.ts',
    'agent/net',
    'agent/reconcile',
    'agent/certificates',
    'agent/consul',
    'agent/switchboard',
    'agent/api',
    // types only: what a log and a probe look like
    'agent/adapters/journal.ts',
    'agent/adapters/probe.ts',
    'picocolors',
    'node:',
  ],
  'agent/ports.ts': ['agent/core'],
  'agent/errors.ts': [],
  'agent/program.ts': ['agent/', 'commander'],
  'agent/cert-program.ts': ['agent/commands', 'commander'],
  'agent/manual-program.ts': ['agent/commands', 'agent/core', 'commander'],
  'agent/main.ts': ['agent/', 'node:'],
};

/** What only one file may import: the place where the outside is turned into words of ours. */
const onlyIn: Readonly<Record<string, readonly string[]>> = {
  ini: ['agent/core/ini.ts'],
  mustache: ['agent/core/template.ts'],
  'prom-client': ['agent/reconcile/metrics.ts'],
  'dbus-next': ['agent/adapters/wire.ts'],
  dockerode: ['agent/adapters/docker.ts', 'agent/adapters/docker-view.ts'],
  consul: ['agent/adapters/consul-wire.ts'],
  pino: ['agent/adapters/journal.ts'],
  'acme-client': ['agent/adapters/acme.ts'],
  '@peculiar/x509': ['agent/adapters/x509.ts'],
  tldts: ['agent/adapters/registered-domain.ts'],
  commander: ['agent/program.ts', 'agent/cert-program.ts', 'agent/manual-program.ts'],
  'node:child_process': [
    'agent/adapters/host.ts',
    'agent/commands/logs.ts',
    'agent/net/inherited.ts',
    'agent/net/notify.ts',
    'agent/net/program.ts',
  ],
};

t.test('imports go one way', (t) => {
  t.ok(sources.length > 50);
  for (const [file, targets] of imports) {
    const rules = allowed[room(file)];
    t.ok(rules, `${file} is in a room with rules`);
    for (const target of targets)
      t.ok(
        room(target) === room(file) || (rules ?? []).some((rule) => target === rule || target.startsWith(rule)),
        `${file} may import ${target}`,
      );
    for (const target of targets) t.ok(onlyIn[target]?.includes(file) ?? true, `${file} may import ${target}`);
    if (room(file) === 'agent/core')
      t.ok(!targets.includes('node:crypto') || file === 'agent/core/hash.ts', `${file}: randomness is no hash`);
    if (room(file) === 'agent/commands')
      for (const [line] of read(file).matchAll(/^import [^;]*adapters[^;]*;/gm))
        t.match(line, /^import type /, `${file} knows adapters by their types only`);
  }
  t.end();
});

t.test('an adapter imports no other adapter, only its own parts', (t) => {
  // Each outside system and the files that only it uses; host.ts builds them all.
  const systems: Readonly<Record<string, RegExp>> = {
    bus: /^(bus|wire|systemd|jobs|job-failure)$/,
    docker: /^(docker|docker-events|docker-view|pull-progress|cgroup)$/,
    nginx: /^nginx(-[a-z]+)?$/,
    files: /^files$/,
    acme: /^acme(-[a-z]+)*$/,
    consul: /^consul(-[a-z]+)*$/,
    x509: /^x509(-[a-z]+)*$/,
    reach: /^reach(-[a-z]+)*$/,
    journal: /^journal$/,
    probe: /^probe(-[a-z]+)?$/,
    host: /./,
  };
  const systemOf = (file: string): string | undefined =>
    Object.keys(systems).find((name) => systems[name]?.test(posix.basename(file, '.ts')));
  for (const [file, targets] of imports) {
    if (!file.startsWith('agent/adapters/')) continue;
    for (const target of targets.filter((one) => one.startsWith('agent/adapters/')))
      t.ok(systemOf(file) === 'host' || systemOf(file) === systemOf(target), `${file} may import ${target}`);
  }
  t.end();
});

t.test('nothing imports in a circle', (t) => {
  const done = new Set<string>();
  const circle = (file: string, way: readonly string[]): string[] | null => {
    if (way.includes(file)) return [...way, file];
    if (done.has(file)) return null;
    for (const target of imports.get(file) ?? []) {
      const found = imports.has(target) ? circle(target, [...way, file]) : null;
      if (found) return found;
    }
    done.add(file);
    return null;
  };
  for (const file of sources) t.equal(circle(file, []), null);
  t.equal(sources.filter((file) => posix.basename(file) === 'index.ts').length, 0, 'no barrels');
  for (const file of sources) t.notMatch(read(file), /^export [^;=]* from '/m, `${file} passes nothing on`);
  t.end();
});

t.test('the core is pure', (t) => {
  for (const file of sources.filter((one) => one.startsWith('agent/core/')))
    t.notMatch(
      read(file),
      /\bprocess\.|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bconsole\.|\brandomBytes\b|\bperformance\b|\bfetch\(/,
      file,
    );
  t.end();
});

t.test('templates quote every value and decide nothing', (t) => {
  const templates = [...below('units', '.mustache'), ...below('vhost-templates', '.mustache')];
  t.ok(templates.length > 5);
  const used = sources.map(read).join('\n');
  for (const file of templates) {
    t.notMatch(read(file), /\{\{\{|\{\{&|\{\{>/, file);
    t.ok(used.includes(posix.basename(file)), `${file} is used`);
  }
  t.end();
});

t.test('no shell is given a text that was put together', (t) => {
  for (const file of sources) {
    const text = read(file);
    t.notMatch(
      text,
      /\bexecSync\b|\bexecFileSync\b|\bspawnSync\b|\bshell: *(true|['"`])|['"`](\/bin\/)?sh['"`]|\/bin\/(ba|da)?sh\b/,
      file,
    );
    for (const [, names = ''] of text.matchAll(/^import (?!type )\{([^}]*)\} from 'node:child_process'/gm))
      t.match(names.trim(), /^(spawn|execFile)$/, `${file}: a program and its words, no command line`);
  }
  t.end();
});

/** The statements of a perl script without comments, and its strings replaced by what they may become part of. */
const perlCode = (path: string): string => read(path).replace(/(^|\s)#.*$/gm, '$1');

t.test('the scripts give programs words, and a shell nothing but constants and a name that was looked at', (t) => {
  const constant = /^'[^'$@`]*'$/;
  const ofName = /^"\$name(-app)?\.(service|socket)"$/;
  /** What the scripts and the proxy get as words of their own. */
  const handedOn = new Set(['$address', '$name', '$ready', '$proxy']);
  for (const path of ['units/launch', 'units/wake']) {
    const code = perlCode(path);
    const looked = code.search(/die "usage: .*unless defined \$name && \$name =~ \/\^\[a-z0-9\]\[a-z0-9\.-\]\*\$\/;/);
    t.ok(looked > 0, `${path} looks at the name`);
    t.equal(code.indexOf('$name') > looked - 200 ? 'first' : 'later', 'first', `${path} does so before it uses it`);
    t.notMatch(code, /\bqx\b|\beval\b|\brequire\b|\bdo\s+['"$]|\breadpipe\b|\bglob\b|<\*|^use (?!strict)/m, path);
    // A text in double quotes may hold backticks; a command in backticks holds no double quotes.
    const commands = [...code.replace(/"(?:[^"\\]|\\.)*"/g, '""').matchAll(/`([^`]*)`/g)].map(([, text = '']) => text);
    for (const command of commands)
      t.match(
        command,
        /^systemctl [a-z-]+( --[a-z-]+(=[A-Za-z,]+)?| [a-z.]+| '\$name(-app)?\.(service|socket)')*$/,
        `${path}: ${command}`,
      );
    const calls = [...code.matchAll(/\b(?:system|exec)\b\s*\(?((?:\s*(?:'[^']*'|"[^"]*"|\$\w+)\s*,?)+)/g)];
    t.ok(commands.length > 0 && calls.length > 0, `${path} runs programs`);
    t.equal(
      calls.length,
      [...code.matchAll(/\b(system|exec)\b(?! '|\w)\s*[('$"]|\bexec '/g)].length,
      `${path}: all calls`,
    );
    for (const [call, list = ''] of calls) {
      const words = list.split(',').map((word) => word.trim());
      t.ok(words.length > 1, `${path}: ${call}: one word alone would go to a shell`);
      t.match(words[0], constant, call);
      for (const word of words.slice(1))
        t.ok(constant.test(word) || ofName.test(word) || handedOn.has(word), `${path}: ${call}: ${word}`);
    }
    for (const [call] of code.matchAll(/\bopen\([^;]*?(?=\s(?:or|and)\s|;)/g))
      t.match(call, /^open\((?:my )?(?:\$\w+|STDIN), '(<|>|>>|<&|\+<&=)', /, `${path}: ${call}`);
  }
  // A shell by nature: what it expands stands in quotes, and it runs one program.
  const shell = read('units/follow').replace(/^#.*$|\s# .*$/gm, '');
  t.notMatch(shell, /`|\$\(|\beval\b|\bsource\b|^\s*\. /m, 'units/follow');
  t.notMatch(shell.replace(/"[^"]*"|\b\w+=\$\w+/g, ''), /\$/, 'units/follow quotes');
  t.strictSame(shell.match(/\bexec \S+/g), ['exec /usr/lib/appfleet/launch']);
  t.end();
});

t.test('files stay small, and say what they are for', (t) => {
  for (const file of sources) {
    const text = read(file);
    // The table of keys is data.
    if (file !== 'agent/core/keys.ts') t.ok(text.split('\n').length <= 251, `${file} has at most 250 lines`);
    t.notMatch(text, /: any\b|\bas any\b|@ts-ignore|@ts-expect-error|eslint-disable/, file);
    // One noun, or a noun and what it is of; none of the words that say nothing.
    t.match(posix.basename(file), /^[a-z][a-z0-9]*(-[a-z]+)*\.ts$/, file);
    t.notMatch(posix.basename(file), /manager|helper|util|handler|\binfo|\bdata|common|misc/, file);
    if (!file.startsWith('agent/core/')) continue;
    for (const [, name = ''] of text.matchAll(/^export const (\w+)(?::[^=]*)? =\s*(?:async )?(?:<[^(]*>)?\(/gm))
      t.match(text, new RegExp(`\\*/\\nexport const ${name} =`), `${file}: ${name} has a docstring`);
  }
  t.end();
});
