import { mkdirSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { sha256 } from '../core/hash.ts';
import type { NginxFacts, Version } from '../core/listen.ts';
import { mark, paths as names } from '../core/names.ts';
import { sharedDirectives, type VhostCandidate } from '../core/vhost.ts';
import { AppFleetError, messageOf } from '../errors.ts';
import type { Files, VhostChanges, VhostRefusal, WebServer } from '../ports.ts';
import { copyName, createScan, type Installed } from './nginx-installed.ts';
import { configuredDirectives, errorLog, fingerprint } from './nginx-main.ts';
import { findMaster, reloadMaster } from './nginx-process.ts';
import { type Contestant, lineOf, type Run, settle, testMainPath, type Variant } from './nginx-test.ts';

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

interface Refusal {
  /** Fingerprint of what was refused and of what it was refused beside. */
  key: string;
  message: string;
}

const writesAtOnce = 16;
/** Copies may hold what the admin would not show to everyone; nginx's master reads them as root. */
const copyMode = 0o600;

const textOrNull = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
};

const inParallel = async <T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> => {
  const queue = [...items];
  const lane = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: width }, lane));
};

const served: Record<Variant['kind'], string> = {
  candidate: 'the site is served as asked',
  plain: 'the site is served without its snippets',
  installed: 'the site keeps its last good vhost',
};

/** One line that names the file the admin wrote, what nginx said, and what is served instead. */
const describeRefusal = ({ refused, variants }: Contestant, candidate: VhostCandidate | undefined): string => {
  const [first] = refused;
  if (first === undefined) return '';
  const { verdict } = first;
  const outcome = variants[0] === undefined ? 'the site is not served' : served[variants[0].kind];
  const snippet = candidate?.snippets.find(({ copy }) => copy === verdict.file);
  if (snippet !== undefined) return `${snippet.file}:${verdict.line}: ${verdict.message}; ${outcome}`;
  const line = lineOf(verdict);
  const beside = candidate?.snippets.map(({ file }) => file).join(' and ') ?? '';
  return [
    `${candidate?.source ?? first.variant.path}: nginx refuses the vhost: ${verdict.message}`,
    line === '' ? '' : ` at \`${line}\``,
    beside === '' ? '' : `, which includes ${beside}`,
    `; ${outcome}`,
  ].join('');
};

/** nginx as the web server of all sites. */
export const createNginx = ({
  run,
  files,
  paths = nginxPaths,
  program = 'nginx',
  ...options
}: NginxOptions): WebServer => {
  const place = {
    program,
    main: paths.main,
    shared: paths.shared,
    vhosts: paths.vhosts,
    folder: `${paths.state}/candidates`,
  };
  const copies = `${paths.state}/snippets`;
  const refusedFolder = `${paths.state}/refused`;
  const vhost = (site: string): string => `${paths.vhosts}/${site}.conf`;
  const scan = createScan(paths.vhosts);
  /** Keys of what the last comparison asked for, by site: a refusal of anything else no longer stands. Null before the first. */
  let asked: Map<string, string> | null = null;

  const keyOf = (candidate: VhostCandidate, around: string, found: Installed | undefined): string =>
    sha256([candidate.text, around, found !== undefined && !found.ours ? found.hash : ''].join('\n'));
  const surroundings = (shared: string): string =>
    sha256(`${shared}\n${fingerprint(paths.main, [paths.vhosts, paths.shared, testMainPath(paths.main)])}`);

  const refusedSites = (): string[] => namesIn(refusedFolder).filter((name) => !name.startsWith('.'));
  const readRefusal = (site: string): Refusal | null => {
    try {
      const value: unknown = JSON.parse(readFileSync(join(refusedFolder, site), 'utf8'));
      if (typeof value !== 'object' || value === null || !('key' in value) || !('message' in value)) return null;
      return { key: String(value.key), message: String(value.message) };
    } catch {
      return null;
    }
  };

  const isCurrent = (candidate: VhostCandidate, found: Installed | undefined, present: ReadonlySet<string>): boolean =>
    found !== undefined &&
    found.ours &&
    found.hash === sha256(candidate.text) &&
    candidate.snippets.every(({ copy }) => present.has(basename(copy)));

  const setHash = (): string => {
    const all = [...scan().values()].map(({ site, hash }) => `${site} ${hash}`).sort();
    return sha256([textOrNull(paths.shared) ?? '', ...all].join('\n'));
  };

  const variantsOf = (candidate: VhostCandidate, found: Installed | undefined): Variant[] => {
    const staged = (kind: 'candidate' | 'plain', text: string, list: readonly string[]): Variant => {
      const path = join(place.folder, `${candidate.site}.${kind}.conf`);
      writeFileSync(path, text, { mode: copyMode });
      return { kind, path, copies: list };
    };
    const best = staged(
      'candidate',
      candidate.text,
      candidate.snippets.map(({ copy }) => copy),
    );
    if (found !== undefined) return [best, { kind: 'installed', path: found.path, copies: found.copies }];
    return candidate.plainText === null ? [best] : [best, staged('plain', candidate.plainText, [])];
  };

  const assertOurs = (path: string): void => {
    const text = textOrNull(path);
    if (text !== null && !text.startsWith(`# ${mark}`))
      throw new AppFleetError('AF_NGINX', `${path} exists and was not made by App Fleet`, { hint: 'move it away' });
  };

  /** Copies are named after their content, so one that no vhost includes any more is of no use to anybody. */
  const dropUnusedCopies = (): void => {
    const used = new Set([...scan().values()].flatMap((each) => each.copies.map((copy) => basename(copy))));
    for (const name of namesIn(copies)) if (copyName.test(name) && !used.has(name)) unlinkSync(join(copies, name));
  };

  const install = async (changes: VhostChanges): Promise<VhostRefusal[]> => {
    const { change, remove, shared } = changes;
    if (change.length === 0 && remove.length === 0 && shared === null) return [];
    assertOurs(paths.shared);
    const text = shared ?? textOrNull(paths.shared);
    if (text === null) throw new AppFleetError('AF_NGINX', `${paths.shared} is missing`);
    const around = surroundings(text);
    const installed = scan();
    const goes = new Set(remove);
    const candidates = new Map(change.map((candidate) => [candidate.site, candidate]));
    const refusals = new Map<string, string>();
    for (const { site } of change)
      if (installed.get(site)?.ours === false) {
        refusals.set(site, `${vhost(site)} exists and was not made by App Fleet; move it away`);
        candidates.delete(site);
      }

    rmSync(place.folder, { recursive: true, force: true });
    mkdirSync(place.folder, { recursive: true, mode: 0o700 });
    mkdirSync(paths.vhosts, { recursive: true });
    try {
      for (const snippet of change.flatMap(({ snippets }) => snippets))
        await files.write({ path: snippet.copy, text: snippet.text, mode: copyMode });
      const contestants: Contestant[] = [...installed.values()]
        .filter(({ site, ours }) => !candidates.has(site) && !(ours && goes.has(site)))
        .map((found) => ({ site: found.site, refused: [], variants: [{ ...found, kind: 'installed' }] }));
      for (const [site, candidate] of candidates)
        contestants.push({ site, refused: [], variants: variantsOf(candidate, installed.get(site)) });
      await settle(run, place, text, contestants);

      for (const contestant of contestants.filter(({ refused }) => refused.length > 0))
        refusals.set(contestant.site, describeRefusal(contestant, candidates.get(contestant.site)));
      if (shared !== null) await files.write({ path: paths.shared, text: shared, mode: 0o644 });
      await inParallel(contestants, writesAtOnce, async ({ site, variants: [best] }) => {
        const candidate = candidates.get(site);
        if (best === undefined) {
          if (installed.get(site)?.ours === true) await files.remove(vhost(site));
        } else if (best.kind !== 'installed' && candidate !== undefined) {
          const chosen = best.kind === 'plain' ? (candidate.plainText ?? '') : candidate.text;
          await files.write({ path: vhost(site), text: chosen, mode: 0o644 });
        }
      });
      for (const site of goes) if (installed.get(site)?.ours === true) await files.remove(vhost(site));
    } finally {
      rmSync(place.folder, { recursive: true, force: true });
    }

    const stale = refusedSites().filter(
      (site) =>
        candidates.has(site) || goes.has(site) || (asked !== null && readRefusal(site)?.key !== asked.get(site)),
    );
    for (const site of stale) if (!refusals.has(site)) await files.remove(join(refusedFolder, site));
    for (const [site, message] of refusals) {
      const candidate = change.find((each) => each.site === site);
      const key = candidate === undefined ? (asked?.get(site) ?? '') : keyOf(candidate, around, installed.get(site));
      await files.write({
        path: join(refusedFolder, site),
        text: `${JSON.stringify({ key, message })}\n`,
        mode: 0o644,
      });
    }
    dropUnusedCopies();
    return [...refusals].map(([site, message]) => ({ site, message }));
  };

  return {
    facts: async (): Promise<NginxFacts> => {
      const said = await run([program, '-v']).catch((cause: unknown) => {
        throw new AppFleetError('AF_NGINX', `nginx cannot be run: ${messageOf(cause)}`, {
          cause,
          hint: 'apt-get install nginx',
        });
      });
      const version = /nginx\/(\d+)\.(\d+)\.(\d+)/
        .exec(said.stderr + said.stdout)
        ?.slice(1)
        .map(Number);
      if (version === undefined) throw new AppFleetError('AF_NGINX', `nginx -v said ${said.stderr.trim()}`);
      const [major = 0, minor = 0, patch = 0] = version;
      return {
        version: [major, minor, patch] satisfies Version,
        ipv6: (textOrNull(paths.inet6) ?? '') !== '',
        configured: configuredDirectives(paths.main, paths.shared, sharedDirectives),
      };
    },

    compare: (candidates, shared, keep) => {
      const installed = scan();
      const around = surroundings(shared);
      const present = new Set(namesIn(copies));
      const keys = new Map(candidates.map((each) => [each.site, keyOf(each, around, installed.get(each.site))]));
      asked = keys;
      const change = candidates.filter(
        (candidate) =>
          !isCurrent(candidate, installed.get(candidate.site), present) &&
          readRefusal(candidate.site)?.key !== keys.get(candidate.site),
      );
      const remove = [...installed.values()].filter(({ site, ours }) => ours && !keys.has(site) && !keep.has(site));
      return Promise.resolve({
        change,
        remove: remove.map(({ site }) => site),
        shared: textOrNull(paths.shared) === shared ? null : shared,
      });
    },

    install,

    needsReload: () => {
      const master = findMaster(paths.pidFile);
      if (master === null) return Promise.resolve(true);
      return Promise.resolve(textOrNull(paths.loaded) !== `${setHash()} ${master.pid} ${master.started}\n`);
    },

    reload: async () => {
      const master = findMaster(paths.pidFile);
      if (master === null) throw new AppFleetError('AF_NGINX', 'nginx does not run', { hint: 'systemctl start nginx' });
      // Taken before nginx reads: what changes in between is loaded once more, not missed.
      const record = `${setHash()} ${master.pid} ${master.started}\n`;
      await reloadMaster(master, errorLog(paths.main), options.reloadLimitSeconds ?? 30);
      mkdirSync(dirname(paths.loaded), { recursive: true });
      await files.write({ path: paths.loaded, text: record, mode: 0o644 });
    },

    refusals: () =>
      Promise.resolve(
        refusedSites().flatMap((site) => {
          const refusal = readRefusal(site);
          if (refusal === null || (asked !== null && asked.get(site) !== refusal.key)) return [];
          return [{ site, message: refusal.message }];
        }),
      ),
  };
};
