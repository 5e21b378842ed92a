/** The stages of `npm test`. Each says what it checked; none skips what is missing. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { makeLayer } from '../images/layer.ts';
import { buildImages } from '../images/build.ts';
import { RECIPES } from '../images/recipes.ts';
import { bootHost } from '../host/boot.ts';
import { productHost } from '../host/fleet.ts';
import { RELEASES, type Release } from '../host/release.ts';
import { rootfs } from '../host/rootfs.ts';
import { ensureTools } from '../host/tools.ts';
import { add, createTapReader, none, one, type Outcome } from './outcome.ts';
import { repository, runLines } from './program.ts';

export type Show = (line: string) => void;

/** A program whose exit code is the check. */
const verdict = async (argv: readonly string[], show: Show): Promise<Outcome> => {
  const lines: string[] = [];
  const code = await runLines(argv, (line) => lines.push(line));
  if (code !== 0) for (const line of lines) show(line);
  return one(code === 0);
};

export const lint = (show: Show): Promise<Outcome> => verdict(['eslint', '.'], show);
export const format = (show: Show): Promise<Outcome> =>
  verdict(['prettier', '--check', '--log-level', 'warn', '.'], show);
export const types = (show: Show): Promise<Outcome> => verdict(['tsc', '--noEmit'], show);

/** Test files below a folder of test/, by path. */
const testFiles = (folder: string): string[] =>
  readdirSync(join(repository, 'test', folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('test', folder, name))
    .sort();

const tap = async (files: readonly string[], jobs: number, reader: TapReader, env = {}): Promise<Outcome> => {
  const argv = ['tap', '--reporter=tap', `--jobs=${jobs}`, '--timeout=1200', ...files];
  return reader.end(await runLines(argv, reader.line, env));
};
type TapReader = ReturnType<typeof createTapReader>;

const onHost = ['on-host', 'host', 'bench', 'images'];

/** Everything that needs no host. */
export const unit = (show: Show): Promise<Outcome> =>
  tap(
    testFiles('').filter((file) => !onHost.some((folder) => file.startsWith(join('test', folder)))),
    2,
    createTapReader(show),
  );

/** Fills the caches that hosts are made from, so that booting one takes seconds. Does nothing when they are full. */
export const prepare = async (show: Show): Promise<void> => {
  await ensureTools(show);
  for (const release of RELEASES) await rootfs(release, show);
  for (const recipe of RECIPES) await makeLayer(recipe, show);
};

/** Of what a boot and a playbook say only the headings. */
const headings =
  (show: Show): Show =>
  (line) => {
    if (!line.startsWith(' ')) show(`  ${line}`);
  };

const bundled = async (file: string): Promise<Buffer> => {
  const stub = join(repository, 'stubs/empty.cjs');
  const { outputFiles } = await build({
    absWorkingDir: repository,
    entryPoints: [file],
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['x11', 'cpu-features'],
    loader: { '.node': 'empty' },
    alias: { ssh2: stub, '@grpc/grpc-js': stub, '@grpc/proto-loader': stub },
    logLevel: 'error',
  });
  return Buffer.concat(outputFiles.map(({ contents }) => contents));
};

/**
 * The adapters against the real systemd, Docker and nginx. They restart the bus and Docker, so they have a host to themselves;
 * tap cannot be bundled, so they use node's own test runner, which speaks TAP too.
 */
export const contracts = async (release: Release, show: Show): Promise<Outcome> => {
  const host = await bootHost({ name: hostName('contract', release), release, log: headings(show) });
  try {
    await buildImages(host, undefined, headings(show));
    await host.copyIn(process.execPath, '/usr/local/bin/node');
    await host.run(['chmod', '755', '/usr/local/bin/node']);
    await host.run(['mkdir', '-p', '/root/vhost-templates']);
    for (const name of readdirSync(join(repository, 'vhost-templates')))
      await host.copyIn(join(repository, 'vhost-templates', name), `/root/vhost-templates/${name}`);
    let total = none;
    for (const file of testFiles('host/contract')) {
      const began = performance.now();
      await host.write('/root/contract.cjs', await bundled(file));
      const reader = createTapReader(show, -1);
      const argv = ['node', '--test-reporter=tap', '/root/contract.cjs'];
      const env = { VHOST_TEMPLATES: '/root/vhost-templates' };
      const { code, stdout, stderr } = await host.run(argv, { allowFail: true, timeoutMs: 600_000, env });
      stdout.split('\n').forEach(reader.line);
      const outcome = reader.end(code);
      if (outcome.failed > 0 && stderr !== '') show(stderr.trimEnd());
      show(`  ${outcome.failed === 0 ? 'ok' : 'not ok'} ${file} (${(performance.now() - began).toFixed(0)} ms)`);
      total = add(total, outcome);
    }
    return total;
  } finally {
    await host.down();
  }
};

/** Which files run on which release: all on the current Debian, the main path on the one before. */
const filesFor = (release: Release): string[] =>
  testFiles('on-host').filter((file) => release === 'trixie' || /\/(main-path|golden)\.test\.ts$/.test(file));

const hostName = (part: string, release: Release): string => `test-${part}-${release}-${process.pid}`;

/** Boots a host, puts the product on it with the playbook, and runs its test files one after the other. */
export const host = async (release: Release, show: Show): Promise<Outcome> => {
  const machine = await productHost(hostName('host', release), release, headings(show));
  try {
    const security = await machine.run(['systemd-analyze', 'security', '--no-pager', 'appfleet.service'], {
      allowFail: true,
    });
    show(`  systemd-analyze security: ${security.stdout.trim().split('\n').at(-1)?.replace(/^\W+/, '') ?? ''}`);
    return await tap(filesFor(release), 1, createTapReader(show, 1), { APPFLEET_TEST_HOST: machine.name });
  } finally {
    await machine.down();
  }
};
