import { describeStep } from '../core/step.ts';
import { describeProblem } from '../core/problem.ts';
import { createReconciler } from '../reconcile/reconcile.ts';
import type { Context, ExitCode } from './context.ts';
import { nothingToDo } from './outcome.ts';
import { newPassword } from './secret.ts';

/** `appfleet plan`: what a pass would do now. Exit code 2 when a file has problems, else 0. */
export const planCommand = async (context: Context, options: { json: boolean }): Promise<ExitCode> => {
  const reconciler = createReconciler(context.host(), context.templates(), newPassword);
  const { steps, problems, fleet } = await reconciler.plan();
  if (options.json) {
    const plain = steps.map((step) => ({ kind: step.kind, owner: step.owner, description: describeStep(step) }));
    context.print(JSON.stringify({ steps: plain, problems }, null, 2));
  } else {
    for (const problem of problems) context.complain(describeProblem(problem));
    for (const step of steps) context.print(describeStep(step));
    if (fleet.needsSecret) context.print('make a database root password in /etc/appfleet/.env');
    if (steps.length === 0) context.print(nothingToDo(problems.length));
  }
  return problems.length > 0 ? 2 : 0;
};
