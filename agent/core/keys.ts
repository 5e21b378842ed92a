/** The one table of everything an admin can write. Validation, `appfleet help` and the README's reference come from it. */
import { address, addresses, directory, emails, keyId, profile } from './authority.ts';
import { command } from './command.ts';
import { consulAddress, consulTags, datacenter, keyPrefix, servicePrefix } from './consul-values.ts';
import { domains } from './domain.ts';
import { absolutePath, inside, page, root, volumes } from './path.ts';
import { health, ready } from './readiness.ts';
import { choice, cpus, duration, fileNames, idle, image, network, port, serviceNames, size, whole } from './scalar.ts';
import type { Runtime } from './spec.ts';
import { envValue, headerValue, parseEnvName, parseHeaderName } from './variable.ts';
import type { Parsed, ValueType } from './value.ts';

export const runtimes = ['php-fpm', 'node', 'container', 'static'] as const satisfies readonly Runtime[];
const contained = ['php-fpm', 'node', 'container'] as const;

export interface Key<T> {
  section: string;
  name: string;
  type: ValueType<T>;
  /** As an admin would write it; null when there is none. */
  default: string | null;
  /** Other defaults for some runtimes. */
  defaults: Readonly<Partial<Record<Runtime, string>>>;
  /** Runtimes that have this key; all four for keys that are not about sites. */
  runtimes: readonly Runtime[];
  /** Runtimes that cannot do without. */
  required: readonly Runtime[];
  help: string;
  example: string;
}

interface Row<T> {
  type: ValueType<T>;
  default?: string;
  defaults?: Partial<Record<Runtime, string>>;
  runtimes?: readonly Runtime[];
  required?: readonly Runtime[];
  help: string;
  example: string;
}

const inSection =
  (section: string) =>
  <T>(name: string, row: Row<T>): Key<T> => ({
    section,
    name,
    type: row.type,
    default: row.default ?? null,
    defaults: row.defaults ?? {},
    runtimes: row.runtimes ?? runtimes,
    required: row.required ?? [],
    help: row.help,
    example: row.example,
  });

const site = inSection('site');
const service = inSection('service');
const setting = inSection('appfleet');
const consul = inSection('consul');

const text = {
  command: 'Command instead of the one in the image; no shell reads it',
  env_file: 'File with more variables, one NAME=value in a line; those in [env] win',
  volumes: 'Folders of the host, or Docker volumes, to show in the container; writable (rw) unless :ro is added',
  memory: 'Most memory of the container; no limit when absent',
  network:
    'Network of the container: bridge, none, or the name of a Docker network; none is enough when all it talks to are sockets',
  cpus: 'Most processor time, in processors; no limit when absent',
  start_timeout: 'How long the container may take until it is ready',
  stop_timeout: 'How long the container may take to end before it is killed',
};

/** Keys of a site file, /etc/appfleet/sites/DOMAIN.ini. */
export const siteKeys = {
  aliases: site('aliases', {
    type: domains,
    default: '',
    help: 'Other domains of the same site; wildcards need acme_dns_hook, or certificates of your own',
    example: 'www.example.org, example.com',
  }),
  runtime: site('runtime', {
    type: choice(...runtimes),
    required: runtimes,
    help: 'What serves the site: PHP, a Node program that listens on PORT, any container that listens on a TCP port, or nginx alone',
    example: 'php-fpm',
  }),
  image: site('image', {
    type: image,
    runtimes: contained,
    required: contained,
    help: 'Image of the container',
    example: 'wordpress:php8.2-fpm',
  }),
  command: site('command', {
    type: command,
    default: '',
    runtimes: contained,
    help: text.command,
    example: 'node server.js',
  }),
  port: site('port', {
    type: port,
    defaults: { node: '3000' },
    runtimes: ['node', 'container'],
    required: ['container'],
    help: 'TCP port that the container listens on; for node the number in PORT',
    example: '8080',
  }),
  root: site('root', {
    type: root,
    required: ['php-fpm', 'static'],
    help: 'Folder on the host whose files nginx serves without waking anybody; php-fpm runs the .php files in it',
    example: '/srv/www/example.org',
  }),
  container_root: site('container_root', {
    type: inside,
    default: '/var/www/html',
    runtimes: ['php-fpm'],
    help: 'Where root is inside the container',
    example: '/var/www/html',
  }),
  pool_dir: site('pool_dir', {
    type: inside,
    default: '/usr/local/etc/php-fpm.d',
    runtimes: ['php-fpm'],
    help: "Folder of php-fpm's pool files inside the image; images made from Debian's packages have /etc/php/8.2/fpm/pool.d",
    example: '/etc/php/8.2/fpm/pool.d',
  }),
  index: site('index', {
    type: fileNames,
    defaults: { 'php-fpm': 'index.php index.html', static: 'index.html' },
    runtimes: ['php-fpm', 'static'],
    help: 'Files that answer for a folder, first found first',
    example: 'index.php index.html',
  }),
  symlinks: site('symlinks', {
    type: choice('no', 'owner', 'yes'),
    default: 'no',
    defaults: { static: 'owner' },
    help: 'Which symbolic links below root nginx follows: none, those to something of the owner of the link, or all. Programs of many sites have one owner (www-data), so `owner` is no wall between sites',
    example: 'owner',
  }),
  idle: site('idle', {
    type: idle,
    default: '10m',
    runtimes: contained,
    help: 'How long nobody must ask for anything before the container is stopped; `never` keeps it awake',
    example: '30m',
  }),
  needs: site('needs', {
    type: serviceNames,
    default: '',
    runtimes: contained,
    help: 'Shared containers that must run first',
    example: 'mysql',
  }),
  env_file: site('env_file', {
    type: absolutePath,
    runtimes: contained,
    help: text.env_file,
    example: '/etc/appfleet/example.org.env',
  }),
  volumes: site('volumes', {
    type: volumes,
    default: '',
    runtimes: contained,
    help: text.volumes,
    example: '/run/mysqld:/run/mysqld:ro, uploads:/var/uploads',
  }),
  memory: site('memory', { type: size('6m'), runtimes: contained, help: text.memory, example: '256m' }),
  cpus: site('cpus', { type: cpus, runtimes: contained, help: text.cpus, example: '0.5' }),
  network: site('network', {
    type: network,
    default: 'bridge',
    runtimes: contained,
    help: text.network,
    example: 'none',
  }),
  health: site('health', {
    type: health,
    default: 'connect',
    runtimes: contained,
    help: 'When the container is ready; `ping` is for php-fpm, a path for node and container',
    example: '/health',
  }),
  start_timeout: site('start_timeout', {
    type: duration(1),
    default: '60s',
    runtimes: contained,
    help: text.start_timeout,
    example: '2m',
  }),
  stop_timeout: site('stop_timeout', {
    type: duration(1),
    default: '10s',
    runtimes: contained,
    help: text.stop_timeout,
    example: '30s',
  }),
  drain_timeout: site('drain_timeout', {
    type: duration(0),
    default: '30s',
    runtimes: contained,
    help: 'How long open requests may take to end before a stop or restart goes on',
    example: '2m',
  }),
  read_timeout: site('read_timeout', {
    type: duration(1),
    default: '1h',
    defaults: { 'php-fpm': '5m' },
    runtimes: contained,
    help: 'How long an answer may stay silent before nginx gives it up',
    example: '10m',
  }),
  max_body_size: site('max_body_size', {
    type: size('1k'),
    default: '64m',
    runtimes: contained,
    help: 'Largest body of a request, uploads for instance',
    example: '2g',
  }),
  redirect: site('redirect', {
    type: choice('none', 'www-to-apex', 'apex-to-www'),
    default: 'none',
    help: 'Send visitors from www.example.org to example.org, or back; both must be names of the site',
    example: 'www-to-apex',
  }),
  basic_auth: site('basic_auth', {
    type: absolutePath,
    help: 'File made by htpasswd: visitors need one of its names and passwords',
    example: '/etc/appfleet/example.org.htpasswd',
  }),
  maintenance_page: site('maintenance_page', {
    type: page,
    help: 'Page shown while the site is stopped, instead of a plain one',
    example: '/srv/www/maintenance.html',
  }),
  tls: site('tls', {
    type: choice('auto', 'off', 'files'),
    default: 'auto',
    help: 'Where the certificate comes from: ordered from the CA of the settings, nowhere (no HTTPS), or the files in certificate and certificate_key',
    example: 'files',
  }),
  certificate: site('certificate', {
    type: absolutePath,
    help: 'File with the certificate and its chain in PEM, for tls = files; a copy is used once it was found good',
    example: '/etc/ssl/example.org.pem',
  }),
  certificate_key: site('certificate_key', {
    type: absolutePath,
    help: 'File with the private key of that certificate in PEM',
    example: '/etc/ssl/private/example.org.key',
  }),
  https: site('https', {
    type: choice('redirect', 'both', 'only', 'off'),
    default: 'redirect',
    help: 'What visitors over HTTP get: sent to HTTPS, the same as over HTTPS, nothing, or all there is (no HTTPS); until there is a certificate, the site',
    example: 'both',
  }),
  hsts: site('hsts', {
    type: duration(0, 730),
    help: 'How long browsers that were here must not come without HTTPS; not undone by removing the line, only by 0s. Not sent when absent',
    example: '365d',
  }),
  key_type: site('key_type', {
    type: choice('ecdsa', 'rsa'),
    default: 'ecdsa',
    help: 'Key of an ordered certificate: ecdsa (P-256), or rsa (2048 bits) for very old clients',
    example: 'rsa',
  }),
};

/** Keys of a shared container's file, /etc/appfleet/services/NAME.ini. */
export const serviceKeys = {
  image: service('image', { type: image, required: runtimes, help: 'Image of the container', example: 'mariadb:11' }),
  command: service('command', { type: command, default: '', help: text.command, example: 'redis-server --save 60 1' }),
  aliases: service('aliases', {
    type: serviceNames,
    default: '',
    help: 'Other names of the unit, for `service NAME stop`',
    example: 'mariadb, mysqld',
  }),
  ready: service('ready', {
    type: ready,
    default: '',
    help: 'Ready when this socket of the host, or this TCP port of the container, accepts; when absent, as soon as it has started',
    example: 'socket:/run/mysqld/mysqld.sock',
  }),
  idle: service('idle', {
    type: idle,
    default: 'never',
    help: 'How long no site that needs it may be awake before it is stopped',
    example: '1h',
  }),
  needs: service('needs', {
    type: serviceNames,
    default: '',
    help: 'Shared containers that must run first',
    example: 'mysql',
  }),
  env_file: service('env_file', { type: absolutePath, help: text.env_file, example: '/etc/appfleet/mysql.env' }),
  volumes: service('volumes', {
    type: volumes,
    default: '',
    help: text.volumes,
    example: '/run/mysqld:/run/mysqld, mysql:/var/lib/mysql',
  }),
  memory: service('memory', { type: size('6m'), help: text.memory, example: '1g' }),
  cpus: service('cpus', { type: cpus, help: text.cpus, example: '2' }),
  network: service('network', { type: network, default: 'bridge', help: text.network, example: 'none' }),
  start_timeout: service('start_timeout', {
    type: duration(1),
    default: '60s',
    help: text.start_timeout,
    example: '5m',
  }),
  stop_timeout: service('stop_timeout', { type: duration(1), default: '10s', help: text.stop_timeout, example: '1m' }),
};

/** Keys of the agent's own file, /etc/appfleet/appfleet.ini. */
export const settingKeys = {
  parallel_starts: setting('parallel_starts', {
    type: whole('number', 1, 1000),
    default: '4',
    help: 'How many containers may be starting at the same time; shared containers go first and do not count',
    example: '8',
  }),
  pass_interval: setting('pass_interval', {
    type: duration(1),
    default: '60s',
    help: 'Time between two looks at the whole host when nothing happens',
    example: '5m',
  }),
  http_port: setting('http_port', {
    type: port,
    default: '80',
    help: 'Port that nginx listens on for HTTP; CAs ask on port 80, whoever forwards that',
    example: '8080',
  }),
  https_port: setting('https_port', {
    type: port,
    default: '443',
    help: 'Port that nginx listens on for HTTPS',
    example: '8443',
  }),
  acme_directory: setting('acme_directory', {
    type: directory,
    default: 'letsencrypt',
    help: 'Certificate authority that issues certificates to this host; using it means to agree to its terms',
    example: 'letsencrypt-staging',
  }),
  acme_ca_file: setting('acme_ca_file', {
    type: absolutePath,
    help: 'File in PEM with the authority that signed the certificate of acme_directory itself, where it is not one that everybody trusts',
    example: '/etc/ssl/own-ca.pem',
  }),
  acme_email: setting('acme_email', {
    type: emails,
    default: '',
    help: 'Whom the CA may write to',
    example: 'admin@example.org',
  }),
  acme_eab_kid: setting('acme_eab_kid', {
    type: keyId,
    help: 'Key id of the external account binding, for CAs that want one',
    example: 'kid-1',
  }),
  acme_eab_key_file: setting('acme_eab_key_file', {
    type: absolutePath,
    help: 'File with the HMAC key of that binding, in base64url as the CA gave it',
    example: '/etc/appfleet/eab.key',
  }),
  acme_profile: setting('acme_profile', {
    type: profile,
    help: 'Certificate profile, where the CA offers several; its usual one when absent',
    example: 'shortlived',
  }),
  acme_dns_hook: setting('acme_dns_hook', {
    type: absolutePath,
    help: 'Program that sets and removes TXT records (add|del NAME TXT VALUE); wildcards, which a CA does not ask about over HTTP, are proved by it',
    example: '/etc/appfleet/hooks/dns',
  }),
  acme_addresses: setting('acme_addresses', {
    type: addresses,
    help: "Addresses that names must lead to before a certificate is ordered; this host's own when absent, any behind a load balancer",
    example: '192.0.2.1, 2001:db8::1',
  }),
};

/** Keys of the section [consul] in the settings; without that section there is no Consul. */
export const consulKeys = {
  address: consul('address', {
    type: consulAddress,
    default: 'http://127.0.0.1:8500',
    help: 'Where the Consul agent of this host listens',
    example: 'unix:///run/consul/http.sock',
  }),
  datacenter: consul('datacenter', {
    type: datacenter,
    help: "Datacenter of keys and locks; the Consul agent's own when absent",
    example: 'dc1',
  }),
  token_file: consul('token_file', {
    type: absolutePath,
    help: 'File with the ACL token; read again whenever Consul has refused it or was away',
    example: '/etc/appfleet/consul.token',
  }),
  ca_file: consul('ca_file', {
    type: absolutePath,
    help: 'File in PEM with the authority that signed the certificate of an https address',
    example: '/etc/consul.d/ca.pem',
  }),
  certificate: consul('certificate', {
    type: absolutePath,
    help: 'File in PEM with the certificate that Consul wants to see of its clients',
    example: '/etc/appfleet/consul-client.pem',
  }),
  certificate_key: consul('certificate_key', {
    type: absolutePath,
    help: 'File in PEM with the private key of that certificate',
    example: '/etc/appfleet/consul-client.key',
  }),
  kv_prefix: consul('kv_prefix', {
    type: keyPrefix,
    default: 'appfleet',
    help: 'Folder of all our keys',
    example: 'production/appfleet',
  }),
  service_prefix: consul('service_prefix', {
    type: servicePrefix,
    help: "What stands in front of every service's name",
    example: 'web-',
  }),
  tags: consul('tags', {
    type: consulTags,
    default: '',
    help: 'Tags of every service of this host',
    example: 'production, eu-west',
  }),
  service_address: consul('service_address', {
    type: address,
    help: "Address at which other hosts reach this one's nginx; that of the Consul node when absent",
    example: '192.0.2.1',
  }),
  ttl: consul('ttl', {
    type: duration(10, 1),
    default: '90s',
    help: "How long after the agent's end what it registered turns critical",
    example: '5m',
  }),
  registrator: consul('registrator', {
    type: choice('off', 'on'),
    default: 'off',
    help: 'Register the published ports of every container of the host by the words of registrator (SERVICE_NAME and others)',
    example: 'on',
  }),
  kv_set: consul('kv_set', {
    type: choice('off', 'on'),
    default: 'off',
    help: 'Write the keys that containers ask for when they start, by the words of kv-consul (KV_SET:key=value)',
    example: 'on',
  }),
  fleetstreet: consul('fleetstreet', {
    type: choice('off', 'on', 'raw'),
    default: 'off',
    help: 'Publish containers with FLEETSTREET_NAME as JSON below fleetstreet/; raw shows the values of their environment too',
    example: 'on',
  }),
};

/** A section whose names are the admin's own. */
export interface FreeSection {
  name: string;
  value: ValueType<string>;
  parseName: (text: string) => Parsed<string>;
  runtimes: readonly Runtime[];
  help: string;
  example: string;
}

const env: FreeSection = {
  name: 'env',
  value: envValue,
  parseName: parseEnvName,
  runtimes: contained,
  help: 'Environment variables of the container; quote what contains `;`, `#` or begins with a quote',
  example: 'WORDPRESS_DB_HOST = localhost:/run/mysqld/mysqld.sock',
};

const headers: FreeSection = {
  name: 'headers',
  value: headerValue,
  parseName: parseHeaderName,
  runtimes,
  help: 'Headers that nginx adds to every answer',
  example: 'Referrer-Policy = same-origin',
};

/** One kind of file: its main section with a fixed set of keys, and its free sections. */
export interface FileKind {
  kind: 'site' | 'service' | 'settings';
  path: string;
  section: string;
  keys: Readonly<Record<string, Key<unknown>>>;
  free: readonly FreeSection[];
  /** Further sections of the same file, each with a fixed set of keys; a file may do without them. */
  more: readonly FileKind[];
}

const consulSection = {
  kind: 'settings',
  path: '/etc/appfleet/appfleet.ini',
  section: 'consul',
  keys: consulKeys,
  free: [],
  more: [],
} as const satisfies FileKind;

export const fileKinds = {
  site: {
    kind: 'site',
    path: '/etc/appfleet/sites/DOMAIN.ini',
    section: 'site',
    keys: siteKeys,
    free: [env, headers],
    more: [],
  },
  service: {
    kind: 'service',
    path: '/etc/appfleet/services/NAME.ini',
    section: 'service',
    keys: serviceKeys,
    free: [env],
    more: [],
  },
  settings: {
    kind: 'settings',
    path: '/etc/appfleet/appfleet.ini',
    section: 'appfleet',
    keys: settingKeys,
    free: [],
    more: [consulSection],
  },
} as const satisfies Record<string, FileKind>;
