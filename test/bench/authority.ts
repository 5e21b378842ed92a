/** A certificate authority on the bench's host, asked only when the bench says so, and nginx's reloads counted meanwhile. */
import { installPackage } from '../host/packages.ts';
import { settingsFile } from '../host/fleet.ts';
import { startPebble } from '../host/pebble.ts';
import type { Lab } from './lab.ts';

export interface Ordered {
  seconds: number;
  renewed: number;
  reloads: number;
}

export interface Authority {
  /** Arguments that lead certbot to it; a variable of the environment makes it trust the directory. */
  certbot: { words: readonly string[]; env: Readonly<Record<string, string>> };
  /** `appfleet cert renew`: everything that is due. Throws with what it said when a site failed. */
  order(): Promise<Ordered>;
  reloads(): Promise<number>;
}

const root = '/srv/www/tls';
const dropIn = '/run/systemd/system/appfleet-renew.service.d/bench.conf';
/** nginx's own words about reloads, which are notices; its usual log has errors only. */
const notices = { switch: '/etc/nginx/modules-enabled/99-bench.conf', log: '/var/log/nginx/bench.log' };
const limitMs = 900_000;

const nameOf = (number: number): string => `tls${String(number).padStart(4, '0')}.example.org`;

/** Names of so many sites. */
export const tlsNames = (count: number): string[] => Array.from({ length: count }, (_, index) => nameOf(index + 1));

export const tlsRoot = root;

const must = ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }): string => {
  if (code !== 0) throw new Error(`${stdout.slice(-2000)}${stderr.slice(-2000)}`);
  return stdout;
};

/** Static sites with those names, all of them served over HTTP and none with a certificate yet. */
export const putTlsSites = async ({ host, fleet }: Lab, names: readonly string[]): Promise<void> => {
  const script = `mkdir -p ${root}; echo hello >${root}/index.html
    while read -r name; do printf '[site]\\nruntime = static\\nroot = ${root}\\n' >/etc/appfleet/sites/$name.ini; done`;
  await host.sh(script, { input: `${names.join('\n')}\n` });
  must(await fleet.apply());
};

/** Takes the sites and their certificates away. */
export const removeTlsSites = async ({ host, fleet }: Lab): Promise<void> => {
  await host.sh('rm -f /etc/appfleet/sites/tls????.example.org.ini');
  must(await fleet.apply());
  await host.sh('rm -rf /var/lib/appfleet/certs/tls????.example.org');
};

/** The work gets the authority; whatever becomes of it, the host orders nothing afterwards, as before. */
export const withAuthority = async <T>(lab: Lab, work: (authority: Authority) => Promise<T>): Promise<T> => {
  const { host } = lab;
  const before = await host.read(settingsFile);
  const pebble = await startPebble(host);
  await host.write(dropIn, '[Unit]\nConditionPathExists=/nowhere\n');
  await host.write(notices.switch, `error_log ${notices.log} notice;\n`);
  const settings = `acme_directory = ${pebble.directoryUrl}\nacme_ca_file = ${pebble.caFile}\n`;
  await host.write(settingsFile, `[appfleet]\n${settings}`);
  // Both sides have their account before the clock runs; for ours nginx has to learn another answer.
  await host.sh('systemctl daemon-reload; nginx -s reload; appfleet cert account --update');

  const reloads = async (): Promise<number> =>
    Number((await host.sh(`grep -c 'signal 1 (SIGHUP)' ${notices.log} || true`)).stdout);
  const order = async (): Promise<Ordered> => {
    const reloaded = await reloads();
    const began = performance.now();
    const said = await host.run(['appfleet', 'cert', 'renew', '--json'], { allowFail: true, timeoutMs: limitMs });
    const seconds = (performance.now() - began) / 1000;
    const { renewed } = JSON.parse(must(said)) as { renewed: readonly unknown[] };
    return { seconds, renewed: renewed.length, reloads: (await reloads()) - reloaded };
  };
  try {
    return await work({
      certbot: {
        words: ['--non-interactive', '--server', pebble.directoryUrl],
        env: { REQUESTS_CA_BUNDLE: pebble.caFile },
      },
      order,
      reloads,
    });
  } finally {
    await removeTlsSites(lab);
    await host.write(settingsFile, before);
    await pebble.remove();
    await host.sh(`rm -rf ${dropIn} ${notices.switch} ${notices.log} /var/lib/appfleet/acme /etc/letsencrypt
      systemctl daemon-reload; nginx -s reload`);
  }
};

/** Debian's certbot, with an account at that authority. */
export const installCertbot = async ({ host, log }: Lab, { certbot }: Authority): Promise<void> => {
  await installPackage(host, 'certbot', log);
  const account = ['register', '--agree-tos', '--email', 'admin@example.org'];
  await host.run(['certbot', ...account, ...certbot.words], { env: certbot.env });
};
