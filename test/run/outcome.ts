/** How many checks a stage passed and failed, and what to show of the failures. */
export interface Outcome {
  passed: number;
  failed: number;
}

export const add = (a: Outcome, b: Outcome): Outcome => ({ passed: a.passed + b.passed, failed: a.failed + b.failed });

/**
 * Reads TAP (version 14, nested) as it comes. Counts leaf assertions, shows a line per file and each failure with its diagnosis.
 * `end` says what came of it; a stream that counted nothing is one failure, so that a runner that dies early cannot pass.
 */
export const createTapReader = (show: (line: string) => void) => {
  const outcome: Outcome = { passed: 0, failed: 0 };
  const deepest: number[] = [];
  let diagnosis: string | null = null;

  return {
    line: (line: string): void => {
      if (diagnosis !== null) {
        show(line);
        if (line === diagnosis) diagnosis = null;
        return;
      }
      const [, indent = '', not, rest = ''] = /^( *)(not )?ok \d+(?: - )?(.*)$/.exec(line) ?? [];
      if (!/^ *(not )?ok \d/.test(line)) return;
      const depth = indent.length;
      // A line that follows deeper lines sums them up: it is a subtest, not an assertion.
      const sums = (deepest.at(-1) ?? -1) > depth;
      while ((deepest.at(-1) ?? -1) > depth) deepest.pop();
      if (deepest.at(-1) !== depth) deepest.push(depth);
      if (!sums) outcome[not === undefined ? 'passed' : 'failed'] += 1;
      if (depth === 0 && not === undefined) show(`  ok ${rest}`);
      if (not === undefined) return;
      show(line);
      diagnosis = `${indent}  ...`;
    },
    /** `code` is the runner's exit code: trouble outside of any assertion shows only there. */
    end: (code: number): Outcome => {
      const silent = code !== 0 && outcome.failed === 0;
      if (silent || outcome.passed + outcome.failed === 0) {
        show(`  not ok: the runner ended with code ${code} after ${outcome.passed} passed checks`);
        return add(outcome, { passed: 0, failed: 1 });
      }
      return outcome;
    },
  };
};
