/** A host with a thousand sites: how long it takes to get there, what it costs to be there, and what one more change takes. */
import { type Figure, median } from './figure.ts';
import type { Lab, Part } from './lab.ts';
import type { Changed, Filled, IdlePass, Memory, ThousandInput } from './programs/thousand-sites.ts';

const count = 1000;
const megabyte = 1e6;
const kilobyte = 1e3;

const pause = (seconds: number): Promise<void> => new Promise((done) => setTimeout(done, seconds * 1000));

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`;

const memoryFigures = (before: Memory, after: Memory): Figure[] => {
  const growth = (key: keyof Memory): number => after[key] - before[key];
  const perSite = (bytes: number): string => (bytes / count / kilobyte).toFixed(1);
  return [
    {
      name: `${count} sites: a sleeping site's memory`,
      value: (growth('agent') + growth('systemd') + growth('worker')) / count / kilobyte,
      unit: 'KB',
      target: { atMost: 100 },
      from: `agent ${perSite(growth('agent'))}, PID 1 ${perSite(growth('systemd'))}, one nginx worker ${perSite(growth('worker'))}`,
    },
    {
      name: `${count} sites: the agent's resident memory`,
      value: after.agent / megabyte,
      unit: 'MB',
      target: { atMost: 120 },
      from: `${(before.agent / megabyte).toFixed(0)} MB without a site`,
    },
  ];
};

const changeFigures = ({ product, byHand }: Changed): Figure[] => [
  {
    name: `${count} sites: one changed to served, against nginx -t and reload`,
    value: median(product) / median(byHand),
    unit: 'x',
    target: { atMost: 1.3 },
    from: `${seconds(median(product))} against ${seconds(median(byHand))}, ${product.length} each, in turns`,
  },
];

const idleFigures = ({ milliseconds, traces }: IdlePass): Figure[] => [
  {
    name: `${count} sites: a pass with nothing to do`,
    value: median(milliseconds) / 1000,
    unit: 's',
    target: { atMost: 1 },
    from: `median of ${milliseconds.length}`,
  },
  {
    name: `${count} sites: writes and reloads by those passes`,
    value: traces.length,
    unit: '',
    target: { atMost: 0 },
    from:
      traces.length === 0 ? 'times of all files, workers of nginx, units of systemd' : traces.slice(0, 3).join(', '),
  },
];

export const thousandSites: Part = async (lab: Lab) => {
  const measure = <T>(input: ThousandInput): Promise<T> => lab.measure<T>('thousand-sites', input);
  const { log, host } = lab;
  log(`${count} sites: the empty host`);
  await host.sh('systemctl restart appfleet');
  await pause(3);
  const before = await measure<Memory>({ step: 'memory' });
  log(`${count} sites: from empty to served`);
  const filled = await measure<Filled>({ step: 'fill', count, limitSeconds: 300 });
  log(`${count} sites: served after ${filled.served.toFixed(1)} s`);
  await pause(5); // the agent's own second look
  const after = await measure<Memory>({ step: 'memory' });
  log(`${count} sites: passes with nothing to do`);
  const idle = await measure<IdlePass>({ step: 'idle-pass', rounds: 7 });
  log(`${count} sites: one changes`);
  const changed = await measure<Changed>({ step: 'change', count, rounds: 7 });
  log(`${count} sites: 20 of them wake`);
  const wakes = await measure<number[]>({ step: 'wake', count, samples: 20 });
  const status = await measure<number[]>({ step: 'status', rounds: 5 });
  log(`${count} sites: away again`);
  const emptied = await measure<number>({ step: 'empty', limitSeconds: 300 });
  return [
    {
      name: `${count} sites: from empty to served`,
      value: filled.served,
      unit: 's',
      target: { atMost: 60 },
      from: `all sockets listen after ${filled.listening.toFixed(1)} s`,
    },
    ...changeFigures(changed),
    ...idleFigures(idle),
    ...memoryFigures(before, after),
    {
      name: `${count} sites: a wake, median`,
      value: median(wakes),
      unit: 'ms',
      target: null,
      from: `${wakes.length} sites`,
    },
    { name: `${count} sites: appfleet status`, value: median(status), unit: 'ms', target: null },
    { name: `${count} sites: all removed`, value: emptied, unit: 's', target: null },
  ];
};
