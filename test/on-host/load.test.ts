/**
 * Six sites under load while everything that may happen to a site happens to them, at random from a printed seed. Not one request
 * may fail, except those to the one site that is stopped by hand, while it is stopped.
 * APPFLEET_LOAD_SECONDS: how long (60). APPFLEET_LOAD_SEED: the seed of an earlier run.
 */
import { createHash } from 'node:crypto';
import t from 'tap';
import { folder, openHost, pause, until, type Failure, type Target } from './clients/on-host.ts';

const seconds = Number(process.env['APPFLEET_LOAD_SECONDS'] ?? 60);
const seed = Number(process.env['APPFLEET_LOAD_SEED'] ?? Math.floor(Math.random() * 1e9));
t.setTimeout((seconds + 200) * 1000);

const on = await openHost('on-host-load');
const { sh } = on;
const php = ['php1.load.test', 'php2.load.test'] as const;
const node = ['node1.load.test', 'node2.load.test'] as const;
const tcp = 'tcp.load.test';
const fixed = 'static.load.test';
const contained = [...php, ...node, tcp];
/** The one that is stopped and started by hand. */
const victim = node[1];

/** mulberry32 */
let state = seed;
const random = (): number => {
  state = (state + 0x6d2b79f5) >>> 0;
  let x = state;
  x = Math.imul(x ^ (x >>> 15), x | 1);
  x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
  return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
};
const pick = <T>(list: readonly T[]): T => {
  const found = list[Math.floor(random() * list.length)];
  if (found === undefined) throw new Error('nothing to pick from');
  return found;
};

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
const text = 'The quick brown fox jumps over the lazy dog.\n'.repeat(500).slice(0, 20000);

let version = 0;
const siteFile = (domain: string): string => {
  const env = `[env]\nVERSION = v${version++}\n`;
  if (domain === fixed) return `[site]\nruntime = static\nroot = /srv/load\n[headers]\nX-Version = v${version}\n`;
  const idle = '[site]\nidle = 2s\nmemory = 128m\nstop_timeout = 2s\n';
  if (domain.startsWith('php')) return `${idle}runtime = php-fpm\nimage = php:fpm\nroot = /srv/load\n${env}`;
  const program = `image = demo/node-app\ncommand = node ${folder}/app.cjs\nvolumes = ${folder}:${folder}:ro\n`;
  return `${idle}${program}runtime = ${domain === tcp ? 'container\nport = 3000' : 'node'}\n${env}`;
};

const targets = (): Target[] => [
  ...contained.map((host) => ({
    host,
    gets: [
      { path: '/text', sha256: sha(text) },
      { path: '/slow?ms=400', sha256: sha('late\n') },
    ],
    post: '/echo',
    largest: 2 * 1024 * 1024,
  })),
  { host: fixed, gets: [{ path: '/page.txt', sha256: sha(text) }], post: null },
];

/** When the victim was, or may have been, stopped. */
const stopped: { from: number; to: number }[] = [];
const isExcused = ({ host, from, to, wrong }: Failure): boolean =>
  host === victim && wrong.startsWith('status 503') && stopped.some((gap) => from <= gap.to && to >= gap.from);

const done = new Map<string, number>();
const refusals: string[] = [];
const run = async (what: string, argv: readonly string[]): Promise<void> => {
  const { code, stdout, stderr } = await on.host.run(argv, { allowFail: true, timeoutMs: 90_000 });
  done.set(what, (done.get(what) ?? 0) + 1);
  // `appfleet sleep` says with 1 that the site is in use.
  if (code !== 0 && what !== 'sleep') refusals.push(`${argv.join(' ')}: ${code} ${stdout}${stderr}`);
};

/** What may happen, and how often beside the others. */
const events: readonly (readonly [weight: number, act: () => Promise<void>])[] = [
  [6, () => run('sleep', ['appfleet', 'sleep', pick(contained)])],
  [2, () => run('wake', ['appfleet', 'wake', pick(contained.filter((domain) => domain !== victim))])],
  [4, () => run('restart', ['service', pick([...contained.filter((domain) => domain !== victim), fixed]), 'restart'])],
  [2, () => run('reload', ['service', pick([...contained.filter((domain) => domain !== victim), fixed]), 'reload'])],
  [1, () => run('nginx reload', ['systemctl', 'reload', 'nginx'])],
  [
    4,
    async () => {
      const domain = pick([...contained, fixed]);
      await on.putSite(domain, siteFile(domain));
      done.set('file changed', (done.get('file changed') ?? 0) + 1);
    },
  ],
  [1, () => run('agent killed', ['systemctl', 'kill', '--signal=KILL', 'appfleet.service'])],
];
const lottery = events.flatMap(([weight, act]) => Array.from({ length: weight }, () => act));

t.before(async () => {
  await on.clear('.load.test');
  await sh(`rm -rf /srv/load; mkdir -p /srv/load; cp ${folder}/index.php /srv/load/`);
  await on.host.write('/srv/load/page.txt', text);
  for (const domain of [...contained, fixed]) await on.putSite(domain, siteFile(domain));
  const applied = await on.apply();
  if (applied.code !== 0) throw new Error(applied.stdout + applied.stderr);
});
t.teardown(() => on.clear('.load.test'));

t.test(`no request is lost in ${seconds} s of sleeps, wakes, restarts, changes and kills (seed ${seed})`, async (t) => {
  const counts = async (): Promise<number[]> => Promise.all(contained.map((domain) => on.starts(domain)));
  const before = await counts();
  const began = Number(await sh('date +%s'));
  const load = on.load(targets(), { clients: 16, pauseMs: 40, lullMs: 5000, seed });
  const end = performance.now() + seconds * 1000;
  const under = (): boolean => performance.now() < end;

  const hand = async (): Promise<void> => {
    while (under()) {
      await pause(100 + random() * 900);
      await pick(lottery)();
    }
  };
  const stopper = async (): Promise<void> => {
    while (under()) {
      await pause(2000 + random() * 4000);
      const from = Date.now();
      await run('stop', ['service', victim, 'stop']);
      await pause(random() * 2000);
      await run('start', ['service', victim, 'start']);
      stopped.push({ from, to: Date.now() });
    }
  };
  await Promise.all([hand(), hand(), stopper()]);
  const sites = await load.stop();

  const journal = (words: string): Promise<string> =>
    sh(`journalctl --quiet --no-pager --since=@${began} --output=cat --grep='${words}' || true`);
  const lines = async (words: string): Promise<number> => (await journal(words)).split('\n').filter(Boolean).length;
  // The agent may have been killed too often for it before; now nobody asks any more.
  await until('sites fall asleep by idle', async () => (await lines('put to sleep after')) > 0);
  const after = await counts();
  const wakes = after.reduce((sum, count, i) => sum + count - (before[i] ?? 0), 0);
  const byIdle = await lines('put to sleep after');
  const asleep = await lines('asleep until the next request');
  const gaveUp = await journal('connection.s. still open after');
  t.comment([...done].map(([what, count]) => `${what} ${count}`).join(', '));
  t.comment(
    `${wakes} wakes, ${asleep} sleeps (${byIdle} by idle), ${gaveUp.split('\n').filter(Boolean).length} give-ups`,
  );
  for (const { host, requests, failures, medianMs, p95Ms, slowestMs } of sites)
    t.comment(
      `${host}: ${requests} requests, ${failures} failed, ${medianMs} / ${p95Ms} / ${slowestMs} ms (median, 95 %, slowest)`,
    );
  const total = sites.reduce((sum, { requests }) => sum + requests, 0);
  t.comment(`${total} requests, slowest ${Math.max(...sites.map(({ slowestMs }) => slowestMs))} ms`);

  const lost = load.failures.filter((failure) => !isExcused(failure));
  t.same(lost, [], 'no request failed');
  t.same(refusals, [], 'no command failed');
  t.equal(gaveUp, '', 'nobody was cut off');
  t.ok(wakes >= seconds / 4, 'sites were woken often');
  t.ok(
    sites.every(({ requests }) => requests > seconds),
    'every site was asked',
  );
  t.ok(load.failures.length > lost.length, 'the stopped site did refuse');

  const applied = await on.apply();
  t.equal(applied.code, 0, `apply: ${applied.stderr}`);
  for (const { host } of targets()) t.equal((await on.ask(host, '/page.txt')).status, 200, `${host} serves`);
  t.match((await on.host.run(['appfleet', 'plan'])).stdout, /Nothing to do/, 'nothing is left to do');
  t.equal(await sh("systemctl list-units --failed --plain --no-legend '*load.test*'"), '', 'no unit failed');
});
