/** What no file can know alone: whether names, units and needs of all sites and services fit together. */
import { appUnit, siteUnit, socketUnit } from './names.ts';
import { didYouMean } from './nearest.ts';
import type { Problem } from './problem.ts';
import type { ServiceSpec, SiteSpec } from './spec.ts';

type Named = { name: string; file: string };

const byFile = <T extends Named>(specs: readonly T[]): T[] =>
  specs.toSorted((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0));

/**
 * Each domain belongs to the site of that name, else to the first file, in order of their names, that has it as an alias: a new
 * file takes nobody's name. That holds for the names of sites whose files have problems (`kept`) as well.
 */
const domainProblems = (sites: readonly SiteSpec[], kept: ReadonlySet<string>): Problem[] => {
  const owners = new Map<string, string>();
  const claim = (site: SiteSpec, domain: string, where: Partial<Problem>): Problem[] => {
    const owner = owners.get(domain);
    if (owner === undefined) {
      owners.set(domain, site.file);
      return [];
    }
    const message = `${domain} is already served by ${owner}`;
    return [{ file: site.file, ...where, message, hint: 'take it out of one of the two files' }];
  };
  const names = sites.flatMap((site) => claim(site, site.name, {}));
  for (const name of kept) if (!owners.has(name)) owners.set(name, 'the site of that name');
  const asAlias = { section: 'site', key: 'aliases' };
  return [...names, ...sites.flatMap((site) => site.aliases.flatMap((alias) => claim(site, alias, asAlias)))];
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
const ownUnits = ['appfleet.service', 'appfleet.socket'];

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

/**
 * Problems between files; each makes only the file it names invalid. Where two files ask for the same domain, the site of that
 * name keeps it, else the one whose path sorts first. `foreignUnits` are unit files of this host that are not ours
 * (`nginx.service`); `kept` are names whose file has problems of its own: they keep their domains, and sites that need them are
 * not blamed as well.
 */
export const checkFleet = (
  sites: readonly SiteSpec[],
  services: readonly ServiceSpec[],
  foreignUnits: ReadonlySet<string>,
  kept: ReadonlySet<string> = new Set(),
): Problem[] => {
  const orderedSites = byFile(sites);
  const orderedServices = byFile(services);
  const known = new Set([...orderedServices.map((service) => service.name), ...kept]);
  return [
    ...domainProblems(orderedSites, kept),
    ...unitProblems(orderedSites, orderedServices, foreignUnits),
    ...orderedSites.flatMap((site) =>
      needsProblems('site', { ...site, needs: site.container?.needs ?? [] }, services, known),
    ),
    ...orderedServices.flatMap((service) =>
      needsProblems('service', { ...service, needs: service.container.needs }, services, known),
    ),
    ...cycleProblems(orderedServices),
  ];
};
