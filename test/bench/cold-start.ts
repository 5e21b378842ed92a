/** How long a sleeping site takes to its first byte, against Docker's start call with the same container. */
import { median, quantile } from './figure.ts';
import type { Part } from './lab.ts';
import type { ColdStartInput, ColdStartTimes } from './programs/cold-start.ts';

const site = 'cold.example.org';
const container = 'cold-floor';
const rounds = 30;
const root = `/srv/www/${site}`;
const run = '/run/appfleet-bench/cold';

const direct = `server {
    listen 80;
    server_name floor.example.org;
    root ${root};
    location / {
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME /var/www/html/hello.php;
        fastcgi_pass unix:${run}/app.sock;
    }
}
`;

/** The create body that the product made, for a container that the product does not know. */
const sameContainer = `
  docker rm -f ${container} >/dev/null 2>&1 || true
  mkdir -p ${run}; chmod 777 ${run}
  sed 's#/run/appfleet/${site}/r1#${run}#' /var/lib/appfleet/start/${site}/pool.conf >${run}/pool.conf
  jq 'del(.Labels["appfleet.site"]) | .HostConfig.Binds |= map(
        sub("^/run/appfleet/${site}/r1:/run/appfleet/${site}/r1:"; "${run}:${run}:") |
        sub("^/var/lib/appfleet/start/${site}/pool.conf:"; "${run}/pool.conf:"))' \\
    /var/lib/appfleet/start/${site}/container.json |
    curl -fsS --unix-socket /run/docker.sock -H 'Content-Type: application/json' --data-binary @- \\
      'http://docker/containers/create?name=${container}'
`;

export const coldStart: Part = async ({ host, fleet, log, measure }) => {
  log('cold start: a sleeping php-fpm site against the start call of Docker');
  await host.write(`${root}/hello.php`, "<?php echo 'hello';\n");
  await fleet.putSite(site, `runtime = php-fpm\ntls = off\nimage = php:fpm\nroot = ${root}\nnetwork = none\nidle = 1h`);
  const applied = await fleet.apply();
  if (applied.code !== 0) throw new Error(`${applied.stdout}${applied.stderr}`);
  await host.write('/etc/nginx/conf.d/bench-cold.conf', direct);
  await host.sh(`${sameContainer}\nnginx -s reload`);
  try {
    const input: ColdStartInput = {
      rounds,
      path: '/hello.php',
      site,
      floor: { container, socket: `${run}/app.sock`, vhost: 'floor.example.org' },
    };
    const times = await measure<ColdStartTimes>('cold-start', input);
    const ours = median(times.site);
    const floor = median(times.floor);
    const from = `medians of ${rounds} each, in turns`;
    return [
      {
        name: 'cold start: first byte, against the floor',
        value: ours / floor,
        unit: 'x',
        target: { atMost: 1.15 },
        from: `${ours.toFixed(0)} ms against ${floor.toFixed(0)} ms, ${from}`,
      },
      { name: 'cold start: first byte, median', value: ours, unit: 'ms', target: null },
      { name: 'cold start: first byte, 95 of 100', value: quantile(times.site, 0.95), unit: 'ms', target: null },
      { name: 'cold start: the floor, median', value: floor, unit: 'ms', target: null },
    ];
  } finally {
    await host.sh(`docker rm -f ${container} >/dev/null; rm -f /etc/nginx/conf.d/bench-cold.conf; nginx -s reload`);
    await fleet.removeSite(site);
    await fleet.apply();
  }
};
