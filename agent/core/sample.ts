import { fileKinds, type Key, siteKeys } from './keys.ts';
import type { Runtime } from './spec.ts';

const images: Readonly<Record<Runtime, string>> = {
  'php-fpm': 'wordpress:php8.2-fpm',
  node: 'node:20',
  container: 'traefik/whoami',
  static: '',
};

/** What a new file sets; everything else stands in it as a comment with its default or an example. */
const chosen = (name: string, runtime: Runtime): Readonly<Record<string, string>> => ({
  runtime,
  image: images[runtime],
  root: `/srv/www/${name}`,
  ...(runtime === 'node' ? { command: 'node server.js' } : {}),
  port: runtime === 'node' ? '3000' : '80',
});

/** Keys that only make sense beside another value of another key, whose help names them: not even as a comment. */
const dependent: ReadonlySet<string> = new Set([siteKeys.certificate.name, siteKeys.certificate_key.name]);

const line = (key: Key<unknown>, runtime: Runtime, values: Readonly<Record<string, string>>): string => {
  const value = values[key.name];
  const set = value !== undefined && (key.required.includes(runtime) || key.name === 'port' || key.name === 'command');
  const preset = key.defaults[runtime] ?? (key.default === null || key.default === '' ? key.example : key.default);
  return `; ${key.help}.\n${set ? `${key.name} = ${value}` : `;${key.name} = ${preset}`}`;
};

/** A commented site file for `appfleet site create`: what the runtime needs is set, the rest waits behind a `;`. */
export const sampleSite = (name: string, runtime: Runtime): string => {
  const values = chosen(name, runtime);
  const keys = Object.values<Key<unknown>>(siteKeys).filter(
    (key) => key.runtimes.includes(runtime) && !dependent.has(key.name),
  );
  const needed = (key: Key<unknown>): boolean => key.required.includes(runtime);
  const ordered = [...keys.filter(needed), ...keys.filter((key) => !needed(key))];
  const free = fileKinds.site.free.filter((section) => section.runtimes.includes(runtime));
  return (
    [
      `; Site ${name}. Every key: appfleet help site. After a change: appfleet check; it is applied by itself.`,
      `[site]\n${ordered.map((key) => line(key, runtime, values)).join('\n\n')}`,
      ...free.map((section) => `; ${section.help}.\n[${section.name}]\n;${section.example}`),
    ].join('\n\n') + '\n'
  );
};
