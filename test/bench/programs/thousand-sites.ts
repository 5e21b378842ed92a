/** What takes part in each step with a thousand sites; the part thousand-sites.ts says in which order and why. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { ask, askSite, pause } from './http.ts';
import { quietMoment } from './quiet.ts';
import { program } from './report.ts';

/** Sites are numbered; every tenth is static, the others are Node programs that sleep. */
export type ThousandInput =
  | { step: 'memory' }
  | { step: 'fill'; count: number; limitSeconds: number }
  | { step: 'change'; count: number; rounds: number }
  | { step: 'idle-pass'; rounds: number }
  | { step: 'wake'; count: number; samples: number }
  | { step: 'status'; rounds: number }
  | { step: 'empty'; limitSeconds: number };

/** Resident bytes. */
export interface Memory {
  agent: number;
  systemd: number;
  worker: number;
}

/** Seconds from the first file written on. */
export interface Filled {
  written: number;
  listening: number;
  served: number;
}

/** Milliseconds of each round. */
export interface Changed {
  product: number[];
  byHand: number[];
}

export interface IdlePass {
  milliseconds: number[];
  /** What was not as before: files, nginx's workers, systemd's load of its units. */
  traces: string[];
}

const sitesFolder = '/etc/appfleet/sites';
const root = '/srv/www/thousand';
const api = '/run/appfleet/agent.sock';
const byHandFile = '/etc/nginx/conf.d/bench-change.conf';

const nameOf = (number: number): string => `s${String(number).padStart(4, '0')}.example.org`;
const isStatic = (number: number): boolean => number % 10 === 0;
const fileOf = (number: number): string => `${sitesFolder}/${nameOf(number)}.ini`;
const wakeSocket = (number: number): string => `/run/appfleet/${nameOf(number)}/wake.sock`;

const textOf = (number: number, round = 0): string =>
  isStatic(number)
    ? `[site]\nruntime = static\ntls = off\nroot = ${root}\n[headers]\nX-Round = ${round}\n`
    : '[site]\nruntime = node\ntls = off\nimage = demo/node-app\nnetwork = none\nidle = 1h\n';

const run = (...argv: [string, ...string[]]): string => {
  const [command, ...rest] = argv;
  return execFileSync(command, rest, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
};

const rss = (pid: string): number => {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Rss:\s+(\d+) kB/m.exec(text)?.[1]) * 1024;
};

const workers = (): string[] => run('pgrep', '-f', '^nginx: worker process$').split('\n').sort();

const memory = (): Memory => ({
  agent: rss(run('systemctl', 'show', '-P', 'MainPID', 'appfleet.service')),
  systemd: rss('1'),
  worker: Math.max(...workers().map(rss)),
});

const listening = (): Set<string> =>
  new Set(
    readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .map((line) => line.split(/\s+/)[7] ?? ''),
  );

/**
 * Whether nginx answers for a site, without waking it: a body beyond any limit is refused by the site's own vhost, and by the
 * one for unknown names not before that has said that it knows no such name.
 */
const isKnown = async (number: number): Promise<boolean> => {
  if (isStatic(number)) return (await askSite(nameOf(number), '/')).status === 200;
  const headers = { host: nameOf(number), 'content-length': String(1e15) };
  const answer = await ask({ host: '127.0.0.1', port: 80, method: 'POST', headers }).catch(() => null);
  return answer?.status === 413;
};

/** Calls again and again until it says yes; the seconds since `began`. */
const until = async (began: number, limitSeconds: number, done: () => Promise<boolean>): Promise<number> => {
  for (;;) {
    if (await done()) return (performance.now() - began) / 1000;
    if (performance.now() - began > limitSeconds * 1000) throw new Error(`not done after ${limitSeconds} s`);
    await pause(100);
  }
};

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

const fill = async (count: number, limitSeconds: number): Promise<Filled> => {
  mkdirSync(root, { recursive: true });
  writeFileSync(`${root}/index.html`, 'hello\n');
  const all = numbers(count);
  const began = performance.now();
  for (const number of all) writeFileSync(fileOf(number), textOf(number));
  const written = (performance.now() - began) / 1000;
  const sleepers = all.filter((number) => !isStatic(number));
  const listened = await until(began, limitSeconds, () => {
    const sockets = listening();
    return Promise.resolve(sleepers.every((number) => sockets.has(wakeSocket(number))));
  });
  let next = 0;
  const served = await until(began, limitSeconds, async () => {
    for (; next < all.length; next++) if (!(await isKnown(all[next] ?? 0))) return false;
    return true;
  });
  return { written, listening: listened, served };
};

const change = async (count: number, rounds: number): Promise<Changed> => {
  const number = count - (count % 10);
  const seen = async (domain: string, round: number): Promise<boolean> => {
    const answer = await ask({ host: '127.0.0.1', port: 80, path: '/', headers: { host: domain } });
    return answer.headers['x-round'] === String(round);
  };
  const timed = async (domain: string, round: number, start: () => void): Promise<number> => {
    await quietMoment();
    const began = performance.now();
    start();
    while (!(await seen(domain, round))) {
      if (performance.now() - began > 60_000) throw new Error(`${domain} does not show round ${round} after a minute`);
      await pause(2);
    }
    return performance.now() - began;
  };
  const product = (round: number): Promise<number> =>
    timed(nameOf(number), round, () => writeFileSync(fileOf(number), textOf(number, round)));
  const byHand = (round: number): Promise<number> =>
    timed('by-hand.example.org', round, () => {
      const vhost = `server {\n listen 80;\n server_name by-hand.example.org;\n root ${root};\n add_header X-Round ${round};\n}\n`;
      writeFileSync(byHandFile, vhost);
      run('nginx', '-t', '-q');
      run('nginx', '-s', 'reload');
    });
  const result: Changed = { product: [], byHand: [] };
  for (let round = 1; round <= rounds; round++) {
    if (round % 2 === 0) result.product.push(await product(round));
    result.byHand.push(await byHand(round));
    if (round % 2 === 1) result.product.push(await product(round));
    // The pass that the reload by hand may bring about is over by then.
    await pause(1000);
  }
  rmSync(byHandFile);
  run('nginx', '-s', 'reload');
  return result;
};

/** Times of all files that a pass may write, nginx's workers, and when systemd last loaded its units. */
const snapshot = (): Map<string, string> => {
  const found = new Map<string, string>();
  for (const folder of ['/etc/systemd/system', '/etc/nginx', '/var/lib/appfleet', '/run/appfleet', '/etc/appfleet'])
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      const path = `${folder}/${name}`;
      const stats = statSync(path, { throwIfNoEntry: false });
      if (stats !== undefined) found.set(path, `${stats.ino} ${stats.mtimeMs} ${stats.ctimeMs} ${linkTarget(path)}`);
    }
  found.set("nginx's workers", workers().join(' '));
  found.set("systemd's units", run('systemctl', 'show', '-P', 'UnitsLoadTimestampMonotonic'));
  return found;
};

const linkTarget = (path: string): string => {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
};

const idlePass = async (rounds: number): Promise<IdlePass> => {
  const pass = async (): Promise<number> => {
    const began = performance.now();
    const answer = await ask({ socketPath: api, method: 'POST', path: '/v1/apply' });
    if (answer.status !== 200) throw new Error(`the agent answered ${answer.status}: ${answer.body}`);
    return performance.now() - began;
  };
  await pass();
  const before = snapshot();
  const milliseconds: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await quietMoment();
    milliseconds.push(await pass());
  }
  const after = snapshot();
  const traces = [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key));
  return { milliseconds, traces };
};

const wake = async (count: number, samples: number): Promise<number[]> => {
  const times: number[] = [];
  for (let sample = 0; sample < samples; sample++) {
    // Spread over all of them, never a static one.
    const number = Math.floor(((sample + 0.5) * count) / samples / 10) * 10 + 1 + (sample % 9);
    const began = performance.now();
    const answer = await askSite(nameOf(number), '/');
    if (answer.status !== 200) throw new Error(`${nameOf(number)} answered ${answer.status}: ${answer.body}`);
    times.push(answer.at - began);
    run('systemctl', 'stop', `${nameOf(number)}-app.service`);
  }
  return times;
};

const status = (rounds: number): number[] =>
  Array.from({ length: rounds }, () => {
    const began = performance.now();
    run('appfleet', 'status');
    return performance.now() - began;
  });

const empty = async (limitSeconds: number): Promise<number> => {
  const began = performance.now();
  for (const name of readdirSync(sitesFolder)) rmSync(`${sitesFolder}/${name}`);
  const ours = /^s\d{4}\.example\.org/;
  return until(began, limitSeconds, () =>
    Promise.resolve(
      ['/etc/systemd/system', '/etc/nginx/appfleet', '/var/lib/appfleet/start'].every((folder) =>
        readdirSync(folder).every((name) => !ours.test(name)),
      ),
    ),
  );
};

program((input: ThousandInput): Promise<Memory | Filled | Changed | IdlePass | number[] | number> => {
  switch (input.step) {
    case 'memory':
      return Promise.resolve(memory());
    case 'fill':
      return fill(input.count, input.limitSeconds);
    case 'change':
      return change(input.count, input.rounds);
    case 'idle-pass':
      return idlePass(input.rounds);
    case 'wake':
      return wake(input.count, input.samples);
    case 'status':
      return Promise.resolve(status(input.rounds));
    case 'empty':
      return empty(input.limitSeconds);
  }
});
