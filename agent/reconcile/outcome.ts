/** What became of a pass, as the API sends it. */
import { describeStep } from '../core/step.ts';
import type { Problem } from '../core/problem.ts';
import type { StepResult } from './apply.ts';
import type { Report } from './reconcile.ts';
import type { VhostRefusal } from '../ports.ts';

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

/** 2: a file has problems, 1: a step failed or nginx refused a vhost, else 0. */
export const exitCodeOf = ({ failed, skipped, problems, refusals }: Outcome): 0 | 1 | 2 => {
  if (problems.length > 0) return 2;
  return failed + skipped > 0 || refusals.length > 0 ? 1 : 0;
};
