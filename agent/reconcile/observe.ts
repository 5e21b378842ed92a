/** What is on the host now, of what is ours. */
import type { Member } from '../core/desired.ts';
import {
  appSocket,
  httpSocket,
  appUnit,
  mark,
  openedMark,
  openMark,
  paths,
  reloadMark,
  siteUnit,
  socketUnit,
  startDirectory,
  unitPath,
  wakeSocket,
  wakeUnit,
} from '../core/names.ts';
import type { ObservedState } from '../core/plan.ts';
import type { Host, VhostChanges } from '../ports.ts';
import { deafSockets } from '../switchboard/listeners.ts';
import type { Reader } from './reader.ts';

type Active = ObservedState['units'] extends ReadonlyMap<string, infer A> ? A : never;

export interface Observation {
  state: ObservedState;
  vhosts: VhostChanges;
  /** Whose a generated path is; null when it is nobody's that we know. */
  ownerOf: (path: string) => string | null;
}

const baseOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** Finds the owner of a path by its name: `known` are all names that ever had files here. */
const ownerFinder =
  (known: ReadonlySet<string>, aliases: ReadonlyMap<string, string>) =>
  (path: string): string | null => {
    const start = `${paths.state}/start/`;
    if (path.startsWith(start)) return path.slice(start.length).split('/')[0] ?? null;
    const alias = aliases.get(path);
    const stem = (alias ?? baseOf(path)).replace(/^.*\//, '').replace(/\.(service|socket)$/, '');
    if (known.has(stem)) return stem;
    const site = stem.replace(/-app$/, '');
    return known.has(site) ? site : null;
  };

/**
 * Reads the host. The order matters: units before containers, so that a container seen running with its unit down was started by
 * hand. systemd is asked first, because it takes its time to answer. With `only` the look is at these names and `members`, which
 * are among them or shared containers; all others are in `keep`.
 */
export const observe = async (
  host: Host,
  readText: Reader,
  members: readonly Member[],
  keep: ReadonlySet<string>,
  candidates: Parameters<Host['web']['compare']>[0],
  shared: string,
  only: ReadonlySet<string> | null,
): Promise<Observation> => {
  const { files } = host;
  const listed = host.units.list(only === null ? everyUnit : patternsOf([...only, ...members.map(({ name }) => name)]));
  // Awaited below; until then a failure is not unhandled.
  listed.catch(() => undefined);
  const texts = new Map<string, string>();
  const links = new Map<string, string>();
  const foreign = new Set<string>();

  const started = await files.list(`${paths.state}/start`);
  const known = new Set([...started, ...members.map(({ name }) => name), ...keep]);
  for (const member of members)
    for (const { path, text: expected } of member.files) {
      const text = await readText(path, expected);
      if (text !== null) texts.set(path, text);
    }

  const aliases = new Map<string, string>();
  for (const member of members) for (const link of member.links) aliases.set(link.path, link.target);
  for (const unit of await files.list(paths.units)) {
    const path = unitPath(unit);
    if (texts.has(path) || !/\.(service|socket)$/.test(unit) || unit.startsWith('appfleet')) continue;
    // Nothing is done to these in any case.
    if (keep.has(unit.replace(/\.\w+$/, '')) || keep.has(unit.replace(/(-app)?\.\w+$/, ''))) continue;
    const target = await files.readLink(path);
    if (target !== null) {
      const real = target.startsWith('/') ? target : unitPath(target);
      const text = texts.get(real) ?? (await readText(real).catch(() => null));
      if (text?.includes(mark) === true) {
        links.set(path, target);
        aliases.set(path, target);
      } else if (aliases.has(path)) foreign.add(path);
      continue;
    }
    const text = await readText(path).catch(() => null);
    if (text?.startsWith(`# ${mark}`) === true) texts.set(path, text);
    else if (aliases.has(path)) foreign.add(path);
  }
  const ownerOf = ownerFinder(known, aliases);

  const wanted = new Set(members.map(({ name }) => name));
  for (const link of await files.list(paths.wants)) {
    const path = `${paths.wants}/${link}`;
    const owner = ownerOf(path);
    if (owner === null || wanted.has(owner) || keep.has(owner)) continue;
    const target = await files.readLink(path);
    if (target !== null) links.set(path, target);
  }
  for (const name of started) {
    if (wanted.has(name) || keep.has(name)) continue;
    for (const file of await files.list(startDirectory(name))) texts.set(`${startDirectory(name)}/${file}`, '');
    texts.set(startDirectory(name), '');
  }

  const opened = new Set<string>();
  for (const { name } of members) if ((await readText(openedMark(name))) !== null) opened.add(name);

  const marked = new Set<string>();
  for (const { name, kind, runtime } of members)
    if ((runtime === 'static' || kind === 'service') && (await readText(openMark(name))) !== null) marked.add(name);

  const units = new Map<string, Active>();
  const switchedOn = new Set<string>();
  const switchless = new Set<string>();
  for (const unit of await listed) units.set(unit.name, unit.active);
  for (const { name, kind } of members)
    if (kind === 'site') {
      const target = await files.readLink(httpSocket(name));
      if (target === appSocket(name)) switchedOn.add(name);
      else if (target !== wakeSocket(name)) switchless.add(name);
    }
  const isDeaf = await deafSockets(files);
  const doorless = new Set<string>();
  const unreachable = new Set<string>();
  for (const { name, kind, runtime } of members) {
    if (kind !== 'site' || runtime === 'static') continue;
    const door = wakeSocket(name);
    if (units.get(socketUnit(name)) === 'active' && (isDeaf(door) || !(await files.exists(door)))) doorless.add(name);
    if (units.get(appUnit(name)) === 'active' && !(await files.exists(appSocket(name)))) unreachable.add(name);
  }
  const containers = await host.containers.list();

  const images = new Set(members.flatMap(({ image }) => (image === null ? [] : [image])));
  const missingImages = new Set<string>();
  await Promise.all(
    [...images].map(async (image) => {
      if (!(await host.containers.hasImage(image))) missingImages.add(image);
    }),
  );
  const vhosts = await host.web.compare(candidates, shared, keep);
  return {
    ownerOf,
    vhosts,
    state: {
      files: texts,
      links,
      foreign,
      units,
      containers,
      missingImages: new Set([...missingImages].sort()),
      switchedOn,
      switchless,
      doorless,
      unreachable,
      opened,
      marked,
      unitsChanged: (await files.read(reloadMark)) !== null,
      vhosts: {
        change: vhosts.change.map(({ site }) => site),
        remove: vhosts.remove,
        shared: vhosts.shared !== null,
      },
      webNeedsReload: await host.web.needsReload(),
    },
  };
};

/** Every unit that can be ours: names of services have no dot, so nothing narrower is right. */
const everyUnit = ['*.service', '*.socket'];
/** It is cheaper to ask for those of a few. */
const patternsOf = (names: readonly string[]): string[] =>
  names.flatMap((name) => [siteUnit(name), socketUnit(name), appUnit(name), wakeUnit(name)]);
