import picocolors from 'picocolors';
import type { Probe } from '../adapters/probe.ts';
import { messageOf } from '../errors.ts';
import type { ContainerEngine } from '../ports.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import { knownMembers } from '../reconcile/members.ts';
import { readStatus } from '../reconcile/status.ts';
import { viewCertificates } from '../reconcile/certificate-views.ts';
import { withUploads } from '../reconcile/uploads.ts';
import type { Context, ExitCode } from './context.ts';
import { examineHost } from './doctor-host.ts';
import { examine } from './doctor-site.ts';
import { closedWeb } from './doctor-web.ts';
import type { Finding } from './finding.ts';
import type { Surroundings } from './patient.ts';
import { resolveName } from './resolve.ts';
import { unknownName } from './unknown.ts';

const marks = { ok: '✓', warn: '!', broken: '✗' } as const;
const paints = { ok: 'green', warn: 'yellow', broken: 'red' } as const;

type Colours = ReturnType<typeof picocolors.createColors>;

const lineOf = ({ mark, link, detail, hint }: Finding, width: number, colours: Colours): string[] => [
  `  ${colours[paints[mark]](marks[mark])} ${link.padEnd(width)}  ${detail}`,
  ...(mark === 'ok' || hint === undefined ? [] : [`    ${' '.repeat(width)}  ${colours.bold(`-> ${hint}`)}`]),
];

const worst = (findings: readonly Finding[]): Finding['mark'] =>
  findings.some(({ mark }) => mark === 'broken')
    ? 'broken'
    : findings.some(({ mark }) => mark === 'warn')
      ? 'warn'
      : 'ok';

type Extent = 'all' | 'all unless well' | 'what is not well';

/** A subject with a line per link, or with fewer. */
const block = (title: string, findings: readonly Finding[], extent: Extent, colours: Colours): string[] => {
  const mark = worst(findings);
  const head = `${colours[paints[mark]](marks[mark])} ${colours.bold(title)}`;
  if (mark === 'ok' && extent !== 'all') return [head];
  const told = extent === 'what is not well' ? findings.filter((finding) => finding.mark !== 'ok') : findings;
  const width = Math.max(...told.map(({ link }) => link.length));
  return [head, ...told.flatMap((finding) => lineOf(finding, width, colours))];
};

const plural = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

const summary = (findings: readonly Finding[]): string => {
  const count = (mark: Finding['mark']): number => findings.filter((finding) => finding.mark === mark).length;
  const broken = count('broken');
  const warnings = count('warn');
  if (broken + warnings === 0) return `${plural(findings.length, 'check', 'checks')}, all well`;
  const links = plural(broken, 'broken link', 'broken links');
  return `${plural(findings.length, 'check', 'checks')}: ${links}, ${plural(warnings, 'warning', 'warnings')}`;
};

const withoutAnswers = (containers: ContainerEngine, because: string): ContainerEngine => {
  const refuse = (): Promise<never> => Promise.reject(new Error(because));
  return { ...containers, list: refuse, hasImage: refuse, memory: refuse };
};

/** How many members are examined side by side. */
const lanes = 16;

/**
 * `appfleet doctor [SITE]`: walks from the site's file to its answer and names the link that is broken. Nobody is woken unless
 * `wake` says so. Exit code 1 when a link is broken, 2 when there is no such site or we are not root.
 */
export const doctorCommand = async (
  context: Context,
  word: string | undefined,
  options: { json: boolean; wake: boolean },
  probe: Probe,
): Promise<ExitCode> => {
  if (!probe.isRoot()) {
    context.complain('doctor looks at what only root may see: try again with sudo');
    return 2;
  }
  let host = context.host();
  const fleet = await withUploads(await createFleetReader(host.files)(), host.certificates);
  const name = word === undefined ? undefined : resolveName(word, fleet);
  const members = await knownMembers(host.files, fleet);
  if (name !== undefined && !members.some((member) => member.name === name)) return unknownName(context, name, fleet);

  const findings = await examineHost(context, fleet, probe);
  const trouble = (link: string): string | null =>
    findings.find((finding) => finding.link === link && finding.mark === 'broken')?.detail ?? null;
  const blind = trouble('docker');
  // Once is enough to wait for a Docker that does not answer.
  if (blind !== null) host = { ...host, containers: withoutAnswers(host.containers, blind) };
  const states = new Map<string, string>();
  try {
    const statuses = new Map((await readStatus(host, fleet)).map((status) => [status.name, status]));
    const around: Surroundings = {
      host,
      probe,
      fleet,
      statuses,
      units: new Map((await host.units.list(['*.service', '*.socket'])).map((unit) => [unit.name, unit.active])),
      closedWeb: await closedWeb(host, fleet, probe),
      blind,
      dns: name !== undefined,
      containers: new Map((await host.containers.list().catch(() => [])).map((one) => [one.name, one])),
      refusals: new Map((await host.web.refusals()).map(({ site, message }) => [site, message])),
      certificates: await viewCertificates(host, fleet),
      wake: options.wake,
      steady: context.steady,
    };
    const queue = members.filter((member) => name === undefined || member.name === name);
    const found = new Map<string, Finding[]>();
    const lane = async (): Promise<void> => {
      for (let known = queue.shift(); known !== undefined; known = queue.shift()) {
        const status = statuses.get(known.name);
        if (status === undefined) continue;
        states.set(known.name, status.state);
        found.set(known.name, await examine(around, known, status));
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    for (const member of members) findings.push(...(found.get(member.name) ?? []));
  } catch (error) {
    findings.push({ subject: 'host', link: 'systemd', mark: 'broken', detail: messageOf(error) });
  }

  if (options.json) context.print(JSON.stringify({ findings }, null, 2));
  else {
    const colours = picocolors.createColors(context.colours);
    for (const subject of new Set(findings.map((finding) => finding.subject))) {
      const state = states.get(subject);
      const own = findings.filter((finding) => finding.subject === subject);
      const extent = ((): Extent => {
        if (name === undefined) return subject === 'host' ? 'all' : 'all unless well';
        return subject === 'host' ? 'what is not well' : 'all';
      })();
      const title = state === undefined ? subject : `${subject}  ${state}`;
      for (const line of block(title, own, extent, colours)) context.print(line);
    }
    context.print('');
    context.print(summary(findings));
  }
  return worst(findings) === 'broken' ? 1 : 0;
};
