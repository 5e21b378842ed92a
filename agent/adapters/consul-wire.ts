/** What we use of the package `consul`, typed by what it does rather than by its own types, which are wrong in places. */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { CheckProbe } from '../core/consul-records.ts';
import type { ConsulSettings } from '../core/spec.ts';

export interface AgentServiceAnswer {
  ID: string;
  Service: string;
  Tags: string[] | null;
  Meta: Record<string, string> | null;
  Port: number;
  Address: string;
}

export interface AgentCheckAnswer {
  CheckID: string;
  Status: string;
  Output: string;
}

export interface KeyAnswer {
  Key: string;
  Flags: number;
  /** Null for an empty value. */
  Value: Buffer | null;
}

export interface KeyOperation {
  KV: { Verb: 'set' | 'delete'; Key: string; Value?: string; Flags?: number };
}

export interface ServiceBody {
  id: string;
  name: string;
  address: string;
  port: number;
  tags: readonly string[];
  meta: Readonly<Record<string, string>>;
  check?: ({ ttl: string; status: string } | CheckProbe) & { checkid: string; name: string };
}

/** Options of a blocking query are the package's own business. */
export interface KeyQuery {
  key: string;
  recurse: true;
  buffer: true;
}

export interface WireWatch {
  on(event: 'change', listener: (keys: KeyAnswer[] | undefined) => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  end(): void;
}

export interface Wire {
  agent: {
    self(): Promise<{ Member: { Addr: string } }>;
    services(): Promise<Record<string, AgentServiceAnswer>>;
    checks(): Promise<Record<string, AgentCheckAnswer>>;
    service: { register(body: ServiceBody): Promise<void>; deregister(id: string): Promise<void> };
    check: Record<'pass' | 'warn' | 'fail', (options: { id: string; note: string }) => Promise<void>>;
  };
  health: {
    service(options: {
      service: string;
    }): Promise<{ Service: { Meta: Record<string, string> | null }; Checks: { Status: string }[] }[]>;
  };
  kv: {
    /** Undefined when there is nothing. */
    get(options: KeyQuery): Promise<KeyAnswer[] | undefined>;
    /** True when it was done; undefined, not false, when somebody else holds the key. */
    set(options: { key: string; value: string; acquire?: string; cas?: string }): Promise<boolean | undefined>;
  };
  session: {
    create(options: { name: string; ttl: string; lockdelay: string; behavior: 'delete' }): Promise<{ ID: string }>;
    renew(id: string): Promise<unknown>;
    destroy(id: string): Promise<unknown>;
  };
  watch(options: { method: Wire['kv']['get']; options: KeyQuery & { wait: string } }): WireWatch;
  transaction: { create(operations: readonly KeyOperation[]): Promise<unknown> };
  destroy(): void;
}

export interface Secrets {
  token: string | null;
  ca: string | null;
  certificate: { cert: string; key: string } | null;
}

/** Loads the package and makes a client; nothing is asked yet. */
export const openWire = async (
  { address, datacenter }: ConsulSettings,
  { token, ca, certificate }: Secrets,
  timeoutMs: number,
  sockets: number,
): Promise<Wire> => {
  const { default: loaded } = await import('consul');
  const Client = loaded as unknown as new (options: object) => Wire;
  const pool = { keepAlive: true, maxSockets: sockets };
  const defaults = { ...(token === null ? {} : { token }), ...(datacenter === null ? {} : { dc: datacenter }) };
  if (address.kind === 'unix') {
    const agent = new HttpAgent(pool);
    return new Client({ baseUrl: 'http://consul/v1', socketPath: address.path, agent, defaults, timeout: timeoutMs });
  }
  const name = address.host.includes(':') ? `[${address.host}]` : address.host;
  const trust = { ...(ca === null ? {} : { ca }), ...certificate };
  const agent = address.kind === 'https' ? new HttpsAgent({ ...pool, ...trust }) : new HttpAgent(pool);
  return new Client({ baseUrl: `${address.kind}://${name}:${address.port}/v1`, agent, defaults, timeout: timeoutMs });
};
