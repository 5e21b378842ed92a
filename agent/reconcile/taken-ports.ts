/** Ports that another program has: a problem of the settings, and the last ports that could be had stay. */
import { goodSettings, paths } from '../core/names.ts';
import type { Problem } from '../core/problem.ts';
import { parseSettings } from '../core/settings.ts';
import type { Settings } from '../core/spec.ts';
import { hasTls } from '../core/tls-keys.ts';
import type { Host } from '../ports.ts';
import type { Fleet } from './fleet.ts';

const keys = { http_port: 'httpPort', https_port: 'httpsPort' } as const;

/** The ports of the settings that this host went by before. */
const lastPorts = async (files: Host['files']): Promise<Pick<Settings, 'httpPort' | 'httpsPort'> | null> => {
  const text = await files.read(goodSettings).catch(() => null);
  const parsed = text === null ? null : parseSettings({ path: goodSettings, text });
  return parsed !== null && 'settings' in parsed ? parsed.settings : null;
};

/** Adds to a fleet what is wrong with the ports of its settings. Throws AF_NGINX. */
export const withPorts = async (fleet: Fleet, { files, web }: Pick<Host, 'files' | 'web'>): Promise<Fleet> => {
  const { settings } = fleet;
  const wanted = fleet.sites.some(({ tls }) => hasTls(tls))
    ? (['http_port', 'https_port'] as const)
    : (['http_port'] as const);
  const taken = await web.takenPorts(wanted.map((key) => settings[keys[key]]));
  if (taken.size === 0) return fleet;
  const last = await lastPorts(files);
  const ports = { httpPort: last?.httpPort ?? settings.httpPort, httpsPort: last?.httpsPort ?? settings.httpsPort };
  const problems = wanted.flatMap((key): Problem[] => {
    const port = settings[keys[key]];
    const holder = taken.get(port);
    if (holder === undefined) return [];
    const instead = ports[keys[key]];
    const then = instead === port ? 'nginx cannot listen on it' : `nginx stays on port ${instead}`;
    return [
      {
        file: paths.settings,
        section: 'appfleet',
        key,
        message: `port ${port} belongs to ${holder}: ${then}`,
        hint: `stop that program or set another ${key}, then: appfleet apply`,
      },
    ];
  });
  return {
    ...fleet,
    settings: { ...settings, ...ports },
    goodSettings: null,
    problems: [...fleet.problems, ...problems],
  };
};
