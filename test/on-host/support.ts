/** What the tests on a host share: the host itself, one look at everything on it, requests in bulk. */
import { runName } from '../../agent/core/names.ts';
import { attachHost } from '../host/boot.ts';
import { fleetOn, type FleetHost } from '../host/fleet.ts';
import type { TestHost } from '../host/test-host.ts';

/** The host that the test run booted. Throws with the way to get one. */
export const testHost = (): FleetHost => {
  const name = process.env.APPFLEET_TEST_HOST ?? '';
  const host = name === '' ? undefined : attachHost(name);
  if (host === undefined)
    throw new Error(
      `${name === '' ? 'APPFLEET_TEST_HOST names no host' : `host ${name} does not run`}: npm run test:host`,
    );
  return fleetOn(host);
};

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits until `look` gives something other than false, null or undefined, and returns it. Throws with `what` after so many seconds. */
export const until = async <T>(
  what: string | (() => string),
  look: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  seconds = 20,
): Promise<T> => {
  for (const end = performance.now() + seconds * 1000; ; await pause(40)) {
    const found = await look();
    if (found !== false && found !== null && found !== undefined) return found;
    if (performance.now() > end)
      throw new Error(`${typeof what === 'string' ? what : what()}: not within ${seconds} s`);
  }
};

/** Statuses of so many requests at once, each on a connection of its own; 0 for no answer. */
export const askMany = async (host: TestHost, domain: string, count: number, path = '/'): Promise<number[]> => {
  const argv = ['curl', '-sS', '-o', '/dev/null', '-m', '60', '-H', `Host: ${domain}`, '-H', 'Connection: close'];
  argv.push('--parallel', '--parallel-immediate', '--parallel-max', String(count), '-w', '%{http_code}\n');
  const { stdout } = await host.run([...argv, `http://127.0.0.1${path}?n=[1-${count}]`], { allowFail: true });
  return stdout.split('\n').filter(Boolean).map(Number);
};

/** What systemd, the run directory and Docker show of one site, without the help of the product. */
export interface Sight {
  facade: string;
  socket: string;
  app: string;
  waker: string;
  /** Where the switch points to, by file name: app.sock, wake.sock, or nothing. */
  link: string | null;
  wakeSocket: boolean;
  /** Content of the file `failed`; null once the container became ready after that failure. */
  failed: string | null;
  /** How often it became ready since it was opened or the host booted. */
  wakes: number;
  /** Null when there is no container, or Docker does not answer. */
  running: boolean | null;
}

export interface Sights {
  of(name: string): Sight;
  /** Names of units that systemd calls failed. */
  failedUnits: string[];
}

const lookScript = `
systemctl list-units --all --full --plain --no-legend --type=service,socket
echo ==
find /run/appfleet -mindepth 2 -maxdepth 2 ! -type d -printf '%P %T@ %l\\n' || true
echo ==
cd /run/appfleet
grep -s . /dev/null */failed || true
echo ==
grep -sc . /dev/null */wakes || true
echo ==
curl -s -m 5 --unix-socket /run/docker.sock 'http://docker/containers/json?all=1' || true
`;

const linesOf = (text: string): string[] => text.split('\n').filter(Boolean);

/** One look at all sites of a host: cheap enough to poll. */
export const lookAtAll = async (host: TestHost): Promise<Sights> => {
  const { stdout } = await host.sh(lookScript);
  const [units = '', sockets = '', failures = '', wakes = '', containers = ''] = stdout.split(/^==$/m);
  const active = new Map(
    linesOf(units)
      .map((line) => line.split(/\s+/))
      .map(([unit = '', , state = '']) => [unit, state]),
  );
  const files = new Map<string, { changed: number; target: string }>();
  for (const line of linesOf(sockets)) {
    const [path = '', changed = '', target = ''] = line.split(' ');
    files.set(path, { changed: Number(changed), target });
  }
  const named = (text: string): Map<string, string> =>
    new Map(
      linesOf(text).map((line) => {
        const [, directory = '', value = ''] = /^([^/]*)\/[^:]*:(.*)$/.exec(line) ?? [];
        return [directory, value];
      }),
    );
  const failed = named(failures);
  const counts = named(wakes);
  const running = new Map<string, boolean>();
  if (containers.trim().startsWith('['))
    for (const { Names, State } of JSON.parse(containers) as { Names: string[]; State: string }[])
      for (const one of Names) running.set(one.replace(/^\//, ''), State === 'running');
  return {
    failedUnits: [...active].filter(([, state]) => state === 'failed').map(([unit]) => unit),
    of: (name) => {
      const run = runName(name);
      const changed = (file: string): number => files.get(`${run}/${file}`)?.changed ?? 0;
      const link = files.get(`${run}/http.sock`)?.target;
      return {
        facade: active.get(`${name}.service`) ?? 'inactive',
        socket: active.get(`${name}.socket`) ?? 'inactive',
        app: active.get(`${name}-app.service`) ?? 'inactive',
        waker: active.get(`appfleet-wake@${name}.service`) ?? 'inactive',
        link: link === undefined ? null : (/[^/]*$/.exec(link)?.[0] ?? ''),
        wakeSocket: files.has(`${run}/wake.sock`),
        failed: changed('failed') > changed('wakes') ? (failed.get(run) ?? null) : null,
        wakes: Number(counts.get(run) ?? 0),
        running: running.get(name) ?? null,
      };
    },
  };
};

/** In which state a site with a container is, by the contract between units, switch and run directory. */
export const stateOf = (sight: Sight): string => {
  if (sight.app === 'deactivating') return 'sleeping';
  if (sight.app === 'activating') return 'waking';
  if (sight.facade !== 'active') return 'stopped';
  if (sight.app === 'active') return 'awake';
  return sight.app === 'failed' || sight.failed !== null ? 'failed' : 'asleep';
};

/** What contradicts the state that a site is in; nothing when units, switch and container agree. */
export const contradictions = (sight: Sight, state: string): string[] => {
  const wrong: string[] = [];
  const insist = (key: keyof Sight, ...allowed: (string | boolean | null)[]): void => {
    if (!allowed.includes(sight[key] as string | boolean | null))
      wrong.push(`${key} is ${String(sight[key])}, not ${allowed.map(String).join(' or ')}`);
  };
  if (stateOf(sight) !== state) wrong.push(`it is ${stateOf(sight)}, not ${state}`);
  const open = state !== 'stopped';
  insist('facade', open ? 'active' : 'inactive');
  // A service that a socket has started takes the socket's place while it runs: "running", which is active as well.
  insist('socket', open ? 'active' : 'inactive');
  insist('wakeSocket', open);
  insist('link', state === 'awake' ? 'app.sock' : open ? 'wake.sock' : null);
  if (['awake', 'asleep', 'stopped'].includes(state)) insist('app', state === 'awake' ? 'active' : 'inactive');
  if (state === 'awake') insist('running', true);
  else insist('running', false, null);
  if (state !== 'failed') insist('waker', 'inactive', ...(state === 'awake' ? ['active'] : []));
  return wrong;
};

/** Between the beginnings of two looks: more would take the processors away from what is looked at. */
const lookMilliseconds = 150;

/** Watches all sites of a host with one look at a time, however many wait for something. */
export const createWatch = (host: TestHost) => {
  let last: Promise<unknown> = Promise.resolve();
  let next: Promise<Sights> | null = null;
  /** A look that begins after the question. */
  const look = (): Promise<Sights> => {
    next ??= last.then(() => {
      next = null;
      const sights = lookAtAll(host);
      last = Promise.all([pause(lookMilliseconds), sights.catch(() => undefined)]);
      return sights;
    });
    return next;
  };
  return {
    look,
    /** Waits until a site's sight is as asked; throws with what it is instead. */
    waitFor: async (name: string, what: string, test: (sight: Sight) => boolean, seconds = 30): Promise<Sight> => {
      let seen: Sight | undefined;
      return until(
        () => `${name}: ${what}; it is ${JSON.stringify(seen)}`,
        async () => {
          seen = (await look()).of(name);
          return test(seen) ? seen : false;
        },
        seconds,
      );
    },
  };
};
