/**
 * What the daemon tells Consul and takes from it, and when. Without a section [consul] in the settings nothing of it is loaded; a section that
 * changes, or goes, takes the records out of the Consul that had them.
 */
import type { Log } from '../adapters/journal.ts';
import type { Mirror } from '../consul/mirror.ts';
import type { Values } from '../consul/values.ts';
import { environmentFolder } from '../core/consul-env.ts';
import { restartLock } from '../core/consul-names.ts';
import { appUnit, siteUnit, socketUnit } from '../core/names.ts';
import type { ConsulSettings } from '../core/spec.ts';
import { messageOf } from '../errors.ts';
import { systemTimers } from '../net/timers.ts';
import type { Host } from '../ports.ts';
import type { Fleet } from '../reconcile/fleet.ts';
import type { Context } from './context.ts';

export interface Mirroring {
  /** After each pass. Never throws, and waits for nothing. */
  passed(fleet: Fleet): void;
  stop(): Promise<void>;
}

const secondLookMs = 500;

interface Begun {
  mirror: Mirror;
  values: Values;
  /** Ends all that makes work for the two. */
  end: () => void;
}

/** Members by each of their units. */
const membersByUnit = ({ sites, services }: Fleet): Map<string, string> =>
  new Map(
    [...sites, ...services].flatMap(({ name }) =>
      [siteUnit(name), socketUnit(name), appUnit(name)].map((unit) => [unit, name] as const),
    ),
  );

export const createMirroring = (
  host: Host,
  context: Pick<Context, 'consul' | 'version'>,
  log: Pick<Log, 'info' | 'warn'>,
  pass: () => Promise<unknown>,
): Mirroring => {
  let asked = 'null';
  let begun: Promise<Begun | null> = Promise.resolve(null);
  let last: Fleet | null = null;
  let byUnit = new Map<string, string>();

  const begin = async (settings: ConsulSettings): Promise<Begun> => {
    const { createMirror } = await import('../consul/mirror.ts');
    const { createValues } = await import('../consul/values.ts');
    const { createOthers } = await import('../consul/others.ts');
    const { createLook } = await import('../consul/look.ts');
    const { consul, containers, hostName } = await context.consul(settings);
    const identity = { host: hostName, version: context.version, consul: settings };
    const look = createLook(host, containers);
    const lines = { info: (line: string) => log.info(line), warn: (line: string) => log.warn(line) };
    const { registrator, kvSet, fleetstreet } = settings;
    const asked = registrator || kvSet || fleetstreet !== 'off';
    const others = asked ? createOthers(consul, containers, hostName, settings, lines) : null;
    const mirror = createMirror({ consul, look, others, identity, timers: systemTimers, log: lines });
    const values = createValues({
      consul,
      files: host.files,
      folder: environmentFolder(settings.kvPrefix),
      lockKey: restartLock(settings.kvPrefix),
      pass,
      log: lines,
    });
    const everything = (): void => {
      if (last !== null) mirror.passed(last);
    };
    const unwatchUnits = await host.units.watch((unit) => {
      const name = unit === null ? undefined : byUnit.get(unit);
      if (unit === null) everything();
      else if (name !== undefined) mirror.changed(name);
    });
    const unwatchContainers = host.containers.watch(({ site }) => {
      if (site === null) return everything();
      mirror.changed(site);
      // systemd has no job for a container that ended by itself, so nobody says when it has noticed.
      systemTimers.after(secondLookMs, () => mirror.changed(site));
    });
    const unwatchOthers =
      others === null
        ? () => undefined
        : containers.watch((event) => {
            everything();
            if (event?.action === 'start') void others.started(event.id);
          });
    return {
      mirror,
      values,
      end: () => {
        values.stop();
        unwatchUnits();
        unwatchContainers();
        unwatchOthers();
      },
    };
  };

  const end = async (retract: boolean): Promise<void> => {
    const running = await begun;
    running?.end();
    await running?.mirror.stop(retract);
  };

  const change = (settings: ConsulSettings | null): void => {
    begun = end(true)
      .then(() => (settings === null ? null : begin(settings)))
      .catch((error: unknown) => {
        log.warn(`Consul is not told anything: ${messageOf(error)}`);
        // The next pass tries again.
        asked = '';
        return null;
      });
  };

  return {
    passed: (fleet) => {
      last = fleet;
      const { consul } = fleet.settings;
      const now = JSON.stringify(consul);
      if (now !== asked) {
        asked = now;
        change(consul);
      }
      if (consul === null) return;
      byUnit = membersByUnit(fleet);
      const names = new Set([...fleet.sites, ...fleet.services].map(({ name }) => name).concat([...fleet.keep]));
      void begun.then((running) => {
        running?.mirror.passed(fleet);
        running?.values.wants(names);
      });
    },
    // The agent may be back in a second: what it registered stays, and turns critical after its TTL if it is not.
    stop: () => end(false),
  };
};
