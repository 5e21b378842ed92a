/**
 * What goes on with every site and shared container.
 *
 * INVARIANTS
 * - Nothing is remembered between two calls: systemd, the run directories and the kernel's list of sockets say it all, so that
 *   the command line, the agent and an agent that was just killed and started again say the same.
 * - Nobody is woken, and nothing here counts as use.
 * - One call to systemd for all; more is asked only about members that run, or when there are few of them.
 */
import type { MemberState } from '../core/member-state.ts';
import { waysToImage } from '../core/image.ts';
import {
  appSocket,
  appUnit,
  failedFile,
  httpSocket,
  lastRequestFile,
  openedMark,
  paths,
  runDirectory,
  siteUnit,
  socketUnit,
  wakesFile,
  wakeSocket,
  wakeUnit,
} from '../core/names.ts';
import { describeProblem } from '../core/problem.ts';
import type { Runtime } from '../core/spec.ts';
import { systemTimers, withDeadline } from '../net/timers.ts';
import type { ActiveState, Host, UnitDetail } from '../ports.ts';
import { countConnections } from '../switchboard/connections.ts';
import { parseWakes, stateOf } from '../switchboard/state.ts';
import { countWaiting } from '../switchboard/waiting.ts';
import { type CertificateStatus, certificateStatus } from './certificate-status.ts';
import { viewCertificates } from './certificate-views.ts';
import { standingFailure, type StandingFailure } from './failure.ts';
import type { Fleet } from './fleet.ts';
import { type Known, knownMembers, problemsOf } from './members.ts';

/** One site or shared container. Plain JSON; names and meanings stay, new ones may come. */
export interface SiteStatus {
  /** The domain in ASCII, or the name of the shared container; also the name of its unit. */
  name: string;
  kind: 'site' | 'service';
  state: MemberState;
  /** When it entered that state, ISO 8601; null when nobody knows, or when nobody asked systemd (sleeping sites of a large fleet). */
  since: string | null;
  /** `shared` for a shared container; null when its file cannot be read and it was never installed. */
  runtime: Runtime | 'shared' | null;
  image: string | null;
  /** Path of the admin's file. */
  file: string;
  aliases: readonly string[];
  /** Shared containers that it needs. */
  needs: readonly string[];
  /** Whether it opens when the host boots. */
  enabled: boolean;
  /** Seconds without a request after which it falls asleep; null for what has no container. */
  idle: number | 'never' | null;
  /** Last connection to its container, ISO 8601; the start itself counts as one. Null before the first start. */
  lastRequest: string | null;
  /** Bytes that its container uses, caches excepted; null when it does not run. */
  memoryBytes: number | null;
  /** How often systemd started it again after its container had ended. */
  restarts: number;
  /** Starts since the host booted. */
  wakes: number;
  /** Seconds that the last start took until requests were answered. */
  lastWakeSeconds: number | null;
  /** Connections that wait for its container. */
  held: number;
  /** Connections to its container. */
  connections: number;
  /** Null for a site without HTTPS, for a shared container, and while the site's file cannot be read. */
  certificate: CertificateStatus | null;
  /** What is wrong in one line, the most telling first; null when nothing is. */
  problem: string | null;
  /** All that is wrong. */
  problems: readonly string[];
}

const dockerMs = 3000;

/** Up to so many members systemd is asked about each, asleep or not. */
const fewMembers = 200;

interface Facts {
  known: Known;
  facade: ActiveState | undefined;
  state: MemberState;
  failure: StandingFailure | null;
  /** What is in its run directory. */
  entries: ReadonlySet<string>;
  wakes: readonly { at: number; seconds: number }[];
}

const isUp = (state: ActiveState | undefined): boolean =>
  state === 'active' || state === 'activating' || state === 'reloading';

const iso = (seconds: number | null): string | null =>
  seconds === null || !Number.isFinite(seconds) ? null : new Date(seconds * 1000).toISOString();

const readFacts = async (
  host: Host,
  known: Known,
  fleet: Fleet,
  units: ReadonlyMap<string, ActiveState>,
): Promise<Facts> => {
  const { name } = known;
  const entries = new Set(await host.files.list(runDirectory(name)));
  const wakes = entries.has('wakes') ? parseWakes(await host.files.read(wakesFile(name))) : [];
  const failure = entries.has('failed') ? standingFailure(await host.files.read(failedFile(name)), wakes) : null;
  const facade = units.get(siteUnit(name));
  const opened = known.installed && (isUp(facade) || (await host.files.read(openedMark(name))) !== null);
  const state = stateOf({
    container: known.runtime !== 'static',
    facade,
    app: units.get(appUnit(name)),
    failure,
    opened,
    refused: fleet.keep.has(name),
  });
  return { known, facade, state, failure, entries, wakes };
};

/** What is wrong with the way from nginx to a site that is open. */
const doorProblems = (facts: Facts, link: string | null, units: ReadonlyMap<string, ActiveState>): string[] => {
  const { name, kind, runtime } = facts.known;
  if (!isUp(facts.facade) || kind === 'service') return [];
  if (runtime === 'static')
    return facts.entries.has('open') ? [] : [`it is not marked as open; repair it with: systemctl restart ${name}`];
  const listens = units.get(socketUnit(name)) === 'active' && facts.entries.has('wake.sock');
  if (!listens && !isUp(units.get(wakeUnit(name))))
    return [`its socket does not listen; repair it with: systemctl restart ${socketUnit(name)}`];
  if (link === null && listens && facts.state !== 'sleeping')
    return [`${httpSocket(name)} is missing; repair it with: systemctl restart ${socketUnit(name)}`];
  return link === null || link === wakeSocket(name) || link === appSocket(name) ? [] : [`http.sock points to ${link}`];
};

const needProblems = (facts: Facts, all: ReadonlyMap<string, Facts>): string[] =>
  !isUp(facts.facade)
    ? []
    : facts.known.needs.flatMap((need) => {
        const other = all.get(need);
        if (other?.state === 'failed') return [`${need} failed: ${other.failure?.reason ?? 'it does not start'}`];
        return other === undefined || isUp(other.facade) ? [] : [`${need} is ${other.state}`];
      });

const stateProblems = (facts: Facts, units: ReadonlyMap<string, ActiveState>): string[] => {
  const { known, facade, state, failure } = facts;
  const { name, installed, idle } = known;
  if (state === 'failed')
    return [failure?.reason ?? `its container does not start; see: systemctl status ${appUnit(name)}`];
  if (facade === 'failed') return [`its unit failed; see: systemctl status ${siteUnit(name)}`];
  if (state === 'waking' && failure !== null) return [`the start before this one failed: ${failure.reason}`];
  if (state === 'asleep' && idle === 'never')
    return [`it does not run, though idle is never; see: systemctl status ${appUnit(name)}`];
  if (installed && state !== 'not applied') return [];
  return units.get('appfleet.service') === 'active'
    ? ['it is not applied yet; where that does not change, this says why: appfleet apply']
    : ['it is not applied, because the agent does not run; start it with: systemctl start appfleet'];
};

/** Everything about each member, sites first, by name. `only` leaves the others out. Throws AF_BUS and AF_FILE. */
export const readStatus = async (host: Host, fleet: Fleet, only?: string): Promise<SiteStatus[]> => {
  const members = await knownMembers(host.files, fleet);
  const units = new Map((await host.units.list(['*.service', '*.socket'])).map((unit) => [unit.name, unit.active]));
  const table = (await host.files.read('/proc/net/unix')) ?? '';
  const connections = countConnections(table);
  const waiting = countWaiting(table);
  const uptime = Number.parseFloat((await host.files.read('/proc/uptime')) ?? '');
  const wants = new Set(await host.files.list(paths.wants));
  const refusals = new Map((await host.web.refusals()).map(({ site, message }) => [site, message]));
  const views = await viewCertificates(host, fleet, only);
  const facts = await Promise.all(members.map((known) => readFacts(host, known, fleet, units)));
  const all = new Map(facts.map((one) => [one.known.name, one]));

  /** What Docker says, or that it is unknown: a Docker that hangs does not keep the rest from being told. */
  const fromDocker = <T>(asked: Promise<T>, unknown: T): Promise<T> =>
    withDeadline(systemTimers, dockerMs, asked, () => new Error('silence')).catch(() => unknown);
  const hasImage = (image: string): Promise<boolean> => fromDocker(host.containers.hasImage(image), true);
  const nothing: UnitDetail = { since: null, restarts: 0, mainPid: 0 };
  const describe = async (facts: Facts): Promise<SiteStatus> => {
    const { known, state, failure, wakes } = facts;
    const { name } = known;
    const hasContainer = known.runtime !== 'static';
    const runs = ['awake', 'waking', 'sleeping'].includes(state);
    const watched = ['stopped', 'served', 'not applied', 'refused'].includes(state) ? siteUnit(name) : appUnit(name);
    const ask = runs || members.length <= fewMembers || only !== undefined;
    let detail = ask ? await host.units.detail(watched).catch(() => nothing) : nothing;
    const isSite = hasContainer && known.kind === 'site';
    // systemd forgot the unit of a container that was not started since the site was opened: asleep from then on.
    if (ask && detail.since === null && state === 'asleep')
      detail = await host.units.detail(siteUnit(name)).catch(() => nothing);
    const missing = !known.installed && known.image !== null && !(await hasImage(known.image));
    const link = isSite && facts.entries.has('http.sock') ? await host.files.readLink(httpSocket(name)) : null;
    const access =
      (isSite && facts.entries.has('r1') ? await host.files.lastAccess(appSocket(name)) : null) ??
      (facts.entries.has('last-request') ? await host.files.lastAccess(lastRequestFile(name)) : null);
    const refusal = refusals.get(name);
    const view = known.kind === 'site' ? views.get(name) : undefined;
    const certificate = view === undefined ? null : certificateStatus(view);
    const own = problemsOf(known, fleet).map(describeProblem);
    const problems = [
      ...own,
      ...(refusal === undefined ? [] : [refusal]),
      ...(missing ? [`image ${known.image} is not on this host; ${waysToImage(known.image ?? '')}`] : []),
      ...(missing || (own.length > 0 && !known.installed) ? [] : stateProblems(facts, units)),
      ...needProblems(facts, all),
      ...doorProblems(facts, link, units),
      ...(certificate?.problem == null ? [] : [certificate.problem]),
    ];
    return {
      name,
      kind: known.kind,
      state,
      // Each new try of a failed site changes its unit's state; the failure is what it is in since.
      since: iso(state === 'failed' && failure !== null ? host.now() - uptime + failure.at : detail.since),
      runtime: known.runtime,
      image: known.image,
      file: known.file,
      aliases: known.aliases,
      needs: known.needs,
      enabled: wants.has(siteUnit(name)),
      idle: known.idle,
      lastRequest: iso(access),
      memoryBytes: hasContainer && runs ? await fromDocker(host.containers.memory(name), null) : null,
      restarts: hasContainer ? detail.restarts : 0,
      wakes: wakes.length,
      lastWakeSeconds: wakes.at(-1)?.seconds ?? null,
      held: waiting.get(wakeSocket(name)) ?? 0,
      connections: connections.get(appSocket(name)) ?? 0,
      certificate,
      problem: problems[0] ?? null,
      problems,
    };
  };
  const wanted = [...all.values()].filter(({ known }) => only === undefined || known.name === only);
  return Promise.all(wanted.map(describe));
};
