/** What each part of the benchmark gets: a host of its own kind and the few things that all of them do there. */
import { build } from 'esbuild';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { fleetOn, type FleetHost } from '../host/fleet.ts';
import type { TestHost } from '../host/test-host.ts';
import type { Log } from '../host/tools.ts';
import type { Figure } from './figure.ts';

export interface Lab {
  host: TestHost;
  fleet: FleetHost;
  log: Log;
  /**
   * Runs a program of the folder programs/ in the host and gives what it returned. Measuring from outside would measure
   * the way in as well.
   */
  measure: <T>(program: string, input: unknown) => Promise<T>;
}

/** One part: a file of that name beside this one. */
export type Part = (lab: Lab) => Promise<Figure[]>;

const folder = '/root/bench';
const node = '/usr/lib/appfleet/node';

const compile = async (program: string): Promise<Buffer> => {
  const entry = fileURLToPath(new URL(`programs/${program}.ts`, import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    logLevel: 'error',
  });
  return Buffer.from(outputFiles[0]?.contents ?? []);
};

export const createLab = (host: TestHost, log: Log): Lab => {
  const measure = async <T>(program: string, input: unknown): Promise<T> => {
    const path = `${folder}/${program}.cjs`;
    await host.write(path, await compile(program));
    const child = host.spawn([node, path, JSON.stringify(input)], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
    const complaints: string[] = [];
    if (child.stderr !== null)
      createInterface({ input: child.stderr }).on('line', (line) => {
        complaints.push(line);
        log(`  ${line}`);
      });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject).once('close', resolve);
    });
    if (code !== 0) throw new Error(`${program} ended with ${code}: ${complaints.slice(-20).join('\n')}`);
    return JSON.parse(said) as T;
  };
  return { host, fleet: fleetOn(host), log, measure };
};
