import { createX509 } from '../../agent/adapters/x509.ts';
import { createCertificates } from '../../agent/certificates/shelf.ts';
import { paths, vhostPath } from '../../agent/core/names.ts';
import { AppFleetError } from '../../agent/errors.ts';
import type { ActiveState, ContainerState, Files, Host, UnitDetail } from '../../agent/ports.ts';

/** A machine in memory. It does what the ports promise and nothing clever: what tests need to be so, they put there. */
export interface FakeHost extends Host {
  /** Text by path; folders exist as long as something is in them. */
  disk: Map<string, string>;
  links: Map<string, string>;
  modes: Map<string, number>;
  /** Paths of which `exists` says no; of all others yes, sockets for instance. */
  gone: Set<string>;
  /** Access times of whatever exists, sockets as well. */
  accessed: Map<string, number>;
  active: Map<string, ActiveState>;
  details: Map<string, UnitDetail>;
  docker: Map<string, ContainerState & { memory: number }>;
  images: Set<string>;
  refused: Map<string, string>;
  /** Ports that other programs have, and which. */
  taken: Map<number, string>;
  /** Whether nginx has something to load. */
  nginx: { stale: boolean };
  /** Seconds since the epoch. */
  clock: number;
  /** Names of units whose jobs fail. */
  brokenUnits: Set<string>;
  /** How often each method of units was called. */
  calls: Map<string, number>;
}

const matches = (pattern: string, name: string): boolean =>
  new RegExp(
    `^${pattern
      .replace(/[.+^${}()|\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')}$`,
  ).test(name);

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));

const createFakeFiles = ({ disk, links, modes, accessed, gone }: FakeHost): Files => {
  const paths = (): string[] => [...disk.keys(), ...links.keys(), ...accessed.keys()];
  const isFolder = (path: string): boolean => paths().some((one) => one.startsWith(`${path}/`));
  const fail = (verb: string, path: string, reason: string): never => {
    throw new AppFleetError('AF_FILE', `cannot ${verb} ${path}: ${reason}`);
  };
  const real = (path: string, depth = 0): string => {
    const target = links.get(path);
    if (target === undefined) return path;
    if (depth > 8) return fail('read', path, 'too many symbolic links');
    return real(target.startsWith('/') ? target : `${folderOf(path)}/${target}`, depth + 1);
  };
  return {
    read: (path) => {
      const text = disk.get(real(path));
      if (text === undefined && isFolder(path)) fail('read', path, 'it is a directory');
      return Promise.resolve(text ?? null);
    },
    stamp: (path) => Promise.resolve(disk.get(real(path)) ?? null),
    exists: (path) => Promise.resolve(!gone.has(path)),
    list: (directory) => {
      const below = paths().filter((path) => path.startsWith(`${directory}/`));
      return Promise.resolve([...new Set(below.map((path) => path.slice(directory.length + 1).split('/')[0] ?? ''))]);
    },
    write: ({ path, text, mode }) => {
      if (isFolder(path)) fail('write', path, 'it is a directory');
      if (disk.get(path) === text && modes.get(path) === mode) return Promise.resolve('unchanged');
      links.delete(path);
      disk.set(path, text);
      modes.set(path, mode);
      return Promise.resolve('written');
    },
    makeFolder: (path, mode) => {
      if (disk.has(path) || links.has(path)) fail('make the folder', path, 'it is there and not a directory');
      modes.set(path, mode);
      return Promise.resolve();
    },
    removeTree: (path) => {
      for (const map of [disk, links, accessed])
        for (const one of map.keys()) if (one === path || one.startsWith(`${path}/`)) map.delete(one);
      return Promise.resolve();
    },
    remove: (path) => {
      if (isFolder(path)) fail('remove', path, 'the directory is not empty');
      for (const map of [disk, links, modes, accessed]) map.delete(path);
      return Promise.resolve();
    },
    link: (path, target) => {
      disk.delete(path);
      links.set(path, target);
      return Promise.resolve();
    },
    readLink: (path) => Promise.resolve(links.get(path) ?? null),
    lastAccess: (path) => Promise.resolve(accessed.get(path) ?? null),
  };
};

export const createFakeHost = (): FakeHost => {
  const state = {
    // The folders of a host that is set up.
    disk: new Map([
      [`${paths.sites}/.folder`, ''],
      [`${paths.services}/.folder`, ''],
    ]),
    links: new Map<string, string>(),
    modes: new Map<string, number>(),
    gone: new Set<string>(),
    accessed: new Map<string, number>(),
    active: new Map<string, ActiveState>(),
    details: new Map<string, UnitDetail>(),
    docker: new Map<string, ContainerState & { memory: number }>(),
    images: new Set<string>(),
    refused: new Map<string, string>(),
    taken: new Map<number, string>(),
    nginx: { stale: false },
    clock: 1_800_000_000,
    brokenUnits: new Set<string>(),
    calls: new Map<string, number>(),
  };
  const host = state as FakeHost;
  const count = (method: string): void => void state.calls.set(method, (state.calls.get(method) ?? 0) + 1);
  const job = (method: string, unit: string, after: ActiveState): Promise<void> => {
    count(method);
    if (state.brokenUnits.has(unit))
      return Promise.reject(new AppFleetError('AF_UNIT_JOB', `cannot ${method} ${unit}: it failed (failed)`));
    state.active.set(unit, after);
    return Promise.resolve();
  };
  host.files = createFakeFiles(host);
  host.units = {
    list: (patterns) => {
      count('list');
      const found = [...state.active].filter(([name]) => patterns.some((pattern) => matches(pattern, name)));
      return Promise.resolve(found.map(([name, active]) => ({ name, active, sub: '' })));
    },
    detail: (unit) => {
      count('detail');
      return Promise.resolve(state.details.get(unit) ?? { since: null, restarts: 0, mainPid: 0 });
    },
    start: (unit) => job('start', unit, 'active'),
    stop: (unit) => job('stop', unit, 'inactive'),
    tryRestart: (unit) => job('restart', unit, state.active.get(unit) ?? 'inactive'),
    resetFailed: (unit) => {
      if (state.active.get(unit) === 'failed') state.active.set(unit, 'inactive');
      return Promise.resolve();
    },
    reload: () => {
      count('reload');
      return Promise.resolve();
    },
    watch: () => Promise.resolve(() => undefined),
    close: () => undefined,
  };
  host.containers = {
    list: () => Promise.resolve([...state.docker.values()]),
    hasImage: (image) => Promise.resolve(state.images.has(image)),
    pull: (image) => {
      if (!state.images.has(image)) return Promise.reject(new AppFleetError('AF_DOCKER', `cannot pull ${image}`));
      return Promise.resolve();
    },
    remove: (name) => {
      state.docker.delete(name);
      return Promise.resolve();
    },
    memory: (name) => {
      const container = state.docker.get(name);
      return Promise.resolve(container?.running === true ? container.memory : null);
    },
    version: () => Promise.resolve({ version: '26.1.5', api: '1.45' }),
    watch: () => () => undefined,
    watchImages: () => () => undefined,
  };
  const installed = (): string[] =>
    [...state.disk.keys()]
      .filter((path) => path.startsWith(`${paths.vhosts}/`))
      .map((path) => path.slice(paths.vhosts.length + 1).replace(/\.conf$/, ''));
  host.web = {
    facts: () => Promise.resolve({ version: [1, 26, 3], ipv6: true, configured: new Set<string>() }),
    takenPorts: (ports) => Promise.resolve(new Map([...state.taken].filter(([port]) => ports.includes(port)))),
    compare: (candidates, shared, keep) =>
      Promise.resolve({
        change: candidates.filter(({ site, text }) => state.disk.get(vhostPath(site)) !== text),
        remove: installed().filter((site) => !keep.has(site) && !candidates.some((one) => one.site === site)),
        shared: state.disk.get(paths.sharedVhost) === shared ? null : shared,
      }),
    install: ({ change, remove, shared }) => {
      if (shared !== null) state.disk.set(paths.sharedVhost, shared);
      for (const { site, text } of change) if (!state.refused.has(site)) state.disk.set(vhostPath(site), text);
      for (const site of remove) state.disk.delete(vhostPath(site));
      state.nginx.stale = true;
      return host.web.refusals();
    },
    rehearse: ({ change }) =>
      Promise.resolve(
        change.flatMap(({ site, source }) => {
          const message = state.refused.get(site);
          return message === undefined ? [] : [{ site, file: source, message }];
        }),
      ),
    needsReload: () => Promise.resolve(state.nginx.stale),
    reload: () => {
      state.nginx.stale = false;
      return Promise.resolve();
    },
    refusals: () => Promise.resolve([...state.refused].map(([site, message]) => ({ site, message }))),
  };
  host.now = () => host.clock;
  // Those files that the host has when they are asked: tests put others in their place.
  const files = new Proxy({} as Files, { get: (_, name: string): unknown => Reflect.get(host.files, name) });
  host.certificates = createCertificates(files, createX509(), () => host.clock);
  return host;
};
