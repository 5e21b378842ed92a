/** One pass now, for a command that changed something: by the agent if it runs, else by this process. */
import { paths } from '../core/names.ts';
import { AppFleetError } from '../errors.ts';
import { requestLines } from '../net/http-client.ts';
import { acquire } from '../net/lock.ts';
import { type Outcome, outcomeOf } from '../reconcile/outcome.ts';
import { createReconciler } from '../reconcile/reconcile.ts';
import type { Context } from './context.ts';
import { newPassword } from './secret.ts';

const longestPassMs = 3_600_000;

const isOutcome = (line: unknown): line is Outcome => typeof line === 'object' && line !== null && 'refusals' in line;

/** Throws AF_API when the agent does not do it, and what a pass throws. */
export const passNow = async (context: Context): Promise<Outcome> => {
  const release = await acquire();
  if (release !== null)
    try {
      const reconciler = createReconciler(context.host(), context.templates(), newPassword);
      return outcomeOf(await reconciler.apply({ width: 32, clock: context.steady, onProgress: () => undefined }));
    } finally {
      await release();
    }
  let outcome: Outcome | null = null;
  let error = 'it said nothing';
  const status = await requestLines(
    { socket: paths.api, method: 'POST', path: '/v1/apply', timeoutMs: longestPassMs },
    (line) => {
      const said: unknown = JSON.parse(line);
      if (isOutcome(said)) outcome = said;
      else if (typeof said === 'object' && said !== null && 'error' in said) error = String(said.error);
    },
  );
  if (outcome === null)
    throw new AppFleetError('AF_API', `the agent did not make a pass (${status}): ${error}`, {
      hint: 'journalctl -u appfleet',
    });
  return outcome;
};
