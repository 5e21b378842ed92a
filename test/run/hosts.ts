/**
 * What runs on hosts, in lanes side by side: most of it waits for systemd, Docker and time-outs rather than for a processor.
 * Each lane has a host of its own for the product's tests, which run one after the other there.
 */
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { productHost } from '../host/fleet.ts';
import type { Release } from '../host/release.ts';
import type { TestHost } from '../host/test-host.ts';
import { contracts } from './contracts.ts';
import { add, createTapReader, none, one, type Outcome } from './outcome.ts';
import { headings, hostName, type Show, tap, testFiles } from './stages.ts';

interface Lane {
  /** The lane's host, booted and provisioned when first asked for. */
  product(release: Release): Promise<TestHost>;
  /** Takes it down: what comes next gets a new one. */
  down(): Promise<void>;
}

const createLane = (number: number, show: Show): Lane => {
  let host: TestHost | null = null;
  const down = async (): Promise<void> => {
    await host?.down();
    host = null;
  };
  return {
    down,
    product: async (release) => {
      if (host !== null && host.release !== release) await down();
      host ??= await productHost(hostName(`lane${number}`, release), release, headings(show));
      return host;
    },
  };
};

interface Task {
  what: string;
  run: (lane: Lane, show: Show) => Promise<Outcome>;
}

/** One test file on the lane's host. A file that failed may have left anything behind, so the next one gets a new host. */
const fileTask = (file: string, release: Release): Task => ({
  what: `${file} on ${release}`,
  run: async (lane, show) => {
    const host = await lane.product(release);
    // Two lanes speak at once.
    const named: Show = (line) => show(line.replace(/^ {4}ok /, `    ok ${basename(file, '.test.ts')}: `));
    const outcome = await tap([file], 1, createTapReader(named, 1), { APPFLEET_TEST_HOST: host.name });
    if (outcome.failed > 0) {
      const { stdout } = await host.run(['journalctl', '--no-pager', '--lines=60', '--unit=appfleet'], {
        allowFail: true,
      });
      show(`  the agent's journal:\n${stdout.replaceAll(/^/gm, '    ')}`);
      await lane.down();
    }
    return outcome;
  },
});

/** A test file that boots hosts of its own: bare ones. */
const ownHosts = /\/package\.test\.ts$/;
const ownHostTask = (file: string): Task => ({
  what: `${file} on bare hosts`,
  run: (_lane, show) => tap([file], 1, createTapReader(show, 1)),
});

/** Prints how far the agent is locked in, and checks that this can still be told. */
const securityTask: Task = {
  what: 'systemd-analyze security',
  run: async (lane, show) => {
    const host = await lane.product('trixie');
    const { stdout } = await host.run(['systemd-analyze', 'security', '--no-pager', 'appfleet.service']);
    const figure = /Overall exposure level for appfleet\.service: [\d.]+ \w+/.exec(stdout)?.[0];
    show(`  ${figure ?? stdout}`);
    return one(figure !== undefined);
  },
};

/** The long ones first, so that no lane works alone in the end. */
const longest = ['faults', 'matrix', 'containers', 'certificates', 'protocols', 'load', 'follow', 'wordpress'];
const rank = (file: string): number => {
  const place = longest.indexOf(basename(file, '.test.ts'));
  return place < 0 ? longest.length : place;
};
/** The current Debian gets everything, the one before the main path. */
const onBookworm = /\/(main-path|golden|https)\.test\.ts$/;

const tasks = (): Task[] => {
  const files = testFiles('on-host').sort((a, b) => rank(a) - rank(b));
  return [
    ...files.map((file) => (ownHosts.test(file) ? ownHostTask(file) : fileTask(file, 'trixie'))),
    securityTask,
    ...(['trixie', 'bookworm'] as const).map((release) => ({
      what: `contracts with systemd, Docker and nginx on ${release}`,
      run: (_: Lane, show: Show) => contracts(release, show),
    })),
    ...files.filter((file) => onBookworm.test(file)).map((file) => fileTask(file, 'bookworm')),
  ];
};

/** Everything that needs a host. */
export const onHosts = async (show: Show): Promise<Outcome> => {
  const queue = tasks();
  let total = none;
  const work = async (lane: Lane): Promise<void> => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
      const { what, run } = task;
      const began = performance.now();
      show(`  .. ${what}`);
      const outcome = await run(lane, show).catch(async (error: unknown): Promise<Outcome> => {
        show(`  not ok: ${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
        await lane.down();
        return one(false);
      });
      const seconds = ((performance.now() - began) / 1000).toFixed(0);
      show(
        `  ${outcome.failed === 0 ? 'ok' : 'NOT OK'} ${what}: ${outcome.passed} passed, ${outcome.failed} failed (${seconds} s)`,
      );
      total = add(total, outcome);
    }
    await lane.down();
  };
  const lanes = Math.min(3, Math.max(1, availableParallelism()));
  await Promise.all(Array.from({ length: lanes }, (_, index) => work(createLane(index + 1, show))));
  return total;
};
