/** Reads the admin's files into specs. A file with a problem makes only its own site or service invalid: that one keeps what it has. */
import { type EnvironmentLayer, mergeLayers } from '../core/consul-env.ts';
import { parseSiteName } from '../core/domain.ts';
import { parseEnvFile } from '../core/envfile.ts';
import { checkFleet, claimedUnits, contestedDomains, type Holders } from '../core/fleet.ts';
import { goodSettings, mark, paths, unitPath, vhostPath } from '../core/names.ts';
import type { Problem, SourceFile } from '../core/problem.ts';
import { parseSecrets, rootPassword } from '../core/secrets.ts';
import { parseService } from '../core/service.ts';
import { defaultSettings, parseSettings } from '../core/settings.ts';
import { parseSite, stem } from '../core/site.ts';
import type { ServiceSpec, Settings, SiteSpec } from '../core/spec.ts';
import type { Snippet, Snippets } from '../core/vhost.ts';
import { messageOf } from '../errors.ts';
import type { Files } from '../ports.ts';
import { createConsulLayers } from './consul-layers.ts';
import { createLister, missingFolders } from './folders.ts';
import { createReaders, type Reader } from './reader.ts';
import { readSnippets } from './snippets.ts';

export type Environment = Readonly<Record<string, string>>;

export interface Fleet {
  sites: readonly SiteSpec[];
  services: readonly ServiceSpec[];
  settings: Settings;
  /** The text that the settings were read from, to be kept as the last good one; null when the admin's file has a mistake. */
  goodSettings: string | null;
  problems: readonly Problem[];
  /** Names whose file, or what it refers to, cannot be used now. */
  keep: ReadonlySet<string>;
  /** The whole environment of each container, by name. */
  environments: ReadonlyMap<string, Environment>;
  /** What each of them is made from; later layers win. */
  layers: ReadonlyMap<string, readonly EnvironmentLayer[]>;
  snippets: ReadonlyMap<string, Snippets<Snippet>>;
  /** Something refers to the file of secrets and it has no root password yet. */
  needsSecret: boolean;
}

/** The name that a file is about, whatever is in it. */
const nameOf = (file: string): string => {
  const name = parseSiteName(stem(file));
  return name.ok ? name.value : stem(file);
};

type Parsed<T> = { spec: T } | { problems: Problem[] };

/** Keeps the last result for each path, so that a pass over 1,000 unchanged files parses none. */
const remember = <T>(parse: (source: SourceFile) => T): ((source: SourceFile) => T) => {
  const known = new Map<string, { source: SourceFile; result: T }>();
  return (source) => {
    const last = known.get(source.path);
    if (last?.source.text === source.text && last.source.unreadable === source.unreadable) return last.result;
    const result = parse(source);
    known.set(source.path, { source, result });
    return result;
  };
};

const absent = 'there is no such file';

const readSource = async (read: Reader, path: string): Promise<SourceFile> => {
  try {
    const text = await read(path);
    return text === null ? { path, text, unreadable: absent } : { path, text };
  } catch (error) {
    return { path, text: null, unreadable: messageOf(error) };
  }
};

const systemUnitFolders = ['/usr/lib/systemd/system', '/lib/systemd/system'];

/** Unit files of this host that are not ours. */
const foreignUnits = async (files: Files, read: Reader, wanted: ReadonlySet<string>): Promise<Set<string>> => {
  const foreign = new Set<string>();
  for (const folder of systemUnitFolders)
    for (const unit of await files.list(folder)) if (wanted.has(unit)) foreign.add(unit);
  for (const unit of await files.list(paths.units)) {
    if (!wanted.has(unit)) continue;
    // A link of ours points to a file of ours, so reading through it tells.
    const text = await read(unitPath(unit)).catch(() => '');
    if (text !== null && !text.includes(mark)) foreign.add(unit);
  }
  return foreign;
};

/** Which of these sites' installed vhosts serve the domains. Nothing is read as long as there is no quarrel. */
const holdersOf = async (files: Files, domains: ReadonlySet<string>, names: readonly string[]): Promise<Holders> => {
  const holders = new Map<string, string>();
  if (domains.size === 0) return holders;
  for (const name of new Set(names)) {
    const text = await files.read(vhostPath(name)).catch(() => null);
    if (text?.startsWith(`# ${mark}`) !== true) continue;
    for (const [, line = ''] of text.matchAll(/^\s*server_name ([^;]*);$/gm))
      for (const domain of line.split(' ')) if (domains.has(domain) && !holders.has(domain)) holders.set(domain, name);
  }
  return holders;
};

/**
 * Reads everything below /etc/appfleet. The returned function remembers what it parsed. An editor may rename a file away
 * before it writes the new one: `pause` is how long that may take.
 */
export const createFleetReader = (
  files: Files,
  pause: () => Promise<void> = () => Promise.resolve(),
): ((readText?: Reader) => Promise<Fleet>) => {
  const list = createLister(files, pause);
  const readFolder = async (readText: Reader, folder: string): Promise<SourceFile[]> => {
    const sources: SourceFile[] = [];
    for (const name of await list(folder)) sources.push(await readSource(readText, `${folder}/${name}`));
    return sources;
  };
  const site = remember<Parsed<SiteSpec>>(parseSite);
  const service = remember<Parsed<ServiceSpec>>(parseService);
  const settingsOf = remember(parseSettings);
  const envOf = remember(parseEnvFile);
  const secretsOf = remember(parseSecrets);
  const consulLayers = createConsulLayers();
  let lastSettings: Settings | null = null;

  const readSettings = async (
    readText: Reader,
    problems: Problem[],
  ): Promise<Pick<Fleet, 'settings' | 'goodSettings'>> => {
    const source = await readSource(readText, paths.settings);
    const text = source.unreadable === absent ? '' : source.text;
    const parsed = settingsOf({ ...source, text });
    if ('settings' in parsed) return { settings: (lastSettings = parsed.settings), goodSettings: text };
    problems.push(...parsed.problems);
    if (lastSettings !== null) return { settings: lastSettings, goodSettings: null };
    const last = parseSettings({ path: goodSettings, text: (await files.read(goodSettings).catch(() => null)) ?? '' });
    return { settings: 'settings' in last ? last.settings : defaultSettings, goodSettings: null };
  };

  /** Variables of a container's env_file, or the problems that keep it from being used. */
  const readEnvFile = async (
    readText: Reader,
    path: string,
  ): Promise<{ env: Environment; needsSecret: boolean } | { problems: Problem[] }> => {
    const source = await readSource(readText, path);
    if (path !== paths.secrets) {
      const parsed = envOf(source);
      return 'env' in parsed ? { env: parsed.env, needsSecret: false } : parsed;
    }
    if (source.text === null && source.unreadable === absent) return { env: {}, needsSecret: true };
    const parsed = secretsOf(source);
    if ('problems' in parsed) return parsed;
    return { env: parsed.secrets, needsSecret: parsed.secrets[rootPassword] === undefined };
  };

  return async (readText = createReaders(files)()) => {
    const problems: Problem[] = [];
    const keep = new Set<string>();
    const read = await readSettings(readText, problems);
    const refuse = (file: string, found: readonly Problem[]): void => {
      problems.push(...found);
      keep.add(nameOf(file));
    };
    for (const folder of await missingFolders(files)) {
      problems.push({
        file: folder,
        message: 'the folder is missing, so what was in it stays as it is',
        hint: 'put it back',
      });
      for (const name of await files.list(`${paths.state}/start`)) keep.add(name);
    }
    const sites: SiteSpec[] = [];
    for (const source of await readFolder(readText, paths.sites)) {
      const parsed = site(source);
      if ('spec' in parsed) sites.push(parsed.spec);
      else refuse(source.path, parsed.problems);
    }
    const services: ServiceSpec[] = [];
    for (const source of await readFolder(readText, paths.services)) {
      const parsed = service(source);
      if ('spec' in parsed) services.push(parsed.spec);
      else refuse(source.path, parsed.problems);
    }

    const wanted = claimedUnits(sites, services);
    const holders = await holdersOf(files, contestedDomains(sites, keep), [...sites.map(({ name }) => name), ...keep]);
    const foreign = await foreignUnits(files, readText, wanted);
    const between = checkFleet(sites, services, foreign, keep, holders, read.settings.acme);
    problems.push(...between);
    // By file: where two files mean the same domain, the one that keeps it must not pay for the other.
    const beaten = new Set(between.map(({ file }) => file));
    const winners = new Set([...sites, ...services].filter(({ file }) => !beaten.has(file)).map(({ name }) => name));
    for (const { name, file } of [...sites, ...services]) if (beaten.has(file) && !winners.has(name)) keep.add(name);
    const usable = <T extends { name: string; file: string }>(specs: readonly T[]): T[] =>
      specs.filter(({ name, file }) => !keep.has(name) && !beaten.has(file));

    const environments = new Map<string, Environment>();
    const layers = new Map<string, readonly EnvironmentLayer[]>();
    const fromConsul = await consulLayers(readText, read.settings);
    problems.push(...fromConsul.problems);
    const combine = (spec: SiteSpec | ServiceSpec, fromFile: Environment): void => {
      layers.set(spec.name, fromConsul.layers(spec, fromFile));
      environments.set(spec.name, mergeLayers(layers.get(spec.name) ?? []));
    };
    let needsSecret = false;
    const resolve = async (spec: SiteSpec | ServiceSpec): Promise<void> => {
      const path = spec.container?.envFile ?? null;
      if (path === null) return combine(spec, {});
      const read = await readEnvFile(readText, path);
      if ('problems' in read) {
        problems.push(...read.problems);
        keep.add(spec.name);
      } else {
        needsSecret ||= read.needsSecret;
        combine(spec, read.env);
      }
    };
    for (const spec of [...sites, ...services]) await resolve(spec);

    const own = await readSnippets(
      files,
      readText,
      sites.map(({ name }) => name),
      read.settings,
    );
    problems.push(...own.problems);
    for (const name of own.keep) keep.add(name);

    return {
      sites: usable(sites),
      services: usable(services),
      ...read,
      problems: unique(problems),
      keep,
      environments,
      layers,
      snippets: own.snippets,
      needsSecret,
    };
  };
};

/** One file can be read for many containers; its problems are told once. */
const unique = (all: readonly Problem[]): Problem[] => [
  ...new Map(all.map((one) => [JSON.stringify(one), one])).values(),
];
