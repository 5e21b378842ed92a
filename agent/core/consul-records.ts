/**
 * What Consul should know of this host: a service with a TTL check for each site and shared container, another for each
 * container of a site while it runs, and a record in the KV store. Pure; nothing here holds an environment or an error's cause.
 */
import { type MemberState, memberStates } from './member-state.ts';
import { agentId, agentService, containerId, dnsLabel, frontId, hostMeta, recordKey } from './consul-names.ts';
import { lastWords } from './last-words.ts';
import type { ConsulSettings, Runtime } from './spec.ts';

/** What is known of a container that runs. */
export interface RunningContainer {
  /** Null when it has no network. */
  address: string | null;
  /** TCP port that it listens on; null when it listens on a socket, or nobody knows. */
  port: number | null;
  /** Docker's own verdict, where its image has a HEALTHCHECK. */
  health: 'starting' | 'healthy' | 'unhealthy' | null;
}

export interface MirroredMember {
  name: string;
  kind: 'site' | 'service';
  /** Null when its file cannot be read. */
  runtime: Runtime | 'shared' | null;
  state: MemberState;
  /** When it entered that state, ISO 8601. */
  since: string | null;
  /** Why it failed. */
  reason: string | null;
  /** Starts since the host booted. */
  wakes: number;
  image: string | null;
  /** Port of nginx, or null for a shared container. */
  frontPort: number | null;
  /** When its certificate ends, ISO 8601. */
  certificateExpires: string | null;
  container: RunningContainer | null;
  /** SERVICE_NAME and SERVICE_TAGS of its environment. */
  serviceName: string | null;
  serviceTags: readonly string[];
}

export type CheckStatus = 'passing' | 'warning' | 'critical';

/** A check that Consul carries out by itself, in the words of its API. */
export interface CheckProbe {
  http?: string;
  tcp?: string;
  grpc?: string;
  ttl?: string;
  args?: readonly string[];
  method?: string | undefined;
  interval?: string;
  timeout?: string | undefined;
  status?: string | undefined;
  deregistercriticalserviceafter?: string | undefined;
}

export interface ServiceRecord {
  id: string;
  name: string;
  /** Empty: the address of the Consul node. */
  address: string;
  /** 0: none. */
  port: number;
  tags: readonly string[];
  meta: Readonly<Record<string, string>>;
  /** What we report, with words where something is wrong; without meaning where Consul probes by itself. */
  status: CheckStatus;
  output: string;
  /** Who knows how it is: we do, Consul asks it, or nobody. */
  probe: 'reported' | 'none' | CheckProbe;
}

export interface Records {
  services: ReadonlyMap<string, ServiceRecord>;
  /** Text by key. */
  keys: ReadonlyMap<string, string>;
}

export interface MirrorIdentity {
  /** Name of this host. */
  host: string;
  version: string;
  consul: ConsulSettings;
}

/** Consul takes no more in one value of meta. */
const longestMeta = 512;

/** Without words: a new service that is well then takes one call instead of two. Its state is in its meta. */
const fine: [CheckStatus, string] = ['passing', ''];

const healthOf = (container: RunningContainer | null): [CheckStatus, string] => {
  if (container?.health === 'unhealthy') return ['critical', "unhealthy, says the image's health check"];
  if (container?.health === 'starting') return ['warning', "the image's health check has not passed yet"];
  return fine;
};

/** Status and words of the check of a front. Sleeping is fine: whoever asks wakes it. */
export const verdictOn = (member: MirroredMember): [CheckStatus, string] => {
  switch (member.state) {
    case 'stopped':
      return ['critical', `stopped by hand; to open it: service ${member.name} start`];
    case 'failed':
      return ['critical', `failed: ${lastWords(member.reason ?? 'its container does not start', 1)}`];
    case 'not applied':
      return ['critical', 'not applied yet; see: appfleet plan'];
    case 'refused':
      return ['critical', 'its file has a mistake; see: appfleet check'];
    case 'asleep':
    case 'sleeping':
    case 'waking':
    case 'served':
      return fine;
    case 'awake':
      return healthOf(member.container);
  }
};

const metaOf = (entries: Readonly<Record<string, string | null>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(entries).flatMap(([name, value]) => (value === null ? [] : [[name, value.slice(0, longestMeta)]])),
  );

const nameOf = ({ name, serviceName }: MirroredMember, { servicePrefix }: ConsulSettings): string =>
  serviceName ?? dnsLabel(`${servicePrefix}${name}`);

const tagsOf = ({ serviceTags }: MirroredMember, { tags }: ConsulSettings): string[] => [
  ...new Set([...tags, ...serviceTags]),
];

const front = (member: MirroredMember, { host, consul }: MirrorIdentity): ServiceRecord => {
  const [status, output] = verdictOn(member);
  const { container } = member;
  // A shared container has no front: what others connect to is the container itself.
  const own = member.kind === 'service';
  return {
    id: frontId(host, member.name),
    name: nameOf(member, consul),
    address: own ? (container?.address ?? '') : (consul.serviceAddress ?? ''),
    port: (own ? container?.port : member.frontPort) ?? 0,
    tags: tagsOf(member, consul),
    meta: metaOf({
      [hostMeta]: host,
      'appfleet-name': member.name,
      domain: own ? null : member.name,
      runtime: member.runtime,
      release: member.image,
      state: member.state,
    }),
    status,
    output,
    probe: 'reported',
  };
};

/** Under a name of its own: mixed with fronts, half of the answers of DNS would be addresses that only this host reaches. */
const instance = (member: MirroredMember, identity: MirrorIdentity): ServiceRecord | null => {
  const { host, consul } = identity;
  const { container } = member;
  if (member.kind === 'service' || container === null || member.state !== 'awake') return null;
  const [status, output] = healthOf(container);
  return {
    id: containerId(host, member.name),
    name: dnsLabel(`${nameOf(member, consul)}-app`),
    address: container.address ?? '',
    port: container.port ?? 0,
    tags: tagsOf(member, consul),
    meta: metaOf({ [hostMeta]: host, 'appfleet-name': member.name, container: member.name, release: member.image }),
    status,
    output,
    probe: 'reported',
  };
};

/** What the KV store has of a member. */
export interface MemberRecord {
  state: MemberState;
  since: string | null;
  release: string | null;
  certificateExpires: string | null;
  wakes: number;
}

const record = ({ state, since, image: release, certificateExpires, wakes }: MirroredMember): string =>
  JSON.stringify({ state, since, release, certificateExpires, wakes } satisfies MemberRecord);

const states: readonly string[] = memberStates;

/** A record that any host wrote; null when it is none. */
export const parseRecord = (text: string): MemberRecord | null => {
  try {
    const read = JSON.parse(text) as Record<string, unknown> | null;
    const { state, since, release, certificateExpires, wakes } = read ?? {};
    const textOr = (value: unknown): string | null => (typeof value === 'string' ? value : null);
    if (typeof state !== 'string' || !states.includes(state)) return null;
    return {
      state: state as MemberState,
      since: textOr(since),
      release: textOr(release),
      certificateExpires: textOr(certificateExpires),
      wakes: Number(wakes) || 0,
    };
  } catch {
    return null;
  }
};

/** This host itself: the other agents, and the admin, see by its check whether its agent lives. */
const agent = ({ host, version, consul }: MirrorIdentity): ServiceRecord => ({
  id: agentId(host),
  name: agentService(consul.servicePrefix),
  address: '',
  port: 0,
  tags: [...consul.tags],
  meta: metaOf({ [hostMeta]: host, version }),
  status: 'passing',
  output: '',
  probe: 'reported',
});

/** Everything about some members; with `whole` the agent's own service too. */
export const recordsOf = (members: readonly MirroredMember[], identity: MirrorIdentity, whole: boolean): Records => {
  const services = new Map<string, ServiceRecord>();
  const keys = new Map<string, string>();
  const add = (service: ServiceRecord | null): void => {
    if (service !== null) services.set(service.id, service);
  };
  if (whole) add(agent(identity));
  for (const member of members) {
    add(front(member, identity));
    add(instance(member, identity));
    keys.set(recordKey(identity.consul.kvPrefix, identity.host, member.kind, member.name), record(member));
  }
  return { services, keys };
};
