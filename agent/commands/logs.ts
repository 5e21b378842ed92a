import { spawn } from 'node:child_process';
import { parseSiteName } from '../core/domain.ts';
import { appUnit, siteUnit, socketUnit, wakeUnit } from '../core/names.ts';
import { messageOf } from '../errors.ts';
import { createFleetReader } from '../reconcile/fleet.ts';
import type { Context, ExitCode } from './context.ts';
import { resolveName } from './resolve.ts';
import { unknownName } from './unknown.ts';

/**
 * Runs a program on our terminal and returns its exit code; with `hear` what it prints goes there instead. Rejects when it
 * cannot be started.
 */
export type RunInherited = (argv: readonly string[], hear?: (text: string) => void) => Promise<number>;

const runInherited: RunInherited = ([program = '', ...args], hear) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['inherit', hear === undefined ? 'inherit' : 'pipe', 'inherit'] });
    child.stdout?.setEncoding('utf8').on('data', (text: string) => hear?.(text));
    // Ctrl-C goes to both of us; the journal's reader ends itself, and we with it.
    const ignore = (): void => undefined;
    process.on('SIGINT', ignore);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      process.off('SIGINT', ignore);
      resolve(code ?? (signal === 'SIGINT' || signal === 'SIGPIPE' ? 0 : 1));
    });
  });

/** All that has to do with a member, in the order in which it happened: its container's output, what units/launch said, and systemd. */
const unitArguments = (name: string, isSite: boolean): string[] =>
  [siteUnit(name), appUnit(name), ...(isSite ? [socketUnit(name), wakeUnit(name)] : [])].flatMap((unit) => [
    '--unit',
    unit,
  ]);

/** Whether the journal has a line of what is no site now. */
const isRemembered = async (run: RunInherited, units: readonly string[]): Promise<boolean> => {
  let said = '';
  await run(['journalctl', '--quiet', '--output', 'cat', '--lines', '1', ...units], (text) => void (said += text));
  return said.trim() !== '';
};

/** `appfleet logs SITE`: the journal of a member. `lines` null: all of it, or the last ten when following. Exit code 2: nobody knows it. */
export const logsCommand = async (
  context: Context,
  word: string,
  options: { follow: boolean; lines: number | null },
  run: RunInherited = runInherited,
): Promise<ExitCode> => {
  const fleet = await createFleetReader(context.host().files)();
  const name = resolveName(word, fleet);
  const isService = fleet.services.some((service) => service.name === name);
  const known = isService || fleet.keep.has(name) || fleet.sites.some((site) => site.name === name);
  if (!known && !parseSiteName(name).ok) return unknownName(context, name, fleet);
  const units = unitArguments(name, !isService);
  const tail = options.lines === null ? [] : ['--lines', String(options.lines)];
  try {
    if (!known) {
      // The journal of a site that was removed is still worth reading.
      if (!(await isRemembered(run, units))) return unknownName(context, name, fleet);
      context.complain(`there is no site ${name} now; this is what the journal has of it`);
    }
    const code = await run(['journalctl', '--no-hostname', ...units, ...tail, ...(options.follow ? ['--follow'] : [])]);
    return code === 0 ? 0 : 1;
  } catch (error) {
    context.complain(`journalctl cannot be run: ${messageOf(error)}`);
    return 1;
  }
};
