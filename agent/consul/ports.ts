/** What we need from Consul and of all containers of the host, in our own words. */
import type { ConsulChange, ObservedRecords } from '../core/consul-plan.ts';
import type { CheckStatus } from '../core/consul-records.ts';
import type { ContainerFacts } from '../core/container-facts.ts';

export type KeyChange = Extract<ConsulChange, { kind: 'put' | 'delete' }>;

/** A Consul agent. Everything throws AF_CONSUL, within seconds, when it does not do what it is asked. */
export interface Consul {
  /** Where it is, for messages. */
  readonly place: string;
  /** All services of this agent and all keys below some folders. */
  observe(folders: readonly string[]): Promise<ObservedRecords>;
  /** The address that the Consul node shows to others. */
  address(): Promise<string>;
  /** Writes a key for somebody else, without our flag; with `onlyIfAbsent` it stays what it is where it is there already. */
  setKey(key: string, value: string, onlyIfAbsent: boolean): Promise<void>;
  register(change: Extract<ConsulChange, { kind: 'register' }>, ttlSeconds: number): Promise<void>;
  /** Absent is fine. */
  deregister(id: string): Promise<void>;
  /** Says the state of a service of ours, which also counts as a sign of life. False when Consul does not know it. */
  report(id: string, status: CheckStatus, output: string): Promise<boolean>;
  /** All or none of each 64; keys are written with our flag. */
  writeKeys(changes: readonly KeyChange[]): Promise<void>;
  /** Meta and worst check of every instance of a service in the whole datacenter. */
  instances(service: string): Promise<{ meta: Readonly<Record<string, string>>; passing: boolean }[]>;
  /** The values below a folder, by the rest of their keys. */
  values(folder: string): Promise<Map<string, Uint8Array>>;
  /**
   * Calls back with them at once, after each change, and whenever Consul came back; with words when it cannot be asked, which
   * it goes on trying. One connection, whatever the number of keys.
   */
  watch(
    folder: string,
    onValues: (values: Map<string, Uint8Array>) => void,
    onTrouble: (message: string) => void,
  ): () => void;
  /**
   * Waits until we alone hold the lock, for so long at most. Consul takes it back by itself when we die. Throws AF_CONSUL when
   * others keep it.
   */
  lock(key: string, waitMs: number): Promise<{ release(): Promise<void> }>;
  /** Next calls read token and certificates again and open new connections. */
  reopen(): void;
  close(): void;
}

/** A container that runs, ours or not, as Docker lists it. */
export interface RunningContainerState {
  name: string;
  /** Its first address in Docker's networks; null when it has none. */
  address: string | null;
  health: 'starting' | 'healthy' | 'unhealthy' | null;
}

export interface ContainerView {
  /** All containers of the host that run. Throws AF_DOCKER. */
  running(): Promise<RunningContainerState[]>;
  /** The same with all that Docker says of each; what did not change is not asked for again. Throws AF_DOCKER. */
  facts(): Promise<ContainerFacts[]>;
  /** Calls back for each container that started, ended or got another name, and with null when the stream (re)opened. */
  watch(onChange: (event: { id: string; action: 'start' | 'die' | 'rename' } | null) => void): () => void;
}
