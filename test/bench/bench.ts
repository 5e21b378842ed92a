// npm run bench [-- --only NAME] [--json FILE] [--readme] [--strict] [--keep]: speed and memory, measured side by side on a test host.
import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { productHost } from '../host/fleet.ts';
import { agent } from './agent.ts';
import { awakeOverhead } from './awake-overhead.ts';
import { certificates } from './certificates.ts';
import { coldStart } from './cold-start.ts';
import { type Figure, judge, table } from './figure.ts';
import { hotPath } from './hot-path.ts';
import { createLab, type Part } from './lab.ts';
import { mirror } from './mirror.ts';
import { writeReadme } from './readme.ts';
import { thousandCertificates } from './thousand-certificates.ts';
import { thousandSites } from './thousand-sites.ts';

const parts: Readonly<Record<string, Part>> = {
  agent,
  'cold-start': coldStart,
  'hot-path': hotPath,
  'awake-overhead': awakeOverhead,
  'thousand-sites': thousandSites,
  certificates,
  'thousand-certificates': thousandCertificates,
  mirror,
};

const USAGE = `usage: bench [--only ${Object.keys(parts).join('|')}]... [--json FILE] [--readme] [--strict] [--keep]
  --readme  put the figures into README.md
  --strict  exit with 1 when a target is missed
  --keep    leave the host running, and use it again if it runs`;

const began = performance.now();
const log = (line: string): void => {
  const seconds = ((performance.now() - began) / 1000).toFixed(0).padStart(4);
  process.stderr.write(`${seconds} s  ${line}\n`);
};

const bench = async (names: readonly string[], host: string, keep: boolean): Promise<Figure[]> => {
  const machine = await productHost(host, 'trixie', log, keep);
  try {
    const lab = createLab(machine, log);
    const figures: Figure[] = [];
    for (const name of names) figures.push(...((await parts[name]?.(lab)) ?? []));
    return figures;
  } finally {
    if (!keep) await machine.down();
  }
};

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      json: { type: 'string' },
      host: { type: 'string', default: 'appfleet-bench' },
      readme: { type: 'boolean', default: false },
      strict: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const names = values.only ?? Object.keys(parts);
  if (values.help || names.some((name) => !(name in parts))) {
    process.stderr.write(`${USAGE}\n`);
    return values.help ? 0 : 2;
  }
  // A table that says half of it would read as if that were all.
  if (values.readme && values.only !== undefined) throw new Error('--readme needs all parts: leave --only out');
  const before = loadavg()[0] ?? 0;
  const figures = await bench(names, values.host, values.keep);
  const missed = figures.filter((figure) => judge(figure) === 'MISS');
  process.stdout.write(`${table(figures)}\n`);
  if (values.json !== undefined) {
    const rows = figures.map((figure) => ({ ...figure, verdict: judge(figure) }));
    writeFileSync(values.json, `${JSON.stringify({ load: before, figures: rows }, null, 2)}\n`);
  }
  if (values.readme) writeReadme(fileURLToPath(new URL('../../README.md', import.meta.url)), figures);
  log(
    `${figures.length} figures, ${missed.length} missed their target; the machine's load was ${before.toFixed(1)} before`,
  );
  return values.strict && missed.length > 0 ? 1 : 0;
};

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}
