/** What `appfleet doctor` checks about the host itself. */
import type { Probe } from '../adapters/probe.ts';
import { paths } from '../core/names.ts';
import { describeStep, type Step } from '../core/step.ts';
import { describeProblem } from '../core/problem.ts';
import { messageOf } from '../errors.ts';
import { systemTimers, withDeadline } from '../net/timers.ts';
import type { Host } from '../ports.ts';
import { createReconciler } from '../reconcile/reconcile.ts';
import type { Fleet } from '../reconcile/fleet.ts';
import type { Context } from './context.ts';
import { checkNginx, checkRefusals } from './doctor-web.ts';
import { type Finding, type Findings, findingsOn } from './finding.ts';

const oldestSystemd = 252;
const oldestApi = [1, 24] as const;
const leastMemory = 2e9;

/** Longer than that nobody waits for an answer about one link. */
const checkSeconds = 8;

/** Runs one check; what it throws is a broken link of that name, and so is silence. */
const guarded = async (findings: Findings, link: string, check: () => Promise<void>, hint?: string): Promise<void> => {
  const silence = (): Error => new Error(`no answer within ${checkSeconds} s`);
  try {
    await withDeadline(systemTimers, checkSeconds * 1000, check(), silence);
  } catch (error) {
    findings.broken(link, messageOf(error), hint);
  }
};

const checkSystemd = async (probe: Probe, findings: Findings): Promise<void> => {
  const { stdout } = await probe.run(['systemctl', '--version']);
  const version = Number(/^systemd (\d+)/.exec(stdout)?.[1] ?? 0);
  if (version >= oldestSystemd) findings.ok('systemd', `version ${version}`);
  else findings.warn('systemd', `version ${version} is older than ${oldestSystemd}, the oldest that is tested`);
};

const checkDocker = async (host: Host, findings: Findings): Promise<void> => {
  const { version, api } = await host.containers.version();
  const [major = 0, minor = 0] = api.split('.').map(Number);
  const recent = major > oldestApi[0] || (major === oldestApi[0] && minor >= oldestApi[1]);
  if (recent) findings.ok('docker', `version ${version}, API ${api}`);
  else
    findings.broken('docker', `its API ${api} is older than ${oldestApi.join('.')}`, 'install a newer Docker Engine');
};

/** TCP ports with a listener, from the text of /proc/net/tcp (proc(5)): state 0A. */
const listeningPorts = (table: string): Set<number> =>
  new Set(
    [...table.matchAll(/^ *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F:]+ 0A /gm)].map(([, port]) =>
      Number.parseInt(port ?? '', 16),
    ),
  );

const checkDockerPorts = async (host: Host, findings: Findings): Promise<void> => {
  const tables = [await host.files.read('/proc/net/tcp'), await host.files.read('/proc/net/tcp6')];
  const ports = listeningPorts(tables.join('\n'));
  if (ports.has(2375))
    findings.broken(
      'docker over TCP',
      'something listens on port 2375: whoever reaches it is root here',
      'take -H tcp://… out of the Docker daemon: systemctl cat docker, /etc/docker/daemon.json',
    );
  else if (ports.has(2376))
    findings.warn('docker over TCP', 'something listens on port 2376', 'App Fleet needs no Docker over TCP: close it');
  else findings.ok('docker over TCP', 'nothing listens on 2375 and 2376');
};

const checkAgent = async (host: Host, findings: Findings): Promise<void> => {
  const units = new Map(
    (await host.units.list(['appfleet.service', 'appfleet.socket'])).map(({ name, active }) => [name, active]),
  );
  const active = units.get('appfleet.service');
  if (active === 'active') findings.ok('agent', 'it runs');
  else
    findings.broken(
      'agent',
      `it ${active === 'failed' ? 'failed' : active === 'activating' ? 'does not get ready' : 'does not run'}: sites are served and woken, but nothing falls asleep and no change is applied`,
      'systemctl start appfleet; journalctl -u appfleet',
    );
  if (units.get('appfleet.socket') !== 'active')
    findings.warn('agent', 'its socket is closed: `appfleet apply` cannot ask it', 'systemctl start appfleet.socket');
};

const checkAccessTime = async (probe: Probe, findings: Findings): Promise<void> => {
  if (await probe.accessTimeMoves(paths.run)) findings.ok('access times', `they work on ${paths.run}`);
  else
    findings.broken(
      'access times',
      `connections leave no trace on ${paths.run}, so sites in use would be put to sleep`,
      'mount /run without noatime',
    );
};

/** The folders that everything else stands in. False when sockets have no place. */
const checkFolders = async ({ files }: Host, findings: Findings): Promise<boolean> => {
  const runs = await files.exists(paths.run);
  const state = await files.exists(paths.state);
  if (!runs)
    findings.broken(
      'folders',
      `${paths.run} is missing, so nginx reaches no container and none can be woken`,
      'systemd-tmpfiles --create; systemctl restart appfleet.socket appfleet',
    );
  if (!state)
    findings.broken(
      'folders',
      `${paths.state} is missing, so no container can be started and there are no certificates`,
      'put it back from a backup, or have it made anew: appfleet apply',
    );
  if (runs && state) findings.ok('folders', `${paths.run} and ${paths.state} are there`);
  return runs;
};

const checkMemory = async (host: Host, findings: Findings): Promise<void> => {
  const text = (await host.files.read('/proc/meminfo')) ?? '';
  const total = Number(/^MemTotal: +(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
  const shown = `${(total / 1e9).toFixed(1)} GB`;
  if (total >= leastMemory) findings.ok('memory', shown);
  else
    findings.warn('memory', `${shown}: starts may fail when several sites wake at once`, 'give the host 2 GB or swap');
};

/** Steps that tell of a generated file that is not as it was written. */
const isDrift = (step: Step): boolean => step.kind === 'write-file' && step.change === 'changed';

const checkDrift = async (context: Context, findings: Findings): Promise<void> => {
  // A plan makes no password.
  const { steps: all } = await createReconciler(context.host(), context.templates(), () => '').plan();
  // Said of nginx already.
  const steps = all.filter(({ kind }) => kind !== 'reload-web');
  const edited = steps.filter(isDrift);
  const [first] = edited.length > 0 ? edited : steps;
  const others = (edited.length > 0 ? edited : steps).length - 1;
  const more = others > 0 ? ` and ${others} more` : '';
  if (first === undefined) findings.ok('in step', 'the host is as the files say');
  else if (isDrift(first) && first.kind === 'write-file')
    findings.warn(
      'in step',
      `generated files differ from what the site files ask for, perhaps edited by hand: ${first.file.path}${more}`,
      'put changes into the site file or /etc/appfleet/vhost.d; appfleet plan shows what will be written',
    );
  else findings.warn('in step', `not applied yet: ${describeStep(first)}${more}`, 'appfleet plan; appfleet apply');
};

const checkFiles = (fleet: Fleet, findings: Findings): void => {
  const own = fleet.problems.filter(({ file }) => file === paths.settings || file === paths.secrets);
  for (const problem of own) findings.broken('settings', describeProblem(problem), 'appfleet check');
};

/** Findings about the host: what all sites stand on. */
export const examineHost = async (context: Context, fleet: Fleet, probe: Probe): Promise<Finding[]> => {
  const findings = findingsOn('host');
  const host = context.host();
  await guarded(findings, 'systemd', () => checkSystemd(probe, findings));
  const hasRun = await checkFolders(host, findings);
  await guarded(findings, 'docker', () => checkDocker(host, findings), 'systemctl start docker; journalctl -u docker');
  await guarded(findings, 'docker over TCP', () => checkDockerPorts(host, findings));
  await guarded(findings, 'nginx', () => checkNginx(host, fleet, probe, findings), 'systemctl status nginx');
  await guarded(findings, 'vhosts', () => checkRefusals(host, findings));
  await guarded(findings, 'agent', () => checkAgent(host, findings));
  if (hasRun) await guarded(findings, 'access times', () => checkAccessTime(probe, findings), 'ls -ld /run/appfleet');
  await guarded(findings, 'memory', () => checkMemory(host, findings));
  checkFiles(fleet, findings);
  // Without it nobody can tell what is to be done.
  if (findings.all.every(({ link, mark }) => link !== 'docker' || mark !== 'broken'))
    await guarded(findings, 'in step', () => checkDrift(context, findings));
  return findings.all;
};
