import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { bootHost } from '../host/boot.ts';
import type { Release } from '../host/release.ts';
import { buildImages } from '../images/build.ts';
import { add, createTapReader, none, type Outcome } from './outcome.ts';
import { repository } from './program.ts';
import { headings, hostName, type Show, testFiles } from './stages.ts';

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
