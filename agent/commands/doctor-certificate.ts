/** What `appfleet doctor` says about a site's certificate. */
import type { CertificateView } from '../core/certificate-view.ts';
import { duration } from '../core/duration.ts';
import type { Findings } from './finding.ts';

const link = 'certificate';

const summary = ({ issuer, expires, renewal }: CertificateView, now: number): string => {
  if (expires === null) return 'none yet; the placeholder stands in until the first order is done';
  const by = issuer === null || issuer === '' ? '' : `by ${issuer}, `;
  const again = renewal === null ? '' : `, to be renewed ${renewal <= now ? 'now' : `in ${duration(renewal - now)}`}`;
  return `${by}good for ${duration(expires - now)}${again}`;
};

/** `now`: seconds since the epoch. */
export const checkCertificate = (view: CertificateView | undefined, findings: Findings, now: number): void => {
  // None is ordered on this host, and nobody put one there.
  if (view === undefined || (view.expires === null && view.renewal === null)) return;
  const { site, leftOut, problem, alarm } = view;
  const again = `appfleet cert issue ${site}`;
  const hint = view.renewal === null ? 'appfleet check' : again;
  if (alarm === 'error') findings.broken(link, problem ?? '', hint);
  else if (alarm === 'warn') findings.warn(link, problem ?? '', hint);
  else findings.ok(link, summary(view, now));
  for (const { name, reason } of leftOut)
    findings.warn(link, `it goes without ${name}: ${reason}`, `once that is mended: ${again}`);
};
