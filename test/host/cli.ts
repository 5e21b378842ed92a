import { constants } from 'node:os';
import { parseArgs } from 'node:util';
import { buildImages } from '../images/build.ts';
import { attachHost, bootHost } from './boot.ts';
import { isAlive } from './process-id.ts';
import { defaultHostName, parseRelease } from './release.ts';
import { isRunning, knownHosts, readState } from './state.ts';
import { tearDown } from './teardown.ts';

const USAGE = `usage: host up [--release 13|12] [--name NAME] [--no-images]
       host run [--name NAME] -- COMMAND...
       host down [--name NAME | --all]
       host status`;

const log = (line: string) => void process.stderr.write(`${line}\n`);

async function up(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { release: { type: 'string', default: '13' }, name: { type: 'string' }, 'no-images': { type: 'boolean' } },
  });
  const release = parseRelease(values.release);
  const name = values.name ?? defaultHostName(release);
  const start = Date.now();
  const running = attachHost(name);
  const host = running ?? (await bootHost({ name, release, log, keep: true }));
  if (!values['no-images']) await buildImages(host, undefined, log);
  log(running ? `host ${name} is already running` : `host ${name} is running (${seconds(start)} s)`);
  return 0;
}

function seconds(start: number): string {
  return ((Date.now() - start) / 1000).toFixed(1);
}

async function run(args: string[]): Promise<number> {
  const split = args.indexOf('--');
  const { values } = parseArgs({ args: args.slice(0, Math.max(split, 0)), options: { name: { type: 'string' } } });
  const argv = args.slice(split + 1);
  const name = values.name ?? process.env.APPFLEET_HOST ?? runningHosts()[0];
  const host = name === undefined ? undefined : attachHost(name);
  if (!host) {
    log(`${name === undefined ? 'no test host runs' : `host ${name} does not run`}: npm run demo, or npm run host:up`);
    return 1;
  }
  const child = host.spawn(argv.length > 0 ? argv : ['bash']);
  // The terminal sends Ctrl-C to both; what to do about it is the command's choice.
  process.on('SIGINT', () => undefined);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

function down(args: string[]): number {
  const { values } = parseArgs({ args, options: { name: { type: 'string' }, all: { type: 'boolean' } } });
  const names = values.name === undefined ? knownHosts() : [values.name];
  for (const name of names) {
    const state = readState(name);
    // A host that some test run uses right now is not lightly taken from under it.
    if (values.name === undefined && !values.all && state && !state.keep && isAlive(state.booter)) {
      log(`host ${name} belongs to process ${state.booter.pid}, which runs: left alone (--all takes it too)`);
      continue;
    }
    tearDown(name);
    log(`host ${name} is gone`);
  }
  return 0;
}

function status(): number {
  for (const name of knownHosts()) {
    const state = readState(name);
    const what = isRunning(state) ? `running since ${state?.booted}` : 'left behind (npm run host:down clears it away)';
    log(`${name}  ${state?.release ?? '?'}  ${what}`);
  }
  if (knownHosts().length === 0) log('no test host runs');
  return 0;
}

/** The default one first. */
function runningHosts(): string[] {
  const rank = (name: string) => (name === defaultHostName('trixie') ? 0 : 1);
  return knownHosts()
    .filter((name) => isRunning(readState(name)))
    .sort((a, b) => rank(a) - rank(b));
}

const [verb, ...args] = process.argv.slice(2);
const verbs: Readonly<Record<string, () => number | Promise<number>>> = {
  up: () => up(args),
  run: () => run(args),
  down: () => down(args),
  status,
};
try {
  const act = verbs[verb ?? ''];
  if (!act) {
    log(USAGE);
    process.exitCode = 2;
  } else if (verb !== 'status' && process.getuid?.() !== 0) {
    log('a test host belongs to root: run this with sudo');
    process.exitCode = 1;
  } else process.exitCode = await act();
} catch (error) {
  log(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
