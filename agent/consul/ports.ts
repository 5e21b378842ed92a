/** What we need from Consul and of all containers of the host, in our own words. */
import type { ConsulChange, ObservedRecords } from '../core/consul-plan.ts';
import type { CheckStatus } from '../core/consul-records.ts';

export type KeyChange = Extract<ConsulChange, { kind: 'put' | 'delete' }>;

/** A Consul agent. Everything throws AF_CONSUL, within seconds, when it does not do what it is asked. */
export interface Consul {
  /** Where it is, for messages. */
  readonly place: string;
  /** All services of this agent and all keys below a folder. */
  observe(folder: string): Promise<ObservedRecords>;
  register(service: Extract<ConsulChange, { kind: 'register' }>['service'], ttlSeconds: number): Promise<void>;
  /** Absent is fine. */
  deregister(id: string): Promise<void>;
  /** Says the state of a service of ours, which also counts as a sign of life. False when Consul does not know it. */
  report(id: string, status: CheckStatus, output: string): Promise<boolean>;
  /** All or none of each 64; keys are written with our flag. */
  writeKeys(changes: readonly KeyChange[]): Promise<void>;
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
}
