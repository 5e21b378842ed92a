/** Puts a run over certificates together: the fleet's wishes, the account, the budgets, and what happens afterwards. */
import { type Account, keepAccountUrl, openAccount } from '../certificates/account.ts';
import { openLedger } from '../certificates/ledger.ts';
import { renew, type RenewOptions, type RenewReport } from '../certificates/renew.ts';
import { settleRollover } from '../certificates/rollover.ts';
import type { CertificateTools } from '../certificates/tools.ts';
import { limitsOf } from '../core/budget.ts';
import { paths, vhostPath } from '../core/names.ts';
import type { Settings } from '../core/spec.ts';
import { AppFleetError } from '../errors.ts';
import { createFleetReader, type Fleet } from '../reconcile/fleet.ts';
import { takeCertificateLock } from './cert-lock.ts';
import type { Context } from './context.ts';
import { passNow } from './pass.ts';
import { wantedSites } from '../core/wanted-sites.ts';

const ordersAtOnce = 20;

/** Where certificates come from; throws AF_CONFIG when the settings name no CA. */
export const directoryOf = (settings: Settings): string => {
  if (settings.acme.directory === null)
    throw new AppFleetError('AF_CONFIG', 'no certificates are ordered on this host: acme_directory is none', {
      hint: `set acme_directory in ${paths.settings}`,
    });
  return settings.acme.directory;
};

/** Folders of generations that installed vhosts name. */
const namedByVhosts = async (context: Context): Promise<Set<string>> => {
  const { files } = context.host();
  const named = new Set<string>();
  for (const entry of await files.list(paths.vhosts)) {
    if (!entry.endsWith('.conf')) continue;
    const text = (await files.read(vhostPath(entry.slice(0, -'.conf'.length)))) ?? '';
    for (const [, folder] of text.matchAll(/^\s*ssl_certificate "?(\/[^;"]*)\/chain\.pem"?;$/gm))
      if (folder !== undefined) named.add(folder);
  }
  return named;
};

/** An authority with the account of this host; nothing is asked of it yet, unless a rollover of the account's key was cut. */
export const openAuthority = async (context: Context, tools: CertificateTools, settings: Settings) => {
  const { files } = context.host();
  const directory = directoryOf(settings);
  const { caFile, contacts, binding } = settings.acme;
  const authority = (account: Account) => tools.authority({ directory, caFile, contacts, binding, account });
  const found = await openAccount(files, tools.x509, directory);
  const account = await settleRollover(files, directory, found, authority);
  return { directory, account, ca: await authority(account) };
};

export interface CertificateRun {
  report: RenewReport;
  fleet: Fleet;
  /** What hooks said went wrong. */
  hookFailures: readonly string[];
}

const nothingOrdered: RenewReport = {
  renewed: [],
  failed: [],
  waiting: [],
  leftOut: [],
  due: [],
  unchanged: 0,
  next: null,
};

/** One run. Null: another one is under way, and did not end in time for who is `patient`. */
export const runCertificates = async (
  context: Context,
  options: RenewOptions & { patient: boolean },
  report: (line: string) => void,
): Promise<CertificateRun | null> => {
  const release = await takeCertificateLock(context, options.patient, report);
  if (release === null) return null;
  try {
    const { files } = context.host();
    const tools = context.certificates();
    const fleet = await createFleetReader(files)();
    const { settings } = fleet;
    // Nothing is ordered here: the timer has nothing to do. Who names a site is told.
    if (settings.acme.directory === null && options.only === null)
      return { report: nothingOrdered, fleet, hookFailures: [] };
    const { directory, account, ca } = await openAuthority(context, tools, settings);
    const { acme } = settings;
    const limits = limitsOf(directory);
    const prepare = async (): Promise<void> => {
      if (account.lost) report('the account key was lost; a new account is made');
      // nginx has to answer for a new key before anybody asks.
      if (account.isNew) await passNow(context);
      const url = await ca.register();
      if (url !== account.url) await keepAccountUrl(files, directory, url);
    };
    const result = await renew(
      {
        sites: wantedSites(fleet.sites),
        store: tools.store,
        x509: tools.x509,
        ca,
        ledger: await openLedger(files, directory),
        rules: { limits, registered: limits === null ? () => null : await tools.registeredDomain() },
        reach: tools.reach({ strict: limits !== null }),
        dns: acme.dnsHook === null ? null : tools.dnsHook(acme.dnsHook),
        profile: acme.profile,
        probe: {
          addresses: acme.addresses,
          port: settings.httpPort,
        },
        now: context.now,
        random: tools.random,
        width: ordersAtOnce,
        report,
        prepare,
      },
      options,
    );
    if (options.dryRun) return { report: result, fleet, hookFailures: [] };
    let hookFailures: readonly string[] = [];
    let final = result;
    if (result.renewed.length > 0) {
      report(`nginx loads ${result.renewed.length} new certificate${result.renewed.length === 1 ? '' : 's'}`);
      const outcome = await passNow(context);
      const refused = new Map(outcome.refusals.map(({ site, message }) => [site, message]));
      final = {
        ...result,
        renewed: result.renewed.filter(({ site }) => !refused.has(site)),
        failed: [
          ...result.failed,
          ...result.renewed.flatMap(({ site }) => {
            const message = refused.get(site);
            return message === undefined
              ? []
              : [{ site, reason: `nginx refused it: ${message}`, again: context.now() }];
          }),
        ],
      };
      hookFailures = await tools.runHooks(final.renewed);
    }
    const present = new Set([...fleet.sites.map(({ name }) => name), ...fleet.keep]);
    await tools.store.sweep(present, await namedByVhosts(context), context.now());
    return { report: final, fleet, hookFailures };
  } finally {
    await release();
  }
};
