import type { WantedSite } from '../certificates/renew.ts';
import type { SiteSpec } from '../core/spec.ts';

/** A CA refuses a name beside the wildcard that covers it. */
const withoutCovered = (names: readonly string[]): string[] =>
  names.filter((name) => !names.includes(`*${name.slice(name.indexOf('.'))}`) || name.startsWith('*.'));

/** The sites whose certificates are ordered, with all that is to be in them. */
export const wantedSites = (sites: readonly SiteSpec[]): WantedSite[] =>
  sites
    .filter(({ tls }) => tls.mode === 'auto' && tls.https !== 'off')
    .map(({ name, aliases, tls }) => ({ site: name, names: withoutCovered([name, ...aliases]), keyType: tls.keyType }));
