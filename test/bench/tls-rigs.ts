/** More nginx on the bench's host, with the same sites and certificates as the one of the product, on other ports. */
import type { Lab } from './lab.ts';
import { tlsRoot } from './authority.ts';

export interface Rig {
  port: number;
  pidFile: string;
}

const folder = '/srv/bench-tls';

/** What one writes who names each certificate by hand and takes Mozilla's advice for all. */
const byHand = (names: readonly string[], port: number): string => `server_names_hash_max_size 32768;
server_names_hash_bucket_size 512;
ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384;
ssl_session_cache shared:byhand:10m;
ssl_session_timeout 1d;
ssl_session_tickets off;
${names
  .map(
    (name) => `server {
    listen ${port} ssl;
    http2 on;
    server_name ${name};
    root ${tlsRoot};
    ssl_certificate ${folder}/certs/${name}/chain.pem;
    ssl_certificate_key ${folder}/certs/${name}/key.pem;
}
`,
  )
  .join('')}`;

/** Debian's nginx.conf with other files in it, as a program of its own. */
const start = (name: string): string => `
  sed -e 's#/run/nginx.pid#/run/bench-tls-${name}.pid#' -e 's#/etc/nginx/conf.d/#${folder}/${name}/#' \\
    -e '/modules-enabled/d' -e '/sites-enabled/d' /etc/nginx/nginx.conf >${folder}/${name}.conf
  nginx -q -c ${folder}/${name}.conf -g 'error_log /dev/null crit;'`;

/** The product's own configuration on other ports; its sites go to a folder beside it. */
const copy = (name: string, { plain, tls }: { plain: number; tls: number }): string => `
  mkdir -p ${folder}/${name}/sites
  ports='s/^( *listen (\\[::\\]:)?)80\\b/\\1${plain}/; s/^( *listen (\\[::\\]:)?)443\\b/\\1${tls}/'
  sed -E -e "$ports" -e 's#/etc/nginx/appfleet/#${folder}/${name}/sites/#' /etc/nginx/conf.d/appfleet.conf >${folder}/${name}/shared.conf
  for file in /etc/nginx/appfleet/*.conf; do
    sed -E -e "$ports" "$file" >${folder}/${name}/sites/\${file##*/}
  done`;

export type RigName = 'byHand' | 'file' | 'variable';

export const rigs: Readonly<Record<RigName, Rig>> = {
  byHand: { port: 8443, pidFile: '/run/bench-tls-byhand.pid' },
  file: { port: 8444, pidFile: '/run/bench-tls-file.pid' },
  variable: { port: 8445, pidFile: '/run/bench-tls-variable.pid' },
};

/** Starts all three; a worker has to be able to read what a variable names. */
export const startRigs = async ({ host }: Lab, names: readonly string[]): Promise<void> => {
  await host.sh(`mkdir -p ${folder}/certs ${folder}/byhand
    for site in /var/lib/appfleet/certs/tls*; do
      mkdir ${folder}/certs/\${site##*/}; cp $site/current/*.pem ${folder}/certs/\${site##*/}/
    done
    chgrp -R www-data ${folder}/certs; chmod -R g+rX ${folder}/certs`);
  await host.write(`${folder}/byhand/sites.conf`, byHand(names, rigs.byHand.port));
  await host.sh(`${start('byhand')}
    ${copy('file', { plain: 8081, tls: rigs.file.port })}
    ${start('file')}
    ${copy('variable', { plain: 8082, tls: rigs.variable.port })}
    sed -Ei -e 's#^( *ssl_certificate ).*#\\1${folder}/certs/$ssl_server_name/chain.pem;#' \\
      -e 's#^( *ssl_certificate_key ).*#\\1${folder}/certs/$ssl_server_name/key.pem;#' ${folder}/variable/sites/*.conf
    ${start('variable')}`);
};

export const stopRigs = async ({ host }: Lab): Promise<void> => {
  const pids = Object.values(rigs).map(({ pidFile }) => pidFile);
  await host.sh(`for file in ${pids.join(' ')}; do test ! -e $file || kill $(cat $file); done; rm -rf ${folder}`);
};
