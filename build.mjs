/**
 * Builds dist/: the tree of files that a host gets (the program as one file, what only issuing certificates needs as a second one,
 * the small scripts, templates, units), the same as a tar file for the playbook, and its checksums. The same sources give the same bytes; what did not change is not touched.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: { entry: { type: 'string', default: 'agent/main.ts' }, out: { type: 'string', default: 'dist' } },
});
const dist = resolve(root, options.out);
const program = 'usr/lib/appfleet';

const fail = (message) => {
  process.stderr.write(`build: ${message}\n`);
  process.exit(1);
};

const git = (...args) => {
  try {
    return execFileSync('git', args, { cwd: root, stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' }).trim();
  } catch {
    return ''; // a tarball without .git, or no git at all
  }
};

const version = () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const revision = git('rev-parse', '--short=12', 'HEAD');
  if (revision === '') return version;
  const sources = ['agent', 'units', 'vhost-templates', 'stubs', 'build.mjs', 'package.json', 'package-lock.json'];
  const dirty = git('status', '--porcelain', '--', ...sources) === '' ? '' : '.dirty';
  return `${version}+g${revision}${dirty}`;
};

const common = {
  absWorkingDir: root,
  bundle: true,
  write: false,
  platform: 'node',
  target: 'node20',
  logLevel: 'error',
};

/** Large, or loaded by few runs: files of their own beside the program, read when `import()` asks for one of them. */
const onDemand = [
  { file: 'acme.cjs', packages: ['acme-client', '@peculiar/x509'] },
  { file: 'consul.cjs', packages: ['consul'] },
];

const fileOf = (path) => onDemand.find(({ packages }) => packages.includes(path)).file;

const onDemandPlugin = {
  name: 'on-demand',
  setup: ({ onResolve, onLoad }) => {
    const packages = onDemand.flatMap(({ packages }) => packages);
    onResolve({ filter: new RegExp(`^(${packages.join('|')})$`) }, ({ path, kind, importer }) =>
      kind === 'dynamic-import'
        ? { path, namespace: 'on-demand' }
        : { errors: [{ text: `${importer} may load ${path} by import() only` }] },
    );
    onResolve({ filter: /\.cjs$/, namespace: 'on-demand' }, ({ path }) => ({ path, external: true }));
    onLoad({ filter: /.*/, namespace: 'on-demand' }, ({ path }) => ({
      contents: `module.exports = require('./${fileOf(path)}')[${JSON.stringify(path)}];`,
    }));
  },
};

const bundleOnDemand = async ({ file, packages }) => {
  const members = packages.map((name) => `${JSON.stringify(name)}: require(${JSON.stringify(name)})`);
  const contents = `module.exports = { ${members.join(', ')} };`;
  const stdin = { contents, resolveDir: root, sourcefile: file };
  const { outputFiles } = await build({ ...common, stdin, format: 'cjs' });
  return outputFiles[0].contents;
};

const bundle = async (version) => {
  const stub = join(root, 'stubs/empty.cjs');
  const { outputFiles } = await build({
    ...common,
    entryPoints: [options.entry],
    format: 'cjs',
    banner: { js: '#!/usr/bin/env node' },
    define: { APPFLEET_VERSION: JSON.stringify(version) },
    // x11 is optional to dbus-next, cpu-features to ssh2
    external: ['x11', 'cpu-features'],
    loader: { '.node': 'empty' },
    plugins: [onDemandPlugin],
    // parts of dockerode and dbus-next that we never reach; without them the program is a quarter of the size
    alias: {
      ssh2: stub,
      '@grpc/grpc-js': stub,
      '@grpc/proto-loader': stub,
      usocket: join(root, 'stubs/usocket/index.js'),
    },
  });
  return outputFiles[0].contents;
};

/** The settings file of a new host: every key with its default, as comments. */
const settings = async () => {
  const { outputFiles } = await build({ ...common, entryPoints: ['agent/core/keys.ts'], format: 'esm' });
  const url = `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`;
  const { fileKinds } = await import(url);
  const { section, keys, more } = fileKinds.settings;
  const shown = (key) =>
    key.default === null || key.default === '' ? [' For example:', key.example] : ['', key.default];
  const lines = (keys) =>
    Object.values(keys).map((key) => {
      const [note, value] = shown(key);
      return `; ${key.help}.${note}\n;${key.name} = ${value}\n`;
    });
  const title = '; Settings of the App Fleet agent. The values shown are the defaults, where there is one.';
  // These sections do something by being there.
  const others = more.flatMap((other) => [`;[${other.section}]\n`, ...lines(other.keys)]);
  return [`${title}\n[${section}]\n`, ...lines(keys), ...others].join('\n');
};

/** The manual pages, which the program itself knows; none for a program that is not the agent. */
const manuals = (code) => {
  if (options.entry !== 'agent/main.ts') return [];
  const folder = mkdtempSync(join(tmpdir(), 'appfleet-build-'));
  try {
    writeFileSync(join(folder, 'appfleet.cjs'), code);
    const page = (name) => execFileSync(process.execPath, [join(folder, 'appfleet.cjs'), 'manual', name]);
    return [
      ['usr/share/man/man8/appfleet.8.gz', page('appfleet')],
      ['usr/share/man/man5/appfleet-site.5.gz', page('appfleet-site')],
    ].map(([path, text]) => [path, gzipSync(text, { level: 9 })]);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** Everything that a host gets: path below / -> bytes and mode. */
const tree = async () => {
  const files = new Map();
  const put = (path, bytes, mode = 0o644) => files.set(path, { bytes: Buffer.from(bytes), mode });
  const source = (path) => {
    if (!existsSync(join(root, path))) fail(`${path} is missing`);
    return readFileSync(join(root, path));
  };

  const code = await bundle(version());
  put(`${program}/appfleet.cjs`, code, 0o755);
  for (const [path, text] of manuals(code)) put(path, text);
  for (const chunk of onDemand) put(`${program}/${chunk.file}`, await bundleOnDemand(chunk));
  put(`${program}/appfleet.ini`, await settings());
  put('usr/bin/appfleet', source('units/appfleet.sh'), 0o755);
  for (const script of ['launch', 'follow', 'wake', 'consul-env'])
    put(`${program}/${script}`, source(`units/${script}`), 0o755);
  put(`${program}/node-preload.cjs`, source('units/node-preload.cjs'));
  const renewal = ['appfleet-renew.service', 'appfleet-renew.timer'];
  for (const unit of ['appfleet.service', 'appfleet.socket', 'appfleet-wake@.service', ...renewal])
    put(`usr/lib/systemd/system/${unit}`, source(`units/${unit}`));
  put('usr/lib/tmpfiles.d/appfleet.conf', source('units/tmpfiles.conf'));
  for (const folder of ['units', 'vhost-templates'])
    for (const name of readdirSync(join(root, folder)).filter((name) => name.endsWith('.mustache')))
      put(`${program}/${folder}/${name}`, source(`${folder}/${name}`));
  const completions = {
    bash: 'usr/share/bash-completion/completions/appfleet',
    fish: 'usr/share/fish/vendor_completions.d/appfleet.fish',
  };
  for (const [shell, path] of Object.entries(completions))
    if (existsSync(join(root, `units/completion.${shell}`))) put(path, source(`units/completion.${shell}`));
  return files;
};

/** Paths of all files below a folder; a link counts as a file. */
const walk = (folder) =>
  !existsSync(folder)
    ? []
    : readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? walk(join(folder, entry.name)) : [join(folder, entry.name)],
      );

const write = (path, { bytes, mode }) => {
  if (existsSync(path) && readFileSync(path).equals(bytes) && (lstatSync(path).mode & 0o777) === mode) return;
  mkdirSync(dirname(path), { recursive: true });
  // By rename: another build, or a playbook that copies from here, may run at the same time.
  const temporary = join(dist, `.build-${process.pid}`);
  writeFileSync(temporary, bytes);
  chmodSync(temporary, mode);
  renameSync(temporary, path);
};

/** One member of a ustar archive (POSIX.1-2001, "ustar Interchange Format"): root's, dated like the commit, nothing else in it. */
const tarMember = (path, { bytes, mode }, date) => {
  if (Buffer.byteLength(path) > 100) fail(`${path} is too long for the archive`);
  const header = Buffer.alloc(512);
  const octal = (value, at, length) => header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at);
  header.write(path, 0);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(bytes.length, 124, 12);
  octal(date, 136, 12);
  header.write('        0', 148);
  header.write('ustar\x0000root', 257);
  header.write('root', 297);
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  );
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
};

if (!existsSync(resolve(root, options.entry))) fail(`${options.entry} is missing`);

const built = await tree().catch((error) =>
  fail(error.errors ? 'the program does not compile (see above)' : error.stack),
);
const files = new Map([...built].sort(([a], [b]) => (a < b ? -1 : 1)));
for (const path of [...walk(join(dist, 'usr')), ...walk(join(dist, 'etc'))])
  if (!files.has(relative(dist, path))) rmSync(path, { force: true });
for (const [path, file] of files) write(join(dist, path), file);
// package.json's `bin`
if (!existsSync(join(dist, 'appfleet.cjs'))) symlinkSync(`${program}/appfleet.cjs`, join(dist, 'appfleet.cjs'));
const date = Number(process.env['SOURCE_DATE_EPOCH'] ?? (git('log', '-1', '--format=%ct') || 0));
const members = [...files].map(([path, file]) => tarMember(path, file, date));
write(join(dist, 'appfleet.tar'), { bytes: Buffer.concat([...members, Buffer.alloc(1024)]), mode: 0o644 });
const sums = [...files].map(([path, { bytes }]) => `${createHash('sha256').update(bytes).digest('hex')}  ${path}\n`);
write(join(dist, 'appfleet.sha256'), { bytes: Buffer.from(sums.join('')), mode: 0o644 });
const size = files.get(`${program}/appfleet.cjs`).bytes.length / 1e6;
process.stdout.write(`build: ${options.out}/ has ${files.size} files, the program ${size.toFixed(1)} MB\n`);
