/** `appfleet cert import [FOLDER...]`: takes over what certbot, acme-companion or nginx-proxy left: certificates, and certbot's account. */
import { keepAccount } from '../certificates/account.ts';
import { chooseAccount } from '../certificates/import-account.ts';
import { decideImports } from '../certificates/import.ts';
import { findPairs } from '../certificates/layouts.ts';
import { AppFleetError } from '../errors.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import { withCertificateLock } from './cert-lock.ts';
import type { Context, ExitCode } from './context.ts';
import { duration } from '../core/duration.ts';
import { passNow } from './pass.ts';
import { wantedSites } from '../core/wanted-sites.ts';

/** Where they keep them unless told otherwise. */
const usualFolders = ['/etc/letsencrypt/live', '/etc/nginx/certs'];

/** Exit code 0: done, or nothing to do; 1: one could not be installed; 2: nothing was found where it was said to be. */
export const certImportCommand = async (
  context: Context,
  folders: readonly string[],
  options: { json: boolean; dryRun: boolean },
): Promise<ExitCode> => {
  const { files } = context.host();
  const { store, x509 } = context.certificates();
  const work = async (): Promise<ExitCode> => {
    const places = folders.length > 0 ? folders : usualFolders;
    const found = [];
    for (const folder of places) found.push(...(await findPairs(files, folder)));
    const { sites, settings } = await createFleetReader(files)();
    const { directory } = settings.acme;
    const account =
      directory === null ? { take: null, unused: [] } : await chooseAccount(files, x509, places, directory);
    if (found.length + account.unused.length === 0 && account.take === null) {
      if (options.json) context.print(JSON.stringify({ account: null, imported: [], unused: [], failed: [] }));
      else context.complain(`there is no certificate in ${places.join(' or ')}`);
      return folders.length > 0 ? 2 : 0;
    }
    const wanted = await Promise.all(
      wantedSites(sites).map(async ({ site, names }) => ({
        site,
        names,
        expires: (await store.current(site))?.notAfter ?? null,
      })),
    );
    const decisions = decideImports(found, wanted, x509, context.now());
    const imported: { source: string; site: string; names: readonly string[]; expires: number }[] = [];
    const unused: { source: string; reason: string }[] = [...account.unused];
    const failed: { source: string; site: string; reason: string }[] = [];
    for (const decision of decisions) {
      if (!decision.use) {
        unused.push({ source: decision.source, reason: decision.reason });
        continue;
      }
      const { source, names, expires } = decision;
      for (const site of decision.sites)
        try {
          const all = wanted.find((one) => one.site === site)?.names ?? [];
          if (!options.dryRun) await store.install(site, decision.pair, all, context.now());
          imported.push({ source, site, names, expires });
        } catch (error) {
          if (!(error instanceof AppFleetError)) throw error;
          failed.push({ source, site, reason: error.message });
        }
    }
    if (!options.dryRun) {
      if (directory !== null && account.take !== null) await keepAccount(files, directory, account.take);
      // nginx has to answer for the account's key as well.
      if (imported.length > 0 || account.take !== null) await passNow(context);
    }
    if (options.json) {
      const taken = account.take === null ? null : { source: account.take.source, url: account.take.url };
      context.print(JSON.stringify({ account: taken, imported, unused, failed }, null, 2));
    } else {
      const verb = options.dryRun ? 'would take' : 'takes';
      if (account.take !== null) context.print(`this host ${verb} the account ${account.take.source}`);
      for (const { source, site, expires } of imported)
        context.print(`${site} ${verb} ${source}, good for ${duration(expires - context.now())}`);
      for (const { source, reason } of unused) context.print(`${source} is not used: ${reason}`);
      for (const { source, site, reason } of failed) context.complain(`${site} cannot take ${source}: ${reason}`);
    }
    return failed.length > 0 ? 1 : 0;
  };
  return options.dryRun ? work() : withCertificateLock(work);
};
