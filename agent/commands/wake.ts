import { appUnit, openedMark, siteUnit } from '../core/names.ts';
import type { ActiveState } from '../ports.ts';
import { createFleetReader, type Fleet } from '../reconcile/fleet.ts';
import { putToSleep } from '../switchboard/sleep.ts';
import type { Context, ExitCode } from './context.ts';
import { resolveName } from './resolve.ts';
import { unknownName } from './unknown.ts';

/** While systemd restarts or reloads it, a site is neither active nor stopped. */
const isStopped = (facade: ActiveState | undefined): boolean =>
  facade === undefined || facade === 'inactive' || facade === 'failed';

/** Says why a closed member neither wakes nor sleeps. */
const closed = async (context: Context, name: string): Promise<ExitCode> => {
  const opened = (await context.host().files.read(openedMark(name))) !== null;
  context.complain(
    opened
      ? `${name} is stopped; start it with: service ${name} start`
      : `${name} is not applied yet; to see why: appfleet status ${name}`,
  );
  return 1;
};

/** `appfleet wake SITE`: starts its container now and waits until it takes requests. */
export const wakeCommand = async (context: Context, word: string): Promise<ExitCode> => {
  const host = context.host();
  const fleet = await createFleetReader(host.files)();
  const name = resolveName(word, fleet);
  const member = [...fleet.sites, ...fleet.services].find((one) => one.name === name);
  if (member === undefined) return unknownName(context, name, fleet);
  if (member.container === null) {
    context.print(`${name} is static: it has nothing to wake.`);
    return 0;
  }
  const [facade] = await host.units.list([siteUnit(name)]);
  if (isStopped(facade?.active)) return closed(context, name);
  const began = context.steady();
  await host.units.start(appUnit(name));
  context.print(`${name} is awake (${((context.steady() - began) * 1000).toFixed(0)} ms)`);
  return 0;
};

const isUp = (app: ActiveState | undefined): boolean => app !== undefined && app !== 'inactive' && app !== 'failed';

/** Stopping a shared container would stop those that need it, with all that they are doing. */
const usersOf = (name: string, { sites, services }: Fleet, units: ReadonlyMap<string, ActiveState>): string[] =>
  [...sites, ...services]
    .filter((user) => user.container?.needs.includes(name) === true && isUp(units.get(appUnit(user.name))))
    .map((user) => user.name);

/**
 * `appfleet sleep SITE`: puts it to sleep now if nobody uses it. Exit code 0: it sleeps, 1: it stays awake, or is stopped.
 */
export const sleepCommand = async (context: Context, word: string): Promise<ExitCode> => {
  const host = context.host();
  const fleet = await createFleetReader(host.files)();
  const name = resolveName(word, fleet);
  const member = [...fleet.sites, ...fleet.services].find((one) => one.name === name);
  if (member === undefined) return unknownName(context, name, fleet);
  if (member.container === null) {
    context.print(`${name} is static: it has nothing that could sleep.`);
    return 0;
  }
  const units = new Map((await host.units.list(['*.service'])).map((unit) => [unit.name, unit.active]));
  const stays = (because: string): ExitCode => {
    context.complain(`${name} was not put to sleep: ${because}`);
    return 1;
  };
  if (isStopped(units.get(siteUnit(name)))) return closed(context, name);
  if (member.idleSeconds === 'never')
    return stays(`idle is never (${member.file}), so it would be started again; to stop it: service ${name} stop`);
  if (!isUp(units.get(appUnit(name)))) {
    context.print(`${name} is asleep`);
    return 0;
  }
  if (fleet.services.some((service) => service.name === name)) {
    const users = usersOf(name, fleet, units);
    if (users.length > 0)
      return stays(
        `${users.join(', ')} ${users.length === 1 ? 'is' : 'are'} awake and need${users.length === 1 ? 's' : ''} it`,
      );
    await host.units.stop(appUnit(name));
  } else {
    const outcome = await putToSleep(host, name);
    if (!outcome.asleep) return stays(outcome.because);
  }
  context.print(`${name} is asleep`);
  return 0;
};
