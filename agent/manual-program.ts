/** `appfleet manual`: the manual pages, made from the command line that they describe. */
import type { Command } from 'commander';
import type { Context, ExitCode } from './commands/context.ts';
import { type ManualCommand, programPage, sitePage } from './core/manual.ts';

/** Commands without commands of their own, in the order of the help. */
const leaves = (command: Command, words: readonly string[] = []): ManualCommand[] =>
  command.commands.flatMap((one) => {
    const path = [...words, one.name()];
    if (one.commands.length > 0) return leaves(one, path);
    const values = one.registeredArguments.map((each) => {
      const name = each.variadic ? `${each.name()}...` : each.name();
      return each.required ? `<${name}>` : `[${name}]`;
    });
    return [
      {
        usage: [...path, ...values].join(' '),
        description: one.description(),
        options: one.options.map(({ flags, description }) => ({ flags, description })),
      },
    ];
  });

const pages = ['appfleet', 'appfleet-site'];

export const manualCommand = (context: Context, program: Command, name: string): Promise<ExitCode> => {
  if (!pages.includes(name)) {
    context.complain(`there is no manual page ${name}; there is: ${pages.join(', ')}`);
    return Promise.resolve(2);
  }
  const version = context.version.replace(/\+.*/, '');
  context.print((name === 'appfleet' ? programPage(version, leaves(program)) : sitePage(version)).trimEnd());
  return Promise.resolve(0);
};
