/**
 * Builds dist/appfleet_VERSION_ARCH.deb from what build.mjs made: the program, a Node of its own, units, manual pages, and the
 * scripts that dpkg runs. The same commit and Node give the same bytes.
 *   node package.mjs [--node FILE] [--version VERSION] [--out FOLDER]
 * --node: a Node binary to carry instead of the one in the npm registry that the playbook carries. --version: instead of one made
 * from the commit.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { chmodSync, lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: { node: { type: 'string' }, version: { type: 'string' }, out: { type: 'string', default: 'dist' } },
});
const out = resolve(root, options.out);
const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch];

const say = (text) => process.stderr.write(`package: ${text}\n`);
const fail = (text) => {
  say(text);
  process.exit(1);
};
const run = (argv, settings = {}) =>
  execFileSync(argv[0], argv.slice(1), {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    ...settings,
  });
const git = (...argv) => {
  try {
    return run(['git', ...argv], { stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return ''; // a tarball without .git, or no git at all
  }
};

/** Later commits have later versions; a tag is a version. */
const version = () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const commit = git('log', '-1', '--format=%cd.%h', '--date=format-local:%Y%m%d.%H%M%S', '--abbrev=12');
  if (commit === '' || git('tag', '--points-at', 'HEAD').split('\n').includes(`v${version}`)) return version;
  return `${version}+git${commit}`;
};

/** The Node that the playbook carries, fetched once; npm checks it against the registry's hash. */
const fetchNode = () => {
  const defaults = readFileSync(join(root, 'ansible/roles/node/defaults/main.yml'), 'utf8');
  const wanted = /^appfleet_node_version: (\S+)$/m.exec(defaults)?.[1];
  const name = `node-linux-${process.arch}`;
  const folder = join(root, 'dist/node', `${name}-${wanted}`);
  const binary = join(folder, 'package/bin/node');
  if (existsSync(binary)) return binary;
  say(`fetching Node ${wanted} from the npm registry`);
  mkdirSync(folder, { recursive: true });
  const archive = run(['npm', 'pack', '--silent', '--pack-destination', folder, `${name}@${wanted}`]).trim();
  run(['tar', '-xzf', join(folder, archive), '-C', folder, 'package/bin/node']);
  rmSync(join(folder, archive));
  return binary;
};

const walk = (folder) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

if (architecture === undefined) fail(`there is no package for ${process.arch}`);
try {
  run(['dpkg-deb', '--version']);
} catch {
  fail('dpkg-deb is missing: build the package on Debian or Ubuntu');
}
run([process.execPath, 'build.mjs']);
const node = options.node ?? fetchNode();
process.umask(0o022);
const tree = mkdtempSync(join(tmpdir(), 'appfleet-package-'));
try {
  chmodSync(tree, 0o755);
  cpSync(join(root, 'dist/usr'), join(tree, 'usr'), { recursive: true });
  copyFileSync(node, join(tree, 'usr/lib/appfleet/node'));
  chmodSync(join(tree, 'usr/lib/appfleet/node'), 0o755);
  const doc = join(tree, 'usr/share/doc/appfleet');
  mkdirSync(doc, { recursive: true });
  copyFileSync(join(root, 'LICENSE'), join(doc, 'copyright'));
  const files = walk(tree);
  const size = files.reduce((sum, file) => sum + Math.ceil(lstatSync(file).size / 1024), 0);
  const facts = { VERSION: options.version ?? version(), ARCHITECTURE: architecture, SIZE: String(size) };
  mkdirSync(join(tree, 'DEBIAN'));
  for (const name of ['control', 'preinst', 'postinst', 'prerm', 'postrm']) {
    const text = readFileSync(join(root, 'units/debian', name), 'utf8');
    const path = join(tree, 'DEBIAN', name);
    writeFileSync(
      path,
      text.replace(/@([A-Z]+)@/g, (_, key) => facts[key]),
    );
    chmodSync(path, name === 'control' ? 0o644 : 0o755);
  }
  const md5 = (file) => createHash('md5').update(readFileSync(file)).digest('hex');
  writeFileSync(join(tree, 'DEBIAN/md5sums'), files.map((file) => `${md5(file)}  ${relative(tree, file)}\n`).join(''));
  mkdirSync(out, { recursive: true });
  const deb = join(out, `appfleet_${facts.VERSION}_${architecture}.deb`);
  const date = process.env['SOURCE_DATE_EPOCH'] ?? (git('log', '-1', '--format=%ct') || '0');
  // One thread: with more of them the bytes depend on their number.
  run(['dpkg-deb', '--root-owner-group', '-Zzstd', '-z12', '--threads-max=1', '--build', tree, deb], {
    env: { ...process.env, SOURCE_DATE_EPOCH: date },
  });
  const megabytes = (lstatSync(deb).size / 1e6).toFixed(1);
  process.stdout.write(`${relative(process.cwd(), deb)}\n`);
  say(`${megabytes} MB; on a server: apt install ./${relative(dirname(deb), deb)}`);
} finally {
  rmSync(tree, { recursive: true });
}
