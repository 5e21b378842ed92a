/** The words of fleetstreet: a container with FLEETSTREET_NAME is published as one JSON record while it runs. */
import { type ContainerFacts, wordsOf } from './container-facts.ts';

/** Folder of the records, as fleetstreet's own examples have it. */
export const fleetstreetFolder = 'fleetstreet/';

/** The same with every value of an environment hidden: the record is for all to read. */
const withoutValues = (inspected: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  const config = inspected['Config'];
  if (typeof config !== 'object' || config === null) return { ...inspected };
  const env = (config as { Env?: unknown }).Env;
  const names = Array.isArray(env) ? env.map((one) => `${String(one).split('=')[0] ?? ''}=********`) : env;
  return { ...inspected, Config: { ...config, Env: names } };
};

/**
 * Key and JSON record of a container; null when it has no name. With `raw` the environment stays in it, as fleetstreet had it.
 * `Host` is ours: records of a host go with its containers, those of others stay.
 */
export const fleetstreetRecord = (
  facts: ContainerFacts,
  { host, address }: { host: string; address: string },
  raw: boolean,
): { key: string; text: string } | null => {
  const name = new Map(wordsOf(facts)).get('FLEETSTREET_NAME');
  if (name === undefined || !/^[A-Za-z0-9._:-]{1,200}$/.test(name)) return null;
  const container = raw ? facts.inspected : withoutValues(facts.inspected);
  const record = { ID: name, IP: address, Host: host, Container: container };
  return { key: `${fleetstreetFolder}${name}`, text: JSON.stringify(record) };
};

/** Whose record it is; null when it is none of App Fleet's. */
export const hostOfRecord = (text: string): string | null => {
  try {
    const { Host } = JSON.parse(text) as { Host?: unknown };
    return typeof Host === 'string' ? Host : null;
  } catch {
    return null;
  }
};
