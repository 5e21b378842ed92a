import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command.ts';
import { fingerprint } from './places.ts';
import { stored } from './store.ts';
import type { TestHost } from './test-host.ts';
import type { Log } from './tools.ts';

/**
 * Installs a package that not every host has, with what it needs. The host, which has no way out, says what to fetch; this
 * machine fetches it, once. Timers of the package stay masked.
 */
export async function installPackage(host: TestHost, name: string, log: Log): Promise<void> {
  await host.run(['systemctl', 'mask', '--quiet', `${name}.timer`]);
  const words = ['install', '--yes', '--quiet=2', '--no-install-recommends', name];
  const { stdout } = await host.run(['apt-get', '--print-uris', ...words]);
  const files = [...stdout.matchAll(/^'([^']+)' (\S+) \d+ (\S+)$/gm)].map(([, uri = '', file = '', hash = '']) => ({
    uri,
    file,
    hash,
  }));
  if (files.length === 0) return;
  const folder = await stored(`packages-${name}-${host.release}`, fingerprint(files), log, async (path) => {
    log(`fetching ${files.length} packages for ${name}`);
    mkdirSync(path);
    for (const { uri, file, hash } of files)
      await runCommand(['/usr/lib/apt/apt-helper', 'download-file', uri, join(path, file), hash]);
  });
  for (const file of readdirSync(folder)) await host.copyIn(join(folder, file), `/var/cache/apt/archives/${file}`);
  await host.run(['apt-get', '--no-download', ...words], { env: { DEBIAN_FRONTEND: 'noninteractive' } });
}
