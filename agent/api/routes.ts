/** What the agent answers. */
import { appUnit } from '../core/names.ts';
import { defaultSettings } from '../core/settings.ts';
import { outcomeOf, stepLine } from '../reconcile/outcome.ts';
import type { Host } from '../ports.ts';
import type { Fleet } from '../reconcile/fleet.ts';
import type { Metrics } from '../reconcile/metrics.ts';
import type { Report } from '../reconcile/reconcile.ts';
import { readStatus } from '../reconcile/status.ts';
import type { Said } from '../reconcile/whole-pass.ts';
import { putToSleep } from '../switchboard/sleep.ts';
import type { Answer, Routes } from './server.ts';

export interface RouteParts {
  host: Host;
  metrics: Metrics;
  /** The files as the last pass read them; null before the first. */
  fleet: () => Fleet | null;
  pass: (onSaid: (said: Said) => void) => Promise<Report>;
}

export const createRoutes = ({ host, metrics, fleet, pass }: RouteParts): Routes => {
  const known = (): Fleet =>
    fleet() ?? {
      sites: [],
      services: [],
      settings: defaultSettings,
      goodSettings: null,
      problems: [],
      keep: new Set(),
      environments: new Map(),
      layers: new Map(),
      snippets: new Map(),
      needsSecret: false,
    };
  const status = () => readStatus(host, known());
  const missing = (name: string): Answer => ({ status: 404, body: { error: `there is no site ${name}` } });
  const has = (name: string): boolean =>
    [...known().sites, ...known().services].some((member) => member.name === name && member.container !== null);
  return {
    'GET /v1/status': async () => ({ status: 200, body: { members: await status() } }),
    'GET /v1/sites': async () => ({ status: 200, body: (await status()).filter(({ kind }) => kind === 'site') }),
    'GET /v1/sites/:name': async (name) => {
      const found = (await status()).find((member) => member.name === name);
      return found === undefined ? missing(name) : { status: 200, body: found };
    },
    'POST /v1/sites/:name/wake': async (name) => {
      if (!has(name)) return missing(name);
      await host.units.start(appUnit(name));
      return { status: 200, body: { awake: true } };
    },
    'POST /v1/sites/:name/sleep': async (name) => {
      if (!has(name)) return missing(name);
      const outcome = await putToSleep(host, name);
      return { status: outcome.asleep ? 200 : 409, body: outcome };
    },
    'POST /v1/apply': async (_argument, line) => {
      const report = await pass((said) => line('progress' in said ? said : stepLine(said)));
      return { status: 200, body: outcomeOf(report) };
    },
    'GET /v1/metrics': async () => ({ status: 200, body: await metrics.text(await status()) }),
  };
};
