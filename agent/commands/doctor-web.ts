/** What `appfleet doctor` checks about nginx: that it runs with what is installed, and that its ports are its own. */
import type { Probe } from '../adapters/probe.ts';
import { hasTls } from '../core/tls-keys.ts';
import type { Host } from '../ports.ts';
import type { Fleet } from '../reconcile/fleet.ts';
import type { Findings } from './finding.ts';

const whoListens = async (probe: Probe, port: number): Promise<{ nginx: boolean; other: string | null }> => {
  const found = await probe.listeners(port);
  const other = found.find(({ program }) => program !== 'nginx');
  return {
    nginx: found.some(({ program }) => program === 'nginx'),
    other: other === undefined ? null : `${other.program}${other.pid === null ? '' : ` (process ${other.pid})`}`,
  };
};

const portsOf = ({ settings, sites }: Fleet): number[] => [
  settings.httpPort,
  ...(sites.some(({ tls }) => hasTls(tls)) ? [settings.httpsPort] : []),
];

/** Checks nginx and its ports. */
export const checkNginx = async (host: Host, fleet: Fleet, probe: Probe, findings: Findings): Promise<void> => {
  const { version } = await host.web.facts();
  const test = await probe.run(['nginx', '-t', '-q']);
  const said = test.stderr.split('\n').find((line) => /\[(emerg|alert|crit)\]/.test(line)) ?? test.stderr.trim();
  const [unit] = await host.units.list(['nginx.service']);
  const runs = unit?.active === 'active';
  const ports = await Promise.all(portsOf(fleet).map(async (port) => ({ port, ...(await whoListens(probe, port)) })));
  const taken = ports.filter(({ other }) => other !== null);
  for (const { port, other } of taken)
    findings.broken(
      'nginx',
      `port ${port} belongs to ${other ?? ''}${runs ? ' as well: it gets requests that are meant for sites' : ': nginx cannot start'}`,
      `stop that program (ss -ltnp 'sport = ${port}'), or give nginx another port: appfleet help settings`,
    );
  if (test.code !== 0) findings.broken('nginx', `its configuration has an error: ${said}`, 'nginx -t');
  if (!runs) {
    const detail = unit?.active === 'failed' ? 'it failed' : 'it does not run';
    return findings.broken('nginx', detail, 'systemctl start nginx; journalctl -u nginx');
  }
  for (const { port, nginx } of ports)
    if (!nginx)
      findings.broken(
        'nginx',
        `it runs and does not listen on port ${port}`,
        'appfleet apply; systemctl restart nginx',
      );
  if (await host.web.needsReload())
    findings.warn(
      'nginx',
      'it is not known to have loaded what is installed',
      'systemctl status appfleet; appfleet apply',
    );
  if (test.code === 0) findings.ok('nginx', `version ${version.join('.')}, its configuration is valid`);
};

/** Why no request to the HTTP port can reach a site; null when one can. */
export const closedWeb = async (host: Host, { settings }: Fleet, probe: Probe): Promise<string | null> => {
  const [unit] = await host.units.list(['nginx.service']);
  if (unit?.active !== 'active') return 'nginx does not run';
  const { nginx, other } = await whoListens(probe, settings.httpPort);
  if (nginx) return null;
  return other === null
    ? `nginx does not listen on port ${settings.httpPort}`
    : `port ${settings.httpPort} belongs to ${other}`;
};

/** Names what nginx refused. */
export const checkRefusals = async (host: Host, findings: Findings): Promise<void> => {
  const refusals = await host.web.refusals();
  if (refusals.length === 0) return findings.ok('vhosts', 'nginx accepts all of them');
  const [first] = refusals;
  const others = refusals.length > 1 ? ` and ${refusals.length - 1} more` : '';
  findings.warn('vhosts', `nginx refused what was asked for ${first?.site ?? ''}${others}: ${first?.message ?? ''}`);
};
