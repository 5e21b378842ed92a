/** A host as plans see it: small enough to be tried with thousands of states, true enough for the order of steps to matter. */
import type { Member } from '../../agent/core/desired.ts';
import { appUnit, openedMark, paths, siteUnit, socketUnit, startDirectory } from '../../agent/core/names.ts';
import type { ObservedState } from '../../agent/core/plan.ts';
import type { Step } from '../../agent/core/step.ts';

type Active = 'active' | 'activating' | 'deactivating' | 'inactive' | 'failed' | 'reloading' | 'maintenance';

export interface ModelHost {
  files: Map<string, string>;
  links: Map<string, string>;
  foreign: Set<string>;
  units: Map<string, Active>;
  containers: Map<string, { name: string; site: string; spec: string; running: boolean }>;
  /** Images on the host. */
  images: Set<string>;
  switchedOn: Set<string>;
  switchless: Set<string>;
  doorless: Set<string>;
  unreachable: Set<string>;
  opened: Set<string>;
  marked: Set<string>;
  unitsChanged: boolean;
  /** Names with a vhost. */
  vhosts: Set<string>;
  loaded: string;
  /** What the admin, visitors and the idle watch do. */
  open(name: string): void;
  close(name: string): void;
  wake(name: string): void;
  sleep(name: string): void;
  /** Carries out a step; false when it fails. */
  apply(step: Step): boolean;
  observe(members: readonly Member[], keep?: ReadonlySet<string>): ObservedState;
  /** Owner of a path, as reconcile/observe.ts finds it. */
  ownerOf: (path: string) => string | null;
}

const unitFile = (unit: string): string => `${paths.units}/${unit}`;

export const createModelHost = (): ModelHost => {
  const isUp = (unit: string): boolean => host.units.get(unit) === 'active';
  const text = (path: string): string => host.files.get(path) ?? '';
  const launch = (name: string, key: string): string =>
    new RegExp(`^${key}=(.*)$`, 'm').exec(text(`${startDirectory(name)}/launch`))?.[1] ?? '';
  const needs = (name: string): string[] =>
    [...text(unitFile(appUnit(name))).matchAll(/^BindsTo=(.*)-app\.service$/gm)].map(([, need = '']) => need);
  const names = (): Set<string> => {
    const known = new Set<string>();
    for (const path of host.files.keys())
      if (path.startsWith(`${paths.state}/start/`)) known.add(path.split('/')[5] ?? '');
    return known;
  };

  /** systemd starts S-app.service. False when it cannot. */
  const startApp = (name: string): boolean => {
    if (!host.files.has(unitFile(appUnit(name)))) return false;
    if (isUp(appUnit(name))) return true;
    if (launch(name, 'kind') === 'service' && !isUp(siteUnit(name))) return false;
    if (!needs(name).every(startApp) || !host.images.has(launch(name, 'image'))) return false;
    host.containers.set(name, { name, site: name, spec: launch(name, 'spec'), running: true });
    if (launch(name, 'kind') === 'site') host.switchedOn.add(name);
    host.units.set(appUnit(name), 'active');
    return true;
  };
  const stopApp = (name: string): void => {
    for (const other of names()) if (needs(other).includes(name) && isUp(appUnit(other))) stopApp(other);
    const container = host.containers.get(name);
    if (container !== undefined) container.running = false;
    host.switchedOn.delete(name);
    host.units.set(appUnit(name), 'inactive');
  };
  const startFacade = (name: string): boolean => {
    const facade = text(unitFile(siteUnit(name)));
    if (facade === '') return false;
    if (isUp(siteUnit(name))) return true;
    host.units.set(siteUnit(name), 'active');
    if (launch(name, 'kind') !== 'site') host.marked.add(name);
    if (facade.includes(`Wants=${socketUnit(name)}`)) host.units.set(socketUnit(name), 'active');
    // Wants=, and of a shared container `launch open`, start it; that it fails is not the facade's failure.
    if (facade.includes(`Wants=${appUnit(name)}`) || launch(name, 'start') === 'now') startApp(name);
    return true;
  };
  const stopFacade = (name: string): void => {
    host.units.set(siteUnit(name), 'inactive');
    host.marked.delete(name);
    // RemoveOnStop= of the socket takes the switch along.
    host.switchedOn.delete(name);
    if (host.units.has(socketUnit(name))) host.units.set(socketUnit(name), 'inactive');
    if (host.units.has(appUnit(name))) stopApp(name);
  };

  const nameIn = (unit: string): string => unit.replace(/(-app)?\.(service|socket)$/, '');
  const start = (unit: string): boolean => {
    if (unit === appUnit(nameIn(unit))) return startApp(nameIn(unit));
    if (unit === siteUnit(nameIn(unit))) return startFacade(nameIn(unit));
    if (host.files.has(unitFile(unit))) host.units.set(unit, 'active');
    return host.files.has(unitFile(unit));
  };
  const stop = (unit: string): void => {
    if (unit === appUnit(nameIn(unit))) stopApp(nameIn(unit));
    else if (unit === siteUnit(nameIn(unit))) stopFacade(nameIn(unit));
    else host.units.set(unit, 'inactive');
  };

  /** try-restart, which systemd passes on to the units that are bound to this one (BindsTo=). */
  const restart = (unit: string): boolean => {
    if (!isUp(unit)) return true;
    const bound = [...names()].filter((other) => isUp(appUnit(other)));
    stop(unit);
    const started = start(unit);
    if (unit === appUnit(nameIn(unit))) for (const other of bound) startApp(other);
    return started;
  };

  const apply = (step: Step): boolean => {
    switch (step.kind) {
      case 'make-placeholder':
      case 'install-certificate':
        // The steps of another plan, which comes before this one.
        return true;
      case 'pull-image':
        host.images.add(step.image);
        return true;
      case 'write-file':
        if (step.file.isUnit && step.change === 'changed') host.unitsChanged = true;
        host.files.set(step.file.path, step.file.text);
        host.files.set(startDirectory(step.owner), '');
        return true;
      case 'write-link':
        host.links.set(step.link.path, step.link.target);
        return true;
      case 'reload-units':
        host.unitsChanged = false;
        return true;
      case 'open':
        if (!start(step.unit)) return false;
        host.links.set(step.wants.path, step.wants.target);
        host.opened.add(step.owner);
        host.files.set(openedMark(step.owner), '');
        return true;
      case 'start-unit':
        return start(step.unit);
      case 'turn-switch':
        host.switchedOn.delete(step.owner);
        host.switchless.delete(step.owner);
        return true;
      case 'mark-open':
        host.marked.add(step.owner);
        return true;
      case 'restart-unit':
        return restart(step.unit);
      case 'install-vhosts':
        for (const name of step.remove) host.vhosts.delete(name);
        for (const name of step.change) host.vhosts.add(name);
        return true;
      case 'reload-web':
        host.loaded = [...host.vhosts].sort().join(' ');
        return true;
      case 'stop-unit':
        stop(step.unit);
        return true;
      case 'remove-container':
        host.containers.delete(step.container);
        return true;
      case 'remove-file':
        if (step.isUnit) host.unitsChanged = true;
        host.files.delete(step.path);
        host.links.delete(step.path);
        if (step.path === openedMark(step.owner)) host.opened.delete(step.owner);
        return true;
      case 'remove-run':
        return true;
      case 'remove-folder':
        if ([...host.files.keys()].some((path) => path.startsWith(`${step.path}/`))) return false;
        host.files.delete(step.path);
        host.opened.delete(step.owner);
        return true;
    }
  };

  const observe = (members: readonly Member[], keep: ReadonlySet<string> = new Set()): ObservedState => {
    const wanted = new Set(members.map(({ name }) => name));
    const desired = new Set(members.flatMap(({ files }) => files.map(({ path }) => path)));
    const isStart = (path: string): boolean => path.startsWith(`${paths.state}/start/`);
    const settled = (path: string): boolean => {
      const name = path.split('/')[5] ?? '';
      return wanted.has(name) || keep.has(name);
    };
    const sites = members.filter(({ kind }) => kind === 'site').map(({ name }) => name);
    return {
      files: new Map([...host.files].filter(([path]) => desired.has(path) || !isStart(path) || !settled(path))),
      links: new Map(
        [...host.links].filter(([path]) => !path.startsWith(paths.wants) || !wanted.has(host.ownerOf(path) ?? '')),
      ),
      foreign: host.foreign,
      units: host.units,
      containers: [...host.containers.values()],
      missingImages: new Set(members.flatMap(({ image }) => (image === null || host.images.has(image) ? [] : [image]))),
      switchedOn: new Set(sites.filter((name) => host.switchedOn.has(name))),
      switchless: host.switchless,
      doorless: host.doorless,
      unreachable: host.unreachable,
      opened: host.opened,
      marked: host.marked,
      unitsChanged: host.unitsChanged,
      vhosts: {
        change: sites.filter((name) => !host.vhosts.has(name)),
        remove: [...host.vhosts].filter((name) => !sites.includes(name) && !keep.has(name)),
        shared: false,
      },
      webNeedsReload: host.loaded !== [...host.vhosts].sort().join(' '),
    };
  };

  const host: ModelHost = {
    files: new Map(),
    links: new Map(),
    foreign: new Set(),
    units: new Map(),
    containers: new Map(),
    images: new Set(),
    switchedOn: new Set(),
    opened: new Set(),
    marked: new Set(),
    switchless: new Set(),
    doorless: new Set(),
    unreachable: new Set(),
    unitsChanged: false,
    vhosts: new Set(),
    loaded: '',
    open: (name) => void startFacade(name),
    close: stopFacade,
    wake: (name) => void startApp(name),
    sleep: stopApp,
    apply,
    observe,
    ownerOf: (path) => {
      if (path.startsWith(`${paths.state}/start/`)) return path.split('/')[5] ?? null;
      const target = path.startsWith(paths.wants) ? undefined : host.links.get(path);
      const unit = target ?? path.slice(path.lastIndexOf('/') + 1);
      const known = names();
      const stem = unit.replace(/\.(service|socket)$/, '');
      if (known.has(stem)) return stem;
      return known.has(stem.replace(/-app$/, '')) ? stem.replace(/-app$/, '') : null;
    },
  };
  return host;
};
