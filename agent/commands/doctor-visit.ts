/** What `appfleet doctor` checks the way visitors come: by the site's names, over HTTP. */
import type { WebAnswer } from '../adapters/probe.ts';
import { messageOf } from '../errors.ts';
import { isOpen, type Patient } from './patient.ts';

const isUnknownName = ({ status, body }: WebAnswer): boolean => status === 404 && body.includes('no site of this name');

/** From www to the apex or back, and to HTTPS: nginx may send a visitor twice. */
const mostRedirects = 2;

/** Goes where a visitor of the front page is sent, as long as nginx sends him to names of the same site. */
const visit = async ({ probe, fleet, known }: Patient, limit: number): Promise<WebAnswer> => {
  const { httpPort, httpsPort } = fleet.settings;
  let answer = await probe.head(httpPort, known.name, limit);
  for (let sent = 0; sent < mostRedirects; sent++) {
    const location = answer.headers['location'];
    if (answer.status !== 301 || typeof location !== 'string' || !URL.canParse(location)) break;
    const { hostname, protocol, pathname } = new URL(location);
    if (pathname !== '/' || ![known.name, ...known.aliases].includes(hostname)) break;
    answer = await (protocol === 'https:'
      ? probe.secureHead(httpsPort, hostname, limit)
      : probe.head(httpPort, hostname, limit));
  }
  return answer;
};

const judge = ({ findings, known }: Patient, answer: WebAnswer, took: string): void => {
  const { status, headers } = answer;
  if ((status === 404 || status === 403) && (known.runtime === 'static' || known.runtime === 'php-fpm'))
    return findings.warn(
      'HTTP',
      `its front page is not to be had (${status})`,
      'look into its root: is it there, may www-data read it?',
    );
  if (status < 500) return findings.ok('HTTP', `it answers ${status}${took}`);
  const ours = status === 503 && headers['retry-after'] !== undefined;
  const detail = ours ? 'nginx cannot get an answer from the container (503)' : `the program answers ${status}`;
  const hint = `appfleet logs ${known.name} -n 50`;
  if (ours) findings.broken('HTTP', detail, hint);
  else findings.warn('HTTP', detail, hint);
};

/** Whoever waits longer for a front page has gone. */
const awakeSeconds = 8;

/** Asks nginx for the site. */
export const checkHttp = async (patient: Patient): Promise<void> => {
  const { probe, fleet, known, status, findings, wake, steady, closedWeb } = patient;
  if (closedWeb !== null) return findings.broken('HTTP', closedWeb, 'see nginx above');
  // What comes before it is broken already: an answer would say nothing new, and may take long.
  if (findings.all.some(({ link, mark }) => mark === 'broken' && ['socket', 'container'].includes(link))) return;
  const knock = await probe.knock(fleet.settings.httpPort, known.name);
  if (isUnknownName(knock)) return findings.broken('HTTP', 'nginx does not know this name', 'appfleet apply');
  if (!isOpen(patient)) {
    const { status: code } = await visit(patient, 10);
    if (code === 503) return findings.ok('HTTP', 'it answers 503, as a closed site does');
    return findings.warn('HTTP', `the site is closed, but nginx answers ${code}`, 'systemctl reload nginx');
  }
  const sleeps = status.state === 'asleep' || status.state === 'failed';
  if (sleeps && !wake)
    return findings.ok('HTTP', 'nginx knows its name; it was not woken (--wake does that, to see it answer)');
  const began = steady();
  judge(
    patient,
    await visit(patient, sleeps ? 600 : awakeSeconds),
    sleeps ? ` after ${(steady() - began).toFixed(2)} s` : '',
  );
};

/** Whether the site's names lead to this host. What stands in front of it may be meant to, so nothing is broken here. */
export const checkDns = async ({ probe, fleet, known, findings }: Patient): Promise<void> => {
  const { addresses } = fleet.settings.acme;
  const own = new Set(typeof addresses === 'string' ? probe.ownAddresses() : addresses);
  const names = [known.name, ...known.aliases].filter((name) => !name.startsWith('*.'));
  const strange = async (name: string): Promise<string | null> => {
    const found = await probe.resolve(name);
    if (found.length === 0) return `${name} has no address, so visitors do not find it`;
    const foreign = found.filter((address) => !own.has(address));
    if (addresses === 'any' || foreign.length === 0) return null;
    return `${name} leads to ${foreign.join(', ')}, which is no address of this host`;
  };
  try {
    const complaints = (await Promise.all(names.map(strange))).filter((complaint) => complaint !== null);
    for (const complaint of complaints)
      findings.warn(
        'DNS',
        complaint,
        complaint.includes(' leads to ')
          ? 'right behind a proxy or address translation; else mend its A and AAAA records'
          : 'make an A or AAAA record with the address of this host',
      );
    if (complaints.length === 0) findings.ok('DNS', `${names.length === 1 ? 'its name leads' : 'its names lead'} here`);
  } catch (error) {
    findings.warn('DNS', `cannot be asked: ${messageOf(error)}`, 'cat /etc/resolv.conf');
  }
};
