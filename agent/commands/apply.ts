import { paths } from '../core/names.ts';
import { AppFleetError } from '../errors.ts';
import { requestLines } from '../net/http-client.ts';
import { acquire } from '../net/lock.ts';
import { createReconciler } from '../reconcile/reconcile.ts';
import type { Context, ExitCode } from './context.ts';
import { exitCodeOf, type Outcome, outcomeOf, stepLine, type StepLine } from '../reconcile/outcome.ts';
import { printOutcome, printStep } from './outcome.ts';
import { newPassword } from './secret.ts';

type ApplyLine = StepLine | { progress: string } | { error: string } | Outcome;

/** Has the running agent do the pass, and shows its steps as they are done. */
const throughAgent = async (context: Context, show: (line: ApplyLine) => void): Promise<void> => {
  const status = await requestLines(
    { socket: paths.api, method: 'POST', path: '/v1/apply', timeoutMs: 3_600_000 },
    (line) => show(JSON.parse(line) as ApplyLine),
  );
  if (status !== 200)
    throw new AppFleetError('AF_API', `the agent answered ${status}`, { hint: 'journalctl -u appfleet' });
};

/** `appfleet apply`: one pass now, by the agent if it runs. Exit code 2: a file has problems, 1: a site failed, 0: all as the files say. */
export const applyCommand = async (
  context: Context,
  options: { json: boolean; fault: number | null },
): Promise<ExitCode> => {
  let code: ExitCode = 0;
  const show = (line: ApplyLine): void => {
    if (options.json) context.print(JSON.stringify(line));
    if ('error' in line) throw new AppFleetError('AF_API', line.error, { hint: 'journalctl -u appfleet' });
    if ('problems' in line) code = exitCodeOf(line);
    if (options.json) return;
    if ('problems' in line) printOutcome(context, line);
    else if ('step' in line) printStep(context, line);
    else if (context.progress) context.complain(line.progress);
  };
  const release = await acquire();
  if (release === null) {
    await throughAgent(context, show);
    return code;
  }
  try {
    const reconciler = createReconciler(context.host(), context.templates(), newPassword);
    const report = await reconciler.apply({
      width: 32,
      clock: context.steady,
      onProgress: (progress) => show({ progress }),
      onStep: (_step, index) => {
        // The test of crashes: die as hard as a process can, before this step.
        if (index === options.fault) process.kill(process.pid, 'SIGKILL');
      },
      onResult: (result) => show(stepLine(result)),
    });
    show(outcomeOf(report));
    return code;
  } finally {
    await release();
  }
};
