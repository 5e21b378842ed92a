/** Records of any container of the host that speaks the words of registrator, kv-consul or fleetstreet; each by its own setting. */
import { fleetstreetFolder, fleetstreetRecord, hostOfRecord } from '../core/fleetstreet.ts';
import { agentId } from '../core/consul-names.ts';
import type { ObservedRecords } from '../core/consul-plan.ts';
import type { Records, ServiceRecord } from '../core/consul-records.ts';
import type { ContainerFacts } from '../core/container-facts.ts';
import { keySettings } from '../core/kv-set.ts';
import { registratorServices } from '../core/registrator.ts';
import type { ConsulSettings } from '../core/spec.ts';
import { inWords } from '../errors.ts';
import type { Consul, ContainerView } from './ports.ts';

export interface Others {
  /** Folders of keys that it shares with other hosts. */
  folders: readonly string[];
  /** What Consul should have for the containers that run. Throws AF_CONSUL; without Docker it says what it said last. */
  records(): Promise<Records>;
  /** In folders that hosts share only what names this host is ours. */
  claim(found: ObservedRecords): ObservedRecords;
  /** A container started: the keys that it asks for are written. Never throws. */
  started(id: string): Promise<void>;
}

const nothing: Records = { services: new Map(), keys: new Map() };

export const createOthers = (
  consul: Pick<Consul, 'address' | 'setKey'>,
  containers: Pick<ContainerView, 'facts'>,
  host: string,
  settings: ConsulSettings,
  log: { warn(line: string): void },
): Others => {
  const { registrator, kvSet, fleetstreet, serviceAddress } = settings;
  const told = new Set<string>();
  let last = nothing;

  const once = (line: string): void => {
    if (!told.has(line)) log.warn(line);
    told.add(line);
  };

  const identity = async () => ({ host, address: serviceAddress ?? (await consul.address()) });

  const recordsFor = (facts: readonly ContainerFacts[], identity: { host: string; address: string }): Records => {
    const services = new Map<string, ServiceRecord>();
    const keys = new Map<string, string>();
    for (const one of facts) {
      for (const service of registrator ? registratorServices(one, identity) : []) {
        const own = `${service.id}:`.startsWith(`${agentId(host)}:`);
        if (own || services.has(service.id)) once(`container ${one.name}: the id ${service.id} is taken`);
        else services.set(service.id, service);
      }
      const record = fleetstreet === 'off' ? null : fleetstreetRecord(one, identity, fleetstreet === 'raw');
      if (record !== null) keys.set(record.key, record.text);
    }
    return { services, keys };
  };

  return {
    folders: fleetstreet === 'off' ? [] : [fleetstreetFolder],
    records: async () => {
      if (!registrator && fleetstreet === 'off') return nothing;
      const who = await identity();
      const facts = await containers.facts().catch(() => null);
      return (last = facts === null ? last : recordsFor(facts, who));
    },
    claim: ({ services, keys }) => ({
      services,
      keys: new Map(
        [...keys].map(([key, { text, ours }]) => [
          key,
          { text, ours: ours && (!key.startsWith(fleetstreetFolder) || hostOfRecord(text) === host) },
        ]),
      ),
    }),
    started: async (id) => {
      if (!kvSet) return;
      try {
        const facts = (await containers.facts()).find((one) => one.id === id);
        if (facts === undefined) return;
        for (const setting of keySettings(facts, await identity()))
          if ('wrong' in setting) once(`container ${facts.name}: ${setting.wrong}`);
          else await consul.setKey(setting.key, setting.value, setting.onlyIfAbsent);
      } catch (error) {
        log.warn(`keys of a container that started are not written: ${inWords(error)}`);
      }
    },
  };
};
