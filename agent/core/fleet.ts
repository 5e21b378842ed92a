/** What no file can know alone: whether names, units and needs of all sites and services fit together. */
import { appUnit, ownRunNames, paths, runName, siteUnit, socketUnit } from './names.ts';
import { didYouMean } from './nearest.ts';
import type { Problem } from './problem.ts';
import { defaultSettings } from './settings.ts';
import type { AcmeSettings, ServiceSpec, SiteSpec } from './spec.ts';
import { hasTls } from './tls-keys.ts';

type Named = { name: string; file: string };

const byFile = <T extends Named>(specs: readonly T[]): T[] =>
  specs.toSorted((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0));

const domainsOf = (site: SiteSpec): string[] => [site.name, ...site.aliases];

/** Domains that are asked for more than once, the names of sites whose files have problems included. */
export const contestedDomains = (sites: readonly SiteSpec[], kept: ReadonlySet<string>): ReadonlySet<string> => {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const domain of [...kept, ...sites.flatMap(domainsOf)]) (seen.has(domain) ? twice : seen).add(domain);
  return twice;
};

/** Domains by the names of the sites that serve them now. */
export type Holders = ReadonlyMap<string, string>;

/**
 * Whose a domain is, in words; null when it is this site's. Who serves it now keeps it, so that no new file takes anything from
 * anybody. Where nobody does, it belongs to the site of that name, else to the first file that has it as an alias.
 */
const ownerOf = (
  domain: string,
  site: SiteSpec,
  claimants: readonly SiteSpec[],
  kept: ReadonlySet<string>,
  holders: Holders,
): string | null => {
  const holder = holders.get(domain) ?? (kept.has(domain) ? domain : undefined);
  const owner = claimants.find(({ name }) => name === holder) ?? claimants.find(({ name }) => name === domain);
  if (holder !== undefined && kept.has(holder) && owner?.name !== holder) return `${holder}, whose file has problems`;
  return (owner ?? claimants[0]) === site ? null : ((owner ?? claimants[0])?.file ?? null);
};

const domainProblems = (sites: readonly SiteSpec[], kept: ReadonlySet<string>, holders: Holders): Problem[] => {
  const claims = new Map<string, SiteSpec[]>();
  for (const site of sites)
    for (const domain of domainsOf(site)) claims.set(domain, [...(claims.get(domain) ?? []), site]);
  return sites.flatMap((site) =>
    domainsOf(site).flatMap((domain, index): Problem[] => {
      const owner = ownerOf(domain, site, claims.get(domain) ?? [], kept, holders);
      if (owner === null) return [];
      const where = index === 0 ? {} : { section: 'site', key: 'aliases' };
      const hint = 'take it out of one of the two files';
      return [{ file: site.file, ...where, message: `${domain} is already served by ${owner}`, hint }];
    }),
  );
};

interface Claim {
  unit: string;
  file: string;
  /** What to say of it: the name itself needs no words. */
  what: string;
  hint: string;
  section?: string;
  key?: string;
}

const otherName = 'give the file another name';

/** Units of the agent itself. */
const ownUnits = ['appfleet.service', 'appfleet.socket', 'appfleet-renew.service', 'appfleet-renew.timer'];

/** `service x.sh stop` stops x.service (Debian's `service` strips .sh), so that unit must be the site's as well. */
const shellClaims = (site: SiteSpec): Claim[] => {
  if (!site.name.endsWith('.sh')) return [];
  const unit = siteUnit(site.name.slice(0, -'.sh'.length));
  return [{ unit, file: site.file, what: `\`service ${site.name} stop\` would stop ${unit}, and `, hint: otherName }];
};

const siteClaims = ({ name, file }: SiteSpec): Claim[] =>
  [siteUnit(name), socketUnit(name), appUnit(name)].map((unit) => ({ unit, file, what: '', hint: otherName }));

const serviceClaims = ({ name, file }: ServiceSpec): Claim[] =>
  [siteUnit(name), appUnit(name)].map((unit) => ({ unit, file, what: '', hint: otherName }));

const aliasClaims = ({ aliases, file }: ServiceSpec): Claim[] =>
  aliases.map((alias) => ({
    unit: siteUnit(alias),
    file,
    what: '',
    hint: `remove ${alias} from the aliases`,
    section: 'service',
    key: 'aliases',
  }));

const claimsOf = (sites: readonly SiteSpec[], services: readonly ServiceSpec[]): Claim[] => [
  ...services.flatMap(serviceClaims),
  ...sites.flatMap(siteClaims),
  ...services.flatMap(aliasClaims),
  ...sites.flatMap(shellClaims),
];

/** Every unit that these files ask for; whose of them the host has already is what checkFleet wants to know. */
export const claimedUnits = (sites: readonly SiteSpec[], services: readonly ServiceSpec[]): ReadonlySet<string> =>
  new Set(claimsOf(sites, services).map((claim) => claim.unit));

/**
 * Each unit belongs to one file. Names come before aliases, so that an alias never takes the unit of a running database, and
 * `x` comes before `x-app`, which would be the unit of its container.
 */
const unitProblems = (
  sites: readonly SiteSpec[],
  services: readonly ServiceSpec[],
  foreign: ReadonlySet<string>,
): Problem[] => {
  const owners = new Map<string, string>(ownUnits.map((unit) => [unit, 'the agent']));
  // a second file for the same domain has its problem already
  const unique = new Map(sites.toReversed().map((site) => [site.name, site]));
  const byName = [...unique.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return claimsOf(byName, services).flatMap(({ unit, what, ...where }): Problem[] => {
    const owner = owners.get(unit);
    if (owner === undefined && !foreign.has(unit)) {
      owners.set(unit, where.file);
      return [];
    }
    if (owner === where.file) return [];
    const whose = owner === undefined ? 'is a unit of this host and not one of ours' : `belongs to ${owner}`;
    return [{ ...where, message: `${what}${what === '' ? unit : 'that'} ${whose}` }];
  });
};

/** The run directory of this name is something else. */
const nameProblems = ({ name, file }: Named): Problem[] =>
  ownRunNames.includes(runName(name))
    ? [{ file, message: `${name} is a name that the agent uses itself`, hint: otherName }]
    : [];

const needsProblems = (
  section: string,
  spec: Named & { needs: readonly string[] },
  services: readonly ServiceSpec[],
  known: ReadonlySet<string>,
): Problem[] =>
  spec.needs
    .filter((need) => !known.has(need))
    .map((need) => {
      const aliased = services.find((service) => service.aliases.includes(need));
      const hint = aliased === undefined ? didYouMean(need, known) : `it is an alias: write ${aliased.name}`;
      return {
        file: spec.file,
        section,
        key: 'needs',
        message: `there is no service ${need}`,
        hint: hint ?? `make /etc/appfleet/services/${need}.ini`,
      };
    });

/** The way from a service back to itself through needs, or null. */
const cycleFrom = (start: ServiceSpec, services: ReadonlyMap<string, ServiceSpec>): string[] | null => {
  const seen = new Set<string>();
  const walk = (name: string, way: readonly string[]): string[] | null => {
    for (const need of services.get(name)?.container.needs ?? []) {
      if (need === start.name) return [...way, need];
      if (seen.has(need)) continue;
      seen.add(need);
      const found = walk(need, [...way, need]);
      if (found !== null) return found;
    }
    return null;
  };
  return walk(start.name, [start.name]);
};

const cycleProblems = (services: readonly ServiceSpec[]): Problem[] => {
  const byName = new Map(services.map((service) => [service.name, service]));
  return services.flatMap((service): Problem[] => {
    const cycle = cycleFrom(service, byName);
    if (cycle === null) return [];
    const message =
      cycle.length === 2
        ? 'a service cannot need itself'
        : `services need each other in a circle: ${cycle.join(' -> ')}`;
    return [{ file: service.file, section: 'service', key: 'needs', message, hint: 'remove one of the needs' }];
  });
};

/** Names that no certificate can be ordered for, because only DNS-01 proves wildcards (RFC 8555 8.4). */
const wildcardProblems = (sites: readonly SiteSpec[], { directory, dnsHook }: AcmeSettings): Problem[] =>
  directory === null || dnsHook !== null
    ? []
    : sites
        .filter(({ tls }) => tls.mode === 'auto' && hasTls(tls))
        .flatMap(({ file, aliases }) => {
          const wildcard = aliases.find((name) => name.startsWith('*.'));
          return wildcard === undefined
            ? []
            : [
                {
                  file,
                  section: 'site',
                  key: 'aliases',
                  message: `a certificate for ${wildcard} can only be had with DNS-01, and no acme_dns_hook is set`,
                  hint: `set acme_dns_hook in ${paths.settings}, or write tls = off or tls = files`,
                },
              ];
        });

/**
 * Problems between files; each makes only the file it names invalid. Where two files ask for the same domain, who serves it now
 * (`holders`) keeps it, else the site of that name, else the one whose path sorts first. `foreignUnits` are unit files of this
 * host that are not ours (`nginx.service`); `kept` are names whose file has problems of its own: they keep their domains, and
 * sites that need them are not blamed as well. `acme`: how certificates are ordered.
 */
export const checkFleet = (
  sites: readonly SiteSpec[],
  services: readonly ServiceSpec[],
  foreignUnits: ReadonlySet<string>,
  kept: ReadonlySet<string> = new Set(),
  holders: Holders = new Map(),
  acme: AcmeSettings = defaultSettings.acme,
): Problem[] => {
  const orderedSites = byFile(sites);
  const orderedServices = byFile(services);
  const known = new Set([...orderedServices.map((service) => service.name), ...kept]);
  return [
    ...domainProblems(orderedSites, kept, holders),
    ...unitProblems(orderedSites, orderedServices, foreignUnits),
    ...[...orderedSites, ...orderedServices].flatMap(nameProblems),
    ...orderedSites.flatMap((site) =>
      needsProblems('site', { ...site, needs: site.container?.needs ?? [] }, services, known),
    ),
    ...orderedServices.flatMap((service) =>
      needsProblems('service', { ...service, needs: service.container.needs }, services, known),
    ),
    ...cycleProblems(orderedServices),
    ...wildcardProblems(orderedSites, acme),
  ];
};
