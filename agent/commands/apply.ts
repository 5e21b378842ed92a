import { exitCodeOf } from '../reconcile/outcome.ts';
import type { Context, ExitCode } from './context.ts';
import { printOutcome, printStep } from './outcome.ts';
import { passNow } from './pass.ts';

/** `appfleet apply`: one pass now, by the agent if it runs. Exit code 2: a file has problems, 1: a site failed, 0: all as the files say. */
export const applyCommand = async (
  context: Context,
  options: { json: boolean; fault: number | null },
): Promise<ExitCode> => {
  const outcome = await passNow(
    context,
    (line) => {
      if (options.json) context.print(JSON.stringify(line));
      else if ('step' in line) printStep(context, line);
      else if (context.progress) context.complain(line.progress);
    },
    (_step, index) => {
      // The test of crashes: die as hard as a process can, before this step.
      if (index === options.fault) process.kill(process.pid, 'SIGKILL');
    },
  );
  if (options.json) context.print(JSON.stringify(outcome));
  else printOutcome(context, outcome);
  return exitCodeOf(outcome);
};
