/**
 * When sites fall asleep. Activity is a connection to the container: connect(2) touches the access time of app.sock, and
 * /proc/net/unix shows what is open. Both outlive the agent.
 */
import { appSocket, appUnit } from '../core/names.ts';
import type { ServiceSpec, SiteSpec } from '../core/spec.ts';
import type { Host } from '../ports.ts';
import { openConnections } from './connections.ts';
import { putToSleep, type SleepOutcome } from './sleep.ts';

export interface IdleWatch {
  /**
   * One round: begins to put to sleep what nobody used for its idle time. Never throws for one site, and does not wait for
   * the containers to end: one that takes its time keeps no other awake.
   */
  round(sites: readonly SiteSpec[], services: readonly ServiceSpec[]): Promise<void>;
}

export interface IdleEvents {
  slept: (name: string, outcome: SleepOutcome, idleSeconds: number) => void;
  failed: (name: string, error: unknown) => void;
}

/** `steady` gives seconds on a clock that nobody sets: moving the wall clock puts nobody to sleep. */
export const createIdleWatch = (host: Host, steady: () => number, events: IdleEvents): IdleWatch => {
  /** When a site was last seen in use or just awake, on the steady clock; a clock that is set must put nobody to sleep. */
  const seen = new Map<string, { access: number; at: number }>();

  /** Seconds since the last sign of use; a site that is seen for the first time counts as used just now. */
  const idleFor = (name: string, access: number, open: boolean): number => {
    const last = seen.get(name);
    if (last === undefined || open || access !== last.access) seen.set(name, { access, at: steady() });
    return steady() - (seen.get(name)?.at ?? steady());
  };

  /** Who is being put to sleep right now. */
  const falling = new Set<string>();

  const attempt = (name: string, idle: number, sleep: () => Promise<SleepOutcome>): void => {
    falling.add(name);
    void sleep()
      .then((outcome) => {
        if (!outcome.asleep) seen.delete(name);
        events.slept(name, outcome, idle);
      })
      .catch((error: unknown) => events.failed(name, error))
      .finally(() => falling.delete(name));
  };

  /** Access time of a site's socket; null when there is none, or when it cannot be told. */
  const lastAccess = async (name: string): Promise<number | null> => {
    try {
      return await host.files.lastAccess(appSocket(name));
    } catch (error) {
      events.failed(name, error);
      return null;
    }
  };

  return {
    round: async (sites, services) => {
      const units = new Map((await host.units.list(['*-app.service'])).map(({ name, active }) => [name, active]));
      const connections = await openConnections(host.files);
      const awake = (name: string): boolean => units.get(appUnit(name)) === 'active' && !falling.has(name);
      for (const name of seen.keys()) if (!awake(name)) seen.delete(name);
      for (const { name, idleSeconds } of sites) {
        if (idleSeconds === 'never' || !awake(name)) continue;
        const access = await lastAccess(name);
        if (access === null) continue;
        const idle = idleFor(name, access, (connections.get(appSocket(name)) ?? 0) > 0);
        if (idle >= idleSeconds) attempt(name, idle, () => putToSleep(host, name));
      }
      for (const { name, idleSeconds } of services) {
        if (idleSeconds === 'never' || !awake(name)) continue;
        const users = [...sites, ...services].filter(
          (user) => user.container?.needs.includes(name) === true && units.get(appUnit(user.name)) !== undefined,
        );
        const inUse = users.some((user) => !['inactive', 'failed'].includes(units.get(appUnit(user.name)) ?? ''));
        const idle = idleFor(name, 0, inUse);
        if (idle >= idleSeconds)
          attempt(name, idle, async () => {
            await host.units.stop(appUnit(name));
            return { asleep: true };
          });
      }
    },
  };
};
