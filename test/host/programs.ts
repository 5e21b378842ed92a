import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runCommand } from './command.ts';
import { contained } from './contained.ts';
import { fingerprint } from './places.ts';
import type { Release } from './release.ts';
import { MIRROR } from './rootfs.ts';
import { stored } from './store.ts';
import type { TestHost } from './test-host.ts';
import { ensureTools, type Log } from './tools.ts';

/** A server that tests need on a host, single files out of a Debian package. */
interface Program {
  readonly package: string;
  /** Debian release that has the package: the host's own where that has it. */
  readonly from: (release: Release) => string;
  readonly files: readonly string[];
}

const PROGRAMS = {
  /** 1.8.7, the last that Debian had. */
  consul: { package: 'consul', from: () => 'bullseye', files: ['/usr/bin/consul'] },
  /** An ACME server: 2.6 in Debian 13, 2.4 in Debian 12. */
  pebble: {
    package: 'pebble',
    from: (release: Release) => release,
    files: ['/usr/bin/pebble', '/usr/bin/pebble-challtestsrv'],
  },
} as const satisfies Record<string, Program>;

/** Copies a program to where Debian's package would put it. */
export async function bringProgram(host: TestHost, name: keyof typeof PROGRAMS, log: Log): Promise<void> {
  await ensureTools(log);
  const program: Program = PROGRAMS[name];
  const release = program.from(host.release);
  const folder = await stored(`program-${name}-${release}`, fingerprint(program.files), log, async (path) => {
    log(`fetching ${name} from Debian ${release}`);
    const tree = `${path}.tree`;
    rmSync(tree, { recursive: true, force: true });
    // "extract" unpacks without installing, so that a package of any release will do.
    const fetch = ['mmdebstrap', '--variant=extract', `--include=${program.package}`, release, tree, MIRROR];
    await runCommand(contained(fetch, { withUs: true }), { timeoutMs: 300_000 }, `mmdebstrap ${program.package}`);
    mkdirSync(path);
    for (const file of program.files) renameSync(join(tree, file), join(path, basename(file)));
    rmSync(tree, { recursive: true });
  });
  for (const file of program.files) await host.copyIn(join(folder, basename(file)), file);
}
