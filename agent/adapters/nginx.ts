import { mkdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { sha256 } from '../core/hash.ts';
import { paths as names } from '../core/names.ts';
import { sharedDirectives, type VhostCandidate } from '../core/vhost.ts';
import { AppFleetError, messageOf } from '../errors.ts';
import type { Files, WebServer } from '../ports.ts';
import { installChanges, namesIn, textOrNull } from './nginx-install.ts';
import { createScan, type Installed } from './nginx-installed.ts';
import { configuredDirectives, errorLog, fingerprint } from './nginx-main.ts';
import { takenPorts } from './nginx-ports.ts';
import { findMaster, type Process, reloadMaster } from './nginx-process.ts';
import { createRefusals } from './nginx-refusals.ts';
import { rehearseChanges } from './nginx-rehearse.ts';
import { type Run, trialPath } from './nginx-test.ts';

/*
 * INVARIANTS
 * - What is installed passed `nginx -t` together with everything else that is installed, before it was installed.
 * - A file in our folder without our mark is never changed or removed.
 * - A refused text is remembered with what could change nginx's mind; it is tried again when, and only when, that changes.
 * - Whether to reload is decided from what lies on disk and what the running master loaded, never from what was just done.
 */

export interface NginxPaths {
  main: string;
  shared: string;
  vhosts: string;
  /** Folder for refusals, snippet copies and candidates. */
  state: string;
  /** Record of what the running nginx loaded. */
  loaded: string;
  pidFile: string;
  /** Exists and is not empty on a host with IPv6. */
  inet6: string;
}

export const nginxPaths: NginxPaths = {
  main: '/etc/nginx/nginx.conf',
  shared: names.sharedVhost,
  vhosts: names.vhosts,
  state: names.state,
  loaded: `${names.run}/nginx-loaded`,
  pidFile: '/run/nginx.pid',
  inet6: '/proc/net/if_inet6',
};

export interface NginxOptions {
  /** Runs a program to its end, whatever its exit code; rejects when it cannot be started. */
  run: Run;
  files: Files;
  paths?: NginxPaths;
  program?: string;
  reloadLimitSeconds?: number;
}

const readVersion = async (run: Run, program: string): Promise<readonly [number, number, number]> => {
  const said = await run([program, '-v']).catch((cause: unknown) => {
    throw new AppFleetError('AF_NGINX', `nginx cannot be run: ${messageOf(cause)}`, {
      cause,
      hint: 'apt-get install nginx',
    });
  });
  const found = /nginx\/(\d+)\.(\d+)\.(\d+)/.exec(said.stderr + said.stdout);
  if (found === null) throw new AppFleetError('AF_NGINX', `\`${program} -v\` did not name a version`);
  return [Number(found[1]), Number(found[2]), Number(found[3])];
};

/** What tells the program from the one that takes its place in an upgrade; null when it is not found. */
const programStamp = (program: string): string | null => {
  for (const folder of program.startsWith('/') ? [''] : (process.env['PATH'] ?? '').split(':')) {
    const stats = statSync(join(folder, program), { throwIfNoEntry: false });
    if (stats?.isFile() === true) return `${stats.ino} ${stats.size} ${stats.ctimeMs}`;
  }
  return null;
};

/** nginx as the web server of all sites. */
export const createNginx = (options: NginxOptions): WebServer => {
  const { run, files, paths = nginxPaths, program = 'nginx', reloadLimitSeconds = 30 } = options;
  const { main, shared, vhosts, state } = paths;
  const trial = trialPath(main, 'appfleet-test.conf');
  const place = { program, main, shared, vhosts, folder: `${state}/candidates`, copies: `${state}/snippets`, trial };
  const refusals = createRefusals(`${state}/refused`, files);
  const scan = createScan(vhosts);
  /** Fingerprints of what the last comparison asked for, by site: a refusal of anything else no longer stands. */
  let asked: ReadonlyMap<string, string> | null = null;

  /** What a candidate is judged beside, other sites excepted. */
  const surroundings = (text: string): string => sha256(`${text}\n${fingerprint(main, [vhosts, shared, trial])}`);
  const keyOf = (candidate: VhostCandidate, around: string, found: Installed | undefined): string =>
    sha256([candidate.hash, around, found?.ours === false ? found.hash : ''].join('\n'));

  const isCurrent = (candidate: VhostCandidate, found: Installed | undefined, copies: ReadonlySet<string>): boolean =>
    found?.hash === candidate.hash && candidate.snippets.every(({ copy }) => copies.has(basename(copy)));

  /** What this master has loaded once it loaded what is on disk now. */
  const recordFor = ({ pid, started }: Process): string => {
    const all = [...scan().values()].map(({ site, hash }) => `${site} ${hash}`).sort();
    return `${sha256([textOrNull(shared) ?? '', ...all].join('\n'))} ${pid} ${started}\n`;
  };

  let known: { stamp: string; version: Awaited<ReturnType<typeof readVersion>> } | null = null;
  /** Asks the program only when it is another than the last time. */
  const version = async (): Promise<readonly [number, number, number]> => {
    const stamp = programStamp(program);
    if (known === null || stamp === null || known.stamp !== stamp)
      known = { stamp: stamp ?? '', version: await readVersion(run, program) };
    return known.version;
  };

  const facts: WebServer['facts'] = async () => ({
    version: await version(),
    ipv6: (textOrNull(paths.inet6) ?? '') !== '',
    configured: configuredDirectives(main, shared, sharedDirectives),
  });

  const compare: WebServer['compare'] = (candidates, text, keep) => {
    const installed = scan();
    const around = surroundings(text);
    const copies = new Set(namesIn(place.copies));
    const keys = new Map(candidates.map((each) => [each.site, keyOf(each, around, installed.get(each.site))]));
    const refused = new Map(refusals.list().map(({ site, key }) => [site, key]));
    asked = keys;
    const change = candidates.filter(
      (each) => !isCurrent(each, installed.get(each.site), copies) && refused.get(each.site) !== keys.get(each.site),
    );
    const remove = [...installed.values()].filter(({ site, ours }) => ours && !keys.has(site) && !keep.has(site));
    return Promise.resolve({
      change,
      remove: remove.map(({ site }) => site),
      shared: textOrNull(shared) === text ? null : text,
    });
  };

  const install: WebServer['install'] = async (changes) => {
    if (changes.change.length === 0 && changes.remove.length === 0 && changes.shared === null) return [];
    const around = surroundings(changes.shared ?? textOrNull(shared) ?? '');
    const before = scan();
    const keys = new Map(changes.change.map((each) => [each.site, keyOf(each, around, before.get(each.site))]));
    const found = await installChanges(run, files, place, scan, changes);
    for (const { site, key } of refusals.list()) {
      const moot = keys.has(site) || changes.remove.includes(site) || (asked !== null && asked.get(site) !== key);
      if (moot && !found.has(site)) await refusals.forget(site);
    }
    for (const [site, message] of found)
      await refusals.write({ site, message, key: keys.get(site) ?? asked?.get(site) ?? '' });
    return [...found].map(([site, message]) => ({ site, message }));
  };

  const rehearse: WebServer['rehearse'] = (changes) => rehearseChanges(run, place, scan(), changes);

  const needsReload: WebServer['needsReload'] = () => {
    const master = findMaster(paths.pidFile);
    return Promise.resolve(master === null || textOrNull(paths.loaded) !== recordFor(master));
  };

  /** Ports of what is installed: where that is loaded, nginx has them. */
  const installedPorts = (): number[] =>
    [...(textOrNull(shared) ?? '').matchAll(/^\s*listen (?:\[::\]:)?(\d+)\b/gm)].map(([, port]) => Number(port));

  const reload: WebServer['reload'] = async () => {
    const master = findMaster(paths.pidFile);
    if (master === null) throw new AppFleetError('AF_NGINX', 'nginx does not run', { hint: 'systemctl start nginx' });
    // Taken before nginx reads: what changes in between is loaded once more, not missed.
    const record = recordFor(master);
    await reloadMaster(master, errorLog(main), reloadLimitSeconds);
    mkdirSync(dirname(paths.loaded), { recursive: true });
    await files.write({ path: paths.loaded, text: record, mode: 0o644 });
  };

  const standing: WebServer['refusals'] = () =>
    Promise.resolve(
      refusals
        .list()
        .filter(({ site, key }) => asked === null || asked.get(site) === key)
        .map(({ site, message }) => ({ site, message })),
    );

  const portsTaken: WebServer['takenPorts'] = async (ports) => {
    const has = (await needsReload()) ? [] : installedPorts();
    const others = ports.filter((port) => !has.includes(port));
    return others.length === 0 ? new Map() : takenPorts(others, findMaster(paths.pidFile));
  };

  return { facts, takenPorts: portsTaken, compare, install, rehearse, needsReload, reload, refusals: standing };
};
