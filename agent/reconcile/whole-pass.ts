/** The pass that somebody asked for and waits for: it ends when nothing waits any more, and gives failed pulls another chance. */
import { describeStep } from '../core/step.ts';
import type { StepResult } from './apply.ts';
import type { Beside } from './beside.ts';
import type { Report } from './reconcile.ts';
import type { Works } from './works.ts';

/** What is said of a pass while it goes on. */
export type Said = StepResult | { progress: string };

/** Runs one pass in its turn; other passes may run between two of them. */
export type Pass = (onSaid: (said: Said) => void, beside: Beside) => Promise<Report>;

/**
 * What is under way when it begins is waited for as well, and told: it may be for the very change that somebody asks about. Each
 * step is begun once at most, so that one whose reason never goes away ends too.
 */
export const createWholePass =
  ({ pulls, works }: Beside, pass: Pass) =>
  async (onSaid: (said: Said) => void): Promise<Report> => {
    const begun = new Set<string>();
    const ended = new Map<string, StepResult>();
    const done: StepResult[] = [];
    const tell = (result: StepResult): void => {
      done.push(result);
      onSaid(result);
    };
    const once: Works = {
      ...works,
      begin: (step, work) => {
        const result = ended.get(describeStep(step));
        if (result === undefined) return works.begin(step, () => (begun.add(describeStep(step)), work()));
        if (result.outcome === 'failed') throw new Error(result.reason);
      },
    };
    const deaf = [
      pulls.listen((progress) => onSaid({ progress })),
      works.listen((result) => {
        if (begun.has(describeStep(result.step))) ended.set(describeStep(result.step), result);
        tell(result);
      }),
    ];
    pulls.forgive();
    try {
      for (;;) {
        const report = await pass(
          (said) => {
            if ('progress' in said) onSaid(said);
            else if (said.outcome !== 'waiting' && !ended.has(describeStep(said.step))) tell(said);
          },
          { pulls, works: once },
        );
        const waits = report.results.some(({ outcome }) => outcome === 'waiting');
        if (!waits && !works.any()) return { ...report, results: done };
        await Promise.all([pulls.settled(), works.settled()]);
      }
    } finally {
      for (const end of deaf) end();
    }
  };
