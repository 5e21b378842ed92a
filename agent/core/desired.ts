/** From specs to everything that should exist on the host: one value that plan.ts compares with what does exist. */
import { serviceStartFiles, siteStartFiles } from './container.ts';
import { siteUnit, unitPath, wantsPath } from './names.ts';
import type { ContainerSpec, Runtime, ServiceSpec, Settings, SiteSpec } from './spec.ts';
import type { Templates } from './template.ts';
import { serviceUnits, siteUnits } from './unit.ts';

export interface DesiredFile {
  path: string;
  text: string;
  mode: number;
  /** Changing it means that systemd must read its units again. */
  isUnit: boolean;
}

export interface DesiredLink {
  path: string;
  target: string;
}

/** A site or a shared container, and all that it needs on the host except its vhost. */
export interface Member {
  name: string;
  kind: 'site' | 'service';
  runtime: Runtime | 'shared';
  source: string;
  image: string | null;
  /** Fingerprint of the create body; empty for a static site. */
  spec: string;
  /** Runs whenever it is open. */
  awake: boolean;
  needs: readonly string[];
  files: readonly DesiredFile[];
  /** Other names of the unit. */
  links: readonly DesiredLink[];
  /** Starts the facade at boot; made once, then the admin's `systemctl disable` counts. */
  wants: DesiredLink;
}

const specOf = (launch: string): string => /^spec=(.*)$/m.exec(launch)?.[1] ?? '';

const unitFiles = (units: readonly { unit: string; text: string }[]): DesiredFile[] =>
  units.map(({ unit, text }) => ({ path: unitPath(unit), text, mode: 0o644, isUnit: true }));

const member = (
  base: Pick<Member, 'name' | 'kind' | 'runtime' | 'source' | 'awake'>,
  container: ContainerSpec | null,
  units: readonly DesiredFile[],
  start: readonly { path: string; text: string; mode: number }[],
  aliases: readonly string[],
): Member => ({
  ...base,
  image: container?.image ?? null,
  spec: specOf(start.find((file) => file.path.endsWith('/launch'))?.text ?? ''),
  needs: container?.needs ?? [],
  // What a start needs first, the units that may start it after.
  files: [...start.map((file) => ({ ...file, isUnit: false })), ...units],
  links: aliases.map((alias) => ({ path: unitPath(siteUnit(alias)), target: siteUnit(base.name) })),
  wants: { path: wantsPath(siteUnit(base.name)), target: `../${siteUnit(base.name)}` },
});

/** `service x.sh stop` asks systemd for x.service (init-system-helpers strips .sh), so such a site gets that name too. */
const shellAlias = (name: string): string[] => (name.endsWith('.sh') ? [name.slice(0, -3)] : []);

/** All of a site but its vhost; `env` is the container's whole environment, files included. */
export const desiredSite = (
  site: SiteSpec,
  env: Readonly<Record<string, string>>,
  settings: Settings,
  templates: Templates,
): Member =>
  member(
    {
      name: site.name,
      kind: 'site',
      runtime: site.runtime,
      source: site.file,
      awake: site.container !== null && site.idleSeconds === 'never',
    },
    site.container,
    unitFiles(siteUnits(site, templates)),
    siteStartFiles(site, env, settings, templates),
    shellAlias(site.name),
  );

/** All of a shared container. */
export const desiredService = (
  service: ServiceSpec,
  env: Readonly<Record<string, string>>,
  templates: Templates,
): Member =>
  member(
    {
      name: service.name,
      kind: 'service',
      runtime: 'shared',
      source: service.file,
      awake: service.idleSeconds === 'never',
    },
    service.container,
    unitFiles(serviceUnits(service, templates)),
    serviceStartFiles(service, env),
    service.aliases,
  );

export interface DesiredState {
  members: readonly Member[];
  /** Names whose file could not be understood: they keep what they have. */
  keep: ReadonlySet<string>;
}
