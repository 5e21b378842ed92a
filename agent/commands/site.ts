import { parseSiteName } from '../core/domain.ts';
import { runtimes, siteKeys } from '../core/keys.ts';
import { didYouMean, nearest } from '../core/nearest.ts';
import { paths } from '../core/names.ts';
import { describeProblem } from '../core/problem.ts';
import { sampleSite } from '../core/sample.ts';
import { stem } from '../core/site.ts';
import type { Runtime, SiteSpec } from '../core/spec.ts';
import type { Files, Host } from '../ports.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import type { Ask } from './ask.ts';
import type { Context, ExitCode } from './context.ts';
import { problemsOfCandidates } from './overlay.ts';

/** Keys of a site file that `site create` takes as options; each is written into the file as if typed there. */
export const createKeys = ['image', 'command', 'port', 'root', 'index', 'aliases', 'idle', 'needs', 'memory'] as const;
export type CreateKey = (typeof createKeys)[number];

const isRuntime = (word: string): word is Runtime => (runtimes as readonly string[]).includes(word);

/** A value as an ini file holds it: quoted where it would mean something else otherwise. */
const iniValue = (value: string): string =>
  /[;#"'\\]|^\s|\s$/.test(value) ? `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"` : value;

/** Sets keys of a commented sample, where they stand. */
const withValues = (text: string, values: Readonly<Partial<Record<CreateKey, string>>>): string =>
  Object.entries(values).reduce(
    (all, [key, value]) => all.replace(new RegExp(`^;?${key} = .*$`, 'm'), () => `${key} = ${iniValue(value)}`),
    text,
  );

/** Paths of installed files about this name: as a rule one, but xn--… and ü… are the same name. */
const filesOf = async (files: Files, name: string): Promise<string[]> =>
  (await files.list(paths.sites))
    .filter((entry) => entry.endsWith('.ini') && !entry.startsWith('.'))
    .filter((entry) => {
      const parsed = parseSiteName(stem(entry));
      return parsed.ok ? parsed.value === name : stem(entry) === name;
    })
    .map((entry) => `${paths.sites}/${entry}`);

const agentRuns = async (host: Host): Promise<boolean> => {
  try {
    return (await host.units.list(['appfleet.service'])).some(({ active }) => active === 'active');
  } catch {
    return false;
  }
};

const siteName = (context: Context, domain: string): string | null => {
  const name = parseSiteName(domain);
  if (name.ok) return name.value;
  context.complain(`${name.message}${name.hint === undefined ? '' : ` (${name.hint})`}`);
  return null;
};

/**
 * `appfleet site create DOMAIN --runtime R`: writes a commented site file that is valid as it stands. Exit code 2, with nothing
 * written, when there is one already or when it would have problems.
 */
export const siteCreateCommand = async (
  context: Context,
  domain: string,
  runtime: string,
  values: Readonly<Partial<Record<CreateKey, string>>>,
): Promise<ExitCode> => {
  const host = context.host();
  const refuse = (...lines: string[]): ExitCode => {
    for (const line of lines) context.complain(line);
    return 2;
  };
  const name = siteName(context, domain);
  if (name === null) return 2;
  if (!isRuntime(runtime)) {
    const hint = didYouMean(runtime, runtimes);
    return refuse(
      `there is no runtime ${runtime}; there is: ${runtimes.join(', ')}${hint === undefined ? '' : ` (${hint})`}`,
    );
  }
  const [existing] = await filesOf(host.files, name);
  if (existing !== undefined) return refuse(`${existing} exists; edit it, or first: appfleet site remove ${name}`);
  for (const key of Object.keys(values) as CreateKey[])
    if (!siteKeys[key].runtimes.includes(runtime))
      return refuse(`${key} is not for runtime ${runtime}, only for ${siteKeys[key].runtimes.join(', ')}`);

  const path = `${paths.sites}/${name}.ini`;
  const text = withValues(sampleSite(name, runtime), values);
  const problems = await problemsOfCandidates(host, [{ shown: path, path, text }]);
  if (problems.length > 0) return refuse('nothing was written, because of:', ...problems.map(describeProblem));
  await host.files.write({ path, text, mode: 0o644 });

  context.print(`Wrote ${path}`);
  const needed = Object.values(siteKeys).filter((key) => key.required.includes(runtime));
  const guessed = needed.map((key) => key.name).filter((key) => key !== 'runtime' && !(key in values));
  if (guessed.length > 0)
    context.print(`Look at: ${guessed.join(', ')}. The other keys are explained there, as comments.`);
  if (await agentRuns(host))
    context.print(`The agent applies it, and each change, within seconds: appfleet status ${name}`);
  else context.print('No agent runs here: check it with `appfleet check`, then `appfleet apply`.');
  return 0;
};

/** What stays when a site goes, in words. */
const keptOf = (site: SiteSpec | undefined): string[] => {
  if (site === undefined) return [];
  const volumes = site.container?.volumes.map(({ host }) => host) ?? [];
  return [
    ...(site.root === null ? [] : [`${site.root} (its files)`]),
    ...(volumes.length === 0 ? [] : [`${volumes.join(', ')} (${volumes.length === 1 ? 'its volume' : 'its volumes'})`]),
  ];
};

const stamp = (seconds: number): string => new Date(seconds * 1000).toISOString().replace(/[-:]|\.\d+/g, '');

/**
 * `appfleet site remove DOMAIN`: sets the site's file aside, so that the next pass removes units, vhost and container. Its
 * files and volumes stay. `ask` is null where there is nobody to ask. Exit code 2 without such a site or without consent.
 */
export const siteRemoveCommand = async (
  context: Context,
  domain: string,
  options: { yes: boolean },
  ask: Ask | null,
): Promise<ExitCode> => {
  const host = context.host();
  const parsed = parseSiteName(domain);
  const name = parsed.ok ? parsed.value : domain;
  const [path, ...more] = await filesOf(host.files, name);
  if (path === undefined) {
    const all = (await host.files.list(paths.sites)).filter((entry) => entry.endsWith('.ini')).map(stem);
    const close = nearest(name, all);
    context.complain(`there is no site ${name}${close === undefined ? '' : `; did you mean ${close}?`}`);
    return 2;
  }
  if (more.length > 0) {
    context.complain(`${[path, ...more].join(' and ')} are about the same site; remove one of them by hand`);
    return 2;
  }
  const text = await host.files.read(path);
  if (text === null || text.includes('\ufffd')) {
    context.complain(`${path} is not text that could be set aside unharmed; move it away by hand`);
    return 2;
  }
  if (!options.yes && ask === null) {
    context.complain(
      `there is no terminal to ask on; to remove ${name} without a question: appfleet site remove ${name} --yes`,
    );
    return 2;
  }
  const fleet = await createFleetReader(host.files)();
  const kept = keptOf(fleet.sites.find((site) => site.name === name));
  if (!options.yes && ask !== null) {
    const asked = `Close ${name} and remove its units, vhost and container? Its files and volumes stay.`;
    if (!(await ask(asked))) {
      context.complain('nothing was removed');
      return 2;
    }
  }
  const aside = `${paths.state}/removed/${name}-${stamp(context.now())}.ini`;
  // A copy first: whatever happens in between, the file is never lost. Its [env] may hold secrets.
  await host.files.write({ path: aside, text, mode: 0o600 });
  await host.files.remove(path);
  context.print(`Moved ${path} to ${aside}`);
  for (const one of kept) context.print(`Kept ${one}`);
  if (await agentRuns(host)) context.print('The agent removes its units, vhost and container within seconds.');
  else context.print('No agent runs here: `appfleet apply` removes its units, vhost and container.');
  context.print(`To have it back: cp ${aside} ${path}`);
  return 0;
};
