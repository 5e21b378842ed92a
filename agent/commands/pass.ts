/** One pass now: by the agent if it runs, else by this process. */
import { paths } from '../core/names.ts';
import { AppFleetError } from '../errors.ts';
import { requestLines } from '../net/http-client.ts';
import { acquire } from '../net/lock.ts';
import type { ApplyOptions } from '../reconcile/apply.ts';
import { type Outcome, outcomeOf, stepLine, type StepLine } from '../reconcile/outcome.ts';
import { createReconciler } from '../reconcile/reconcile.ts';
import type { Context } from './context.ts';
import { isRunFolderLost, restoreRunFolder } from './run-folder.ts';
import { newPassword } from './secret.ts';

export type PassLine = StepLine | { progress: string };

const longestPassMs = 3_600_000;

/** The running agent does it; its lines come as they are said, the outcome last. */
const throughAgent = async (onLine: (line: PassLine) => void): Promise<Outcome> => {
  let outcome: Outcome | null = null;
  const refuse = (message: string): AppFleetError =>
    new AppFleetError('AF_API', message, { hint: 'journalctl -u appfleet' });
  const status = await requestLines(
    { socket: paths.api, method: 'POST', path: '/v1/apply', timeoutMs: longestPassMs },
    (text) => {
      const line = JSON.parse(text) as PassLine | Outcome | { error: string };
      if ('error' in line) throw refuse(line.error);
      if ('problems' in line) outcome = line;
      else onLine(line);
    },
  );
  if (outcome === null || status !== 200) throw refuse(`the agent answered ${status}`);
  return outcome;
};

/** Throws AF_API when the agent does not do it, and what a pass throws. `onStep` is called in this process only. */
export const passNow = async (
  context: Context,
  onLine: (line: PassLine) => void = () => undefined,
  onStep?: ApplyOptions['onStep'],
): Promise<Outcome> => {
  const release = await acquire();
  if (await isRunFolderLost(context.host())) await restoreRunFolder(context.host());
  if (release === null) return throughAgent(onLine);
  try {
    const report = await createReconciler(context.host(), context.templates(), newPassword).apply({
      width: 32,
      clock: context.steady,
      onProgress: (progress) => onLine({ progress }),
      onResult: (result) => onLine(stepLine(result)),
      ...(onStep === undefined ? {} : { onStep }),
    });
    return outcomeOf(report);
  } finally {
    await release();
  }
};
