/**
 * Environment that comes from Consul: keys below `PREFIX/env/shared/` are for all sites, those below `PREFIX/env/NAME/` for one
 * site or shared container. What cannot be a variable is reported and left out; nothing else suffers from it.
 */
import type { Problem } from './problem.ts';

import { parseEnvName } from './variable.ts';

/** Variables and where they come from, in words for people. */
export interface EnvironmentLayer {
  origin: string;
  values: Readonly<Record<string, string>>;
}

export interface ConsulEnvironment {
  shared: EnvironmentLayer;
  /** By site or shared container. */
  own: ReadonlyMap<string, EnvironmentLayer>;
  problems: readonly Problem[];
}

/** Name of the folder of keys whose variables all sites get; no site can be called that, a domain has a dot. */
export const sharedFolder = 'shared';

/** Folder of all variables, with the slash at the end. */
export const environmentFolder = (kvPrefix: string): string => `${kvPrefix}/env/`;

/** Linux takes no longer one, with its name and `=`, from anybody (MAX_ARG_STRLEN, execve(2)). */
const longestVariable = 131_071;

/** A value as text, byte for byte, or why it cannot be a variable's. */
const textOf = (name: string, bytes: Uint8Array): { text: string } | { wrong: string } => {
  if (bytes.includes(0)) return { wrong: 'the value holds a NUL, which no variable can' };
  if (name.length + 1 + bytes.length > longestVariable)
    return { wrong: `the value has ${bytes.length} bytes; with its name a variable can have ${longestVariable}` };
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { wrong: 'the value is not UTF-8' };
  }
};

/** One variable, or what is wrong with the key. The message never repeats the value. */
export const variableOf = (name: string, bytes: Uint8Array): { text: string } | { wrong: string; hint?: string } => {
  const parsed = parseEnvName(name);
  if (!parsed.ok) return { wrong: parsed.message, ...(parsed.hint === undefined ? {} : { hint: parsed.hint }) };
  return textOf(name, bytes);
};

/** What the keys below a folder mean; `tree` has them without the folder. */
export const consulEnvironment = (folder: string, tree: ReadonlyMap<string, Uint8Array>): ConsulEnvironment => {
  const shared: Record<string, string> = {};
  const own = new Map<string, Record<string, string>>();
  const problems: Problem[] = [];
  for (const [key, bytes] of tree) {
    // What Consul's own page makes for a folder.
    if (key.endsWith('/') && bytes.length === 0) continue;
    const file = `consul:${folder}${key}`;
    const [owner = '', name, ...rest] = key.split('/');
    if (owner === '' || name === undefined || rest.length > 0) {
      const message = 'the key is not where variables are';
      problems.push({ file, message, hint: `write ${folder}${sharedFolder}/NAME or ${folder}example.org/NAME` });
      continue;
    }
    const variable = variableOf(name, bytes);
    if ('wrong' in variable) problems.push({ file, message: variable.wrong, hint: variable.hint });
    else if (owner === sharedFolder) shared[name] = variable.text;
    else own.set(owner, { ...own.get(owner), [name]: variable.text });
  }
  const layer = (owner: string, values: Readonly<Record<string, string>>): EnvironmentLayer => ({
    origin: `consul:${folder}${owner}/`,
    values,
  });
  return {
    shared: layer(sharedFolder, shared),
    own: new Map([...own].map(([owner, values]) => [owner, layer(owner, values)])),
    problems,
  };
};

/** The variables of all layers; later ones win. */
export const mergeLayers = (layers: readonly EnvironmentLayer[]): Record<string, string> =>
  Object.assign({}, ...layers.map(({ values }) => values)) as Record<string, string>;

/** The file that keeps the last known values: a folder's keys, sorted, in Base64. The same values give the same text. */
export const valuesText = (folder: string, tree: ReadonlyMap<string, Uint8Array>): string => {
  const values = [...tree]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, bytes]) => [key, Buffer.from(bytes).toString('base64')]);
  return `${JSON.stringify({ folder, values: Object.fromEntries(values) as unknown }, null, 1)}\n`;
};

/** Its keys; none when there is no file, it is broken, or it is about another folder. */
export const parseValues = (folder: string, text: string | null): Map<string, Uint8Array> => {
  try {
    const read = JSON.parse(text ?? '{}') as { folder?: unknown; values?: Record<string, unknown> };
    if (read.folder !== folder) return new Map();
    return new Map(
      Object.entries(read.values ?? {}).flatMap(([key, value]) =>
        typeof value === 'string' ? [[key, Buffer.from(value, 'base64')] as const] : [],
      ),
    );
  } catch {
    return new Map();
  }
};

/** Characters of a value in a list. */
const longestShown = 200;

const secretWords = /pass|secret|token|key|credential|private|dsn|salt|auth|cookie|cert/i;
const withPassword = /^[a-z][a-z0-9+.-]*:\/\/[^/@\s]*:[^/@\s]+@/i;

/** A value in one line, shortened where it is long. */
export const inOneLine = (value: string): string => {
  const line = JSON.stringify(value).slice(1, -1);
  return line.length > longestShown ? `${line.slice(0, longestShown - 3)}...` : line;
};

/** The same, hidden where its name, or a password in an address, says that it is secret. */
export const masked = (name: string, value: string): string =>
  secretWords.test(name) || withPassword.test(value) ? '********' : inOneLine(value);
