/** What makes the daemon look at the host at once. These are hints: whatever they miss, the pass of the interval finds. */
import { watch as watchFolder } from 'node:fs';
import type { Log } from '../adapters/journal.ts';
import { appUnit, paths } from '../core/names.ts';
import { messageOf } from '../errors.ts';
import type { Host } from '../ports.ts';
import type { Loop } from '../reconcile/loop.ts';
import type { Report } from '../reconcile/reconcile.ts';

const folders = [paths.config, paths.sites, paths.services, paths.snippets];

/** Triggers passes until the returned function is called. `last` is the report of the last pass. */
export const watchHost = async (
  host: Host,
  loop: Pick<Loop, 'trigger'>,
  last: () => Report | null,
  log: Log,
): Promise<() => void> => {
  const watchers = folders.flatMap((folder) => {
    try {
      return [
        watchFolder(folder, (_event, name) => loop.trigger(`${folder}/${name ?? ''}`)).on('error', () => undefined),
      ];
    } catch {
      return [];
    }
  });
  const unwatchContainers = host.containers.watch(({ site, action }) => {
    if (site === null) return loop.trigger('docker is back');
    if (action !== 'start') return;
    void host.units
      .list([appUnit(site)])
      .then(([unit]) => {
        if (unit === undefined || unit.active === 'inactive' || unit.active === 'failed')
          loop.trigger(`container ${site} was started by hand`);
      })
      .catch(() => loop.trigger(`container ${site} started`));
  });
  // Somebody built, loaded or pulled what a site waits for.
  const unwatchImages = host.containers.watchImages(() => {
    const waits = last()?.results.some(({ step, outcome }) => step.kind === 'pull-image' && outcome !== 'done');
    if (waits === true) loop.trigger('an image came');
  });
  const unwatchUnits = await host.units
    .watch((unit) => {
      if (unit === null) return loop.trigger('the bus is back');
      const members = [...(last()?.fleet.sites ?? []), ...(last()?.fleet.services ?? [])];
      const concerned = members.some(
        ({ name, idleSeconds, container }) =>
          unit === `${name}.socket` || (idleSeconds === 'never' && container !== null && unit.startsWith(name)),
      );
      if (concerned) loop.trigger(unit);
    })
    .catch((error: unknown) => {
      log.warn(`systemd cannot be watched now: ${messageOf(error)}`);
      return () => undefined;
    });
  return () => {
    for (const watcher of watchers) watcher.close();
    unwatchContainers();
    unwatchImages();
    unwatchUnits();
  };
};
