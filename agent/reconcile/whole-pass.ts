/** The pass that somebody asked for and waits for: it ends when nothing waits any more, and gives failed pulls another chance. */
import type { StepResult } from './apply.ts';
import type { Pulls } from './pulls.ts';
import type { Report } from './reconcile.ts';

/** `pass` runs one pass in its turn; other passes may run while this one waits. */
export const createWholePass =
  (pulls: Pulls, pass: (onLine: (line: unknown) => void) => Promise<Report>) =>
  async (onLine: (line: unknown) => void): Promise<Report> => {
    const waits = (line: unknown): boolean =>
      typeof line === 'object' && line !== null && 'outcome' in line && line.outcome === 'waiting';
    const done: StepResult[] = [];
    const deaf = pulls.listen((progress) => onLine({ progress }));
    pulls.forgive();
    try {
      for (;;) {
        const report = await pass((line) => {
          if (!waits(line)) onLine(line);
        });
        done.push(...report.results.filter((result) => !waits(result)));
        if (!report.results.some(waits)) return { ...report, results: done };
        await pulls.settled();
      }
    } finally {
      deaf();
    }
  };
