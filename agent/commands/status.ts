import type { MemberState } from '../core/member-state.ts';
import picocolors from 'picocolors';
import { describeProblem } from '../core/problem.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import { withPorts } from '../reconcile/taken-ports.ts';
import { readStatus, type SiteStatus } from '../reconcile/status.ts';
import { withUploads } from '../reconcile/uploads.ts';
import type { Context, ExitCode } from './context.ts';
import { duration } from '../core/duration.ts';
import { bytes, since } from './duration.ts';
import { resolveName } from './resolve.ts';
import { type Cell, table } from './table.ts';
import { unknownName } from './unknown.ts';

type Colours = ReturnType<typeof picocolors.createColors>;

const looks: Readonly<Record<MemberState, { symbol: string; colour: 'green' | 'cyan' | 'yellow' | 'dim' | 'red' }>> = {
  awake: { symbol: '●', colour: 'green' },
  served: { symbol: '●', colour: 'green' },
  asleep: { symbol: '○', colour: 'cyan' },
  waking: { symbol: '◐', colour: 'yellow' },
  sleeping: { symbol: '◑', colour: 'yellow' },
  stopped: { symbol: '■', colour: 'dim' },
  'not applied': { symbol: '□', colour: 'yellow' },
  refused: { symbol: '✗', colour: 'red' },
  failed: { symbol: '✗', colour: 'red' },
};

export const stateCell = (state: MemberState, colours: Colours): Cell => ({
  text: `${looks[state].symbol} ${state}`,
  paint: colours[looks[state].colour],
});

const titles = ['SITE', 'STATE', 'SINCE', 'RUNTIME', 'LAST REQUEST', 'MEMORY', 'RESTARTS', 'PROBLEM'];

const problemText = ({ problem, problems }: SiteStatus): string =>
  `${problem ?? ''}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''}`;

const rowOf = (status: SiteStatus, now: number, colours: Colours): Cell[] => [
  { text: status.name, paint: colours.bold },
  stateCell(status.state, colours),
  { text: since(status.since, now) },
  { text: status.runtime ?? '?', paint: colours.dim },
  { text: since(status.lastRequest, now) },
  { text: bytes(status.memoryBytes) },
  { text: status.restarts === 0 ? '' : String(status.restarts) },
  { text: problemText(status), paint: colours.red },
];

const least = 24;
const columns = titles.map((title, index) => ({
  title,
  ...(index === 0 ? { least } : {}),
  ...(['SINCE', 'LAST REQUEST', 'MEMORY', 'RESTARTS'].includes(title) ? { align: 'right' as const } : {}),
  ...(['SINCE', 'RUNTIME', 'LAST REQUEST', 'MEMORY', 'RESTARTS'].includes(title) ? { spare: true } : {}),
}));

/** Words in lines no longer than `width`; a longer word stays whole. */
const wrap = (text: string, width: number): string[] => {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
};

/** A line per member; problems stand in a column where all of them fit, below their members otherwise. */
export const statusTable = (
  statuses: readonly SiteStatus[],
  now: number,
  width: number,
  colours: Colours,
): string[] => {
  const rows = statuses.map((status) => rowOf(status, now, colours));
  const whole = table(columns, rows, Infinity);
  const plain = table(
    columns,
    statuses.map((status) => rowOf(status, now, picocolors.createColors(false))),
    Infinity,
  );
  if (plain.every((line) => line.length <= width)) return whole;
  const lines = table(
    columns.slice(0, -1),
    rows.map((row) => row.slice(0, -1)),
    width,
  );
  const indent = '    ';
  return lines.flatMap((line, index) => {
    const status = statuses[index - 1];
    if (status === undefined || status.problem === null) return [line];
    return [line, ...wrap(problemText(status), width - indent.length).map((part) => indent + colours.red(part))];
  });
};

const order: readonly MemberState[] = [
  'awake',
  'served',
  'asleep',
  'waking',
  'sleeping',
  'stopped',
  'not applied',
  'refused',
  'failed',
];

const count = (statuses: readonly SiteStatus[], one: string, many: string): string => {
  const parts = order.flatMap((state) => {
    const number = statuses.filter((status) => status.state === state).length;
    return number === 0 ? [] : [`${number} ${state}`];
  });
  return `${statuses.length} ${statuses.length === 1 ? one : many}${parts.length > 0 ? `: ${parts.join(', ')}` : ''}`;
};

/** The last line: how many members are in which state, and how many have a problem though they did not fail. */
export const summary = (statuses: readonly SiteStatus[]): string => {
  const sites = statuses.filter(({ kind }) => kind === 'site');
  const services = statuses.filter(({ kind }) => kind === 'service');
  const troubled = statuses.filter(({ state, problem }) => state !== 'failed' && problem !== null).length;
  return [
    count(sites, 'site', 'sites'),
    ...(services.length > 0 ? [count(services, 'shared container', 'shared containers')] : []),
    ...(troubled > 0 ? [`${troubled} with a problem`] : []),
  ].join('; ');
};

const idleText = ({ idle }: SiteStatus): string =>
  idle === null ? '' : idle === 'never' ? 'it never falls asleep' : `after ${duration(idle)} without a request`;

/** Who issued it, how long it is good, and what becomes of it. */
const certificateText = ({ certificate }: SiteStatus, now: number): string => {
  if (certificate === null) return '';
  const { issuer, expires, renewal } = certificate;
  if (expires === null) return renewal === null ? '' : 'none yet; the placeholder stands in';
  const until = (time: string): string => `in ${duration(Date.parse(time) / 1000 - now)} (${time})`;
  const end = Date.parse(expires) / 1000 <= now ? `expired (${expires})` : `expires ${until(expires)}`;
  const again = renewal === null ? '' : `, to be renewed ${Date.parse(renewal) / 1000 <= now ? 'now' : until(renewal)}`;
  return `${issuer === null || issuer === '' ? '' : `by ${issuer}, `}${end}${again}`;
};

/** One member, a line per fact. */
export const statusDetail = (status: SiteStatus, now: number, colours: Colours): string[] => {
  const { text, paint = String } = stateCell(status.state, colours);
  const sinceWhen = status.since === null ? '' : ` since ${since(status.since, now)} (${status.since})`;
  const lastRequest =
    status.lastRequest === null ? '' : `${since(status.lastRequest, now)} ago (${status.lastRequest})`;
  const took = status.lastWakeSeconds === null ? '' : `, the last took ${status.lastWakeSeconds} s`;
  const hasContainer = status.idle !== null;
  const facts: [string, string][] = [
    ['file', status.file],
    ['aliases', status.aliases.join(', ')],
    ['runtime', [status.runtime, status.image].filter((part) => part !== null).join(', ')],
    ['needs', status.needs.join(', ')],
    ['at boot', status.enabled ? 'opens' : `stays closed; change that with: systemctl enable ${status.name}`],
    ['sleeps', idleText(status)],
    ['last request', lastRequest],
    ['connections', hasContainer && status.kind === 'site' ? `${status.connections} open, ${status.held} waiting` : ''],
    ['memory', bytes(status.memoryBytes)],
    ['starts', hasContainer ? `${status.wakes} since boot${took}` : ''],
    ['restarts', hasContainer ? String(status.restarts) : ''],
    ['certificate', certificateText(status, now)],
    ...(status.certificate?.leftOut ?? []).map(({ name, reason }): [string, string] => [
      'left out',
      `${name}: ${reason}`,
    ]),
  ];
  return [
    `${colours.bold(status.name)}  ${paint(text)}${sinceWhen}`,
    ...facts.filter(([, value]) => value !== '').map(([name, value]) => `  ${name.padEnd(12)}  ${value}`),
    ...status.problems.map((problem) => `  ${'problem'.padEnd(12)}  ${colours.red(problem)}`),
  ];
};

const isTroubled = ({ state, problem }: SiteStatus): boolean => state === 'failed' || problem !== null;

/** `appfleet status [SITE]`. Exit code 1 when a member failed or has a problem, 2 when there is no such site. */
export const statusCommand = async (
  context: Context,
  word: string | undefined,
  options: { json: boolean },
): Promise<ExitCode> => {
  const host = context.host();
  const ported = await withPorts(await createFleetReader(host.files)(), host);
  const fleet = await withUploads(ported, host.certificates);
  const name = word === undefined ? undefined : resolveName(word, fleet);
  const statuses = await readStatus(host, fleet, name);
  const colours = picocolors.createColors(context.colours);
  // Those of the settings file, for instance, belong to nobody.
  const told = new Set(statuses.flatMap(({ problems }) => problems));
  const problems = name === undefined ? fleet.problems.map(describeProblem).filter((line) => !told.has(line)) : [];
  const code = statuses.some(isTroubled) || problems.length > 0 ? 1 : 0;
  const print = (lines: readonly string[]): void => lines.forEach((line) => context.print(line));
  if (name !== undefined) {
    const [status] = statuses;
    if (status === undefined) return unknownName(context, name, fleet);
    if (options.json) context.print(JSON.stringify(status, null, 2));
    else print(statusDetail(status, context.now(), colours));
    return code;
  }
  if (options.json) context.print(JSON.stringify({ members: statuses, problems }, null, 2));
  else if (statuses.length === 0)
    context.print('No sites yet. Make one with: appfleet site create example.org --runtime static');
  else print([...statusTable(statuses, context.now(), context.width, colours), '', summary(statuses)]);
  if (!options.json) print(problems.map((problem) => colours.red(problem)));
  return code;
};
