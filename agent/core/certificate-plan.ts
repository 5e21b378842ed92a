/** Which certificate each vhost names, and what has to be done before it can. Pure. */
import { accountKey } from './names.ts';
import type { Settings, SiteSpec } from './spec.ts';
import type { Step } from './step.ts';
import { hasTls } from './tls-keys.ts';
import { generationPair, placeholderPair, type VhostPair } from './vhost-tls.ts';

export interface ObservedCertificates {
  /** Folder of the generation in use, by site; sites without one are absent. */
  current: ReadonlyMap<string, string>;
  /** Admin's pairs that are good and not in use yet: the folder that each would get, by site. */
  uploads: ReadonlyMap<string, string>;
  /** The placeholder is there and whole. */
  placeholder: boolean;
}

const needsPlaceholder = (sites: readonly SiteSpec[], { current, uploads }: ObservedCertificates): boolean =>
  sites.some(({ name, tls }) => hasTls(tls) && !current.has(name) && !uploads.has(name));

/** What is to be done before vhosts are made. None of it touches what a vhost names now. */
export const certificateSteps = (sites: readonly SiteSpec[], observed: ObservedCertificates): Step[] => [
  ...(needsPlaceholder(sites, observed) && !observed.placeholder
    ? [{ kind: 'make-placeholder', owner: null } as const]
    : []),
  ...sites
    .filter(({ name, tls }) => hasTls(tls) && observed.uploads.has(name))
    .map(({ name, tls }): Step => ({ kind: 'install-certificate', owner: name, from: tls.certificate ?? '' })),
];

/** What would be there once the steps were carried out. */
export const afterSteps = (observed: ObservedCertificates): ObservedCertificates => ({
  current: new Map([...observed.current, ...observed.uploads]),
  uploads: new Map(),
  placeholder: true,
});

/** The pair that a site's vhost names; null for one without HTTPS, and where there is not even a placeholder. */
export const pairOf = ({ name, tls }: SiteSpec, { current, placeholder }: ObservedCertificates): VhostPair | null => {
  if (!hasTls(tls)) return null;
  const folder = current.get(name);
  if (folder !== undefined) return generationPair(folder);
  return placeholder ? placeholderPair : null;
};

/** The key whose thumbprint answers challenges; null where no certificates are ordered. */
export const accountKeyOf = ({ acme }: Settings): string | null =>
  acme.directory === null ? null : accountKey(acme.directory);
