/** How each kind of step is carried out on the host. */
import {
  appSocket,
  appUnit,
  httpSocket,
  openedMark,
  openMark,
  reloadMark,
  runDirectory,
  siteUnit,
  wakeSocket,
} from '../core/names.ts';
import { messageOf } from '../errors.ts';
import type { Host, VhostChanges } from '../ports.ts';
import type { Executors } from './apply.ts';
import { type Beside, besideThePass } from './beside.ts';
import type { certificateExecutors } from './certificates.ts';

/**
 * The executors of one pass; `vhosts` are the changes that its `install-vhosts` step stands for. With `beside` what takes long
 * goes on beside the pass, else within it.
 */
export const createExecutors = (
  host: Host,
  vhosts: VhostChanges,
  onProgress: (line: string) => void,
  beside: Beside | null,
  certificates: ReturnType<typeof certificateExecutors>,
): Executors => {
  let marking: Promise<unknown> | null = null;
  /**
   * Says that systemd has to read its units again. Before the first unit changes and until the reload: a crash in between
   * leaves it, and the next pass reloads. Once for all steps that run side by side: a file has one writer at a time.
   */
  const markUnits = (): Promise<unknown> =>
    (marking ??= host.files.write({ path: reloadMark, text: '\n', mode: 0o644 }));

  const executors: Executors = {
    ...certificates,
    'pull-image': async ({ image, owners }) => {
      try {
        if (beside === null) return void (await host.containers.pull(image, onProgress));
        beside.pulls.begin(image);
        return { for: `image ${image}, which is being pulled` };
      } catch (error) {
        return new Map(owners.map((owner) => [owner, messageOf(error)]));
      }
    },
    'write-file': async ({ file, change }) => {
      if (file.isUnit && change === 'changed') await markUnits();
      await host.files.write(file);
    },
    'write-link': ({ link }) => host.files.link(link.path, link.target),
    'reload-units': async () => {
      await host.units.reload();
      await host.files.remove(reloadMark);
      marking = null;
    },
    open: async ({ owner, unit, wants }) => {
      await host.units.start(unit);
      await host.files.link(wants.path, wants.target);
      await host.files.write({ path: openedMark(owner), text: '\n', mode: 0o644 });
    },
    'start-unit': ({ unit }) => host.units.start(unit),
    'turn-switch': async ({ owner }) => {
      // It may have woken since it was observed.
      const [app] = await host.units.list([appUnit(owner)]);
      if (app === undefined || app.active === 'inactive' || app.active === 'failed')
        await host.files.link(httpSocket(owner), wakeSocket(owner));
      else if (app.active === 'active') await host.files.link(httpSocket(owner), appSocket(owner));
    },
    'mark-open': async ({ owner }) => {
      // It may have been closed since it was observed.
      const [facade] = await host.units.list([siteUnit(owner)]);
      if (facade?.active === 'active') await host.files.write({ path: openMark(owner), text: '', mode: 0o644 });
    },
    'restart-unit': ({ unit }) => host.units.tryRestart(unit),
    'install-vhosts': async () => {
      const refusals = await host.web.install(vhosts);
      return new Map(refusals.map(({ site, message }) => [site, message]));
    },
    'reload-web': () => host.web.reload(),
    'stop-unit': ({ unit }) => host.units.stop(unit),
    'remove-container': ({ container }) => host.containers.remove(container),
    'remove-file': async ({ path, isUnit }) => {
      if (isUnit) await markUnits();
      await host.files.remove(path);
    },
    // Whatever the site's programs left in it.
    'remove-run': ({ owner }) => host.files.removeTree(runDirectory(owner)),
    'remove-folder': ({ path }) => host.files.remove(path),
  };
  return beside === null ? executors : besideThePass(executors, beside.works);
};
