import { appUnit, siteUnit } from '../core/names.ts';
import type { ActiveState } from '../ports.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import { putToSleep } from '../switchboard/sleep.ts';
import type { Context, ExitCode } from './context.ts';
import { resolveName } from './resolve.ts';
import { unknownName } from './unknown.ts';

/** While systemd restarts or reloads it, a site is neither active nor stopped. */
const isStopped = (facade: ActiveState | undefined): boolean =>
  facade === undefined || facade === 'inactive' || facade === 'failed';

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
  if (isStopped(facade?.active)) {
    context.complain(`${name} is stopped; start it with: service ${name} start`);
    return 1;
  }
  const began = context.steady();
  await host.units.start(appUnit(name));
  context.print(`${name} is awake (${((context.steady() - began) * 1000).toFixed(0)} ms)`);
  return 0;
};

/** `appfleet sleep SITE`: puts it to sleep now if nobody uses it. Exit code 0: it sleeps, 1: it stays awake, or is stopped. */
export const sleepCommand = async (context: Context, word: string): Promise<ExitCode> => {
  const host = context.host();
  const fleet = await createFleetReader(host.files)();
  const name = resolveName(word, fleet);
  const site = fleet.sites.find((one) => one.name === name);
  const service = fleet.services.find((one) => one.name === name);
  if (service !== undefined) {
    await host.units.stop(appUnit(name));
    context.print(`${name} is asleep`);
    return 0;
  }
  if (site === undefined) return unknownName(context, name, fleet);
  if (site.container === null) {
    context.print(`${name} is static: it has nothing that could sleep.`);
    return 0;
  }
  const units = new Map(
    (await host.units.list([siteUnit(name), appUnit(name)])).map((unit) => [unit.name, unit.active]),
  );
  if (isStopped(units.get(siteUnit(name)))) {
    context.complain(`${name} is stopped; start it with: service ${name} start`);
    return 1;
  }
  if (['inactive', 'failed', undefined].includes(units.get(appUnit(name)))) {
    context.print(`${name} is asleep`);
    return 0;
  }
  const outcome = await putToSleep(host, name);
  if (outcome.asleep) context.print(`${name} is asleep`);
  else context.complain(`${name} was not put to sleep: ${outcome.because}`);
  return outcome.asleep ? 0 : 1;
};
