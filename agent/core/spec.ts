/** The typed form of the admin's files: narrow values only, made by site.ts and service.ts, read by everything else. */

export type Runtime = 'php-fpm' | 'node' | 'container' | 'static';

export interface Volume {
  host: string;
  container: string;
  readOnly: boolean;
}

/** When a starting container counts as ready: the socket accepts, an HTTP path answers below 500, or php-fpm answers a FastCGI ping. */
export type Health = { kind: 'connect' } | { kind: 'http'; path: string } | { kind: 'fastcgi-ping' };

/** What every container needs, with a vhost or without. */
export interface ContainerSpec {
  image: string;
  /** Empty: the image's own command. */
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Path of a file with more variables (NAME=value lines); values in `env` win. */
  envFile: string | null;
  volumes: readonly Volume[];
  /** Bytes; null is no limit. */
  memory: number | null;
  cpus: number | null;
  startTimeoutSeconds: number;
  stopTimeoutSeconds: number;
  /** `bridge`, `none`, or the name of a Docker network. */
  network: string;
  needs: readonly string[];
}

/** How a site is served over HTTPS. */
export interface TlsSpec {
  /** Where its certificate comes from: ordered, nowhere, or the admin's files. */
  mode: 'auto' | 'off' | 'files';
  /** Paths of the admin's files; null unless the mode is `files`. */
  certificate: string | null;
  key: string | null;
  /** What happens on which port; `off` is the same as the mode `off`. */
  https: 'redirect' | 'both' | 'only' | 'off';
  /** What browsers are told to remember; null: nothing. */
  hstsSeconds: number | null;
  keyType: 'ecdsa' | 'rsa';
}

export interface SiteSpec {
  /** The domain in ASCII (punycode); also the name of units, container and directories. */
  name: string;
  /** Path of the site file. */
  file: string;
  aliases: readonly string[];
  runtime: Runtime;
  /** Null for a static site. */
  container: ContainerSpec | null;
  /** TCP port inside the container (runtime container), or the number a Node program finds in PORT. */
  port: number;
  /** Folder on the host that nginx serves files from; null when the site has none. */
  root: string | null;
  /** Where `root` is inside the container (php-fpm). */
  containerRoot: string;
  /** Folder of php-fpm's pool files inside the image. */
  poolDirectory: string;
  index: readonly string[];
  /** Which symbolic links below `root` nginx follows: none, those whose target has the link's owner, or all. */
  symlinks: 'no' | 'owner' | 'yes';
  idleSeconds: number | 'never';
  drainTimeoutSeconds: number;
  readTimeoutSeconds: number;
  health: Health;
  maxBodyBytes: number;
  /** Which of apex and www redirects to the other; both must be names of the site. */
  redirect: 'none' | 'to-apex' | 'to-www';
  basicAuth: string | null;
  headers: readonly (readonly [name: string, value: string])[];
  maintenancePage: string | null;
  tls: TlsSpec;
}

export interface ServiceSpec {
  name: string;
  file: string;
  container: ContainerSpec;
  /** Other unit names for `service NAME`. */
  aliases: readonly string[];
  /** Ready when this unix socket on the host accepts, or this TCP port in the container does; null: when it has started. */
  ready: { kind: 'socket'; path: string } | { kind: 'port'; port: number } | null;
  idleSeconds: number | 'never';
}

/** Who issues certificates to this host, and how. */
export interface AcmeSettings {
  /** URL of the ACME directory; null: nothing is ordered. */
  directory: string | null;
  /** PEM file with the CA that signed the directory's own certificate; null: one that everybody trusts. */
  caFile: string | null;
  /** `mailto:` URLs. */
  contacts: readonly string[];
  /** External account binding (RFC 8555 7.3.4): the key's id, and the file with the key. */
  binding: { kid: string; keyFile: string } | null;
  profile: string | null;
  /** Program that sets TXT records; null: no DNS-01, so no wildcards. */
  dnsHook: string | null;
  /** Addresses that names of sites may resolve to: this host's own, these, or any. */
  addresses: 'host' | 'any' | readonly string[];
}

/** Where the API of a Consul agent listens. */
export type ConsulAddress = { kind: 'http' | 'https'; host: string; port: number } | { kind: 'unix'; path: string };

/** Where Consul is, and what is told to it. */
export interface ConsulSettings {
  address: ConsulAddress;
  datacenter: string | null;
  /** Paths; null: not used. */
  tokenFile: string | null;
  caFile: string | null;
  certificate: { file: string; keyFile: string } | null;
  kvPrefix: string;
  servicePrefix: string;
  tags: readonly string[];
  /** Null: the address of the Consul node. */
  serviceAddress: string | null;
  ttlSeconds: number;
  /** Words of older tools that are obeyed, of any container of the host. */
  registrator: boolean;
  kvSet: boolean;
  fleetstreet: 'off' | 'on' | 'raw';
}

export interface Settings {
  /** How many containers may be starting at the same time; shared containers go first and do not count. */
  parallelStarts: number;
  /** Seconds between two passes when nothing happens. */
  passIntervalSeconds: number;
  /** Ports that nginx listens on. */
  httpPort: number;
  httpsPort: number;
  acme: AcmeSettings;
  /** Null: the file has no section [consul]. */
  consul: ConsulSettings | null;
}
