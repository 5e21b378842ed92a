import type { WantedSite } from '../certificates/renew.ts';
import type { SiteSpec } from '../core/spec.ts';

/** The sites whose certificates are ordered, with all that is to be in them. */
export const wantedSites = (sites: readonly SiteSpec[]): WantedSite[] =>
  sites
    .filter(({ tls }) => tls.mode === 'auto' && tls.https !== 'off')
    .map(({ name, aliases, tls }) => ({ site: name, names: [name, ...aliases], keyType: tls.keyType }));
