import { configSchema, reference } from '../core/help.ts';
import { fileKinds } from '../core/keys.ts';
import { nearest } from '../core/nearest.ts';
import type { Context, ExitCode } from './context.ts';

type Kind = keyof typeof fileKinds;

const kinds = Object.keys(fileKinds) as Kind[];

/** Whether there is a reference of such a kind of file. */
export const isTopic = (word: string): word is Kind => (kinds as string[]).includes(word);

/** Says that there is no help on a topic, and on what there is. */
export const noHelp = (context: Context, topic: string, commands: readonly string[]): Promise<ExitCode> => {
  const close = nearest(topic, [...kinds, ...commands]);
  context.complain(`there is no help on ${topic}; there is: ${kinds.join(', ')}, and every command (appfleet --help)`);
  if (close !== undefined) context.complain(`did you mean \`appfleet help ${close}\`?`);
  return Promise.resolve(2);
};

/** `appfleet help site|service|settings`: every key of such a file; with `json` its JSON schema. */
export const helpCommand = (context: Context, topic: Kind, options: { json: boolean }): Promise<ExitCode> => {
  if (!options.json) context.print(reference(topic, 'text').trimEnd());
  else {
    const schema = configSchema() as { $schema: string; $defs: Record<Kind, object> };
    context.print(JSON.stringify({ $schema: schema.$schema, ...schema.$defs[topic] }, null, 2));
  }
  return Promise.resolve(0);
};

/** `appfleet config schema`: JSON schema of all kinds of files. */
export const schemaCommand = (context: Context): Promise<ExitCode> => {
  context.print(JSON.stringify(configSchema(), null, 2));
  return Promise.resolve(0);
};
