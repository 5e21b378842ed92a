/** What became of a pass, as the API sends it and people read it. */
import { describeStep } from '../core/plan.ts';
import { describeProblem, type Problem } from '../core/problem.ts';
import type { StepResult } from '../reconcile/apply.ts';
import type { Report } from '../reconcile/reconcile.ts';
import type { VhostRefusal } from '../ports.ts';
import type { Context, ExitCode } from './context.ts';

/** One step as a line of JSON. */
export interface StepLine {
  step: string;
  owner: string | null;
  outcome: StepResult['outcome'];
  reason?: string;
}

export interface Outcome {
  done: number;
  failed: number;
  skipped: number;
  problems: readonly Problem[];
  refusals: readonly VhostRefusal[];
}

export const stepLine = ({ step, outcome, reason }: StepResult): StepLine => ({
  step: describeStep(step),
  owner: step.owner,
  outcome,
  ...(reason === undefined ? {} : { reason }),
});

export const outcomeOf = ({ results, problems, refusals }: Report): Outcome => {
  const count = (outcome: StepResult['outcome']): number => results.filter((r) => r.outcome === outcome).length;
  return { done: count('done'), failed: count('failed'), skipped: count('skipped'), problems, refusals };
};

export const printStep = (context: Context, line: StepLine): void => {
  if (line.outcome === 'done') context.print(line.step);
  else context.complain(`${line.outcome}: ${line.step}${line.reason === undefined ? '' : `: ${line.reason}`}`);
};

/** Prints the end of a pass. 2: a file has problems, 1: a step failed or nginx refused a vhost, else 0. */
export const printOutcome = (context: Context, outcome: Outcome): ExitCode => {
  for (const problem of outcome.problems) context.complain(describeProblem(problem));
  for (const { site, message } of outcome.refusals)
    context.complain(`${site}: nginx keeps its last good vhost: ${message}`);
  const { done, failed, skipped } = outcome;
  if (done + failed + skipped === 0) context.print('Nothing to do: the host is as the files say.');
  else context.print(`${done} steps done${failed + skipped > 0 ? `, ${failed} failed, ${skipped} skipped` : ''}`);
  if (outcome.problems.length > 0) return 2;
  return failed + skipped > 0 || outcome.refusals.length > 0 ? 1 : 0;
};
