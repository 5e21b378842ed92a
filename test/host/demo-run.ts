/** The demo where a host can be booted: host, product, images, sites, then the tour. */
import { buildImages } from '../images/build.ts';
import { attachHost, bootHost } from './boot.ts';
import { awaitCertificates, putDemoSettings, startDemoAuthority } from './demo-authority.ts';
import { onInterrupt } from './demo-interrupt.ts';
import type { Screen } from './demo-screen.ts';
import { demoDomains, putUpDemoSites } from './demo-sites.ts';
import { writeBlog } from './demo-wordpress.ts';
import { isAlive, ourselves } from './process-id.ts';
import { provision } from './provision.ts';
import { defaultHostName, releaseNumber, type Release } from './release.ts';
import { readState } from './state.ts';
import type { TestHost } from './test-host.ts';
import { ensureTools } from './tools.ts';
import { takeTour, TourStop } from './tour.ts';

export interface DemoOptions {
  readonly name: string;
  readonly release: Release;
}

/** The commands by which one gets into this host: the default one needs no name. */
const hostCommands = (name: string): { run: string; down: string; demo: string } =>
  name === defaultHostName('trixie')
    ? { run: 'npm run host --', down: 'npm run host:down', demo: 'npm run demo' }
    : {
        run: `APPFLEET_HOST=${name} npm run host --`,
        down: `npm run host:down -- --name ${name}`,
        demo: `npm run demo -- --name ${name}`,
      };

/** A host that still does what it is told; one that does not is as good as none. */
const answers = async (host: TestHost): Promise<boolean> => {
  const asked = await host.run(['systemctl', 'is-system-running'], { allowFail: true, timeoutMs: 10_000 });
  return ['running', 'degraded'].includes(asked.stdout.trim());
};

const prepare = async (screen: Screen, { name, release }: DemoOptions): Promise<TestHost> => {
  const interruption = onInterrupt(name, (text) => screen.line(screen.colours.yellow(text)));
  const { phase } = screen;
  await phase('Check the tools on this machine', (log) => interruption.whileInstalling(() => ensureTools(log)));

  const running = attachHost(name);
  const host = await phase(
    running ? `Find host ${name}, which runs already` : `Boot ${name}, a Debian ${releaseNumber(release)}`,
    async (log) => {
      if (running && (await answers(running))) return running;
      await running?.down();
      return bootHost({ name, release, log, keep: true });
    },
  );
  await phase('Build images from Debian packages', (log) => buildImages(host, undefined, log));
  await phase('Install App Fleet by its playbook, and a CA for tests', async (log) => {
    await putDemoSettings(host);
    await Promise.all([startDemoAuthority(host), provision(host, log)]);
  });
  await phase('Put up three sites and a database', () => putUpDemoSites(host));
  await phase('Wait for their certificates', () => awaitCertificates(host, demoDomains));
  await phase('Install WordPress in its web installer, write a post', () => writeBlog(host));
  // As it is the first time, when nobody has asked for it yet.
  await host.run(['appfleet', 'sleep', 'app.example.org']);
  return host;
};

const why = (error: unknown): string[] => {
  const lines = (error instanceof Error ? error.message : String(error)).trim().split('\n');
  return lines.length > 24 ? [...lines.slice(0, 4), '…', ...lines.slice(-18)] : lines;
};

/** The whole demo; its exit code. */
export const runDemo = async (screen: Screen, options: DemoOptions): Promise<number> => {
  const { colours, line } = screen;
  const { name } = options;
  const { run, down, demo } = hostCommands(name);
  const start = performance.now();

  const owner = readState(name);
  if (owner && owner.booter.pid !== ourselves.pid && isAlive(owner.booter)) {
    line(
      `Host ${name} is in use by process ${owner.booter.pid}. Wait for its end, or take another: npm run demo -- --name mine`,
    );
    return 1;
  }
  line(colours.bold('App Fleet on a disposable Debian host'));
  line('The first run takes some minutes, later ones less than one.');
  line('Ctrl-C ends it, and removes the host if it was this run that booted it.');
  line();
  let host: TestHost | undefined;
  try {
    host = await prepare(screen, options);
    await takeTour(screen, host);
  } catch (error) {
    line();
    for (const [index, text] of why(error).entries()) line(index === 0 ? colours.red(`✗ ${text}`) : `  ${text}`);
    line();
    if (attachHost(name)) {
      line(`The demo stops here; host ${name} is left as it is, to look at:`);
      const unit = error instanceof TourStop ? error.unit : 'appfleet';
      line(`  ${run} journalctl -u ${unit} -n 50`);
      line(`  ${run} appfleet doctor`);
      line(`  ${down}`);
    } else line('The demo stops here. Nothing runs, nothing is left behind but the cache.');
    return 1;
  }
  line();
  line(
    colours.bold(
      `That was it, in ${((performance.now() - start) / 1000).toFixed(0)} s. Host ${name} goes on running; look around:`,
    ),
  );
  const hints: readonly (readonly [string, string])[] = [
    [`${run} bash`, 'a shell on it: everything above works there'],
    [`${run} curl -i https://blog.example.org/`, 'a request'],
    [`${run} appfleet cert list`, 'who signed what, and until when'],
    [`${run} appfleet help site`, 'what a site file can say'],
    [demo, 'the tour again, with what you changed in the source'],
    [down, 'the end of it'],
  ];
  const width = Math.max(...hints.map(([command]) => command.length));
  for (const [command, what] of hints) line(`  ${command.padEnd(width)}  ${colours.dim(what)}`);
  return 0;
};
