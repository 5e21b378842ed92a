import {
  appSocket,
  appUnit,
  httpSocket,
  openMark,
  siteUnit,
  socketUnit,
  startDirectory,
  unitPath,
  wakeSocket,
} from '../../agent/core/names.ts';
import { AppFleetError } from '../../agent/errors.ts';
import { createFakeHost, type FakeHost } from '../fakes/host.ts';

export interface LivingHost extends FakeHost {
  /** Every change of the host, in order: what crossed the ports. */
  changes: string[];
  /** Images that a registry has. */
  registry: Set<string>;
  /** Paths that cannot be read, with the reason. */
  unreadable: Map<string, string>;
  /** Units that systemd has in memory as they are no more on disk. */
  staleUnits(): string[];
}

const nameOf = (unit: string): string => unit.replace(/(-app)?\.(service|socket)$/, '');

/** The fake host with units that mean something: what systemd, units/launch and Docker do when a unit starts or stops. */
export const createLivingHost = (): LivingHost => {
  const fake = createFakeHost();
  const { disk, links, active, docker, images, brokenUnits, accessed } = fake;
  const changes: string[] = [];
  const registry = new Set<string>();
  const unreadable = new Map<string, string>();
  const writing = new Set<string>();
  const loaded = new Map<string, string>();

  const launch = (name: string, key: string): string =>
    new RegExp(`^${key}=(.*)$`, 'm').exec(disk.get(`${startDirectory(name)}/launch`) ?? '')?.[1] ?? '';
  const isUp = (unit: string): boolean => active.get(unit) === 'active';
  const refuse = (verb: string, unit: string): never => {
    throw new AppFleetError('AF_UNIT_JOB', `cannot ${verb} ${unit}: it failed (failed)`);
  };

  const start = (unit: string): void => {
    const name = nameOf(unit);
    const text = disk.get(unitPath(unit));
    if (text === undefined || brokenUnits.has(unit)) return refuse('start', unit);
    if (!loaded.has(unit)) loaded.set(unit, text);
    if (isUp(unit)) return;
    if (unit === appUnit(name)) {
      for (const [, need = ''] of text.matchAll(/^BindsTo=(.*)$/gm)) start(need);
      if (launch(name, 'kind') === 'service' && !disk.has(openMark(name))) return refuse('start', unit);
      if (!images.has(launch(name, 'image'))) return refuse('start', unit);
      docker.set(name, {
        name,
        site: name,
        spec: launch(name, 'spec'),
        running: true,
        paused: false,
        imageId: launch(name, 'image'),
        memory: 1,
      });
      if (launch(name, 'kind') === 'site') {
        accessed.set(appSocket(name), 0);
        links.set(httpSocket(name), appSocket(name));
      }
    }
    if (unit === socketUnit(name)) {
      accessed.set(wakeSocket(name), 0);
      links.set(httpSocket(name), wakeSocket(name));
    }
    active.set(unit, 'active');
    if (unit !== siteUnit(name)) return;
    if (launch(name, 'kind') !== 'site') disk.set(openMark(name), '');
    for (const [, want = ''] of text.matchAll(/^Wants=(.*)$/gm))
      try {
        start(want);
      } catch {
        // Wants= is a wish.
      }
    if (launch(name, 'start') === 'now') start(appUnit(name));
  };

  const stop = (unit: string): void => {
    const name = nameOf(unit);
    if (brokenUnits.has(unit)) return refuse('stop', unit);
    if (!isUp(unit)) return;
    active.set(unit, 'inactive');
    if (unit === siteUnit(name)) {
      disk.delete(openMark(name));
      stop(socketUnit(name));
      stop(appUnit(name));
    } else if (unit === socketUnit(name)) {
      accessed.delete(wakeSocket(name));
      links.delete(httpSocket(name));
    } else {
      for (const [path, text] of disk)
        if (path.startsWith('/etc/systemd/system/') && text.includes(`BindsTo=${unit}\n`)) stop(path.slice(20));
      const container = docker.get(name);
      if (container !== undefined) container.running = false;
      if (accessed.has(wakeSocket(name))) links.set(httpSocket(name), wakeSocket(name));
      else links.delete(httpSocket(name));
    }
  };

  const did = async (what: string, work: () => void): Promise<void> => {
    changes.push(what);
    await Promise.resolve();
    work();
  };
  const { files, web } = fake;
  const host: LivingHost = Object.assign(fake, {
    changes,
    registry,
    unreadable,
    staleUnits: () => [...loaded].filter(([unit, text]) => disk.get(unitPath(unit)) !== text).map(([unit]) => unit),
  });
  host.files = {
    ...files,
    stamp: (path) => (unreadable.has(path) ? Promise.resolve(null) : files.stamp(path)),
    read: (path) => {
      const reason = unreadable.get(path);
      if (reason === undefined) return files.read(path);
      return Promise.reject(new AppFleetError('AF_FILE', `cannot read ${path}: ${reason}`));
    },
    write: async (file) => {
      // The real one has one temporary file per path.
      if (writing.has(file.path)) throw new AppFleetError('AF_FILE', `cannot write ${file.path}: two at once`);
      writing.add(file.path);
      await Promise.resolve();
      writing.delete(file.path);
      const result = await files.write(file);
      if (result === 'written') changes.push(`write ${file.path}`);
      return result;
    },
    remove: async (path) => {
      if (disk.has(path) || links.has(path)) changes.push(`remove ${path}`);
      await files.remove(path);
    },
    link: async (path, target) => {
      if (links.get(path) !== target) changes.push(`link ${path} -> ${target}`);
      await files.link(path, target);
    },
  };
  host.units = {
    ...fake.units,
    start: (unit) => did(`start ${unit}`, () => start(unit)),
    stop: (unit) => did(`stop ${unit}`, () => stop(unit)),
    tryRestart: (unit) =>
      did(`restart ${unit}`, () => {
        if (!isUp(unit)) return;
        const bound = [...active].filter(([one, state]) => state === 'active' && one.endsWith('-app.service'));
        stop(unit);
        start(unit);
        // systemd passes a restart on to what is bound to the unit (BindsTo=).
        if (unit.endsWith('-app.service')) for (const [one] of bound) start(one);
      }),
    reload: () =>
      did('daemon-reload', () => {
        for (const unit of loaded.keys()) {
          const text = disk.get(unitPath(unit));
          if (text === undefined) loaded.delete(unit);
          else loaded.set(unit, text);
        }
      }),
  };
  host.containers = {
    ...fake.containers,
    pull: (image, onProgress) =>
      did(`pull ${image}`, () => {
        onProgress(`pulling ${image}`);
        if (!registry.has(image)) throw new AppFleetError('AF_DOCKER', `cannot pull ${image}: not found`);
        images.add(image);
      }),
    remove: (name) => did(`remove container ${name}`, () => void docker.delete(name)),
  };
  host.web = {
    ...web,
    install: async (wanted) => {
      const { change, remove, shared } = wanted;
      changes.push(
        `install vhosts ${[...change.map(({ site }) => site), ...remove, ...(shared === null ? [] : ['*'])].join(' ')}`,
      );
      return web.install(wanted);
    },
    reload: () => did('reload nginx', () => void (host.nginx.stale = false)),
  };
  return host;
};
