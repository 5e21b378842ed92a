/** `appfleet env exec`: runs a program with the variables that Consul has below a prefix. Works in images too, without an agent. */
import { parseValues, valuesText, variableOf } from '../core/consul-env.ts';
import { namedConsul } from '../core/consul-environment.ts';
import { keyPrefix } from '../core/consul-values.ts';
import { execValues, paths } from '../core/names.ts';
import { parseSettings } from '../core/settings.ts';
import { AppFleetError, inWords, messageOf } from '../errors.ts';
import { runInherited } from '../net/inherited.ts';
import type { Context } from './context.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The values as Consul has them now, else as it had them last. */
const readValues = async (context: Context, env: Environment, prefix: string): Promise<Map<string, Uint8Array>> => {
  const { files } = context.host();
  const text = (await files.read(paths.settings).catch(() => null)) ?? '';
  const read = parseSettings({ path: paths.settings, text });
  const named = namedConsul(env, 'settings' in read ? read.settings.consul : null);
  if (!named.ok) throw new AppFleetError('AF_USAGE', named.message, { hint: named.hint });
  const folder = `${prefix}/`;
  const kept = execValues(prefix);
  const { consul } = await context.consul(named.value.settings, named.value.token);
  try {
    const values = await consul.values(folder);
    // Not everybody may write there, and nobody has to.
    await files.write({ path: kept, text: valuesText(folder, values), mode: 0o600 }).catch(() => undefined);
    return values;
  } catch (error) {
    const last = await files.read(kept).catch(() => null);
    if (last === null) throw error;
    context.complain(`appfleet: ${inWords(error)}; the values that were known last are used`);
    return parseValues(folder, last);
  } finally {
    consul.close();
  }
};

/**
 * The program's own environment wins over Consul. Keys that cannot be variables are named on standard error and left out. The
 * exit code is the program's; 127 when it cannot be started.
 */
export const envExecCommand = async (
  context: Context,
  options: { prefix: string },
  argv: readonly string[],
  env: Environment,
): Promise<number> => {
  const prefix = keyPrefix.parse(options.prefix);
  if (!prefix.ok) throw new AppFleetError('AF_USAGE', `--prefix: ${prefix.message}`, { hint: prefix.hint });
  const values = await readValues(context, env, prefix.value);
  const found: Record<string, string> = {};
  for (const [key, bytes] of values) {
    if (key === '' || key.endsWith('/')) continue;
    const variable = variableOf(key, bytes);
    if ('wrong' in variable) context.complain(`appfleet: consul:${prefix.value}/${key}: ${variable.wrong}`);
    else found[key] = variable.text;
  }
  try {
    return await runInherited(argv, { ...found, ...env });
  } catch (error) {
    context.complain(`appfleet: ${argv[0] ?? ''} cannot be run: ${messageOf(error)}`);
    return 127;
  }
};
