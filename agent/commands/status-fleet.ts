/** `appfleet status --fleet`: what the agents of all hosts told Consul. */
import picocolors from 'picocolors';
import { agentService, hostMeta, hostsFolder } from '../core/consul-names.ts';
import { type MemberRecord, parseRecord } from '../core/consul-records.ts';
import { AppFleetError } from '../errors.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import type { Context, ExitCode } from './context.ts';
import { since } from './duration.ts';
import { stateCell } from './status.ts';
import { table } from './table.ts';

export interface FleetMember extends MemberRecord {
  host: string;
  name: string;
  kind: 'site' | 'service';
  /** Its agent lives; else this is what it said last. */
  fresh: boolean;
}

const columns = [
  { title: 'SITE', least: 24 },
  { title: 'HOST', least: 12 },
  { title: 'STATE' },
  { title: 'SINCE', align: 'right' as const },
  { title: 'RELEASE', spare: true },
  { title: 'AGENT' },
];

/** Members of these records, by name and host; what is no record of an agent is left out. */
export const fleetMembers = (values: ReadonlyMap<string, Uint8Array>, alive: ReadonlySet<string>): FleetMember[] =>
  [...values]
    .flatMap(([key, bytes]): FleetMember[] => {
      const [, host = '', folder, name = ''] = /^([^/]+)\/(sites|services)\/([^/]+)$/.exec(key) ?? [];
      const record = folder === undefined ? null : parseRecord(Buffer.from(bytes).toString('utf8'));
      if (record === null) return [];
      return [{ host, name, kind: folder === 'sites' ? 'site' : 'service', fresh: alive.has(host), ...record }];
    })
    .sort((a, b) => (`${a.kind} ${a.name} ${a.host}` < `${b.kind} ${b.name} ${b.host}` ? -1 : 1));

/** Exit code 1 when a site failed on a host or an agent is away. Throws AF_CONFIG without [consul], AF_CONSUL when it cannot be asked. */
export const fleetStatusCommand = async (
  context: Context,
  word: string | undefined,
  options: { json: boolean },
): Promise<ExitCode> => {
  const { settings } = await createFleetReader(context.host().files)();
  if (settings.consul === null)
    throw new AppFleetError('AF_CONFIG', 'other hosts are known through Consul only', {
      hint: 'write a section [consul] into /etc/appfleet/appfleet.ini',
    });
  const { kvPrefix, servicePrefix } = settings.consul;
  const { consul } = await context.consul(settings.consul);
  try {
    const [values, agents] = [
      await consul.values(hostsFolder(kvPrefix)),
      await consul.instances(agentService(servicePrefix)),
    ];
    const alive = new Set(agents.filter(({ passing }) => passing).map(({ meta }) => meta[hostMeta] ?? ''));
    const members = fleetMembers(values, alive).filter(({ name }) => word === undefined || name === word.toLowerCase());
    const colours = picocolors.createColors(context.colours);
    if (options.json) context.print(JSON.stringify(members, null, 2));
    else
      for (const line of table(
        columns,
        members.map((one) => [
          { text: one.name, paint: colours.bold },
          { text: one.host },
          stateCell(one.state, colours),
          { text: since(one.since, context.now()) },
          { text: one.release ?? '' },
          one.fresh ? { text: 'lives' } : { text: 'away', paint: colours.red },
        ]),
        context.width,
      ))
        context.print(line);
    return members.some(({ state, fresh }) => state === 'failed' || !fresh) ? 1 : 0;
  } finally {
    consul.close();
  }
};
