/** `appfleet env`: what a container's environment is made of. */
import { inOneLine, masked, mergeLayers } from '../core/consul-env.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import type { Context, ExitCode } from './context.ts';
import { resolveName } from './resolve.ts';
import { table } from './table.ts';
import { unknownName } from './unknown.ts';

export interface Variable {
  name: string;
  /** Hidden where it looks like a secret, unless everything was asked for. */
  value: string;
  /** The file, or the folder of keys, that it comes from. */
  origin: string;
  /** Others that have it too, and lost. */
  overrides: readonly string[];
}

const columns = [
  { title: 'NAME' },
  { title: 'VALUE', least: 20 },
  { title: 'ORIGIN', least: 20 },
  { title: 'INSTEAD OF', spare: true },
];

/**
 * `appfleet env SITE`: each variable, where it comes from, and what it stands in for. `reveal` shows secrets too. What the agent
 * itself sets for a runtime (PORT, NODE_OPTIONS) is not among them.
 */
export const envCommand = async (
  context: Context,
  word: string,
  options: { json: boolean; reveal: boolean },
): Promise<ExitCode> => {
  const fleet = await createFleetReader(context.host().files)();
  const name = resolveName(word, fleet);
  const layers = fleet.layers.get(name);
  if (layers === undefined) return unknownName(context, name, fleet);
  const variables = Object.entries(mergeLayers(layers))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([variable, value]): Variable => {
      const having = layers.filter(({ values }) => Object.hasOwn(values, variable)).map(({ origin }) => origin);
      const shown = options.reveal ? value : masked(variable, value);
      return { name: variable, value: shown, origin: having.at(-1) ?? '', overrides: having.slice(0, -1) };
    });
  if (options.json) context.print(JSON.stringify(variables, null, 2));
  else if (variables.length === 0) context.print(`${name} has no variables of its own`);
  else
    for (const line of table(
      columns,
      variables.map((one) => [
        { text: one.name },
        { text: options.reveal ? inOneLine(one.value) : one.value },
        { text: one.origin },
        { text: one.overrides.join(', ') },
      ]),
      context.width,
    ))
      context.print(line);
  return 0;
};
