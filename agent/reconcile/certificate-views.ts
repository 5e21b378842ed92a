/** What is to be said about the certificates of a fleet. Looks at files only; two looks at each site's where nothing changed. */
import { parseLedger } from '../core/budget.ts';
import { type CertificateView, viewCertificate } from '../core/certificate-view.ts';
import { ledgerFile } from '../core/names.ts';
import { hasTls } from '../core/tls-keys.ts';
import { isOrdered, wantedOf } from '../core/wanted-sites.ts';
import type { Host } from '../ports.ts';
import type { Fleet } from './fleet.ts';

/** A view of each site's certificate, by site; sites without TLS have none. `only` leaves the others out. Throws AF_FILE. */
export const viewCertificates = async (
  { files, certificates, now }: Pick<Host, 'files' | 'certificates' | 'now'>,
  { sites, settings }: Pick<Fleet, 'sites' | 'settings'>,
  only?: string,
): Promise<ReadonlyMap<string, CertificateView>> => {
  const { directory } = settings.acme;
  const { pause } = parseLedger(directory === null ? null : await files.read(ledgerFile(directory)));
  const views = new Map<string, CertificateView>();
  for (const site of sites) {
    if (!hasTls(site.tls) || (only !== undefined && site.name !== only)) continue;
    const [current, state] = [await certificates.current(site.name), await certificates.state(site.name)];
    const options = { renews: directory !== null && isOrdered(site), pause };
    views.set(site.name, viewCertificate(wantedOf(site), current, state, options, now()));
  }
  return views;
};
