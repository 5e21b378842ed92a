/** What our records in Consul are called: ids of services, keys, and DNS labels made from domains. */
import { sha256 } from './hash.ts';

/** On every service that we registered, with this host's name: nothing without it is changed or removed. */
export const hostMeta = 'appfleet-host';

const longestLabel = 63;

/** A name as one DNS label (RFC 1123): `example.org` becomes `example-org`; what had to be cut ends in a part of its hash. */
export const dnsLabel = (name: string): string => {
  const label = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  if (label !== '' && label.length <= longestLabel) return label;
  return `${label.slice(0, longestLabel - 13)}-${sha256(name).slice(0, 12)}`.replace(/^-/, '');
};

/** Id of the agent's own service: its check is this host's sign of life. */
export const agentId = (host: string): string => `appfleet:${host}`;
/** Id of the front of a site, or of a shared container. */
export const frontId = (host: string, name: string): string => `appfleet:${host}:${name}`;
/** Id of a site's container while it runs. */
export const containerId = (host: string, name: string): string => `appfleet:${host}:${name}:container`;
/** Id of the one check of a service of ours. */
export const checkId = (serviceId: string): string => `service:${serviceId}`;

/** Service of the agents themselves, one on each host. */
export const agentService = (servicePrefix: string): string => dnsLabel(`${servicePrefix}appfleet`);

/** Records of all hosts, with the slash at the end. */
export const hostsFolder = (prefix: string): string => `${prefix}/hosts/`;
/** All records of a host, with the slash at the end. */
export const hostFolder = (prefix: string, host: string): string => `${hostsFolder(prefix)}${host}/`;
/** Record of a site or shared container. */
export const recordKey = (prefix: string, host: string, kind: 'site' | 'service', name: string): string =>
  `${hostFolder(prefix, host)}${kind}s/${name}`;

/** Held by the host that restarts sites because their variables changed. */
export const restartLock = (prefix: string): string => `${prefix}/locks/restart`;

/** On every key that we wrote (KV flags are a number of the writer's own): "appf". */
export const keyFlag = 0x61707066;
