/** The load generator: wrk from Debian. It takes a tenth of the CPU that one in Node takes, so it hides little of what is measured. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../host/command.ts';
import { contained } from '../host/contained.ts';
import { MIRROR } from '../host/rootfs.ts';
import { stored } from '../host/store.ts';
import type { TestHost } from '../host/test-host.ts';
import type { Log } from '../host/tools.ts';

const wanted = /^(wrk|libluajit-5\.1\.so\.2.*)$/;

/** Relative paths of the files to take. */
const filesIn = (tree: string): string[] =>
  ['usr/bin', 'usr/lib'].flatMap((folder) =>
    readdirSync(join(tree, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => wanted.test(path.slice(path.lastIndexOf('/') + 1)))
      .map((path) => `${folder}/${path}`),
  );

/** Puts wrk and the one library that Debian's nginx does not bring onto the host. */
export const bringWrk = async (host: TestHost, log: Log): Promise<void> => {
  const { release } = host;
  const archive = await stored(`program-wrk-${release}`, '000000000001', log, async (path) => {
    log(`fetching wrk from Debian ${release}`);
    const tree = `${path}.tree`;
    rmSync(tree, { recursive: true, force: true });
    // "extract" unpacks without installing.
    const fetch = ['mmdebstrap', '--variant=extract', '--include=wrk', release, tree, MIRROR];
    await runCommand(contained(fetch, { withUs: true }), { timeoutMs: 300_000 }, 'mmdebstrap wrk');
    await runCommand(['tar', '--create', '--file', path, '--directory', tree, ...filesIn(tree)]);
    rmSync(tree, { recursive: true });
  });
  await host.pipeFrom(['cat', archive], ['tar', '--extract', '--directory', '/']);
};
