/** What `appfleet doctor` checks about one member: file -> unit -> vhost -> certificate -> socket -> container -> HTTP. */
import { waysToImage } from '../core/image.ts';
import {
  appSocket,
  appUnit,
  httpSocket,
  mark,
  paths,
  runDirectory,
  siteUnit,
  socketUnit,
  startDirectory,
  unitPath,
  vhostPath,
  wakeSocket,
} from '../core/names.ts';
import { describeProblem } from '../core/problem.ts';
import { messageOf } from '../errors.ts';
import { type Known, problemsOf } from '../reconcile/members.ts';
import type { SiteStatus } from '../reconcile/status.ts';
import { checkCertificate } from './doctor-certificate.ts';
import { deafSockets } from '../switchboard/listeners.ts';
import { checkDns, checkHttp } from './doctor-visit.ts';
import { type Finding, findingsOn } from './finding.ts';
import { isOpen, type Patient, type Surroundings } from './patient.ts';

const isOurs = (text: string | null): boolean => text?.includes(mark) === true;

const checkFile = ({ known, fleet, findings }: Patient): void => {
  const problems = problemsOf(known, fleet);
  for (const problem of problems) findings.broken('file', describeProblem(problem), 'appfleet check');
  if (problems.length === 0) findings.ok('file', known.file);
};

/** An image that is not here keeps everything else from being made. */
const checkImage = async ({ host, known: { image }, blind, findings }: Patient): Promise<void> => {
  if (image === null || blind !== null || (await host.containers.hasImage(image))) return;
  findings.broken('image', `${image} is not on this host, and the agent could not pull it`, waysToImage(image));
};

const checkUnit = async (patient: Patient): Promise<void> => {
  const { host, known, status, units, findings } = patient;
  const unit = siteUnit(known.name);
  if (!isOurs(await host.files.read(unitPath(unit)).catch(() => null)))
    return findings.broken('unit', `${unitPath(unit)} is not there, or not ours`, 'appfleet apply');
  const active = units.get(unit);
  if (active === 'failed') findings.broken('unit', `${unit} failed`, `systemctl status ${unit}`);
  else if (isOpen(patient)) findings.ok('unit', `${unit} is active: the site is open`);
  else findings.ok('unit', `${unit} is stopped, so the site is closed; to open it: systemctl start ${known.name}`);
  if (!status.enabled)
    findings.warn('unit', 'it will stay closed when the host boots', `systemctl enable ${known.name}`);
};

const checkNeeds = ({ known, statuses, containers, findings }: Patient): void => {
  for (const need of known.needs) {
    const other = statuses.get(need);
    if (other === undefined) findings.broken('needs', `there is no shared container ${need}`);
    else if (other.state === 'failed')
      findings.broken('needs', `${need} failed: ${other.problem ?? ''}`, `appfleet doctor ${need}`);
    else if (other.state === 'not applied' || other.state === 'refused')
      findings.broken('needs', `${need} is ${other.state}`, `appfleet doctor ${need}`);
    else if (other.state === 'stopped') findings.broken('needs', `${need} is stopped`, `systemctl start ${need}`);
    else if (containers.get(need)?.paused === true)
      findings.broken('needs', `${need} is paused`, `docker unpause ${need}`);
    else findings.ok('needs', `${need} is ${other.state}`);
  }
};

const checkVhost = async ({ host, known, refusals, findings }: Patient): Promise<void> => {
  const path = vhostPath(known.name);
  const refusal = refusals.get(known.name);
  if (refusal !== undefined) findings.broken('vhost', refusal, 'repair that place; it is tried again by itself');
  if (isOurs(await host.files.read(path).catch(() => null))) {
    if (refusal === undefined) findings.ok('vhost', path);
  } else findings.broken('vhost', `${path} is not there, or not ours`, 'appfleet apply');
};

/** A file that is there and is answered with 404 puzzles: names the links at the top of root that nginx does not follow. */
/** Most sites answer without their folder too, with 404 for everything. */
const checkRoot = async ({ host, fleet, known, findings }: Patient): Promise<void> => {
  const root = fleet.sites.find(({ name }) => name === known.name)?.root ?? null;
  if (root === null || (await host.files.exists(root))) return;
  findings.broken('root', `${root} is not there, so nginx finds no file of the site`, `ls -ld ${root}`);
};

const checkLinks = async ({ host, fleet, known, findings }: Patient): Promise<void> => {
  const spec = fleet.sites.find(({ name }) => name === known.name);
  if (spec?.symlinks !== 'no' || spec.root === null) return;
  const links: string[] = [];
  for (const entry of await host.files.list(spec.root))
    if ((await host.files.readLink(`${spec.root}/${entry}`)) !== null) links.push(entry);
  if (links.length === 0) return;
  const shown = links.length > 5 ? [...links.slice(0, 5), '...'] : links;
  findings.ok('links', `nginx follows none (symlinks = no), of these in ${spec.root}: ${shown.join(', ')}`);
};

const checkSocket = async ({ host, known, units, findings }: Patient): Promise<void> => {
  const { name, runtime } = known;
  const entries = new Set(await host.files.list(runDirectory(name)));
  if (runtime === 'static') {
    if (entries.has('open')) findings.ok('socket', 'none is needed; nginx sees that the site is open');
    else findings.broken('socket', 'nginx does not see that the site is open', `systemctl restart ${name}`);
    return;
  }
  const repair = `systemctl restart ${socketUnit(name)}`;
  const socket = units.get(socketUnit(name));
  if (socket !== 'active') return findings.broken('socket', `${socketUnit(name)} is ${socket ?? 'not loaded'}`, repair);
  if (!entries.has('wake.sock')) return findings.broken('socket', `${wakeSocket(name)} is gone`, repair);
  if ((await deafSockets(host.files))(wakeSocket(name)))
    return findings.broken('socket', `nobody listens on ${wakeSocket(name)}: systemd lost it`, repair);
  const target = await host.files.readLink(httpSocket(name));
  const towards = target === wakeSocket(name) ? 'systemd' : target === appSocket(name) ? 'the container' : null;
  if (towards !== null) findings.ok('socket', `it listens; requests go to ${towards}`);
  else findings.broken('socket', `${httpSocket(name)} points to ${target ?? 'nothing'}`, repair);
};

const checkContainer = async (patient: Patient): Promise<void> => {
  const { host, probe, known, status, containers, findings, blind } = patient;
  const { name, image } = known;
  const container = containers.get(name);
  if (status.state === 'failed')
    return findings.broken('container', status.problem ?? 'it does not start', `appfleet logs ${name} -n 50`);
  if (status.state === 'waking' || status.state === 'sleeping')
    return findings.ok('container', `it is ${status.state}`);
  if (blind !== null) return findings.warn('container', `it cannot be seen: ${blind}`);
  if (status.state === 'asleep') {
    const here = image === null || (await host.containers.hasImage(image));
    if (here) return findings.ok('container', 'it sleeps; its image is here');
    return findings.broken('container', `image ${image} is not on this host`, waysToImage(image));
  }
  if (container?.paused === true)
    return findings.broken(
      'container',
      'it is paused: requests wait for it and get no answer',
      `docker unpause ${name}`,
    );
  if (container?.running !== true)
    return findings.broken(
      'container',
      `${appUnit(name)} is active but no container of that name runs`,
      `systemctl restart ${name}`,
    );
  const launch = (await host.files.read(`${startDirectory(name)}/launch`).catch(() => null)) ?? '';
  const spec = /^spec=(.*)$/m.exec(launch)?.[1] ?? '';
  if (spec !== '' && container.spec !== spec)
    findings.warn('container', 'it runs with older settings', `systemctl restart ${name}`);
  const refused = known.kind === 'site' ? await probe.accepts(appSocket(name)) : null;
  if (refused === null) findings.ok('container', 'it runs and accepts connections');
  else findings.broken('container', `${appSocket(name)}: ${refused}`, `appfleet logs ${name} -n 50`);
};

/** Findings about one member, from its file to its answer. */
export const examine = async (around: Surroundings, known: Known, status: SiteStatus): Promise<Finding[]> => {
  const findings = findingsOn(known.name);
  const patient: Patient = { ...around, known, status, findings };
  const guarded = async (link: string, check: () => Promise<void>): Promise<void> => {
    try {
      await check();
    } catch (error) {
      findings.broken(link, messageOf(error));
    }
  };
  checkFile(patient);
  if (!known.installed && isOpen(patient))
    findings.broken(
      'unit',
      `${startDirectory(known.name)} is missing: it cannot be started again once it stops`,
      'appfleet apply',
    );
  else if (!known.installed) {
    // The links that follow cannot be there: only what keeps them from being made tells something.
    if (findings.all.every(({ mark }) => mark === 'ok')) await guarded('image', () => checkImage(patient));
    if (findings.all.every(({ mark }) => mark === 'ok')) await guarded('unit', () => checkUnit(patient));
    return findings.all;
  }
  await guarded('unit', () => checkUnit(patient));
  checkNeeds(patient);
  if (known.kind === 'site') await guarded('vhost', () => checkVhost(patient));
  if (known.kind === 'site') await guarded('root', () => checkRoot(patient));
  if (known.kind === 'site') await guarded('links', () => checkLinks(patient));
  if (known.kind === 'site') checkCertificate(patient.certificates.get(known.name), findings, patient.host.now());
  if (isOpen(patient) && !(await patient.host.files.exists(paths.run))) {
    // All that follows would be named as broken, and is, for this one reason.
    findings.broken('socket', `${paths.run} is missing`, 'see folders above');
  } else if (isOpen(patient)) {
    if (known.kind === 'site') await guarded('socket', () => checkSocket(patient));
    if (known.runtime !== 'static') await guarded('container', () => checkContainer(patient));
  }
  if (known.kind === 'site') await guarded('HTTP', () => checkHttp(patient));
  if (known.kind === 'site' && patient.dns) await checkDns(patient);
  return findings.all;
};
