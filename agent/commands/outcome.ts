/** What became of a pass, as people read it. */
import { describeProblem } from '../core/problem.ts';
import type { Outcome, StepLine } from '../reconcile/outcome.ts';
import type { Context } from './context.ts';

export const printStep = (context: Context, line: StepLine): void => {
  if (line.outcome === 'done') context.print(line.step);
  else context.complain(`${line.outcome}: ${line.step}${line.reason === undefined ? '' : `: ${line.reason}`}`);
};

/** The line for no steps at all. */
export const nothingToDo = (refused: number): string =>
  refused === 0
    ? 'Nothing to do: the host is as the files say.'
    : `Nothing to do before ${refused === 1 ? 'that problem is' : `those ${refused} problems are`} mended.`;

/** Prints the end of a pass. */
export const printOutcome = (context: Context, outcome: Outcome): void => {
  for (const problem of outcome.problems) context.complain(describeProblem(problem));
  for (const { site, message } of outcome.refusals)
    context.complain(`${site}: nginx keeps its last good vhost: ${message}`);
  const { done, failed, skipped } = outcome;
  if (done + failed + skipped === 0) context.print(nothingToDo(outcome.problems.length + outcome.refusals.length));
  else context.print(`${done} steps done${failed + skipped > 0 ? `, ${failed} failed, ${skipped} skipped` : ''}`);
};
