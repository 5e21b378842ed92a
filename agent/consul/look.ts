/**
 * What goes on with sites and shared containers, as far as Consul is told. Nobody is woken, and nothing here counts as use.
 * One call to systemd and one to Docker for all that is asked about; `since` is remembered as long as the state lasts.
 */
import type { MemberState } from '../core/member-state.ts';
import type { MirroredMember, RunningContainer } from '../core/consul-records.ts';
import { tagsIn } from '../core/registrator.ts';
import { appUnit, failedFile, openedMark, runDirectory, siteUnit, wakesFile } from '../core/names.ts';
import type { ServiceSpec, SiteSpec } from '../core/spec.ts';
import type { ActiveState, Host } from '../ports.ts';
import { standingFailure } from '../reconcile/failure.ts';
import type { Fleet } from '../reconcile/fleet.ts';
import { type Known, knownMembers } from '../reconcile/members.ts';
import { parseWakes, stateOf } from '../switchboard/state.ts';
import type { ContainerView, RunningContainerState } from './ports.ts';

/** With more news than that, systemd is asked only about members that run: each question is a call. */
const fewNews = 200;
/** Asking systemd for so many units by name is cheaper than for all. */
const fewNames = 50;

const iso = (seconds: number | null): string | null =>
  seconds === null ? null : new Date(Math.floor(seconds) * 1000).toISOString();

const portIn = (spec: SiteSpec | ServiceSpec | undefined): number | null => {
  if (spec === undefined) return null;
  if ('ready' in spec) return spec.ready?.kind === 'port' ? spec.ready.port : null;
  return spec.runtime === 'container' ? spec.port : null;
};

export interface Look {
  /** Everything about the members of these names, or all. Throws AF_BUS and AF_FILE. */
  at(fleet: Fleet, names: ReadonlySet<string> | null): Promise<MirroredMember[]>;
}

export const createLook = (host: Host, containers: ContainerView): Look => {
  const remembered = new Map<string, { state: MemberState; wakes: number; since: string | null }>();

  let listed: readonly RunningContainerState[] = [];

  const stateIn = async (known: Known, fleet: Fleet, units: ReadonlyMap<string, ActiveState>) => {
    const { name, runtime } = known;
    const entries = new Set(await host.files.list(runDirectory(name)));
    const wakes = entries.has('wakes') ? parseWakes(await host.files.read(wakesFile(name))) : [];
    const failure = entries.has('failed') ? standingFailure(await host.files.read(failedFile(name)), wakes) : null;
    const [facade, app] = [units.get(siteUnit(name)), units.get(appUnit(name))];
    const opened = known.installed && (facade === 'active' || (await host.files.read(openedMark(name))) !== null);
    const refused = fleet.keep.has(name);
    const state = stateOf({ container: runtime !== 'static', facade, app, failure, opened, refused });
    return { known, state, wakes: wakes.length, reason: failure?.reason ?? null };
  };

  const sinceOf = async (name: string, state: MemberState): Promise<string | null> => {
    const watched = ['stopped', 'served', 'not applied', 'refused'].includes(state) ? siteUnit(name) : appUnit(name);
    const { since } = await host.units.detail(watched);
    // systemd forgot the unit of a container that was not started since the site was opened: asleep from then on.
    return iso(since ?? (state === 'asleep' ? (await host.units.detail(siteUnit(name))).since : null));
  };

  return {
    at: async (fleet, names) => {
      const members = (await knownMembers(host.files, fleet)).filter(({ name }) => names === null || names.has(name));
      const patterns =
        names === null || names.size > fewNames
          ? ['*.service']
          : [...names].flatMap((name) => [siteUnit(name), appUnit(name)]);
      const units = new Map((await host.units.list(patterns)).map((unit) => [unit.name, unit.active]));
      const states = await Promise.all(members.map((known) => stateIn(known, fleet, units)));
      const anyRuns = states.some(({ state }) => state === 'awake');
      // Without Docker nothing is known to have changed: what it said last is better than silence about all sites.
      if (anyRuns) listed = await containers.running().catch(() => listed);
      const running = new Map<string, RunningContainerState>(anyRuns ? listed.map((one) => [one.name, one]) : []);
      const specs = new Map<string, SiteSpec | ServiceSpec>(
        [...fleet.sites, ...fleet.services].map((spec) => [spec.name, spec]),
      );
      const isNews = ({ known, state, wakes }: (typeof states)[number]): boolean => {
        const last = remembered.get(known.name);
        return last?.state !== state || last.wakes !== wakes;
      };
      const many = states.filter(isNews).length > fewNews;
      for (const name of names === null ? [...remembered.keys()] : [])
        if (!members.some((one) => one.name === name)) remembered.delete(name);

      return Promise.all(
        states.map(async (one): Promise<MirroredMember> => {
          const { known, state, wakes, reason } = one;
          const { name, kind, runtime, image } = known;
          if (isNews(one)) {
            const ask = !many || state !== 'asleep';
            const since = ask ? await sinceOf(name, state).catch(() => null) : null;
            remembered.set(name, { state, wakes, since });
          }
          const spec = specs.get(name);
          const tls = spec !== undefined && 'tls' in spec ? spec.tls : null;
          const found = running.get(name);
          const container: RunningContainer | null =
            found === undefined
              ? null
              : { address: found.address, port: found.address === null ? null : portIn(spec), health: found.health };
          const environment = fleet.environments.get(name) ?? {};
          const current = kind === 'site' ? await host.certificates.current(name).catch(() => null) : null;
          const { httpPort, httpsPort } = fleet.settings;
          return {
            name,
            kind,
            runtime,
            state,
            since: remembered.get(name)?.since ?? null,
            reason,
            wakes,
            image,
            frontPort: kind === 'service' ? null : tls?.https === 'only' && tls.mode !== 'off' ? httpsPort : httpPort,
            certificateExpires: iso(current?.notAfter ?? null),
            container,
            serviceName: environment['SERVICE_NAME'] || null,
            serviceTags: tagsIn(environment['SERVICE_TAGS'] ?? ''),
          };
        }),
      );
    },
  };
};
