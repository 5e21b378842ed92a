/** What no file can know alone: whether names, units and needs of all sites and services fit together. */
import { appUnit, siteUnit, socketUnit } from './names.ts';
import { didYouMean } from './nearest.ts';
import type { Problem } from './problem.ts';
import type { ServiceSpec, SiteSpec } from './spec.ts';

type Named = { name: string; file: string };

const byFile = <T extends Named>(specs: readonly T[]): T[] =>
  specs.toSorted((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0));

/** Each domain belongs to the first file, in order of their names, that asks for it. */
const domainProblems = (sites: readonly SiteSpec[]): Problem[] => {
  const owners = new Map<string, string>();
  return sites.flatMap((site) =>
    [site.name, ...site.aliases].flatMap((domain, index): Problem[] => {
      const owner = owners.get(domain);
      if (owner === undefined) {
        owners.set(domain, site.file);
        return [];
      }
      const where = index === 0 ? {} : { section: 'site', key: 'aliases' };
      return [
        {
          file: site.file,
          ...where,
          message: `${domain} is already served by ${owner}`,
          hint: 'take it out of one of the two files',
        },
      ];
    }),
  );
};

/** x-app.service is the container of x, so nobody else can be called x-app. */
const appNameProblems = (sites: readonly SiteSpec[]): Problem[] => {
  const names = new Set(sites.map((site) => site.name));
  return sites.flatMap((site): Problem[] => {
    const other = site.name.endsWith('-app') ? site.name.slice(0, -'-app'.length) : '';
    if (!names.has(other)) return [];
    const message = `${siteUnit(site.name)} is the unit of ${other}'s container`;
    return [{ file: site.file, message, hint: 'give the file another name and make this one an alias' }];
  });
};

const foreignProblems = (spec: Named, units: readonly string[], foreign: ReadonlySet<string>): Problem[] =>
  units
    .filter((unit) => foreign.has(unit))
    .map((unit) => ({
      file: spec.file,
      message: `${unit} is already a unit of this host and not one of ours`,
      hint: 'give the file another name',
    }));

/** Names of services come before aliases, so that a new alias cannot take the unit of a running database. */
const aliasProblems = (services: readonly ServiceSpec[], foreign: ReadonlySet<string>): Problem[] => {
  const owners = new Map(services.map((service) => [service.name, service.file]));
  return services.flatMap((service) =>
    service.aliases.flatMap((alias): Problem[] => {
      const owner = owners.get(alias);
      const where = { file: service.file, section: 'service', key: 'aliases' };
      if (owner !== undefined)
        return [{ ...where, message: `${alias} already belongs to ${owner}`, hint: 'remove it from the aliases' }];
      owners.set(alias, service.file);
      if (!foreign.has(siteUnit(alias))) return [];
      return [
        {
          ...where,
          message: `${siteUnit(alias)} is already a unit of this host and not one of ours`,
          hint: 'remove it from the aliases',
        },
      ];
    }),
  );
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
 * Problems between files; each makes only the file it names invalid. Where two files ask for the same domain, the one whose
 * path sorts first keeps it. `foreignUnits` are unit files of this host that are not ours (`nginx.service`); `keptServices`
 * are services whose file has problems of its own, so that their sites are not blamed as well.
 */
export const checkFleet = (
  sites: readonly SiteSpec[],
  services: readonly ServiceSpec[],
  foreignUnits: ReadonlySet<string>,
  keptServices: ReadonlySet<string> = new Set(),
): Problem[] => {
  const orderedSites = byFile(sites);
  const orderedServices = byFile(services);
  const known = new Set([...orderedServices.map((service) => service.name), ...keptServices]);
  return [
    ...domainProblems(orderedSites),
    ...appNameProblems(orderedSites),
    ...orderedSites.flatMap((site) => [
      ...foreignProblems(site, [siteUnit(site.name), socketUnit(site.name), appUnit(site.name)], foreignUnits),
      ...needsProblems('site', { ...site, needs: site.container?.needs ?? [] }, services, known),
    ]),
    ...orderedServices.flatMap((service) => [
      ...foreignProblems(service, [siteUnit(service.name), appUnit(service.name)], foreignUnits),
      ...needsProblems('service', { ...service, needs: service.container.needs }, services, known),
    ]),
    ...aliasProblems(orderedServices, foreignUnits),
    ...cycleProblems(orderedServices),
  ];
};
