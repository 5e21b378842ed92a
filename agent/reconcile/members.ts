/** Every site and shared container that the files name, those with broken files too. */
import { parseSiteName } from '../core/domain.ts';
import { paths, startDirectory } from '../core/names.ts';
import type { Problem } from '../core/problem.ts';
import { stem } from '../core/site.ts';
import type { Runtime } from '../core/spec.ts';
import type { Files } from '../ports.ts';
import type { Fleet } from './fleet.ts';

export interface Known {
  name: string;
  kind: 'site' | 'service';
  runtime: Runtime | 'shared' | null;
  image: string | null;
  file: string;
  aliases: readonly string[];
  needs: readonly string[];
  idle: number | 'never' | null;
  /** Its start directory exists. */
  installed: boolean;
  /** Files that it refers to and whose problems are its own; null when its own file does not tell. */
  refersTo: readonly string[];
}

const runtimes: readonly string[] = ['php-fpm', 'node', 'container', 'static'] satisfies Runtime[];
const isRuntime = (text: string | undefined): text is Runtime => text !== undefined && runtimes.includes(text);

/** The name that a file is about. */
export const nameOfFile = (file: string): string => {
  const name = parseSiteName(stem(file));
  return name.ok ? name.value : stem(file);
};

const isBelow = (folder: string, file: string): boolean => file.startsWith(`${folder}/`);

/** What is installed of a member whose file says nothing usable now. */
const kept = async (files: Files, name: string, file: string, installed: boolean): Promise<Known> => {
  const text = installed ? ((await files.read(`${startDirectory(name)}/launch`).catch(() => null)) ?? '') : '';
  const value = (key: string): string | undefined => new RegExp(`^${key}=(.+)$`, 'm').exec(text)?.[1];
  const kind = isBelow(paths.services, file) ? 'service' : 'site';
  const said = value('kind') === 'static' ? 'static' : value('runtime');
  const own = (await files.read(file).catch(() => null)) ?? '';
  return {
    name,
    kind,
    runtime: kind === 'service' ? 'shared' : isRuntime(said) ? said : null,
    image: value('image') ?? null,
    file,
    aliases: [],
    needs: [],
    idle: null,
    installed,
    refersTo: [...own.matchAll(/^\s*env_file\s*=\s*"?([^"\n]*?)"?\s*$/gm)].flatMap(([, path]) => path ?? []),
  };
};

/** Sites first, then shared containers, each by name. */
export const knownMembers = async (files: Files, fleet: Fleet): Promise<Known[]> => {
  const started = new Set(await files.list(`${paths.state}/start`));
  const sites = fleet.sites.map((site): Known => ({
    name: site.name,
    kind: 'site',
    runtime: site.runtime,
    image: site.container?.image ?? null,
    file: site.file,
    aliases: site.aliases,
    needs: site.container?.needs ?? [],
    idle: site.container === null ? null : site.idleSeconds,
    installed: started.has(site.name),
    refersTo: [],
  }));
  const services = fleet.services.map((service): Known => ({
    name: service.name,
    kind: 'service',
    runtime: 'shared',
    image: service.container.image,
    file: service.file,
    aliases: service.aliases,
    needs: service.container.needs,
    idle: service.idleSeconds,
    installed: started.has(service.name),
    refersTo: [],
  }));
  const broken: Known[] = [];
  if (fleet.keep.size > 0)
    for (const folder of [paths.sites, paths.services])
      for (const entry of (await files.list(folder)).sort()) {
        const name = nameOfFile(entry);
        if (!entry.endsWith('.ini') || entry.startsWith('.') || !fleet.keep.has(name)) continue;
        if (broken.some((one) => one.name === name)) continue;
        broken.push(await kept(files, name, `${folder}/${entry}`, started.has(name)));
      }
  // Their folder is missing: they go on as they are.
  const seen = new Set([...sites, ...services, ...broken].map(({ name }) => name));
  for (const name of [...fleet.keep].filter((one) => started.has(one) && !seen.has(one)).sort()) {
    const text = (await files.read(`${startDirectory(name)}/launch`).catch(() => null)) ?? '';
    const folder = /^kind=service$/m.test(text) ? paths.services : paths.sites;
    broken.push(await kept(files, name, `${folder}/${name}.ini`, true));
  }
  return [...sites, ...services, ...broken].sort((a, b) =>
    a.kind === b.kind ? (a.name < b.name ? -1 : 1) : a.kind === 'site' ? -1 : 1,
  );
};

/** The problems that keep a member from being what its file asks for. */
export const problemsOf = (known: Known, fleet: Fleet): Problem[] =>
  fleet.problems.filter(
    ({ file }) =>
      file === known.file ||
      known.refersTo.includes(file) ||
      file === `${paths.snippets}/${known.name}.conf` ||
      file === `${paths.snippets}/${known.name}_location.conf` ||
      ((isBelow(paths.sites, file) || isBelow(paths.services, file)) && nameOfFile(file) === known.name),
  );
