/** Runs the admin's hooks for certificates that were renewed, in the way of certbot's deploy hooks. */
import { pairPaths, paths, renewedFolder, renewedFolders } from '../core/names.ts';
import { messageOf } from '../errors.ts';
import type { Files } from '../ports.ts';
import type { DnsName, HookPrograms, Pair } from './ports.ts';

/*
 * INVARIANTS
 * - Hooks run after nginx has loaded the certificates, one at a time: for each site each program, in order of name.
 * - Nothing that a hook does stops another hook or another site; only one that did not end in time is not started again in
 *   this batch, because fifty sites would make it fifty times as long.
 * - What a hook is given is what certbot gives: RENEWED_DOMAINS, and RENEWED_LINEAGE, a folder named after the site with
 *   cert.pem, chain.pem, fullchain.pem and privkey.pem. Ours has two files of other meaning (chain.pem is the full chain), so the
 *   four are laid out in a folder that is there while the hooks run. Hooks copy; nothing may go on naming it.
 */

export interface RenewedSite {
  site: string;
  names: readonly DnsName[];
  /** The generation's folder. */
  folder: string;
}

export interface HookParts {
  files: Files;
  programs: HookPrograms;
}

const certificateEnd = '-----END CERTIFICATE-----';

/** The pair under the names of certbot's files. */
const layOut = async (files: Files, folder: string, { chainPem, keyPem }: Pair): Promise<void> => {
  const end = chainPem.indexOf(certificateEnd) + certificateEnd.length;
  const texts = {
    'cert.pem': `${chainPem.slice(0, end)}\n`,
    'chain.pem': chainPem.slice(end).trimStart(),
    'fullchain.pem': chainPem,
    'privkey.pem': keyPem,
  };
  await files.makeFolder(renewedFolders, 0o700);
  await files.makeFolder(folder, 0o700);
  for (const [name, text] of Object.entries(texts)) await files.write({ path: `${folder}/${name}`, text, mode: 0o600 });
};

const readPair = async (files: Files, folder: string): Promise<Pair> => {
  const { chain, key } = pairPaths(folder);
  const [chainPem, keyPem] = [await files.read(chain), await files.read(key)];
  if (chainPem === null || keyPem === null) throw new Error(`the certificate is gone from ${folder}`);
  return { chainPem, keyPem };
};

/** Runs all hooks for all sites; what comes back are sentences about what went wrong. Never rejects. */
export const runRenewedHooks = async (
  { files, programs }: HookParts,
  renewed: readonly RenewedSite[],
): Promise<readonly string[]> => {
  const problems: string[] = [];
  if (renewed.length === 0) return problems;
  const found = await programs.list().catch((error: unknown) => {
    problems.push(`no hook is run: ${messageOf(error)}`);
    return [];
  });
  for (const { path, refused } of found) if (refused !== null) problems.push(`${path} is not run: ${refused}`);
  let hooks = found.filter(({ refused }) => refused === null).map(({ path }) => path);

  const runFor = async ({ site, names, folder }: RenewedSite): Promise<void> => {
    const lineage = renewedFolder(site);
    await layOut(files, lineage, await readPair(files, folder));
    const env = {
      APPFLEET_SITE: site,
      APPFLEET_FOLDER: folder,
      RENEWED_DOMAINS: names.join(' '),
      RENEWED_LINEAGE: lineage,
    };
    for (const hook of hooks) {
      const end = await programs.run(hook, env);
      if (end === null) continue;
      const rest = end.late ? '; it is not run for the sites that follow' : '';
      problems.push(`${hook} for ${site} ${end.failure}${rest}`);
      if (end.late) hooks = hooks.filter((one) => one !== hook);
    }
  };

  try {
    for (const one of renewed)
      if (hooks.length > 0)
        await runFor(one)
          .catch((error: unknown) => void problems.push(`the hooks are not run for ${one.site}: ${messageOf(error)}`))
          // Keys lie there.
          .finally(() => files.removeTree(renewedFolder(one.site)));
    await files.removeTree(renewedFolders);
  } catch (error) {
    problems.push(`${paths.run}: ${messageOf(error)}`);
  }
  return problems;
};
