/** `npm test`: all stages, or those named: lint types unit host. The last line counts what passed and what failed. */
import { messageOf } from '../agent/errors.ts';
import { add, type Outcome } from './run/outcome.ts';
import { contracts, host, lint, type Show, types, unit } from './run/stages.ts';

const began = performance.now();
const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(0)} s`;
const show: Show = (line) => void process.stdout.write(`${line}\n`);

interface Stage {
  group: string;
  what: string;
  run: (show: Show) => Promise<Outcome>;
}

const stages: readonly Stage[] = [
  { group: 'lint', what: 'lint and format', run: lint },
  { group: 'types', what: 'types', run: types },
  { group: 'unit', what: 'unit, golden, property and architecture tests', run: unit },
  { group: 'host', what: 'contracts with systemd, Docker and nginx on Debian 13', run: (s) => contracts('trixie', s) },
  { group: 'host', what: 'the product on Debian 13', run: (s) => host('trixie', s) },
  {
    group: 'host',
    what: 'contracts with systemd, Docker and nginx on Debian 12',
    run: (s) => contracts('bookworm', s),
  },
  { group: 'host', what: 'the main path on Debian 12', run: (s) => host('bookworm', s) },
];

const wanted = process.argv.slice(2);
const unknown = wanted.find((word) => !stages.some(({ group }) => group === word));
if (unknown !== undefined) {
  process.stderr.write(
    `there is no stage ${unknown}; there is: ${[...new Set(stages.map((s) => s.group))].join(', ')}\n`,
  );
  process.exit(2);
}

let total: Outcome = { passed: 0, failed: 0 };
for (const { group, what, run } of stages) {
  if (wanted.length > 0 && !wanted.includes(group)) continue;
  const start = performance.now();
  show(`== ${what}`);
  const outcome = await run(show).catch((error: unknown): Outcome => {
    show(`  not ok: ${messageOf(error)}`);
    return { passed: 0, failed: 1 };
  });
  total = add(total, outcome);
  show(`== ${what}: ${outcome.passed} passed, ${outcome.failed} failed in ${seconds(start)}`);
}
show(`all of it in ${seconds(began)}`);
show(`${total.passed} passed, ${total.failed} failed`);
// What is left open, a timer or a pipe to a host, must not keep a finished run from ending.
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);
