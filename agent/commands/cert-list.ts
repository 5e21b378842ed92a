/** `appfleet cert list`: every site's certificate, what is wrong with it and when it is renewed. Reads files only. */
import picocolors from 'picocolors';
import { viewCertificates } from '../reconcile/certificate-views.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import { resolveName } from './resolve.ts';
import type { Context, ExitCode } from './context.ts';
import { duration } from '../core/duration.ts';
import { table } from './table.ts';

/** Seconds of `14d`, `12h`, `90m`; null when it is none. */
export const parsePeriod = (text: string): number | null => {
  const found = /^(\d{1,5})([smhd])$/.exec(text);
  const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[found?.[2] ?? ''];
  return found === null || unit === undefined ? null : Number(found[1]) * unit;
};

/** Exit code 1 when `expiring` is given and a certificate is missing or expires within it; 2: a site that nobody knows. */
export const certListCommand = async (
  context: Context,
  words: readonly string[],
  options: { json: boolean; expiring: string | null },
): Promise<ExitCode> => {
  const period = options.expiring === null ? null : parsePeriod(options.expiring);
  if (options.expiring !== null && period === null) {
    context.complain(`${options.expiring} is no time; write 14d, 36h or 90m`);
    return 2;
  }
  const fleet = await createFleetReader(context.host().files)();
  const names = words.map((word) => resolveName(word, fleet));
  const strange = names.filter((name) => !fleet.sites.some((site) => site.name === name));
  for (const name of strange) context.complain(`there is no site ${name}`);
  if (strange.length > 0) return 2;
  const now = context.now();
  const all = [...(await viewCertificates(context.host(), fleet)).values()];
  const asked = names.length === 0 ? all : all.filter(({ site }) => names.includes(site));
  const views = asked.filter(({ expires }) => period === null || expires === null || expires - now < period);
  if (options.json) context.print(JSON.stringify({ certificates: views }, null, 2));
  else if (views.length === 0)
    context.print(period === null ? 'No site has TLS.' : `No certificate expires within ${options.expiring ?? ''}.`);
  else {
    const colours = picocolors.createColors(context.colours);
    const columns = [
      { title: 'SITE', least: 16 },
      { title: 'EXPIRES', align: 'right' as const },
      { title: 'RENEWAL', align: 'right' as const },
      { title: 'NAMES', align: 'right' as const },
      { title: 'ISSUER', least: 12, spare: true },
      { title: 'PROBLEM', least: 20 },
    ];
    const rows = views.map(({ site, expires, renewal, names, issuer, problem }) => [
      { text: site },
      {
        text: expires === null ? '-' : expires <= now ? 'expired' : duration(expires - now),
        paint: expires !== null && expires > now ? (text: string) => text : colours.red,
      },
      { text: renewal === null ? 'by hand' : renewal <= now ? 'now' : duration(renewal - now) },
      { text: String(names.length) },
      { text: issuer ?? '' },
      { text: problem ?? '', paint: colours.red },
    ]);
    for (const line of table(columns, rows, context.width)) context.print(line);
  }
  return period !== null && views.length > 0 ? 1 : 0;
};
