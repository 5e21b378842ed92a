/** What each site's certificate is to be. */
import type { WantedCertificate } from './certificate.ts';
import type { SiteSpec } from './spec.ts';

export interface WantedSite extends WantedCertificate {
  site: string;
}

/** A CA refuses a name beside the wildcard that covers it. */
const withoutCovered = (names: readonly string[]): string[] =>
  names.filter((name) => !names.includes(`*${name.slice(name.indexOf('.'))}`) || name.startsWith('*.'));

/** The certificate that covers all names of a site. */
export const wantedOf = ({ name, aliases, tls }: SiteSpec): WantedSite => ({
  site: name,
  names: withoutCovered([name, ...aliases]),
  keyType: tls.keyType,
});

/** Whether the site's certificate is ordered from a CA. */
export const isOrdered = ({ tls }: SiteSpec): boolean => tls.mode === 'auto' && tls.https !== 'off';

/** The sites whose certificates are ordered, with all that is to be in them. */
export const wantedSites = (sites: readonly SiteSpec[]): WantedSite[] => sites.filter(isOrdered).map(wantedOf);
