/**
 * Every state of a site times everything that can happen to it. A cell says what the requests are answered, in which state the
 * site comes to rest and what the next request meets; units, switch and container must agree in between.
 *
 * What happens to one site alone is tried on a site per cell, many at a time. What happens to the whole host (agent, Docker,
 * nginx, reboot) happens once for one site in each state.
 */
import t, { type Test } from 'tap';
import { askMany, contradictions, createWatch, pause, type Sight, stateOf, testHost, until } from './support.ts';

const states = ['asleep', 'waking', 'awake', 'sleeping', 'stopped', 'failed'] as const;
type State = (typeof states)[number];

const events = [
  ...(['request', '20 requests', 'service start', 'service stop', 'service restart', 'service reload'] as const),
  ...(['exits 0', 'exits 1', 'is killed', 'out of memory', 'docker stop', 'docker start', 'image missing'] as const),
  ...(['agent killed', 'agent restarted', 'dockerd restarted', 'nginx restarted', 'host rebooted'] as const),
] as const;
type Event = (typeof events)[number];

/** How a site is kept between two states: its program waits for a word of ours, or a slow request is in flight. */
type Hold = 'gate' | 'drain';

/** What the next request meets; `soon`: 200 after the back-off; `repaired`: 503 until it is repaired, then 200 within 2 s. */
type Next = 200 | 503 | 'soon' | 'repaired';

interface Cell {
  state: State;
  event: Event;
  runtime?: 'php-fpm';
  hold?: Hold;
  /** Answers to the requests that are the event, or come along with it; one of them each. */
  answers?: readonly number[];
  /** Answer to the request that was in flight before the event. */
  held?: readonly number[];
  /** Exit code of `service`. */
  code?: number;
  now: State;
  then: Next;
  /** How often its container has been started by then, the start that brought it into its state included. */
  starts?: number;
  /** The site has a memory limit. */
  memory?: string;
  /** It had never been awake, so there is no container yet. */
  unborn?: boolean;
}

const closed = [503];
const served = [200];
/** nginx had to drop the connection, or its host is gone. */
const lost = [0, 502, 503];

const cells: readonly Cell[] = [
  { state: 'asleep', event: 'request', answers: served, now: 'awake', then: 200, starts: 2 },
  { state: 'asleep', event: 'request', unborn: true, answers: served, now: 'awake', then: 200, starts: 1 },
  { state: 'asleep', event: 'request', runtime: 'php-fpm', answers: served, now: 'awake', then: 200, starts: 2 },
  { state: 'asleep', event: '20 requests', unborn: true, answers: served, now: 'awake', then: 200, starts: 1 },
  { state: 'asleep', event: '20 requests', runtime: 'php-fpm', answers: served, now: 'awake', then: 200, starts: 2 },
  { state: 'asleep', event: 'service start', code: 0, now: 'asleep', then: 200 },
  { state: 'asleep', event: 'service stop', code: 0, now: 'stopped', then: 503 },
  { state: 'asleep', event: 'service restart', code: 0, now: 'asleep', then: 200 },
  { state: 'asleep', event: 'service reload', code: 0, now: 'asleep', then: 200 },
  { state: 'asleep', event: 'docker stop', now: 'asleep', then: 200 },
  { state: 'asleep', event: 'docker start', now: 'awake', then: 200, starts: 2 },
  { state: 'asleep', event: 'image missing', now: 'asleep', then: 200 },
  { state: 'asleep', event: 'image missing', unborn: true, now: 'asleep', then: 'repaired' },

  { state: 'waking', event: 'request', answers: served, held: served, now: 'awake', then: 200, starts: 1 },
  { state: 'waking', event: '20 requests', answers: served, held: served, now: 'awake', then: 200, starts: 1 },
  { state: 'waking', event: 'service start', code: 0, held: served, now: 'awake', then: 200, starts: 1 },
  { state: 'waking', event: 'service stop', code: 0, held: closed, now: 'stopped', then: 503 },
  { state: 'waking', event: 'service restart', code: 0, held: served, now: 'awake', then: 200, starts: 2 },
  { state: 'waking', event: 'service reload', code: 0, held: served, now: 'awake', then: 200, starts: 2 },
  { state: 'waking', event: 'exits 0', held: closed, now: 'failed', then: 'soon' },
  { state: 'waking', event: 'exits 1', held: closed, now: 'failed', then: 'soon' },
  { state: 'waking', event: 'is killed', held: closed, now: 'failed', then: 'soon' },
  { state: 'waking', event: 'out of memory', memory: '96m', held: closed, now: 'failed', then: 'soon' },
  { state: 'waking', event: 'docker stop', held: closed, now: 'failed', then: 'soon' },
  { state: 'waking', event: 'docker start', held: served, now: 'awake', then: 200, starts: 1 },
  { state: 'waking', event: 'image missing', held: served, now: 'awake', then: 200, starts: 1 },

  { state: 'awake', event: 'request', answers: served, now: 'awake', then: 200, starts: 1 },
  { state: 'awake', event: '20 requests', answers: served, now: 'awake', then: 200, starts: 1 },
  { state: 'awake', event: 'service start', code: 0, now: 'awake', then: 200, starts: 1 },
  { state: 'awake', event: 'service stop', code: 0, now: 'stopped', then: 503, starts: 1 },
  { state: 'awake', event: 'service stop', runtime: 'php-fpm', code: 0, now: 'stopped', then: 503, starts: 1 },
  { state: 'awake', event: 'service restart', code: 0, now: 'awake', then: 200, starts: 2 },
  { state: 'awake', event: 'service restart', runtime: 'php-fpm', code: 0, now: 'awake', then: 200, starts: 2 },
  { state: 'awake', event: 'service reload', code: 0, now: 'awake', then: 200, starts: 2 },
  { state: 'awake', event: 'exits 0', answers: served, now: 'asleep', then: 200, starts: 2 },
  { state: 'awake', event: 'exits 1', answers: served, now: 'failed', then: 'soon' },
  { state: 'awake', event: 'is killed', now: 'failed', then: 'soon' },
  { state: 'awake', event: 'is killed', runtime: 'php-fpm', now: 'failed', then: 'soon' },
  { state: 'awake', event: 'out of memory', memory: '96m', answers: [0, 200, ...closed], now: 'failed', then: 'soon' },
  { state: 'awake', event: 'docker stop', now: 'asleep', then: 200, starts: 2 },
  { state: 'awake', event: 'docker stop', runtime: 'php-fpm', now: 'asleep', then: 200, starts: 2 },
  { state: 'awake', event: 'docker start', now: 'awake', then: 200, starts: 1 },
  { state: 'awake', event: 'image missing', now: 'awake', then: 200, starts: 1 },

  { state: 'sleeping', event: 'request', answers: served, now: 'awake', then: 200, starts: 2 },
  { state: 'sleeping', event: 'request', hold: 'drain', answers: served, held: served, now: 'awake', then: 200 },
  { state: 'sleeping', event: '20 requests', answers: served, now: 'awake', then: 200, starts: 2 },
  { state: 'sleeping', event: '20 requests', hold: 'drain', answers: served, held: served, now: 'awake', then: 200 },
  {
    ...{ state: 'sleeping', event: 'request', hold: 'drain', runtime: 'php-fpm' },
    ...{ answers: served, held: served, now: 'awake', then: 200, starts: 2 },
  },
  { state: 'sleeping', event: 'service start', code: 0, now: 'asleep', then: 200, starts: 2 },
  { state: 'sleeping', event: 'service stop', code: 0, now: 'stopped', then: 503, starts: 1 },
  { state: 'sleeping', event: 'service stop', hold: 'drain', code: 0, held: served, now: 'stopped', then: 503 },
  { state: 'sleeping', event: 'service restart', code: 0, now: 'asleep', then: 200, starts: 2 },
  { state: 'sleeping', event: 'service restart', hold: 'drain', code: 0, held: served, now: 'asleep', then: 200 },
  { state: 'sleeping', event: 'service reload', code: 0, now: 'asleep', then: 200, starts: 2 },
  { state: 'sleeping', event: 'exits 0', now: 'asleep', then: 200, starts: 2 },
  { state: 'sleeping', event: 'exits 1', now: 'asleep', then: 200, starts: 2 },
  { state: 'sleeping', event: 'is killed', now: 'asleep', then: 200, starts: 2 },
  { state: 'sleeping', event: 'out of memory', memory: '96m', now: 'asleep', then: 200, starts: 2 },
  { state: 'sleeping', event: 'docker stop', now: 'asleep', then: 200, starts: 2 },
  { state: 'sleeping', event: 'docker start', now: 'asleep', then: 200, starts: 2 },
  { state: 'sleeping', event: 'image missing', now: 'asleep', then: 200, starts: 2 },

  { state: 'stopped', event: 'request', answers: closed, now: 'stopped', then: 503, starts: 1 },
  { state: 'stopped', event: '20 requests', answers: closed, now: 'stopped', then: 503, starts: 1 },
  { state: 'stopped', event: 'service start', code: 0, now: 'asleep', then: 200, starts: 2 },
  { state: 'stopped', event: 'service start', runtime: 'php-fpm', code: 0, now: 'asleep', then: 200, starts: 2 },
  { state: 'stopped', event: 'service stop', code: 0, now: 'stopped', then: 503, starts: 1 },
  { state: 'stopped', event: 'service restart', code: 0, now: 'asleep', then: 200, starts: 2 },
  // Its exit code says nothing: where any unit is failed, Debian's `service` only queues a reload.
  { state: 'stopped', event: 'service reload', now: 'stopped', then: 503, starts: 1 },
  { state: 'stopped', event: 'docker stop', now: 'stopped', then: 503, starts: 1 },
  // Whoever starts the container wants the site.
  { state: 'stopped', event: 'docker start', now: 'awake', then: 200, starts: 2 },
  { state: 'stopped', event: 'image missing', now: 'stopped', then: 503, starts: 1 },

  { state: 'failed', event: 'request', answers: closed, now: 'failed', then: 'repaired' },
  { state: 'failed', event: '20 requests', answers: closed, now: 'failed', then: 'repaired' },
  { state: 'failed', event: 'service start', code: 0, now: 'failed', then: 'repaired' },
  { state: 'failed', event: 'service stop', code: 0, now: 'stopped', then: 503 },
  { state: 'failed', event: 'service restart', code: 0, now: 'failed', then: 'repaired' },
  { state: 'failed', event: 'service reload', code: 0, now: 'failed', then: 'repaired' },
  { state: 'failed', event: 'docker stop', now: 'failed', then: 'repaired' },
  { state: 'failed', event: 'docker start', now: 'failed', then: 'repaired' },
  { state: 'failed', event: 'image missing', now: 'failed', then: 'repaired' },
];

/** What happens to all at once; `answers` are to a request that comes while it happens. */
const shared: readonly Cell[] = [
  { state: 'asleep', event: 'agent killed', answers: served, now: 'awake', then: 200 },
  { state: 'waking', event: 'agent killed', answers: served, held: served, now: 'awake', then: 200 },
  { state: 'awake', event: 'agent killed', answers: served, now: 'awake', then: 200 },
  { state: 'sleeping', event: 'agent killed', answers: served, now: 'awake', then: 200 },
  { state: 'stopped', event: 'agent killed', answers: closed, now: 'stopped', then: 503 },
  { state: 'failed', event: 'agent killed', answers: closed, now: 'failed', then: 'repaired' },

  { state: 'asleep', event: 'agent restarted', answers: served, now: 'awake', then: 200 },
  { state: 'waking', event: 'agent restarted', answers: served, held: served, now: 'awake', then: 200 },
  { state: 'awake', event: 'agent restarted', answers: served, now: 'awake', then: 200 },
  { state: 'sleeping', event: 'agent restarted', answers: served, now: 'awake', then: 200 },
  { state: 'stopped', event: 'agent restarted', answers: closed, now: 'stopped', then: 503 },
  { state: 'failed', event: 'agent restarted', answers: closed, now: 'failed', then: 'repaired' },

  { state: 'asleep', event: 'dockerd restarted', answers: served, now: 'awake', then: 200 },
  { state: 'waking', event: 'dockerd restarted', answers: served, held: served, now: 'awake', then: 200 },
  { state: 'awake', event: 'dockerd restarted', answers: served, now: 'awake', then: 200 },
  { state: 'sleeping', event: 'dockerd restarted', answers: served, now: 'awake', then: 200 },
  { state: 'stopped', event: 'dockerd restarted', answers: closed, now: 'stopped', then: 503 },
  { state: 'failed', event: 'dockerd restarted', answers: closed, now: 'failed', then: 'repaired' },

  // Nobody listens while nginx restarts, so no request comes along; one that is in flight is let finish.
  { state: 'asleep', event: 'nginx restarted', now: 'asleep', then: 200 },
  { state: 'waking', event: 'nginx restarted', held: served, now: 'awake', then: 200 },
  { state: 'awake', event: 'nginx restarted', now: 'awake', then: 200 },
  { state: 'sleeping', event: 'nginx restarted', now: 'asleep', then: 200 },
  { state: 'stopped', event: 'nginx restarted', now: 'stopped', then: 503 },
  { state: 'failed', event: 'nginx restarted', now: 'failed', then: 'repaired' },

  { state: 'asleep', event: 'host rebooted', now: 'asleep', then: 200 },
  { state: 'waking', event: 'host rebooted', held: lost, now: 'asleep', then: 200 },
  { state: 'awake', event: 'host rebooted', now: 'asleep', then: 200 },
  { state: 'sleeping', event: 'host rebooted', now: 'asleep', then: 200 },
  { state: 'stopped', event: 'host rebooted', now: 'asleep', then: 200 },
  { state: 'failed', event: 'host rebooted', now: 'asleep', then: 'repaired' },
];

/** Why some cells are empty. */
const impossible: readonly { states: readonly State[]; events: readonly Event[]; why: string }[] = [
  {
    states: ['asleep', 'stopped', 'failed'],
    events: ['exits 0', 'exits 1', 'is killed', 'out of memory'],
    why: 'no container runs that could end; a failed site is between two tries, and each try is a cell of waking',
  },
];

// ---------------------------------------------------------------- the host

const fleet = testHost();
const { host } = fleet;
const watch = createWatch(host);

const titleOf = ({ state, event, hold, runtime, unborn }: Cell): string =>
  [state, hold, unborn === true ? 'for the first time' : undefined, runtime].filter(Boolean).join(', ') + `: ${event}`;

/** A name that tells which cell it is, when somebody looks at the host. */
const nameOf = (cell: Cell): string =>
  `${titleOf(cell)
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll('for-the-first-time', 'new')}.cell.example`;

const folder = (name: string): string => `/srv/cells/${name}`;

/** Starts the demo program as the words in /cell say, which are files that a test makes and removes. */
const program = `#!/bin/sh
obey() {
  [ ! -e /cell/eat ] || exec node -e 'const all = []; for (;;) all.push(Buffer.alloc(16 << 20, 1))'
  [ ! -e /cell/exit ] || exit "$(cat /cell/exit)"
}
end() {
  while [ -e /cell/stay ]; do obey; sleep 0.05; done
  kill "$app"
  wait "$app"
  exit 143
}
[ ! -e /cell/fail ] || exit 3
trap 'exit 143' TERM
while [ -e /cell/hold ]; do obey; sleep 0.05; done
node server.js &
app=$!
trap end TERM
wait "$app"
`;

type Word = 'fail' | 'hold' | 'stay' | 'exit' | 'eat';
const say = (name: string, word: Word, text = ''): Promise<unknown> =>
  host.run(['sh', '-euc', 'cd "$1"; printf %s "$3" >.new; mv .new "$2"', 'say', folder(name), word, text]);
/** Takes all words back: the program goes on, or starts as it should. */
const release = (name: string): Promise<unknown> =>
  host.run(['sh', '-euc', 'cd "$1"; rm -f fail hold stay exit eat', 'release', folder(name)]);

const ownImage = (name: string): string => `cell/${name}:1`;
const giveImage = (name: string): Promise<unknown> => host.run(['docker', 'tag', 'demo/node-app', ownImage(name)]);

/** Whether the site's program listens to our words; the others run the image as it is. */
const obeys = ({ state, hold }: Cell): boolean =>
  state === 'waking' || state === 'failed' || (state === 'sleeping' && hold !== 'drain');

const siteFile = (cell: Cell, name: string): string =>
  [
    ...(cell.runtime === 'php-fpm'
      ? ['runtime = php-fpm', 'image = php:fpm', 'root = /srv/cells/php', 'health = ping']
      : ['runtime = node', `image = ${cell.event === 'image missing' ? ownImage(name) : 'demo/node-app'}`]),
    ...(obeys(cell) ? ['command = sh /cells/program', `volumes = /srv/cells:/cells:ro, ${folder(name)}:/cell:ro`] : []),
    ...(cell.memory === undefined ? [] : [`memory = ${cell.memory}`]),
    'idle = 1h',
    'stop_timeout = 15s',
  ].join('\n');

/** Makes the sites of cells known to the agent, all at once. */
const setUp = async (wanted: ReadonlyMap<string, Cell>): Promise<void> => {
  const names = [...wanted.keys()];
  await host.run(['sh', '-euc', 'mkdir -p "$@"', 'mkdir', '/srv/cells/php', ...names.map(folder)]);
  await host.write('/srv/cells/program', program, 0o755);
  await host.write('/srv/cells/php/index.php', '<?php sleep((int) ($_GET["sleep"] ?? 0)); echo "hello\n";');
  await host.write('/etc/appfleet/appfleet.ini', '[appfleet]\nacme_directory = none\nparallel_starts = 16\n');
  for (const [name, cell] of wanted) if (cell.event === 'image missing') await giveImage(name);
  await Promise.all([...wanted].map(([name, cell]) => fleet.putSite(name, siteFile(cell, name))));
  const { code, stdout, stderr } = await fleet.apply();
  if (code !== 0) throw new Error(`appfleet apply: ${code}\n${(stdout + stderr).slice(-2000)}`);
};

/** Removes the sites; nothing of them may be left. */
const tearDown = async (names: readonly string[]): Promise<void> => {
  await host.run(['rm', '-f', ...names.map((name) => `/etc/appfleet/sites/${name}.ini`)]);
  await fleet.apply();
};

const isAt = (state: State) => (sight: Sight) => contradictions(sight, state).length === 0;
const comesTo = (name: string, state: State, seconds = 40): Promise<Sight> =>
  watch.waitFor(name, `comes to ${state}`, isAt(state), seconds);

// ---------------------------------------------------------------- into a state

const slowPath = ({ runtime }: Cell): string => (runtime === 'php-fpm' ? '/?sleep=4' : '/slow?ms=4000');

/** The request that is in flight; in an object, because a promise in a promise would be waited for. */
interface Held {
  answer: Promise<number> | null;
}

/** Brings a site into its state from any other. */
const enter = async (cell: Cell, name: string): Promise<Held> => {
  const app = `${name}-app.service`;
  await release(name);
  await host.run(['systemctl', 'start', `${name}.service`]);
  await host.run(['systemctl', 'stop', app]);
  if (cell.state === 'waking') {
    await say(name, 'hold');
    const held = ask(name);
    await watch.waitFor(
      name,
      'its container is starting',
      ({ app, running }) => app === 'activating' && running === true,
    );
    return { answer: held };
  }
  if (cell.state === 'failed') {
    await say(name, 'fail');
    await fleet.ask(name);
    await comesTo(name, 'failed');
    return { answer: null };
  }
  if (cell.unborn === true) return { answer: null };
  await until(`${name} answers`, async () => (await fleet.ask(name)).status === 200);
  await comesTo(name, 'awake');
  if (cell.state === 'asleep') await host.run(['systemctl', 'stop', app]);
  if (cell.state === 'stopped') await host.run(['systemctl', 'stop', `${name}.service`]);
  if (cell.state !== 'sleeping') {
    await comesTo(name, cell.state);
    return { answer: null };
  }
  let held: Promise<number> | null = null;
  if (cell.hold === 'drain') {
    held = ask(name, slowPath(cell));
    await pause(300);
  } else await say(name, 'stay');
  await host.run(['systemctl', 'stop', '--no-block', app]);
  await watch.waitFor(name, 'it is going to sleep', (sight) => sight.app === 'deactivating');
  return { answer: held };
};

/** Status of a request; a 503 must say when to come back. */
const ask = async (name: string, path = '/'): Promise<number> => {
  const { status, headers } = await fleet.ask(name, path, { timeoutSeconds: 60 });
  if (status === 503 && headers['retry-after'] === undefined) throw new Error(`${name}: 503 without Retry-After`);
  return status;
};

// ---------------------------------------------------------------- what happens to one site

type StartsOf = (name: string) => number;

interface Outcome {
  answers?: number[];
  code?: number;
}

const service = async (name: string, verb: string): Promise<Outcome> => ({
  code: (await host.run(['service', name, verb], { allowFail: true })).code,
});
const docker = async (...words: string[]): Promise<Outcome> => {
  await host.run(['docker', ...words]);
  return {};
};
const exits = async ({ state }: Cell, name: string, code: number): Promise<Outcome> => {
  if (state === 'awake') return { answers: [await ask(name, `/exit?code=${code}`)] };
  await say(name, 'exit', String(code));
  return {};
};

/** Ends of the program that are not our doing: whatever tries to start it again meanwhile shall fail as well. */
const mishaps: ReadonlySet<Event> = new Set(['exits 0', 'exits 1', 'is killed', 'out of memory', 'docker stop']);

const act = async (cell: Cell, name: string): Promise<Outcome> => {
  if (cell.state === 'waking' && mishaps.has(cell.event)) await say(name, 'fail');
  switch (cell.event) {
    case 'request':
      return { answers: [await ask(name)] };
    case '20 requests': {
      const answers = await askMany(host, name, 20);
      if (answers.length !== 20) throw new Error(`${name}: ${answers.length} answers to 20 requests`);
      return { answers };
    }
    case 'service start':
    case 'service stop':
    case 'service restart':
    case 'service reload':
      return service(name, cell.event.slice('service '.length));
    case 'exits 0':
      return exits(cell, name, 0);
    case 'exits 1':
      return exits(cell, name, 1);
    case 'is killed':
      return docker('kill', name);
    case 'out of memory':
      if (cell.state === 'awake') return { answers: [await ask(name, '/eat')] };
      await say(name, 'eat');
      return {};
    case 'docker stop':
      return docker('stop', name);
    case 'docker start':
      return docker('start', name);
    case 'image missing':
      return docker('rmi', '--force', ownImage(name));
    case 'agent killed':
    case 'agent restarted':
    case 'dockerd restarted':
    case 'nginx restarted':
    case 'host rebooted':
      throw new Error(`${cell.event} does not happen to one site`);
  }
};

const repair = async (cell: Cell, name: string): Promise<void> => {
  await release(name);
  if (cell.event === 'image missing') await giveImage(name);
};

/** Asks until the site answers 200; seconds from the beginning of this to the beginning of that request. */
const recovery = async (name: string): Promise<number> => {
  const began = performance.now();
  return until(
    `${name} recovers`,
    async () => {
      const waited = (performance.now() - began) / 1000;
      const status = await ask(name);
      if (status !== 200 && status !== 503) throw new Error(`${name} answers ${status}`);
      return status === 200 ? waited : null;
    },
    20,
  );
};

/** The next request after a cell's event, and the state that it leaves behind. */
const next = async (t: Test, cell: Cell, name: string): Promise<void> => {
  let end: State = cell.then === 503 ? cell.now : 'awake';
  if (cell.then === 200 || cell.then === 503) t.equal(await ask(name), cell.then, 'the next request');
  else {
    if (cell.then === 'repaired') {
      t.equal(await ask(name), 503, 'a request before the repair');
      await comesTo(name, 'failed');
      await repair(cell, name);
    }
    const seconds = await recovery(name);
    t.ok(seconds <= 2, `a request ${seconds.toFixed(1)} s later is served`);
    end = 'awake';
  }
  const sight = await comesTo(name, end).catch(() => null);
  t.strictSame(contradictions(sight ?? (await watch.look()).of(name), end), [], `${end} in the end`);
};

const check = (t: Test, answers: readonly number[], allowed: readonly number[], what: string): void => {
  const wrong = answers.filter((status) => !allowed.includes(status));
  t.strictSame(wrong, [], `${what}: ${allowed.join(' or ')}`);
};

/** Waits until an event has begun, or is over, so that the site's program may go on. */
const takesEffect = async (cell: Cell, name: string, acting: Promise<unknown>, startsOf: StartsOf): Promise<void> => {
  const { state, event } = cell;
  if (mishaps.has(event) && !(event === 'docker stop' && state === 'sleeping')) {
    // A mishap has to run its whole course.
    if (state === 'waking') await comesTo(name, cell.now);
    else await watch.waitFor(name, 'its container has ended', ({ running }) => running === false);
    return;
  }
  let over = false;
  void acting.then(
    () => (over = true),
    () => (over = true),
  );
  if (event === 'service stop' && state === 'waking') await acting;
  else if (event.startsWith('service') && state === 'waking' && event !== 'service start')
    await until(`${name} starts again`, () => over || startsOf(name) > 1);
  else if (event.startsWith('service'))
    await watch.waitFor(name, 'systemd has its order', ({ facade }) => over || facade !== 'active');
  // Nothing shows that a request, or `docker stop`, has arrived.
  else await Promise.race([acting, pause(250)]);
};

/** One cell on a site of its own. */
const play = async (t: Test, cell: Cell, name: string, startsOf: StartsOf): Promise<void> => {
  const { answer: held } = await enter(cell, name);
  t.equal(stateOf((await watch.look()).of(name)), cell.state, 'the state before');
  const acting = act(cell, name);
  acting.catch(() => undefined); // reported where it is awaited
  if (obeys(cell) && cell.state !== 'failed') {
    await takesEffect(cell, name, acting, startsOf);
    await release(name);
  }
  const outcome = await acting;
  if (cell.code !== undefined) t.equal(outcome.code, cell.code, 'exit code of service');
  if (cell.answers !== undefined) check(t, outcome.answers ?? [], cell.answers, 'answers');
  if (held !== null && cell.held !== undefined) check(t, [await held], cell.held, 'the request in flight');
  const sight = await comesTo(name, cell.now).catch(() => null);
  t.strictSame(contradictions(sight ?? (await watch.look()).of(name), cell.now), [], `${cell.now} afterwards`);
  await next(t, cell, name);
  if (cell.starts !== undefined) t.equal(startsOf(name), cell.starts, 'starts of its container');
  if (cell.event === 'image missing') await giveImage(name);
  await host.run(['systemctl', 'stop', '--no-block', `${name}-app.service`]);
};

// ---------------------------------------------------------------- what happens to the host

const happen: Readonly<Partial<Record<Event, () => Promise<unknown>>>> = {
  'agent killed': () => host.run(['systemctl', 'kill', '--signal=KILL', 'appfleet.service']),
  'agent restarted': () => host.run(['systemctl', 'restart', 'appfleet.service']),
  'dockerd restarted': () => host.run(['systemctl', 'restart', 'docker.service']),
  'nginx restarted': () => host.run(['systemctl', 'restart', 'nginx.service']),
  'host rebooted': () => host.reboot(),
};

/** One event for one site in each state. */
const playAll = async (t: Test, event: Event, row: readonly (readonly [string, Cell])[]): Promise<void> => {
  const held = new Map<string, Held>();
  await Promise.all(row.map(async ([name, cell]) => held.set(name, await enter(cell, name))));
  const before = await watch.look();
  t.strictSame(
    row.map(([name]) => stateOf(before.of(name))),
    row.map(([, { state }]) => state),
    'the states before',
  );
  const happening = happen[event]?.() ?? Promise.reject(new Error(`nobody knows how ${event} happens`));
  happening.catch(() => undefined);
  const answers = new Map(
    row.map(([name, cell]) => [name, cell.answers === undefined ? Promise.resolve(null) : ask(name)] as const),
  );
  await pause(250);
  if (event === 'host rebooted') await happening;
  await Promise.all(row.filter(([, cell]) => obeys(cell) && cell.state !== 'failed').map(([name]) => release(name)));
  await happening;
  await Promise.all(
    row.map(([name, cell]) =>
      t.test(titleOf(cell), { buffered: true }, async (t) => {
        const answer = await answers.get(name);
        if (cell.answers !== undefined) check(t, [answer ?? 0], cell.answers, 'a request meanwhile');
        const inFlight = held.get(name);
        if (cell.held !== undefined) check(t, [(await inFlight?.answer) ?? 0], cell.held, 'the request in flight');
        const sight = await comesTo(name, cell.now).catch(() => null);
        t.strictSame(contradictions(sight ?? (await watch.look()).of(name), cell.now), [], `${cell.now} afterwards`);
        await next(t, cell, name);
      }),
    ),
  );
};

/** `appfleet status` says the same of each site as units, switch and container do. */
const compareStatus = async (t: Test, names: readonly string[]): Promise<void> => {
  const { stdout } = await host.run(['appfleet', 'status', '--json'], { allowFail: true });
  const { members } = JSON.parse(stdout) as { members: { name: string; state: string }[] };
  const told = new Map(members.map(({ name, state }) => [name, state]));
  const sights = await watch.look();
  const differ = names
    .map((name) => `${name}: ${told.get(name)}, but it is ${stateOf(sights.of(name))}`)
    .filter((line) => !/: (\w+), but it is \1$/.test(line));
  t.strictSame(differ, [], 'appfleet status tells the truth');
};

// ---------------------------------------------------------------- the tests

t.test('every state meets every event, or there is a reason', (t) => {
  const seen = [...cells, ...shared].map(({ state, event }) => `${state}: ${event}`);
  const not = impossible.flatMap(({ states, events }) => states.flatMap((s) => events.map((e) => `${s}: ${e}`)));
  const all = states.flatMap((state) => events.map((event) => `${state}: ${event}`));
  t.strictSame(
    all.filter((pair) => seen.includes(pair) === not.includes(pair)),
    [],
    'none is left out, none is both',
  );
  const names = cells.map(nameOf);
  t.equal(new Set(names).size, names.length, 'each cell has a site of its own');
  t.end();
});

t.test('what happens to one site', async (t) => {
  t.jobs = 6;
  const sites = new Map(cells.map((cell) => [nameOf(cell), cell]));
  const starts = new Map<string, number>();
  const stream = host.spawn(['docker', 'events', '--filter', 'event=start', '--format', '{{.Actor.Attributes.name}}'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  stream.stdout?.on('data', (chunk: Buffer) => {
    for (const name of chunk.toString().split('\n')) starts.set(name, (starts.get(name) ?? 0) + 1);
  });
  t.teardown(async () => {
    stream.kill();
    stream.stdout?.destroy();
    await tearDown([...sites.keys()]);
  });
  await setUp(sites);
  await Promise.all(
    [...sites].map(([name, cell]) =>
      t.test(titleOf(cell), { buffered: true }, (t) => play(t, cell, name, (name) => starts.get(name) ?? 0)),
    ),
  );
  await t.test('appfleet status and plan agree', async (t) => {
    await until('all rest', async () => {
      const sights = await watch.look();
      return [...sites.keys()].every((name) => ['asleep', 'stopped', 'failed'].includes(stateOf(sights.of(name))));
    });
    await compareStatus(t, [...sites.keys()]);
    t.equal((await host.run(['appfleet', 'plan'])).stdout.trim(), 'Nothing to do: the host is as the files say.');
  });
});

t.test('what happens to the host', async (t) => {
  const nameIn = (state: State): string => `${state}.shared.example`;
  const sites = new Map<string, Cell>(
    states.map((state) => [nameIn(state), { state, event: 'host rebooted', now: state, then: 200 }]),
  );
  t.teardown(() => tearDown([...sites.keys()]));
  await setUp(sites);
  for (const event of events.filter((event) => event in happen))
    await t.test(event, async (t) => {
      t.jobs = 6;
      const row = shared.filter((cell) => cell.event === event).map((cell) => [nameIn(cell.state), cell] as const);
      await playAll(t, event, row);
      await compareStatus(t, [...sites.keys()]);
      t.strictSame((await watch.look()).failedUnits, [], 'no unit is failed');
    });
});
