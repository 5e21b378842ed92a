/** A hundred sites get their first certificates, against certbot getting them for the same names from the same authority. */
import {
  type Authority,
  installCertbot,
  putTlsSites,
  removeTlsSites,
  tlsNames,
  tlsRoot,
  withAuthority,
} from './authority.ts';
import type { Figure } from './figure.ts';
import type { Lab, Part } from './lab.ts';

const names = tlsNames(100);
const mostTries = 5;
const vhostFile = '/etc/nginx/conf.d/bench-certbot.conf';

interface ByCertbot {
  seconds: number;
  reloads: number;
  /** How often it gave up on a name and was started again: Pebble refuses nonces now and then, and it tries only twice. */
  repeats: number;
}

/** As certbot's manual says: files below the docroot, and a reload when the certificate is there. */
const byCertbot = async (lab: Lab, authority: Authority): Promise<ByCertbot> => {
  const { host, log } = lab;
  const { words, env } = authority.certbot;
  await host.write(vhostFile, `server {\n listen 80;\n server_name ${names.join('\n  ')};\n root ${tlsRoot};\n}\n`);
  await host.sh('nginx -s reload; sleep 1');
  try {
    const reloads = await authority.reloads();
    const order = ['certbot', 'certonly', ...words, '--webroot', '--webroot-path', tlsRoot];
    const began = performance.now();
    let repeats = 0;
    for (const [index, name] of names.entries()) {
      const argv = [...order, '--deploy-hook', 'nginx -s reload', '--domain', name];
      for (let tries = 1; ; tries++, repeats++)
        if ((await host.run(argv, { env, allowFail: tries < mostTries })).code === 0) break;
      if (index % 20 === 19) log(`  certbot: ${index + 1} of ${names.length} names`);
    }
    const seconds = (performance.now() - began) / 1000;
    return { seconds, reloads: (await authority.reloads()) - reloads, repeats };
  } finally {
    await host.sh(`rm -f ${vhostFile}; nginx -s reload`);
  }
};

export const certificates: Part = (lab) =>
  withAuthority(lab, async (authority): Promise<Figure[]> => {
    const { log } = lab;
    await installCertbot(lab, authority);
    log(`certificates: ${names.length} sites`);
    await putTlsSites(lab, names);
    const ours = await authority.order();
    if (ours.renewed !== names.length) throw new Error(`${ours.renewed} of ${names.length} sites got a certificate`);
    await removeTlsSites(lab);
    log(`certificates: ${names.length} by certbot`);
    const theirs = await byCertbot(lab, authority);
    return [
      {
        name: `${names.length} first certificates: against certbot`,
        value: theirs.seconds / ours.seconds,
        unit: 'x',
        target: { atLeast: 5 },
        from: `${ours.seconds.toFixed(1)} s against ${theirs.seconds.toFixed(0)} s for the same names at the same Pebble (${theirs.repeats} started again)`,
      },
      {
        name: `${names.length} first certificates: reloads of nginx`,
        value: ours.reloads,
        unit: '',
        target: { atMost: 1 },
        from: `${theirs.reloads} by certbot's hook`,
      },
    ];
  });
