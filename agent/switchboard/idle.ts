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
  /** One round: puts to sleep what nobody used for its idle time. Never throws for one site. */
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

  const attempt = async (name: string, idle: number, sleep: () => Promise<SleepOutcome>): Promise<void> => {
    try {
      const outcome = await sleep();
      if (!outcome.asleep) seen.delete(name);
      events.slept(name, outcome, idle);
    } catch (error) {
      events.failed(name, error);
    }
  };

  return {
    round: async (sites, services) => {
      const units = new Map((await host.units.list(['*-app.service'])).map(({ name, active }) => [name, active]));
      const connections = openConnections();
      const awake = (name: string): boolean => units.get(appUnit(name)) === 'active';
      for (const name of seen.keys()) if (!awake(name)) seen.delete(name);
      for (const { name, idleSeconds } of sites) {
        if (idleSeconds === 'never' || !awake(name)) continue;
        const socket = appSocket(name);
        const access = await host.files.lastAccess(socket);
        if (access === null) continue;
        const idle = idleFor(name, access, (connections.get(socket) ?? 0) > 0);
        if (idle >= idleSeconds) await attempt(name, idle, () => putToSleep(host, name));
      }
      for (const { name, idleSeconds } of services) {
        if (idleSeconds === 'never' || !awake(name)) continue;
        const users = [...sites, ...services].filter(
          (user) => user.container?.needs.includes(name) === true && units.get(appUnit(user.name)) !== undefined,
        );
        const inUse = users.some((user) => !['inactive', 'failed'].includes(units.get(appUnit(user.name)) ?? ''));
        const idle = idleFor(name, 0, inUse);
        if (idle >= idleSeconds)
          await attempt(name, idle, async () => {
            await host.units.stop(appUnit(name));
            return { asleep: true };
          });
      }
    },
  };
};
