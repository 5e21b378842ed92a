/** What the tests beside this folder share: the host they run on, clients inside of it, and waiting without sleeping. */
import { readdir } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { attachHost } from '../../host/boot.ts';
import { fleetOn, productHost, type FleetHost } from '../../host/fleet.ts';

export interface HttpRequest {
  path?: string;
  method?: string;
  headers?: Record<string, string>;
  /** Length of a body that the client makes up. */
  bytes?: number;
  chunked?: boolean;
  /** Send it as a file in a form. */
  form?: boolean;
  timeoutMs?: number;
}

export interface HttpAnswer {
  /** 0 when there was no answer, or only half of one. */
  status: number;
  headers: Record<string, string | undefined>;
  text: string;
  length: number;
  sha256: string;
  /** sha256 of the body that was sent. */
  sent: string;
  parts: { at: number; text: string }[];
  ms: number;
  error?: string;
}

export interface Target {
  host: string;
  gets: { path: string; sha256: string }[];
  /** Path that echoes the length and sha256 of what it is sent; null where nothing takes a POST. */
  post: string | null;
  largest?: number;
}

export interface Failure {
  host: string;
  method: string;
  path: string;
  bytes: number;
  /** When the request began and ended, in milliseconds since the epoch. */
  from: number;
  to: number;
  wrong: string;
}

export interface SiteLoad {
  host: string;
  requests: number;
  failures: number;
  medianMs: number;
  p95Ms: number;
  slowestMs: number;
}

export interface LoadOptions {
  clients?: number;
  /** Mean pause of a client between two requests. */
  pauseMs?: number;
  /** Leave each site in turn alone for so long. */
  lullMs?: number;
  seed?: number;
}

export interface Load {
  failures: Failure[];
  /** Lets the requests under way end and gives the counts. */
  stop: () => Promise<SiteLoad[]>;
}

export interface StatusChange {
  host: string;
  /** 0: no answer. */
  status: number;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface Hammered {
  host: string;
  /** How many answers of each status there were. */
  statuses: Record<string, number>;
  slowestMs: Record<string, number>;
  /** 503s that did not say when to come again. */
  noRetryAfter: number;
  medianMs: number;
  p95Ms: number;
}

export interface Hammer {
  changes: StatusChange[];
  stop: () => Promise<Hammered[]>;
}

export interface OnHost extends FleetHost {
  /** Runs a client of this folder inside the host and returns what it prints. */
  client: <T>(program: string, argument: unknown, limitMs?: number) => Promise<T>;
  http: (domain: string, request?: HttpRequest) => Promise<HttpAnswer>;
  /** Clients inside the host that send GET and POST to these sites until they are stopped. */
  load: (targets: Target[], options?: LoadOptions) => Load;
  /** Clients inside the host that ask these sites again and again, whatever they answer. */
  hammer: (hosts: string[], options?: { clients?: number; pauseMs?: number; path?: string }) => Hammer;
  /** Runs a shell script in the host and returns what it prints, trimmed. */
  sh: (script: string) => Promise<string>;
  isAsleep: (domain: string) => Promise<boolean>;
  isAwake: (domain: string) => Promise<boolean>;
  asleep: (domain: string, seconds?: number) => Promise<void>;
  awake: (domain: string, seconds?: number) => Promise<void>;
  /** Lets the site fall asleep at once; throws when it does not. */
  sleepNow: (domain: string) => Promise<void>;
  /** How often its container was started with success since boot. */
  starts: (domain: string) => Promise<number>;
  /** Removes all sites whose domain ends like this, and has a pass made. */
  clear: (suffix: string) => Promise<void>;
}

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits until the condition holds, and returns how many seconds that took. Throws with `what` when it does not hold in time. */
export const until = async (
  what: string,
  condition: () => Promise<boolean> | boolean,
  seconds = 20,
): Promise<number> => {
  const began = performance.now();
  for (;;) {
    const holds = await condition();
    const passed = (performance.now() - began) / 1000;
    if (holds) return passed;
    if (passed > seconds) throw new Error(`${what}: not within ${seconds} s`);
    await pause(20);
  }
};

/** Where clients and the programs of sites lie in the host. */
export const folder = '/srv/on-host';

const bring = async (fleet: FleetHost, from: string): Promise<void> => {
  const local = fileURLToPath(new URL(from, import.meta.url));
  for (const name of await readdir(local))
    if (/\.(cjs|mjs|php)$/.test(name)) await fleet.host.copyIn(`${local}/${name}`, `${folder}/${name}`);
};

/** The host that APPFLEET_TEST_HOST names, or one of our own that goes with this process. */
export const openHost = async (ownName: string): Promise<OnHost> => {
  const named = process.env['APPFLEET_TEST_HOST'];
  const host = named === undefined ? await productHost(ownName, 'trixie', () => undefined) : attachHost(named);
  if (host === undefined) throw new Error(`there is no host ${named ?? ownName}; APPFLEET_TEST_HOST names it`);
  const fleet = fleetOn(host);
  await bring(fleet, './');
  await bring(fleet, '../programs/');

  const client = async <T>(program: string, argument: unknown, limitMs = 150_000): Promise<T> => {
    const argv = ['/usr/lib/appfleet/node', `${folder}/${program}`, JSON.stringify(argument)];
    return JSON.parse((await host.run(argv, { timeoutMs: limitMs })).stdout) as T;
  };
  const sh = async (script: string): Promise<string> => (await host.sh(script, { timeoutMs: 120_000 })).stdout.trim();
  const look = (domain: string): Promise<string> =>
    sh(`systemctl show -P ActiveState '${domain}-app'; readlink /run/appfleet/'${domain}'/http.sock || true`);
  const isAsleep = async (domain: string): Promise<boolean> =>
    /^(inactive|failed)\n.*wake\.sock$/.test(await look(domain));
  const isAwake = async (domain: string): Promise<boolean> => /^active\n.*app\.sock$/.test(await look(domain));
  const isOpen = (domain: string, want: (domain: string) => Promise<boolean>, word: string, seconds: number) =>
    until(`${domain} is ${word}`, () => want(domain), seconds).then(() => undefined);
  /** Starts a client that goes on until its standard input ends; gives each line that it prints to `onLine`. */
  const follow = <T>(program: string, argument: unknown, onLine: (line: T) => void): (() => Promise<void>) => {
    const argv = ['/usr/lib/appfleet/node', `${folder}/${program}`, JSON.stringify(argument)];
    const child = host.spawn(argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = new Promise<void>((resolve) => void child.once('close', () => resolve()));
    if (child.stdout === null) throw new Error(`no pipe from ${program}`);
    createInterface({ input: child.stdout }).on('line', (line) => onLine(JSON.parse(line) as T));
    return async () => {
      child.stdin?.end();
      await ended;
    };
  };
  const load: OnHost['load'] = (targets, options = {}) => {
    const failures: Failure[] = [];
    let sites: SiteLoad[] | undefined;
    const end = follow<{ failure?: Failure; sites?: SiteLoad[] }>('load.mjs', { targets, ...options }, (said) => {
      if (said.failure !== undefined) failures.push(said.failure);
      sites = said.sites ?? sites;
    });
    return {
      failures,
      stop: async () => {
        await end();
        if (sites === undefined) throw new Error('the load ended before it was asked to');
        return sites;
      },
    };
  };
  const hammer: OnHost['hammer'] = (hosts, options = {}) => {
    const changes: StatusChange[] = [];
    let sites: Hammered[] | undefined;
    const end = follow<Partial<StatusChange> & { sites?: Hammered[] }>('hammer.mjs', { hosts, ...options }, (said) => {
      if (said.host !== undefined) changes.push(said as StatusChange);
      sites = said.sites ?? sites;
    });
    return {
      changes,
      stop: async () => {
        await end();
        if (sites === undefined) throw new Error('the hammer ended before it was asked to');
        return sites;
      },
    };
  };
  return {
    ...fleet,
    client,
    load,
    hammer,
    sh,
    http: (domain, request = {}) =>
      client('http.mjs', { host: domain, ...request }, 1.5 * (request.timeoutMs ?? 120_000)),
    isAsleep,
    isAwake,
    asleep: (domain, seconds = 20) => isOpen(domain, isAsleep, 'asleep', seconds),
    awake: (domain, seconds = 20) => isOpen(domain, isAwake, 'awake', seconds),
    sleepNow: async (domain) => {
      if (await isAsleep(domain)) return;
      await until(`${domain} can be put to sleep`, async () => {
        await host.run(['appfleet', 'sleep', domain], { allowFail: true });
        return isAsleep(domain);
      });
    },
    starts: async (domain) => Number(await sh(`cat '/run/appfleet/${domain}/wakes' 2>/dev/null | wc -l`)),
    clear: async (suffix) => {
      await sh(`rm -rf /etc/appfleet/sites/*'${suffix}'.ini /etc/appfleet/vhost.d/*'${suffix}'*`);
      await fleet.apply();
    },
  };
};
