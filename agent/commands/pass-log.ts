/** What the journal says of passes: each thing once, however many passes see it. */
import type { Log } from '../adapters/journal.ts';
import { describeProblem } from '../core/problem.ts';
import { describeStep } from '../core/step.ts';
import type { StepResult } from '../reconcile/apply.ts';
import type { Report } from '../reconcile/reconcile.ts';

export interface PassLog {
  result(result: StepResult): void;
  /** Problems and refusals that stand. */
  standing(report: Pick<Report, 'problems' | 'refusals'>): void;
}

export const createPassLog = (log: Log): PassLog => {
  const told = new Set<string>();
  const waiting = new Set<string>();
  return {
    result: ({ step, outcome, reason }) => {
      const site = step.owner === null ? {} : { site: step.owner };
      const words = describeStep(step);
      if (outcome === 'waiting') {
        if (!waiting.has(words)) log.info(site, `${words}: waits for ${reason ?? ''}`);
        waiting.add(words);
        return;
      }
      waiting.delete(words);
      if (outcome === 'done') log.info(site, words);
      else if (outcome === 'failed') log.error(site, `${words}: ${reason ?? ''}`);
    },
    standing: ({ problems, refusals }) => {
      const lines = [
        ...problems.map(describeProblem),
        ...refusals.map(({ site, message }) => `${site}: nginx keeps its last good vhost: ${message}`),
      ];
      for (const line of lines) if (!told.has(line)) log.warn(line);
      told.clear();
      for (const line of lines) told.add(line);
    },
  };
};
