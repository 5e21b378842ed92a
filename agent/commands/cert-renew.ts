/** `appfleet cert renew` and `cert issue`: orders what is due, for cron, the timer, Ansible and people. */
import type { RenewReport } from '../certificates/renew.ts';
import { resolveName } from './resolve.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import { runCertificates } from './cert-run.ts';
import { wantedSites } from '../core/wanted-sites.ts';
import type { Context, ExitCode } from './context.ts';
import { duration } from '../core/duration.ts';

export interface CertRenewOptions {
  json: boolean;
  dryRun: boolean;
  force: boolean;
  /** Waits for a run that is under way instead of leaving. */
  patient: boolean;
  /** Says what it does as it does it; else only what is worth a mail from cron. */
  chatty: boolean;
}

const inTime = (again: number, now: number): string => (again > now ? `, next try in ${duration(again - now)}` : '');

const printReport = (context: Context, report: RenewReport, { dryRun, chatty }: CertRenewOptions): void => {
  const now = context.now();
  if (dryRun)
    for (const { site, names, reason } of report.due)
      context.print(`${site}: would order a certificate for ${names.join(', ')} (${reason})`);
  for (const { site, names, expires } of report.renewed)
    context.print(`${site}: new certificate for ${names.join(', ')}, good for ${duration(expires - now)}`);
  for (const { site, reason, again } of report.failed)
    context.complain(`${site}: no new certificate: ${reason}${inTime(again, now)}`);
  const told = new Set(report.failed.map(({ site }) => site));
  if (chatty || report.renewed.length + report.failed.length > 0)
    for (const { site, name, reason, again } of report.leftOut)
      if (!told.has(site))
        context.complain(`${site}: the certificate goes without ${name}: ${reason}${inTime(again, now)}`);
  if (!chatty) return;
  for (const { site, reason, again } of report.waiting) context.print(`${site}: waits: ${reason}${inTime(again, now)}`);
  const { renewed, failed, waiting, due } = report;
  if (renewed.length + failed.length + waiting.length + (dryRun ? due.length : 0) === 0)
    context.print(`Nothing is due${report.next === null ? '' : `; the next in ${duration(report.next - now)}`}.`);
};

/** Exit code 0: nothing was due, or all is renewed; 1: some failed; 2: a site that nobody knows. */
export const certRenewCommand = async (
  context: Context,
  words: readonly string[],
  options: CertRenewOptions,
): Promise<ExitCode> => {
  let only: string[] | null = null;
  if (words.length > 0) {
    const fleet = await createFleetReader(context.host().files)();
    only = words.map((word) => resolveName(word, fleet));
    const known = new Set(wantedSites(fleet.sites).map(({ site }) => site));
    const strange = only.filter((name) => !known.has(name));
    for (const name of strange) {
      const site = fleet.sites.find((one) => one.name === name);
      context.complain(
        site === undefined
          ? `there is no site ${name}`
          : `${name} needs no certificate from a CA: its file says tls = ${site.tls.mode}, https = ${site.tls.https}`,
      );
    }
    if (strange.length > 0) return 2;
  }
  const run = await runCertificates(
    context,
    { only, force: options.force, dryRun: options.dryRun, patient: options.patient },
    (line) => {
      if (options.chatty && !options.json) context.print(line);
    },
  );
  if (run === null) {
    if (options.json) context.print(JSON.stringify({ renewed: [], failed: [], waiting: [], unchanged: 0, busy: true }));
    else if (options.chatty) context.complain('another run is under way: it renews what is due');
    return 0;
  }
  const { report, hookFailures } = run;
  if (options.json) context.print(JSON.stringify({ ...report, hookFailures }, null, 2));
  else printReport(context, report, options);
  if (!options.json) for (const failure of hookFailures) context.complain(failure);
  return report.failed.length + hookFailures.length > 0 ? 1 : 0;
};
