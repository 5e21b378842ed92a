/** Requests per second of an awake site, against nginx straight to its socket and against the classic chain with a proxy. */
import { readFileSync } from 'node:fs';
import { type Figure, median } from './figure.ts';
import type { Lab, Part } from './lab.ts';
import type { LoadInput, LoadResult } from './programs/load.ts';

const run = '/run/appfleet-bench';
const generator = '/root/bench/load.pl';
const rounds = 100;
const seconds = 0.15;
const connections = 16;

interface Contest {
  title: string;
  site: string;
  path: string;
  file: string;
  /** Prepares what the site serves. */
  files: Readonly<Record<string, string>>;
  /** The same program in a container as people have it who do not have the product: it listens on its own TCP port. */
  classic: { run: readonly string[]; port: number };
  /** What an admin writes who has only nginx and this socket. */
  vhost: (name: string, socket: string) => string;
}

const phpRoot = '/srv/www/hot-php.example.org';
const nodeRoot = '/srv/www/hot-node.example.org';

const contests: readonly Contest[] = [
  {
    title: 'php-fpm',
    site: 'hot-php.example.org',
    path: '/hello.php',
    file: `runtime = php-fpm\ntls = off\nimage = php:fpm\nroot = ${phpRoot}\nnetwork = none\nidle = 1h`,
    files: { [`${phpRoot}/hello.php`]: "<?php echo 'hello';\n" },
    classic: { run: [`--volume=${phpRoot}:/var/www/html:ro`, 'php:fpm'], port: 9000 },
    vhost: (name, socket) => `server {
    listen 80;
    server_name ${name};
    root ${phpRoot};
    index index.php;
    location ~ /\\. {
        return 404;
    }
    location / {
        try_files $uri $uri/ /index.php$is_args$args;
    }
    location ~ \\.php$ {
        try_files $uri =404;
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME /var/www/html$fastcgi_script_name;
        fastcgi_pass unix:${socket};
    }
}
`,
  },
  {
    title: 'Node',
    site: 'hot-node.example.org',
    path: '/hello',
    file: `runtime = node\ntls = off\nimage = node:20\ncommand = node /srv/server.js\nvolumes = ${nodeRoot}:/srv:ro\nnetwork = none\nidle = 1h`,
    files: {
      [`${nodeRoot}/server.js`]: `require('node:http')
  .createServer((request, response) => response.setHeader('Content-Type', 'text/plain').end('hello'))
  .listen(process.env.PORT);
`,
    },
    classic: {
      run: ['--env=PORT=3000', `--volume=${nodeRoot}:/srv:ro`, 'node:20', 'node', '/srv/server.js'],
      port: 3000,
    },
    vhost: (name, socket) => `server {
    listen 80;
    server_name ${name};
    location / {
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $host;
        proxy_set_header X-Forwarded-Port $server_port;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $bench_connection;
        proxy_pass http://unix:${socket};
    }
}
`,
  },
];

const upgrade = `map $http_upgrade $bench_connection {
    default upgrade;
    "" close;
}
`;

const straightName = ({ site }: Contest): string => `straight-${site}`;
const chainName = ({ site }: Contest): string => `chain-${site}`;
const shortName = ({ site }: Contest): string => `short-${site}`;
const appSocket = ({ site }: Contest): string => `/run/appfleet/${site}/r1/app.sock`;

/** The chain of somebody who has nginx, systemd-socket-proxyd and Docker; and the same proxy before the product's socket. */
const chain = (one: Contest): string => `bench-${chainName(one)}`;
const short = (one: Contest): string => `bench-${shortName(one)}`;
const socketOf = (unit: string): string => `${run}/${unit}.sock`;
const units = contests.flatMap((one) => [chain(one), short(one)]);

const vhosts = (): string =>
  upgrade +
  contests
    .map(
      (one) =>
        one.vhost(straightName(one), appSocket(one)) +
        one.vhost(chainName(one), socketOf(chain(one))) +
        one.vhost(shortName(one), socketOf(short(one))),
    )
    .join('');

const writeProxy = async (host: Lab['host'], unit: string, target: string): Promise<void> => {
  const path = `/run/systemd/system/${unit}`;
  await host.write(`${path}.socket`, `[Socket]\nListenStream=${socketOf(unit)}\nBacklog=4096\n`);
  const proxy = `/usr/lib/systemd/systemd-socket-proxyd --connections-max=4096 ${target}`;
  await host.write(`${path}.service`, `[Service]\nExecStart=${proxy}\n`);
};

const prepare = async ({ host, fleet }: Lab): Promise<void> => {
  await host.write(generator, readFileSync(new URL('programs/load.pl', import.meta.url)));
  for (const one of contests) {
    for (const [path, text] of Object.entries(one.files)) await host.write(path, text);
    await fleet.putSite(one.site, one.file);
    await host.run(['docker', 'run', '--detach', `--name=${chain(one)}`, ...one.classic.run], {});
    const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}';
    const { stdout } = await host.run(['docker', 'inspect', `--format=${format}`, chain(one)], {});
    await writeProxy(host, chain(one), `${stdout.trim()}:${one.classic.port}`);
    await writeProxy(host, short(one), appSocket(one));
  }
  const applied = await fleet.apply();
  if (applied.code !== 0) throw new Error(`${applied.stdout}${applied.stderr}`);
  await host.write('/etc/nginx/conf.d/bench-hot.conf', vhosts());
  const sockets = units.map((unit) => `${unit}.socket`).join(' ');
  await host.sh(`systemctl daemon-reload; systemctl start ${sockets}; nginx -s reload`);
};

const clear = async ({ host, fleet }: Lab): Promise<void> => {
  const files = units.flatMap((unit) => [`${unit}.socket`, `${unit}.service`]);
  await host.sh(`systemctl stop ${files.join(' ')}
    docker rm --force ${contests.map(chain).join(' ')}
    rm -f /etc/nginx/conf.d/bench-hot.conf ${files.map((file) => `/run/systemd/system/${file}`).join(' ')}
    systemctl daemon-reload; nginx -s reload`);
  for (const { site } of contests) await fleet.removeSite(site);
  await fleet.apply();
};

/** The median of what each round says, since rounds differ more than their parts. */
const ratio = (ours: readonly number[], theirs: readonly number[]): number =>
  median(ours.map((rate, round) => rate / (theirs[round] ?? NaN)));

const contest = async (lab: Lab, one: Contest): Promise<Figure[]> => {
  lab.log(`hot path: ${one.title}, ${rounds} rounds of ${seconds} s each`);
  const answer = await lab.fleet.ask(one.site, one.path);
  if (answer.status !== 200) throw new Error(`${one.site} answered ${answer.status}: ${answer.body}`);
  const input: LoadInput = {
    generator,
    vhosts: [one.site, straightName(one), chainName(one), shortName(one)],
    path: one.path,
    connections,
    rounds,
    seconds,
  };
  const rates = await lab.measure<LoadResult>('load', input);
  const [ours = [], straight = [], classic = [], shortened = []] = input.vhosts.map((vhost) => rates[vhost] ?? []);
  const rate = (values: readonly number[]): string => `${median(values).toFixed(0)}/s`;
  return [
    {
      name: `hot path, ${one.title}: against nginx straight to the socket`,
      value: ratio(ours, straight),
      unit: 'x',
      target: { atLeast: 0.97 },
      from: `${rate(ours)} against ${rate(straight)}, median of ${rounds} rounds`,
    },
    {
      name: `hot path, ${one.title}: against nginx -> systemd-socket-proxyd -> container`,
      value: ratio(ours, classic),
      unit: 'x',
      target: { atLeast: 1.4 },
      from: `${rate(ours)} against ${rate(classic)}, median of ${rounds} rounds`,
    },
    {
      name: `hot path, ${one.title}: against nginx -> systemd-socket-proxyd -> the product's own socket`,
      value: ratio(ours, shortened),
      unit: 'x',
      target: null,
      from: `${rate(ours)} against ${rate(shortened)}, median of ${rounds} rounds`,
    },
  ];
};

export const hotPath: Part = async (lab) => {
  await prepare(lab);
  try {
    const figures: Figure[] = [];
    for (const one of contests) figures.push(...(await contest(lab, one)));
    return figures;
  } finally {
    await clear(lab);
  }
};
