/** What a start needs on disk: the Engine API's create body, the settings of units/launch, and php-fpm's pool file. */
import { sha256 } from './hash.ts';
import {
  appSocket,
  generated,
  labels,
  paths,
  releaseDirectory,
  runDirectory,
  siteUnit,
  startDirectory,
} from './names.ts';
import type { ContainerSpec, ServiceSpec, Settings, SiteSpec } from './spec.ts';
import { render, template, type Templates } from './template.ts';

export interface StartFile {
  path: string;
  text: string;
  /** 0600 where the text holds the environment, which may be secret. */
  mode: 0o600 | 0o644;
}

const preloadInside = '/usr/lib/appfleet-preload.cjs';

const poolFile = (name: string): string => `${startDirectory(name)}/pool.conf`;

/** An `Env` entry list in a fixed order, so that the same settings give the same text. */
const envList = (env: Readonly<Record<string, string>>): string[] =>
  Object.entries(env)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`);

/** The Engine API's body for `POST /containers/create`, without the label that fingerprints it. */
const createBody = (
  name: string,
  container: ContainerSpec,
  env: Readonly<Record<string, string>>,
  binds: readonly string[],
) => ({
  Image: container.image,
  ...(container.command.length > 0 ? { Cmd: container.command } : {}),
  Env: envList(env),
  Labels: { [labels.site]: name, [labels.unit]: siteUnit(name) },
  StopTimeout: container.stopTimeoutSeconds,
  HostConfig: {
    Binds: [...binds, ...container.volumes.map((v) => `${v.host}:${v.container}:${v.readOnly ? 'ro' : 'rw'}`)],
    NetworkMode: container.network,
    ...(container.memory === null ? {} : { Memory: container.memory, MemorySwap: container.memory }),
    ...(container.cpus === null ? {} : { NanoCpus: Math.round(container.cpus * 1e9) }),
    // systemd alone restarts; two masters race.
    RestartPolicy: { Name: 'no' },
    LogConfig: { Type: 'journald', Config: { labels: labels.unit, tag: name } },
  },
});

/** A container's create body as text, labelled with the fingerprint of all that only a new start makes true. */
const sealed = (body: ReturnType<typeof createBody>, pool = ''): { text: string; spec: string } => {
  const spec = sha256(`${JSON.stringify(body)}${pool}`).slice(0, 32);
  return { spec, text: `${JSON.stringify({ ...body, Labels: { ...body.Labels, [labels.spec]: spec } }, null, 1)}\n` };
};

const launchText = (source: string, settings: Readonly<Record<string, string | number>>): string =>
  [
    `# ${generated(source)}`,
    ...Object.entries(settings).map(([key, value]) => {
      const text = String(value);
      if (!/^[\x20-\x7e]*$/.test(text)) throw new TypeError(`${key} cannot hold ${JSON.stringify(text)}`);
      return `${key}=${text}`;
    }),
    '',
  ].join('\n');

const common = (name: string, container: ContainerSpec, spec: string) => ({
  run: runDirectory(name),
  spec,
  image: container.image,
  memory: container.memory === null ? '' : `${Math.round(container.memory / 1048576)} MiB`,
  start_timeout: container.startTimeoutSeconds,
  stop_timeout: container.stopTimeoutSeconds,
});

const readiness = (site: SiteSpec): string => {
  switch (site.health.kind) {
    case 'connect':
      return 'connect';
    case 'http':
      return `http:${site.health.path}`;
    case 'fastcgi-ping':
      return 'ping:/appfleet-ping';
  }
};

const siteBinds = (site: SiteSpec): string[] => {
  const release = releaseDirectory(site.name);
  const binds = [`${release}:${release}:rw`];
  if (site.runtime === 'php-fpm') {
    if (site.root !== null) binds.push(`${site.root}:${site.containerRoot}:rw`);
    binds.push(`${poolFile(site.name)}:${site.poolDirectory}/zzz-appfleet.conf:ro`);
  }
  if (site.runtime === 'node') binds.push(`${paths.program}/node-preload.cjs:${preloadInside}:ro`);
  return binds;
};

const siteEnv = (site: SiteSpec, env: Readonly<Record<string, string>>): Record<string, string> => {
  if (site.runtime === 'container') return { PORT: String(site.port), ...env };
  if (site.runtime !== 'node') return { ...env };
  const own = env['NODE_OPTIONS'] === undefined ? '' : `${env['NODE_OPTIONS']} `;
  return {
    ...env,
    PORT: String(site.port),
    APPFLEET_SOCKET: appSocket(site.name),
    NODE_OPTIONS: `${own}--require ${preloadInside}`,
  };
};

/** php-fpm's ini grammar: plain ASCII without quotes, `;`, `=` or `$` needs no quoting; anything else is refused. */
const quotePool = (value: string): string => {
  if (!/^[A-Za-z0-9 _.:/;,%-]*$/.test(value))
    throw new TypeError(`${JSON.stringify(value)} cannot stand in a pool file`);
  return value;
};

const poolText = (site: SiteSpec, templates: Templates): string => {
  const view = {
    generated: generated(encodeURI(site.file)),
    socket: appSocket(site.name),
    maxBodyBytes: String(site.maxBodyBytes),
  };
  return render(template(templates, 'pool.conf.mustache'), view, quotePool);
};

/** The files that starting a site's container takes; a static site's are only the settings of its facade. */
export const siteStartFiles = (
  site: SiteSpec,
  env: Readonly<Record<string, string>>,
  settings: Settings,
  templates: Templates,
): StartFile[] => {
  const directory = startDirectory(site.name);
  if (site.container === null) {
    const text = launchText(site.file, { run: runDirectory(site.name), kind: 'static' });
    return [{ path: `${directory}/launch`, mode: 0o644, text }];
  }
  const pool = site.runtime === 'php-fpm' ? poolText(site, templates) : null;
  const body = sealed(createBody(site.name, site.container, siteEnv(site, env), siteBinds(site)), pool ?? '');
  const files: StartFile[] = [
    { path: `${directory}/container.json`, mode: 0o600, text: body.text },
    {
      path: `${directory}/launch`,
      mode: 0o644,
      text: launchText(site.file, {
        ...common(site.name, site.container, body.spec),
        kind: 'site',
        runtime: site.runtime,
        ready: readiness(site),
        port: site.port,
        drain_timeout: site.drainTimeoutSeconds,
        slots: settings.parallelStarts,
      }),
    },
  ];
  if (pool !== null) files.push({ path: poolFile(site.name), mode: 0o644, text: pool });
  return files;
};

const serviceReadiness = (service: ServiceSpec): string => {
  if (service.ready === null) return 'none';
  return service.ready.kind === 'socket' ? `socket:${service.ready.path}` : `port:${service.ready.port}`;
};

/** The files that starting a shared container takes. */
export const serviceStartFiles = (service: ServiceSpec, env: Readonly<Record<string, string>>): StartFile[] => {
  const directory = startDirectory(service.name);
  const body = sealed(createBody(service.name, service.container, env, []));
  return [
    { path: `${directory}/container.json`, mode: 0o600, text: body.text },
    {
      path: `${directory}/launch`,
      mode: 0o644,
      text: launchText(service.file, {
        ...common(service.name, service.container, body.spec),
        kind: 'service',
        ready: serviceReadiness(service),
        start: service.idleSeconds === 'never' ? 'now' : 'asked',
      }),
    },
  ];
};
