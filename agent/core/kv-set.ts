/**
 * The words of docker-plugin-kv-consul: `KV_SET:key=value` among a container's variables and labels puts a key into Consul when
 * the container starts; `KV_SET:key?=value` only where there is none. Nothing is ever removed for it.
 */
import { type ContainerFacts, wordsOf } from './container-facts.ts';
import { type HostIdentity, imageName, registratorServices } from './registrator.ts';

export interface KeySetting {
  key: string;
  value: string;
  /** It stays what it is where it is there already. */
  onlyIfAbsent: boolean;
}

type Setting = KeySetting | { wrong: string };

/** What `#<NAME>#` stands for; null when nobody knows such a name. */
const placeholder = (name: string, facts: ContainerFacts, identity: HostIdentity): string | null => {
  const services = registratorServices(facts, identity);
  const ports = facts.ports.filter(({ host }) => host !== null);
  const ofPort = (port: number) => services.find((_, index) => ports[index]?.exposed === port);
  const [, port = '', what] = /^SERVICE_(\d+)_(NAME|ID)$/.exec(name) ?? [];
  if (what !== undefined) return (what === 'NAME' ? ofPort(Number(port))?.name : ofPort(Number(port))?.id) ?? null;
  const [, exposed] = /^HOST_(\d+)_PORT$/.exec(name) ?? [];
  const hostPort = (found: (typeof ports)[number] | undefined): string | null =>
    found?.host == null ? null : String(found.host.port);
  if (exposed !== undefined) return hostPort(ports.find((one) => one.exposed === Number(exposed)));
  switch (name) {
    case 'IMAGE_NAME':
      return imageName(facts.image);
    case 'IMAGE_ID':
      return facts.imageId;
    case 'CONTAINER_NAME':
      return facts.name;
    case 'CONTAINER_ID':
      return facts.id;
    case 'IP_ADDRESS':
      return facts.address;
    case 'HOSTNAME':
      return identity.host;
    case 'SERVICE_NAME':
      return services[0]?.name ?? null;
    case 'SERVICE_ID':
      return services[0]?.id ?? null;
    case 'HOST_PORT':
      return hostPort(ports[0]);
    default:
      return null;
  }
};

const prefix = 'KV_SET:';

/** All that a container asks to set, in its order; `wrong` says of one why it is not done, without its value. */
export const keySettings = (facts: ContainerFacts, identity: HostIdentity): Setting[] =>
  wordsOf(facts).flatMap(([word, text]): Setting[] => {
    if (!word.startsWith(prefix)) return [];
    const onlyIfAbsent = word.endsWith('?');
    const written = word.slice(prefix.length, onlyIfAbsent ? -1 : undefined);
    const unknown: string[] = [];
    const filled = (part: string): string =>
      part.replaceAll(/#(?:<([A-Z0-9_]+)>|jq<[^#]*>)#/g, (whole, name: string | undefined) => {
        const value = name === undefined ? null : placeholder(name, facts, identity);
        if (value === null) unknown.push(whole);
        return value ?? '';
      });
    const [key, value] = [filled(written), filled(text)];
    if (unknown.length > 0) return [{ wrong: `${prefix}${written}: nothing stands for ${unknown.join(', ')}` }];
    if (key === '' || key.startsWith('/') || key.length > 512) return [{ wrong: `${prefix}${written} names no key` }];
    return [{ key, value, onlyIfAbsent }];
  });
