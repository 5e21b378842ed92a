/** The part of each environment that came from Consul: read from the file that keeps the last known values, never from Consul itself. */
import {
  type ConsulEnvironment,
  consulEnvironment,
  environmentFolder,
  type EnvironmentLayer,
  parseValues,
} from '../core/consul-env.ts';
import { consulValues } from '../core/names.ts';
import type { Problem } from '../core/problem.ts';
import type { ServiceSpec, Settings, SiteSpec } from '../core/spec.ts';
import type { Reader } from './reader.ts';

export interface ConsulLayers {
  problems: readonly Problem[];
  /** All layers of a container's environment, the weakest first; `fromFile` are the variables of its env_file. */
  layers(spec: SiteSpec | ServiceSpec, fromFile: Readonly<Record<string, string>>): EnvironmentLayer[];
}

const around = (
  { file, container }: SiteSpec | ServiceSpec,
  fromFile: Readonly<Record<string, string>>,
  between: readonly EnvironmentLayer[],
): EnvironmentLayer[] =>
  container === null
    ? []
    : [{ origin: container.envFile ?? '', values: fromFile }, ...between, { origin: file, values: container.env }];

/** Remembers what it parsed from the same text. */
export const createConsulLayers = (): ((read: Reader, settings: Settings) => Promise<ConsulLayers>) => {
  let last: { key: string; environment: ConsulEnvironment } | null = null;
  return async (read, { consul }) => {
    if (consul === null) return { problems: [], layers: (spec, fromFile) => around(spec, fromFile, []) };
    const folder = environmentFolder(consul.kvPrefix);
    const text = await read(consulValues).catch(() => null);
    const key = `${folder}\n${text ?? ''}`;
    if (last?.key !== key) last = { key, environment: consulEnvironment(folder, parseValues(folder, text)) };
    const { shared, own, problems } = last.environment;
    return {
      problems,
      layers: (spec, fromFile) => {
        const layer = own.get(spec.name);
        // A variable for all sites must not restart a database.
        const all = 'runtime' in spec ? [shared] : [];
        return around(spec, fromFile, layer === undefined ? all : [...all, layer]);
      },
    };
  };
};
