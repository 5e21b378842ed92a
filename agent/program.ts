/** The command line: which words mean which command. */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { run as runProgram } from './adapters/host.ts';
import { createJournalLog } from './adapters/journal.ts';
import { createProbe } from './adapters/probe.ts';
import { applyCommand } from './commands/apply.ts';
import { askOn } from './commands/ask.ts';
import { certCommands } from './cert-program.ts';
import { checkCommand } from './commands/check.ts';
import { completionCommand } from './commands/completion.ts';
import type { Context, ExitCode } from './commands/context.ts';
import { envCommand } from './commands/env.ts';
import { envExecCommand } from './commands/env-exec.ts';
import { doctorCommand } from './commands/doctor.ts';
import { helpCommand, isTopic, noHelp, schemaCommand } from './commands/help.ts';
import { logsCommand } from './commands/logs.ts';
import { planCommand } from './commands/plan.ts';
import { retireCommand } from './commands/retire.ts';
import { runCommand } from './commands/run.ts';
import { createKeys, siteCreateCommand, siteRemoveCommand } from './commands/site.ts';
import { fleetStatusCommand } from './commands/status-fleet.ts';
import { statusCommand } from './commands/status.ts';
import { sleepCommand, wakeCommand } from './commands/wake.ts';
import { takeSockets } from './net/listen-fds.ts';
import { manualCommand } from './manual-program.ts';
import { createNotify } from './net/notify.ts';

/** The parts of a process that the daemon needs. */
export interface Process {
  env: NodeJS.ProcessEnv;
  pid: number;
  stdin: NodeJS.ReadableStream & { isTTY?: boolean };
  stdout: { write(text: string): unknown; isTTY?: boolean };
  stderr: NodeJS.WritableStream;
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
export const createProgram = (context: Context, process: Process): ((words: readonly string[]) => Promise<number>) => {
  /** Of a program that was run in our place it can be any. */
  let code: number = 0;
  const program = new Command('appfleet')
    .description('Sites that sleep until somebody asks for them')
    .version(context.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'explain a command')
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError('(appfleet --help shows the commands)')
    .configureOutput({
      writeOut: (text) => context.print(text.trimEnd()),
      writeErr: (text) => context.complain(text.trimEnd()),
    });
  const command = (words: string, description: string): Command => program.command(words).description(description);
  const done = (work: Promise<ExitCode>): Promise<void> => work.then((result) => void (code = result));

  command('status [site]', 'show what the sites do')
    .option('--json', 'as JSON', false)
    .option('--fleet', 'of all hosts that share our Consul', false)
    .action((site: string | undefined, { fleet, json }: { fleet: boolean; json: boolean }) =>
      done(fleet ? fleetStatusCommand(context, site, { json }) : statusCommand(context, site, { json })),
    );
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
  command('check [files...]', 'report every problem in the configuration')
    .option('--json', 'as JSON', false)
    .action((files: string[], options: { json: boolean }) => done(checkCommand(context, files, options)));
  command('logs <site>', 'show what a site and its container say')
    .option('-f, --follow', 'go on as more comes', false)
    .option('-n, --lines <number>', 'so many lines from the end', wholeNumber)
    .action((site: string, { follow, lines }: { follow: boolean; lines?: number }) =>
      done(logsCommand(context, site, { follow, lines: lines ?? null })),
    );
  command('doctor [site]', 'walk from the file to the answer and name the broken link')
    .option('--json', 'as JSON', false)
    .option('--wake', 'wake sleeping sites to see them answer', false)
    .action((site: string | undefined, options: { json: boolean; wake: boolean }) =>
      done(doctorCommand(context, site, options, createProbe(runProgram))),
    );

  const site = command('site', 'create or remove a site');
  const create = site
    .command('create <domain>')
    .description('write a commented site file')
    .requiredOption('--runtime <runtime>', 'php-fpm, node, container or static');
  for (const key of createKeys) create.option(`--${key} <value>`, `the key ${key} of the site file`);
  create.action((domain: string, { runtime, ...values }: { runtime: string } & Record<string, string>) =>
    done(siteCreateCommand(context, domain, runtime, values)),
  );
  site
    .command('remove <domain>')
    .description('take a site away; its file is kept, and so are docroot and volumes')
    .option('-y, --yes', 'do not ask', false)
    .action((domain: string, options: { yes: boolean }) =>
      done(
        siteRemoveCommand(context, domain, options, process.stdin.isTTY ? askOn(process.stdin, process.stderr) : null),
      ),
    );

  certCommands(program, context, done, process);

  command('retire', 'take away units, vhosts and containers of all sites, as before the program is removed')
    .option('-y, --yes', 'really', false)
    .action((options: { yes: boolean }) => done(retireCommand(context, options)));
  const env = command('env [site]', "show a container's variables and where each comes from")
    .option('--json', 'as JSON', false)
    .option('--reveal', 'show secrets too', false)
    .action((site: string | undefined, options: { json: boolean; reveal: boolean }) =>
      site === undefined ? env.outputHelp() : done(envCommand(context, site, options)),
    );
  env
    .command('exec <command...>')
    .description('run a program with the variables that Consul has below a prefix')
    .requiredOption('--prefix <prefix>', 'folder of keys, like app/web')
    .passThroughOptions()
    .action(async (argv: string[], options: { prefix: string }) => {
      code = await envExecCommand(context, options, argv, process.env);
    });

  command('config', 'what the files may hold')
    .command('schema')
    .description('as a JSON schema')
    .action(() => done(schemaCommand(context)));
  program.helpCommand(false);
  command('help [topic...]', 'explain a command, or the keys of a file: site, service or settings')
    .option('--json', 'the keys as a JSON schema', false)
    .action((topic: string[], options: { json: boolean }) => {
      const [first, ...others] = topic;
      if (first === undefined) return program.outputHelp();
      // `site` is a kind of file and a command: the file is what people ask about.
      if (others.length === 0 && isTopic(first)) return done(helpCommand(context, first, options));
      const named = commandOf(program, topic);
      return named === null ? done(noHelp(context, topic.join(' '), namesOf(program))) : named.outputHelp();
    });
  command('completion <shell>', 'print the completion script for bash or fish').action((shell: string) =>
    done(completionCommand(context, shell)),
  );
  command('manual <page>', 'print a manual page for man(1): appfleet or appfleet-site').action((name: string) =>
    done(manualCommand(context, program, name)),
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

const commandOf = (program: Command, words: readonly string[]): Command | null =>
  words.reduce<Command | null>((found, word) => found?.commands.find((one) => one.name() === word) ?? null, program);

/** Names of commands, those of their parts after theirs. */
const namesOf = (program: Command): string[] =>
  program.commands.flatMap((one) => [one.name(), ...one.commands.map((part) => `${one.name()} ${part.name()}`)]);

const wholeNumber = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('a whole number is wanted');
  return Number(text);
};

/** Number of the step before which to die; only tests set it. */
const faultOf = (text: string | undefined): number | null => (text === undefined ? null : Number(text));
