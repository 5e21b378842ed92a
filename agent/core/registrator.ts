/**
 * The words of registrator (gliderlabs/registrator, v7): variables and labels that say how a container's published ports are
 * registered. Names, ids, tags, meta and checks are its own, so that what was made for them goes on working.
 */
import type { CheckProbe, ServiceRecord } from './consul-records.ts';
import { hostMeta } from './consul-names.ts';
import { type ContainerFacts, type PublishedPort, wordsOf } from './container-facts.ts';

/** Tags with commas between; `\,` is a comma of the tag's own. Empty ones are none. */
export const tagsIn = (text: string): string[] =>
  text
    .split(/(?<!\\),/)
    .map((tag) => tag.replaceAll('\\,', ','))
    .filter((tag) => tag !== '');

/** SERVICE_* of a port, lower case: those with the port's number win over those without. `own` are the former. */
const attributes = (facts: ContainerFacts, port: number): { all: Map<string, string>; own: ReadonlySet<string> } => {
  const all = new Map<string, string>();
  const own = new Set<string>();
  for (const [name, value] of wordsOf(facts)) {
    if (!name.startsWith('SERVICE_')) continue;
    const key = name.slice('SERVICE_'.length).toLowerCase();
    if (own.has(key)) continue;
    const [, number, rest] = /^(\d+)_(.+)$/s.exec(key) ?? [];
    if (number === undefined || rest === undefined) all.set(key, value);
    else if (Number(number) === port) {
      all.set(rest, value);
      own.add(rest);
    }
  }
  return { all, own };
};

/** The check that the attributes ask for; the first of these that is there. */
const probeOf = (
  all: ReadonlyMap<string, string>,
  { address, port }: { address: string; port: number },
  container: string,
): CheckProbe | null => {
  const of = (key: string): string | undefined => all.get(key) || undefined;
  const host = address.includes(':') ? `[${address}]` : address;
  const filled = (text: string): string =>
    text.replaceAll('$SERVICE_IP', address).replaceAll('$SERVICE_PORT', String(port));
  const every = { interval: of('check_interval') ?? '10s', timeout: of('check_timeout') };
  const common = { status: of('check_initial_status'), deregistercriticalserviceafter: of('check_deregister_after') };
  const web = (scheme: string, path: string): CheckProbe => ({
    http: `${scheme}://${host}:${port}${path}`,
    method: of('check_http_method'),
    ...every,
    ...common,
  });
  const [http, https, cmd, script] = [of('check_http'), of('check_https'), of('check_cmd'), of('check_script')];
  if (http !== undefined) return web('http', http);
  if (https !== undefined) return web('https', https);
  if (cmd !== undefined) return { args: ['check-cmd', container.slice(0, 12), String(port), cmd], ...every, ...common };
  // Words, not a shell's line: what they begin with is run by Consul itself, where its admin allows scripts.
  if (script !== undefined) return { args: filled(script).trim().split(/\s+/), ...every, ...common };
  const ttl = of('check_ttl');
  if (ttl !== undefined) return { ttl, ...common };
  if (of('check_tcp') !== undefined) return { tcp: `${host}:${port}`, ...every, ...common };
  return of('check_grpc') === undefined ? null : { grpc: `${host}:${port}`, ...every, ...common };
};

/** `mysql` of `registry:5000/team/mysql:8`. */
export const imageName = (image: string): string => (image.split('/').at(-1) ?? '').split(/[:@]/)[0] ?? '';

export interface HostIdentity {
  host: string;
  /** Address at which others reach this host; empty: that of the Consul node. */
  address: string;
}

/** An address that means every address of the host says nothing to others. */
const reachable = (address: string, own: string): string => (address === '0.0.0.0' || address === '::' ? own : address);

const published = (port: PublishedPort): port is PublishedPort & { host: { address: string; port: number } } =>
  port.host !== null;

/** The services of a container: one for each published port that is not ignored. */
export const registratorServices = (facts: ContainerFacts, { host, address: own }: HostIdentity): ServiceRecord[] => {
  const ports = facts.ports.filter(published);
  return ports.flatMap(({ exposed, protocol, host: at }): ServiceRecord[] => {
    const { all, own: ofPort } = attributes(facts, exposed);
    if (all.get('ignore')) return [];
    const named = all.get('name') || imageName(facts.image);
    const name = ports.length > 1 && !ofPort.has('name') ? `${named}-${exposed}` : named;
    const udp = protocol === 'udp';
    const id = all.get('id') || `${host}:${facts.name}:${exposed}${udp ? ':udp' : ''}`;
    const tags = [...tagsIn(all.get('tags') ?? ''), ...(udp ? ['udp'] : [])];
    const address = reachable(at.address, own);
    const probe = probeOf(all, { address: address === '' ? '127.0.0.1' : address, port: at.port }, facts.id);
    const meta = Object.fromEntries([...all].filter(([key]) => !['id', 'tags', 'name'].includes(key)));
    return [
      {
        id,
        name,
        address,
        port: at.port,
        tags,
        meta: { ...meta, [hostMeta]: host },
        status: 'passing',
        output: '',
        probe: probe ?? 'none',
      },
    ];
  });
};
