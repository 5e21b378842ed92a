/** The command line: which words mean which command. */
import { Command, CommanderError } from 'commander';
import { createJournalLog } from './adapters/journal.ts';
import { applyCommand } from './commands/apply.ts';
import type { Context, ExitCode } from './commands/context.ts';
import { planCommand } from './commands/plan.ts';
import { runCommand } from './commands/run.ts';
import { sleepCommand, wakeCommand } from './commands/wake.ts';
import { takeSockets } from './net/listen-fds.ts';
import { createNotify } from './net/notify.ts';

/** The parts of a process that the daemon needs. */
export interface Process {
  env: NodeJS.ProcessEnv;
  pid: number;
  stdout: { write(text: string): unknown };
  on(signal: NodeJS.Signals, callback: () => void): unknown;
}

const run = (context: Context, process: Process): Promise<ExitCode> =>
  runCommand(context, {
    log: createJournalLog((line) => process.stdout.write(line), process.env['APPFLEET_LOG'] ?? 'info'),
    sockets: takeSockets(process.env, process.pid),
    notify: createNotify(process.env, process.pid),
    ended: new Promise((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve(signal));
    }),
    onReload: (callback) => process.on('SIGHUP', callback),
  });

/** Parses the words after `appfleet` and runs the command they ask for. Throws AppFleetError for what is no failure of one site. */
export const createProgram = (
  context: Context,
  process: Process,
): ((words: readonly string[]) => Promise<ExitCode>) => {
  let code: ExitCode = 0;
  const program = new Command('appfleet')
    .description('Sites that sleep until somebody asks for them')
    .exitOverride()
    .showHelpAfterError('(appfleet --help shows the commands)')
    .configureOutput({
      writeOut: (text) => context.print(text.trimEnd()),
      writeErr: (text) => context.complain(text.trimEnd()),
    });
  const command = (words: string, description: string): Command => program.command(words).description(description);
  const done = (work: Promise<ExitCode>): Promise<void> => work.then((result) => void (code = result));

  command('plan', 'show what would change on this host')
    .option('--json', 'as JSON', false)
    .action((options: { json: boolean }) => done(planCommand(context, options)));
  command('apply', 'make the host what the files say')
    .option('--json', 'a line of JSON per step', false)
    .action((options: { json: boolean }) =>
      done(applyCommand(context, { ...options, fault: faultOf(process.env['APPFLEET_FAULT']) })),
    );
  command('wake <site>', 'start its container now').action((site: string) => done(wakeCommand(context, site)));
  command('sleep <site>', 'put it to sleep now, if nobody uses it').action((site: string) =>
    done(sleepCommand(context, site)),
  );
  command('run', 'be the agent (systemd starts this)').action(() => done(run(context, process)));
  command('version', 'print the version').action(() => context.print(context.version));

  return async (words) => {
    try {
      await program.parseAsync([...words], { from: 'user' });
      return code;
    } catch (error) {
      if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
      throw error;
    }
  };
};

/** Number of the step before which to die; only tests set it. */
const faultOf = (text: string | undefined): number | null => (text === undefined ? null : Number(text));
