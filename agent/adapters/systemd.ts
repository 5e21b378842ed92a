import { AppFleetError, messageOf } from '../errors.ts';
import { createLimit } from '../net/limit.ts';
import { systemTimers, withDeadline } from '../net/timers.ts';
import type { Timers } from '../net/timers.ts';
import type { ActiveState, ServiceManager, UnitState } from '../ports.ts';
import type { Bus, BusListener, Call } from './bus.ts';
import { jobFailure, verbs } from './job-failure.ts';
import type { JobCall } from './job-failure.ts';
import { createJobs } from './jobs.ts';
import { isBusError } from './wire.ts';

/*
 * INVARIANTS
 * - At most 64 jobs of ours are outstanding, from the call until JobRemoved: PID 1 keeps a match rule for every job of a
 *   client, and beyond 512 of them the bus throws PID 1 out.
 * - A job's promise settles when the job has ended, or with AF_BUS when nobody can tell us any more.
 * - Signals count only when PID 1 sent them: anybody on the bus may send us one that looks alike.
 */

const outstandingJobs = 64;
/** Longer than any start timeout that a site file may ask for; systemd's own limits end a job long before. */
const jobDeadlineMs = 20 * 60_000;
const reloadDeadlineMs = 120_000;

const name = 'org.freedesktop.systemd1';
const managerPath = '/org/freedesktop/systemd1';
const managerInterface = `${name}.Manager`;
const busName = 'org.freedesktop.DBus';
const toBus = { destination: busName, path: '/org/freedesktop/DBus', interface: busName } as const;

const matchRules = [
  `type='signal',sender='${name}',path='${managerPath}',interface='${managerInterface}',member='JobRemoved'`,
  `type='signal',sender='${busName}',interface='${busName}',member='NameOwnerChanged',arg0='${name}'`,
];

/** Object path of a unit: every character but ASCII letters and digits as `_xx`, a digit in the first place too. */
export const unitObjectPath = (unit: string): string => {
  const escaped = [...Buffer.from(unit, 'utf8')].map((byte, index) => {
    const character = String.fromCharCode(byte);
    const plain = index === 0 ? /[A-Za-z]/ : /[A-Za-z0-9]/;
    return plain.test(character) ? character : `_${byte.toString(16).padStart(2, '0')}`;
  });
  return `${managerPath}/unit/${escaped.join('') || '_'}`;
};

const isNotLoaded = (error: unknown): boolean => isBusError(error) && error.type === `${name}.NoSuchUnit`;

/** The bus speaks for PID 1 while that is away or overrun; such trouble passes and says nothing about the unit. */
const isBusTrouble = (error: unknown): boolean =>
  isBusError(error) &&
  /^org\.freedesktop\.DBus\.Error\.(NoReply|NameHasNoOwner|ServiceUnknown|Disconnected|LimitsExceeded|Timeout|TimedOut)$/.test(
    error.type,
  );

/** What the other side answered as an AppFleetError; what is one already stays. */
const refused = (what: string, error: unknown, unit = ''): AppFleetError =>
  error instanceof AppFleetError
    ? error
    : new AppFleetError(isBusTrouble(error) ? 'AF_BUS' : 'AF_UNIT_JOB', `${what}: ${messageOf(error)}`, {
        cause: error,
        hint: `systemctl status ${unit}`.trim(),
      });

/** systemd over its D-Bus interface. */
export const createSystemd = (bus: Bus, timers: Timers = systemTimers): ServiceManager => {
  const limit = createLimit(outstandingJobs);
  const jobs = createJobs();
  const watchers = new Set<(unit: string | null) => void>();
  /** PID 1's unique name on the bus. */
  let owner = '';
  /** Counts the times we lost sight of PID 1: a job started before the last one will never be reported. */
  let era = 0;

  const manager = (member: string, signature = '', body: unknown[] = [], deadlineMs?: number): Promise<unknown[]> =>
    bus.call(
      { destination: name, path: managerPath, interface: managerInterface, member, signature, body },
      deadlineMs,
    );

  const subscribe = async (call: Call): Promise<void> => {
    const [present] = await call({ ...toBus, member: 'GetNameOwner', signature: 's', body: [name] });
    owner = String(present);
    await call({ destination: name, path: managerPath, interface: managerInterface, member: 'Subscribe' }).catch(
      (error: unknown) => {
        if (!isBusError(error) || error.type !== `${name}.AlreadySubscribed`) throw error;
      },
    );
  };

  const abandon = (reason: AppFleetError): void => {
    era += 1;
    owner = '';
    jobs.abandon(reason);
  };

  const tell = (unit: string | null): void => [...watchers].forEach((watcher) => watcher(unit));

  const listener: BusListener = {
    greet: async (call) => {
      for (const rule of matchRules) await call({ ...toBus, member: 'AddMatch', signature: 's', body: [rule] });
      await subscribe(call);
    },
    up: () => tell(null),
    down: abandon,
    signal: (signal) => {
      if (signal.member === 'NameOwnerChanged' && signal.sender === busName && signal.body[0] === name) {
        abandon(new AppFleetError('AF_BUS', 'systemd left the bus', { hint: 'systemctl status' }));
        owner = String(signal.body[2]);
        // It is back, after daemon-reexec for instance, and knows no subscribers.
        if (owner !== '')
          void subscribe(bus.call).then(
            () => tell(null),
            () => bus.reopen(),
          );
      }
      if (signal.member === 'JobRemoved' && signal.sender === owner) {
        const [, path, unit, result] = signal.body;
        jobs.ended(String(path), String(result));
        tell(String(unit));
      }
    },
  };
  bus.listen(listener);

  const job = (call: JobCall, unit: string): Promise<void> =>
    limit(async () => {
      const before = era;
      const [path] = await manager(call, 'ss', [unit, 'replace']).catch((error: unknown) => {
        throw refused(`cannot ${verbs[call]} ${unit}`, error, unit);
      });
      if (era !== before) throw new AppFleetError('AF_BUS', `the bus was lost while ${unit} had a job`);
      const result = await withDeadline(timers, jobDeadlineMs, jobs.result(String(path)), () =>
        jobFailure(call, unit, 'timeout'),
      );
      if (result !== 'done') throw jobFailure(call, unit, result);
    });

  const property = async (unit: string, kind: 'Unit' | 'Service', property: string): Promise<number> => {
    const [variant] = await bus.call({
      destination: name,
      path: unitObjectPath(unit),
      interface: 'org.freedesktop.DBus.Properties',
      member: 'Get',
      signature: 'ss',
      body: [`${name}.${kind}`, property],
    });
    return Number((variant as { value: bigint | number }).value);
  };

  return {
    list: async (patterns) => {
      const [units] = await manager('ListUnitsByPatterns', 'asas', [[], [...patterns]]).catch((error: unknown) => {
        throw refused('cannot list units', error);
      });
      return (units as string[][]).map(([unit, , , active, sub]): UnitState => ({
        name: unit ?? '',
        active: active as ActiveState,
        sub: sub ?? '',
      }));
    },
    detail: async (unit) => {
      const isService = unit.endsWith('.service');
      try {
        const [since, restarts, mainPid] = await Promise.all([
          property(unit, 'Unit', 'StateChangeTimestamp'),
          isService ? property(unit, 'Service', 'NRestarts') : 0,
          isService ? property(unit, 'Service', 'MainPID') : 0,
        ]);
        return { since: since === 0 ? null : since / 1e6, restarts, mainPid };
      } catch (error) {
        throw refused(`cannot read the state of ${unit}`, error, unit);
      }
    },
    start: (unit) => job('StartUnit', unit),
    stop: (unit) =>
      job('StopUnit', unit).catch((error: unknown) => {
        // A unit that nobody ever loaded does not run.
        if (!(error instanceof AppFleetError) || !isNotLoaded(error.cause)) throw error;
      }),
    tryRestart: (unit) => job('TryRestartUnit', unit),
    resetFailed: async (unit) => {
      await manager('ResetFailedUnit', 's', [unit]).catch((error: unknown) => {
        if (!isNotLoaded(error)) throw refused(`cannot reset ${unit}`, error, unit);
      });
    },
    reload: async () => {
      await manager('Reload', '', [], reloadDeadlineMs).catch((error: unknown) => {
        throw refused('systemd cannot read its unit files again', error);
      });
    },
    watch: (onChange) => {
      watchers.add(onChange);
      bus.open();
      return Promise.resolve(() => {
        watchers.delete(onChange);
      });
    },
    close: () => {
      bus.close();
    },
  };
};
