/** What has to be written so that Consul knows what it should. Nothing where nothing differs. */
import { hostMeta } from './consul-names.ts';
import type { CheckStatus, Records, ServiceRecord } from './consul-records.ts';

/** A service as Consul has it; its check is null when it lacks ours. */
export interface ObservedService extends Omit<ServiceRecord, 'status' | 'output' | 'probe'> {
  check: { status: CheckStatus; output: string } | null;
}

export interface ObservedKey {
  text: string;
  /** It carries our flag. */
  ours: boolean;
}

/** All services of the Consul agent, and all keys of this host's folder. */
export interface ObservedRecords {
  services: ReadonlyMap<string, ObservedService>;
  keys: ReadonlyMap<string, ObservedKey>;
}

export type ConsulChange =
  | { kind: 'register'; service: ServiceRecord; isNew: boolean }
  | { kind: 'check'; id: string; status: CheckStatus; output: string }
  | { kind: 'deregister'; id: string }
  | { kind: 'put'; key: string; value: string }
  | { kind: 'delete'; key: string };

const sameMeta = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean => {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
};

const sameService = (wanted: ServiceRecord, found: ObservedService): boolean =>
  wanted.name === found.name &&
  wanted.address === found.address &&
  wanted.port === found.port &&
  wanted.tags.length === found.tags.length &&
  wanted.tags.every((tag, index) => tag === found.tags[index]) &&
  sameMeta(wanted.meta, found.meta);

/**
 * The changes, in the order in which they are made: register, correct checks, retract. `host` is our mark: what Consul has
 * without it is left alone, even under an id or key of ours (then `taken` names it). `mayRemove` says of an id or a key that
 * nobody wants any more whether it goes.
 */
export const planMirror = (
  wanted: Records,
  found: ObservedRecords,
  host: string,
  mayRemove: (what: string) => boolean,
): { changes: ConsulChange[]; taken: string[] } => {
  const changes: ConsulChange[] = [];
  const taken: string[] = [];
  for (const [id, service] of wanted.services) {
    const known = found.services.get(id);
    const { status, output } = service;
    if (known !== undefined && known.meta[hostMeta] !== host) taken.push(id);
    else if (known === undefined || !sameService(service, known))
      changes.push({ kind: 'register', service, isNew: known === undefined });
    else if (service.probe !== 'reported') continue;
    else if (known.check === null) changes.push({ kind: 'register', service, isNew: true });
    else if (known.check.status !== status || known.check.output !== output)
      changes.push({ kind: 'check', id, status, output });
  }
  for (const [key, value] of wanted.keys) {
    const known = found.keys.get(key);
    if (known?.ours === false) taken.push(key);
    else if (known?.text !== value) changes.push({ kind: 'put', key, value });
  }
  for (const [id, { meta }] of found.services)
    if (meta[hostMeta] === host && !wanted.services.has(id) && mayRemove(id)) changes.push({ kind: 'deregister', id });
  for (const [key, { ours }] of found.keys)
    if (ours && !wanted.keys.has(key) && mayRemove(key)) changes.push({ kind: 'delete', key });
  return { changes, taken };
};

/**
 * The same with the name, address and tags under which Consul knows them already, for members whose files cannot be read now:
 * only their state is news.
 */
export const asKnown = (wanted: Records, found: ObservedRecords, ids: ReadonlySet<string>): Records => ({
  keys: wanted.keys,
  services: new Map(
    [...wanted.services].map(([id, service]) => {
      const known = ids.has(id) ? found.services.get(id) : undefined;
      if (known === undefined) return [id, service];
      const { name, address, port, tags } = known;
      const { state } = service.meta;
      const meta = { ...known.meta, ...(state === undefined ? {} : { state }) };
      return [id, { ...service, name, address, port, tags, meta }];
    }),
  ),
});

/** What Consul has once the changes are made. */
export const afterChanges = (found: ObservedRecords, changes: readonly ConsulChange[]): ObservedRecords => {
  const services = new Map(found.services);
  const keys = new Map(found.keys);
  for (const change of changes)
    switch (change.kind) {
      case 'register': {
        const { status, output, probe, ...service } = change.service;
        services.set(service.id, { ...service, check: probe === 'reported' ? { status, output } : null });
        break;
      }
      case 'check': {
        const known = services.get(change.id);
        if (known !== undefined)
          services.set(change.id, { ...known, check: { status: change.status, output: change.output } });
        break;
      }
      case 'deregister':
        services.delete(change.id);
        break;
      case 'put':
        keys.set(change.key, { text: change.value, ours: true });
        break;
      case 'delete':
        keys.delete(change.key);
    }
  return { services, keys };
};
