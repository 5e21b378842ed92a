/** `npm test`: all stages, or those named: lint types unit host. The last line counts what passed and what failed. */
import { messageOf } from '../agent/errors.ts';
import { add, none, one, type Outcome } from './run/outcome.ts';
import { onHosts } from './run/hosts.ts';
import { format, lint, prepare, type Show, types, unit } from './run/stages.ts';

const began = performance.now();
const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(0)} s`;
const show: Show = (line) => void process.stdout.write(`${line}\n`);

interface Stage {
  group: string;
  what: string;
  run: (show: Show) => Promise<Outcome>;
}

/** Rows of stages, one after the other; those in a row side by side, because none of them uses two processors. */
const stages: readonly (readonly Stage[])[] = [
  [
    { group: 'lint', what: 'eslint', run: lint },
    {
      group: 'types',
      what: 'types',
      run: types,
    },
    { group: 'lint', what: 'format', run: format },
  ],
  [{ group: 'unit', what: 'unit, golden, property and architecture tests', run: unit }],
  [{ group: 'host', what: 'hosts with Debian 13 and 12', run: onHosts }],
];

const wanted = process.argv.slice(2);
const groups = new Set(stages.flat().map(({ group }) => group));
const unknown = wanted.find((word) => !groups.has(word));
if (unknown !== undefined) {
  process.stderr.write(`there is no stage ${unknown}; there is: ${[...groups].join(', ')}\n`);
  process.exit(2);
}
const isWanted = ({ group }: Stage): boolean => wanted.length === 0 || wanted.includes(group);

const runStage = async ({ what, run }: Stage): Promise<Outcome> => {
  const start = performance.now();
  show(`== ${what}`);
  const outcome = await run(show).catch((error: unknown): Outcome => {
    show(`  not ok: ${messageOf(error)}`);
    return one(false);
  });
  show(`== ${what}: ${outcome.passed} passed, ${outcome.failed} failed in ${seconds(start)}`);
  return outcome;
};

// What hosts are made from is fetched and built while the tests run that need none. Trouble shows where a host is booted.
const needsHosts = stages.flat().some((stage) => stage.group === 'host' && isWanted(stage));
const prepared = needsHosts ? prepare(show).catch(() => undefined) : Promise.resolve();

let total = none;
for (const row of stages) {
  const now = row.filter(isWanted);
  if (now.some(({ group }) => group === 'host')) await prepared;
  total = add(total, ...(await Promise.all(now.map(runStage))));
}
show(`all of it in ${seconds(began)}`);
show(`${total.passed} passed, ${total.failed} failed`);
// What is left open, a timer or a pipe to a host, must not keep a finished run from ending.
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);
