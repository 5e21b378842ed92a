import { takeContainer } from './container-keys.ts';
import { parseSiteName } from './domain.ts';
import { type Form, openForm } from './form.ts';
import { fileKinds, siteKeys as keys } from './keys.ts';
import type { Problem, SourceFile } from './problem.ts';
import type { ContainerSpec, Runtime, SiteSpec } from './spec.ts';
import { takeTls } from './tls-keys.ts';
import { shown } from './value.ts';

/** A file's name without folder and `.ini`. */
export const stem = (path: string): string => path.slice(path.lastIndexOf('/') + 1).replace(/\.ini$/, '');

const redirects = { none: 'none', 'www-to-apex': 'to-apex', 'apex-to-www': 'to-www' } as const;

/** The other one of a name and its www name. */
const counterpart = (name: string): string => (name.startsWith('www.') ? name.slice(4) : `www.${name}`);

const takeName = (form: Form, path: string): string => {
  const name = parseSiteName(stem(path));
  if (name.ok) return name.value;
  form.refuse(null, `the file's name must be the site's domain: ${name.message}`, name.hint);
  return '';
};

const takeAliases = (form: Form, name: string): readonly string[] => {
  const aliases = form.takeOr(keys.aliases, []);
  if (aliases.includes(name))
    form.refuse(keys.aliases, `${shown(name)} is the site's own name`, 'remove it from the aliases');
  return aliases;
};

const takeRedirect = (form: Form, name: string, aliases: readonly string[]): SiteSpec['redirect'] => {
  const redirect = redirects[form.takeOr(keys.redirect, 'none')];
  const names = [name, ...aliases];
  if (redirect !== 'none' && name !== '' && !names.some((each) => names.includes(counterpart(each))))
    form.refuse(keys.redirect, 'needs both names, with www and without', `add ${counterpart(name)} to the aliases`);
  return redirect;
};

const takeHealth = (form: Form, runtime: Runtime): SiteSpec['health'] => {
  const health = form.takeOr(keys.health, { kind: 'connect' });
  if (health.kind === 'fastcgi-ping' && runtime !== 'php-fpm')
    form.refuse(
      keys.health,
      `\`ping\` is a question for php-fpm, not for runtime ${runtime}`,
      'write a path like /health, or connect',
    );
  if (health.kind === 'http' && runtime === 'php-fpm')
    form.refuse(keys.health, 'php-fpm does not speak HTTP, so a path cannot be asked', 'write ping, or connect');
  return health;
};

const checkContainer = (form: Form, runtime: Runtime, container: ContainerSpec, containerRoot: string): void => {
  if (runtime === 'node' && Object.hasOwn(container.env, 'PORT'))
    form.refuse({ section: 'env', name: 'PORT' }, 'is set by appfleet', 'use the key `port` of [site]');
  if (runtime === 'php-fpm' && container.volumes.some((volume) => volume.container === containerRoot))
    form.refuse(
      keys.volumes,
      `${shown(containerRoot)} is where root already is`,
      'leave that volume out, or set container_root',
    );
};

/** The typed form of a site file, or every problem in it at once. The file's name is the domain. */
export const parseSite = (source: SourceFile): { spec: SiteSpec } | { problems: Problem[] } => {
  const form = openForm(source, fileKinds.site);
  const name = takeName(form, source.path);
  const runtime = form.take(keys.runtime);
  if (runtime !== null) form.restrict(runtime);
  else form.require(keys.runtime);
  const aliases = takeAliases(form, name);
  const dynamic = runtime !== 'static';
  const container = dynamic ? takeContainer(form, keys) : null;
  const containerRoot = form.takeOr(keys.container_root, '');
  if (container !== null && runtime !== null) checkContainer(form, runtime, container, containerRoot);
  const headers = form.takeFree('headers');
  const spec: SiteSpec = {
    name,
    file: source.path,
    aliases,
    runtime: runtime ?? 'static',
    container,
    port: form.takeOr(keys.port, 0),
    root: form.take(keys.root),
    containerRoot,
    poolDirectory: form.takeOr(keys.pool_dir, ''),
    index: form.takeOr(keys.index, []),
    symlinks: form.takeOr(keys.symlinks, 'no'),
    idleSeconds: dynamic ? form.takeOr(keys.idle, 'never') : 'never',
    drainTimeoutSeconds: form.takeOr(keys.drain_timeout, 0),
    readTimeoutSeconds: form.takeOr(keys.read_timeout, 0),
    health: takeHealth(form, runtime ?? 'php-fpm'),
    maxBodyBytes: form.takeOr(keys.max_body_size, 0),
    redirect: takeRedirect(form, name, aliases),
    basicAuth: form.take(keys.basic_auth),
    headers,
    maintenancePage: form.take(keys.maintenance_page),
    tls: takeTls(form, headers),
  };
  const problems = form.problems();
  return problems.length === 0 ? { spec } : { problems };
};
