/**
 * From what should be and what is to a list of named steps. Pure: the second plan after a full apply is empty.
 *
 * INVARIANTS
 * - Add before remove, test before swap: images, files and units come before vhosts, vhosts go before what they point to.
 * - What does not carry our mark is never in a step; `observed` holds only what does.
 * - Whether a member is open is the admin's choice once it was opened; a plan never opens or closes it again.
 * - Each step names its owner or owners, so that a step that fails stops their later steps and nobody else's.
 */
import type { DesiredState, Member } from './desired.ts';
import { appUnit, failedFile, openedMark, paths, siteUnit, socketUnit, startDirectory, wakeUnit } from './names.ts';
import type { Step } from './step.ts';

type Active = 'active' | 'activating' | 'deactivating' | 'inactive' | 'failed' | 'reloading' | 'maintenance';

export interface ObservedContainer {
  name: string;
  site: string;
  spec: string;
  running: boolean;
}

export interface ObservedState {
  /** Text of each generated file that exists, by path. */
  files: ReadonlyMap<string, string>;
  /** Target of each link of ours that exists, by path. */
  links: ReadonlyMap<string, string>;
  /** Paths among the desired ones that exist but are not ours. */
  foreign: ReadonlySet<string>;
  units: ReadonlyMap<string, Active>;
  containers: readonly ObservedContainer[];
  missingImages: ReadonlySet<string>;
  /** Sites whose switch points to the container. */
  switchedOn: ReadonlySet<string>;
  /** Sites whose switch is missing, or points to neither of the two sockets. */
  switchless: ReadonlySet<string>;
  /** Sites whose wake socket is gone, or closed, although systemd takes it for open. */
  doorless: ReadonlySet<string>;
  /** Sites whose container is awake and cannot be reached: its socket is gone. */
  unreachable: ReadonlySet<string>;
  /** Names that were opened once. */
  opened: ReadonlySet<string>;
  /** Static sites and shared containers that are marked as open, for nginx and for systemd. */
  marked: ReadonlySet<string>;
  /** Unit files changed and systemd has not read them again. */
  unitsChanged: boolean;
  vhosts: { change: readonly string[]; remove: readonly string[]; shared: boolean };
  webNeedsReload: boolean;
}

const isUp = (state: Active | undefined): boolean =>
  state === 'active' || state === 'activating' || state === 'reloading';
const isDown = (state: Active | undefined): boolean =>
  state === undefined || state === 'inactive' || state === 'failed';

const unitName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

const fileSteps = (member: Member, observed: ObservedState): Step[] => {
  const steps: Step[] = [];
  for (const file of member.files) {
    const now = observed.files.get(file.path);
    if (now === file.text) continue;
    // systemd still has a unit whose file was removed while it was up; it takes the new one only when it reads all of them again.
    const known = now !== undefined || (file.isUnit && !isDown(observed.units.get(unitName(file.path))));
    steps.push({ kind: 'write-file', owner: member.name, file, change: known ? 'changed' : 'new' });
  }
  // A changed start is a new chance: the back-off of the old one does not count.
  if (steps.some((s) => s.kind === 'write-file' && s.change === 'changed' && !s.file.isUnit))
    steps.push({ kind: 'remove-file', owner: member.name, path: failedFile(member.name), isUnit: false });
  for (const link of member.links)
    if (observed.links.get(link.path) !== link.target && !observed.foreign.has(link.path))
      steps.push({ kind: 'write-link', owner: member.name, link });
  return steps;
};

/** A container that runs while its unit is down. */
const startedByHand = ({ name }: Member, observed: ObservedState): boolean =>
  isDown(observed.units.get(appUnit(name))) && observed.containers.some((c) => c.name === name && c.running);

/** Tells of a shared container whether it can run once this plan has been carried out: it and all that it needs are open. */
const runnable = (members: readonly Member[], observed: ObservedState): ((name: string) => boolean) => {
  const known = new Map(members.map((member) => [member.name, member]));
  const opens = (member: Member): boolean => !observed.opened.has(member.name) || startedByHand(member, observed);
  const canRun = (name: string): boolean => {
    const member = known.get(name);
    const open = isUp(observed.units.get(siteUnit(name))) || (member !== undefined && opens(member));
    return open && (member?.needs ?? []).every(canRun);
  };
  return canRun;
};

/** Finds all shared containers that a member needs, and those that these need. */
const needsFinder = (members: readonly Member[]): ((member: Member) => string[]) => {
  const known = new Map(members.map((member) => [member.name, member]));
  const all = (names: readonly string[]): string[] =>
    names.flatMap((name) => [name, ...all(known.get(name)?.needs ?? [])]);
  return (member) => [...new Set(all(member.needs))];
};

/** What brings the units of a member that exists already into step with its container and its settings. */
const runSteps = (
  member: Member,
  observed: ObservedState,
  canRun: (need: string) => boolean,
  needs: readonly string[],
): Step[] => {
  const { name } = member;
  const facade = observed.units.get(siteUnit(name));
  const steps: Step[] = [];
  const start = (unit: string, why: string): void =>
    void steps.push({ kind: 'start-unit', owner: name, unit, why, needs });
  const restart = (unit: string, why: string): void =>
    void steps.push({ kind: 'restart-unit', owner: name, unit, why, needs });
  const byHand = startedByHand(member, observed);
  const isNew = !observed.opened.has(name);
  if (isNew)
    steps.push({
      kind: 'open',
      owner: name,
      unit: siteUnit(name),
      wants: member.wants,
      slow: member.kind === 'service',
    });
  // A new one can be up already: an admin opened it, or a pass died while it did.
  if (isNew && !isUp(facade) && !byHand) return steps;
  if ((member.runtime === 'static' || member.kind === 'service') && facade === 'active' && !observed.marked.has(name))
    steps.push({ kind: 'mark-open', owner: name });
  if (member.runtime === 'static') return steps;
  const app = observed.units.get(appUnit(name));
  const container = observed.containers.find((c) => c.name === name);

  if (member.kind === 'site' && isUp(facade) && isDown(observed.units.get(socketUnit(name))))
    if (isDown(observed.units.get(wakeUnit(name))))
      start(socketUnit(name), 'the site is open but nothing listens for it');
  // Somebody started the socket of a closed site by hand, and perhaps a visitor came: it stays closed.
  if (member.kind === 'site' && isDown(facade) && !byHand && !isNew)
    for (const unit of [socketUnit(name), appUnit(name)])
      if (isUp(observed.units.get(unit))) steps.push({ kind: 'stop-unit', owner: name, unit });
  if (observed.doorless.has(name)) restart(socketUnit(name), 'nobody can reach it any more');
  if (isDown(app) && observed.switchedOn.has(name)) steps.push({ kind: 'turn-switch', owner: name, why: 'gone' });
  if ((isDown(app) || app === 'active') && observed.switchless.has(name) && isUp(observed.units.get(socketUnit(name))))
    steps.push({ kind: 'turn-switch', owner: name, why: 'missing' });
  if (byHand) {
    if (!isNew && !isUp(facade)) start(siteUnit(name), 'its container was started by hand');
    start(appUnit(name), 'its container was started by hand');
  } else if (isDown(app) && isUp(facade) && member.awake && member.needs.every(canRun)) {
    start(appUnit(name), 'it never sleeps');
  } else if (app === 'active' && observed.unreachable.has(name)) {
    restart(appUnit(name), 'the socket of its container is gone');
  } else if (isUp(app) && container !== undefined && container.spec !== member.spec) {
    // Also while it starts: it may have read the old settings.
    restart(appUnit(name), 'its settings changed');
  }
  return steps;
};

/**
 * Takes away what nobody asks for any more, kind by kind: everything is stopped before anything is removed, and the folder by
 * which we know a name goes last. First of all goes the mark that it was opened: a site that comes back while it is being stopped
 * is a new one.
 */
const removals = (desired: DesiredState, observed: ObservedState, ownerOf: (path: string) => string | null): Step[] => {
  const wanted = new Set<string>();
  for (const member of desired.members) {
    for (const file of member.files) wanted.add(file.path);
    for (const link of member.links) wanted.add(link.path);
    wanted.add(member.wants.path);
    wanted.add(openedMark(member.name));
  }
  const contained = new Set(desired.members.filter(({ image }) => image !== null).map(({ name }) => name));
  const alive = new Set(desired.members.map(({ name }) => name));
  const gone = [...new Set([...observed.links.keys(), ...observed.files.keys()])].sort().flatMap((path) => {
    const owner = wanted.has(path) ? null : ownerOf(path);
    return owner === null || desired.keep.has(owner) ? [] : [{ owner, path }];
  });
  const folders = gone.filter(({ owner, path }) => path === startDirectory(owner));
  const marks = gone.filter(({ owner, path }) => path === openedMark(owner));
  const removed = ({ owner, path }: { owner: string; path: string }): Step => ({
    kind: 'remove-file',
    owner,
    path,
    isUnit: isUnitPath(path),
  });
  const units = new Map<string, string>();
  for (const { owner, path } of gone) {
    if (!alive.has(owner))
      for (const unit of [siteUnit(owner), socketUnit(owner), appUnit(owner)]) units.set(unit, owner);
    // A unit of a site that lives on without it; a link is only another name.
    else if (observed.files.has(path) && isUnitPath(path)) units.set(path.slice(paths.units.length + 1), owner);
  }
  return [
    ...marks.map(removed),
    ...[...units]
      .filter(([unit]) => !isDown(observed.units.get(unit)))
      .map(([unit, owner]): Step => ({ kind: 'stop-unit', owner, unit })),
    ...observed.containers
      .filter(({ site }) => !contained.has(site) && !desired.keep.has(site))
      .map(({ site, name }): Step => ({ kind: 'remove-container', owner: site, container: name })),
    ...gone.filter(({ owner, path }) => path !== startDirectory(owner) && path !== openedMark(owner)).map(removed),
    ...folders.map(({ owner }): Step => ({ kind: 'remove-run', owner })),
    ...folders.map(({ owner, path }): Step => ({ kind: 'remove-folder', owner, path })),
  ];
};

const isUnitPath = (path: string): boolean => path.startsWith(`${paths.units}/`);

/** The steps that make the host what the files ask for, in the order in which they must be carried out. */
export const planChanges = (
  desired: DesiredState,
  observed: ObservedState,
  ownerOf: (path: string) => string | null,
): Step[] => {
  // Databases first: what others need comes before those who need it.
  const members = [...desired.members].sort((a, b) =>
    a.kind === b.kind ? (a.name < b.name ? -1 : 1) : a.kind === 'service' ? -1 : 1,
  );
  const canRun = runnable(members, observed);
  const steps: Step[] = [];
  for (const image of observed.missingImages) {
    const owners = members.filter((member) => member.image === image).map((member) => member.name);
    steps.push({ kind: 'pull-image', owners, owner: null, image });
  }
  for (const member of members) steps.push(...fileSteps(member, observed));
  const removed = removals(desired, observed, ownerOf);
  const rewritten = steps.flatMap((s) =>
    s.kind === 'write-file' && s.file.isUnit && s.change === 'changed' ? [s.owner] : [],
  );
  const reload = (owners: readonly string[]): void =>
    void steps.push({ kind: 'reload-units', owner: null, owners: [...new Set(owners)] });
  // What an earlier pass left is nobody's.
  if (observed.unitsChanged) reload([]);
  else if (rewritten.length > 0) reload(rewritten);
  const needs = needsFinder(members);
  for (const member of members) steps.push(...runSteps(member, observed, canRun, needs(member)));
  const { change, remove, shared } = observed.vhosts;
  const vhosts = change.length > 0 || remove.length > 0 || shared;
  if (vhosts) steps.push({ kind: 'install-vhosts', owner: null, change, remove, shared });
  if (vhosts || observed.webNeedsReload) steps.push({ kind: 'reload-web', owner: null });
  steps.push(...removed);
  const unitless = removed.flatMap((s) => (s.kind === 'remove-file' && s.isUnit ? [s.owner] : []));
  if (unitless.length > 0) reload(unitless);
  return steps;
};
