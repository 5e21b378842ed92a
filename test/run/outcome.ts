/** How many checks a stage passed and failed, and what to show of the failures. */
export interface Outcome {
  passed: number;
  failed: number;
}

export const none: Outcome = { passed: 0, failed: 0 };
export const one = (passed: boolean): Outcome => (passed ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 });
export const add = (...all: readonly Outcome[]): Outcome =>
  all.reduce((a, b) => ({ passed: a.passed + b.passed, failed: a.failed + b.failed }), none);

const point = /^( *)(not )?ok \d+(?: - )?(.*)$/;
/** A check that was not made is a failure: whoever reads "passed" takes it for made. */
const directive = /[^\\]# (?:skip|todo)\b/i;

/**
 * Reads TAP (version 14, nested) as it comes. Counts assertions, shows each failure with its diagnosis, and what passes down to a
 * depth (0: files, 1: their tests). `end` says what came of it; a stream that counted nothing is one failure, so that a
 * runner that dies early cannot pass.
 */
export const createTapReader = (show: (line: string) => void, depthShown = 0) => {
  let outcome = none;
  /** Failures so far in each container that is open, by its indentation. */
  const open: { indent: number; failed: number }[] = [];
  const titles = new Map<number, string>();
  /** The failure at hand, until its diagnosis is complete: several readers may show at once. */
  let failure: string[] = [];
  let diagnosis: string | null = null;

  const flush = (): void => {
    if (failure.length > 0) show(failure.join('\n'));
    failure = [];
  };

  /** Closes what is deeper; tells whether there was anything, and how many failures. */
  const close = (indent: number): { any: boolean; failed: number } => {
    let any = false;
    let failed = 0;
    for (let last = open.at(-1); last !== undefined && last.indent > indent; last = open.at(-1)) {
      open.pop();
      any = true;
      failed += last.failed;
    }
    return { any, failed };
  };

  const take = (indent: number, isOk: boolean, title: string): void => {
    const below = close(indent);
    const passed = isOk && !directive.test(title);
    // What follows deeper lines sums them up; it only counts if it fails where none of them did.
    const isFailure = !passed && below.failed === 0;
    if (!below.any || isFailure) outcome = add(outcome, one(passed));
    const failed = below.failed + (isFailure ? 1 : 0);
    const level = open.at(-1);
    if (level?.indent === indent) level.failed += failed;
    else open.push({ indent, failed });
    if (isFailure) {
      const path = [...titles].filter(([at]) => at < indent).map(([, name]) => name);
      failure.push(`  not ok: ${[...path, title].join(' > ')}`);
    } else if (passed && indent / 4 <= depthShown)
      show(`  ${' '.repeat(indent / 2)}ok ${title.replace(/ # time=(\d+).*/, ' ($1 ms)')}`);
  };

  return {
    line: (line: string): void => {
      if (diagnosis !== null) {
        if (line === `${diagnosis}...`) {
          diagnosis = null;
          flush();
        } else if (failure.length > 0) failure.push(`    ${line.slice(diagnosis.length)}`);
        return;
      }
      const [, begins] = /^( *)---$/.exec(line) ?? [];
      if (begins !== undefined) {
        diagnosis = begins;
        return;
      }
      flush();
      const [, at = '', name] = /^( *)# Subtest: (.*)$/.exec(line) ?? [];
      if (name !== undefined) {
        for (const known of titles.keys()) if (known >= at.length) titles.delete(known);
        titles.set(at.length, name);
      }
      const [all, indent = '', not, title = ''] = point.exec(line) ?? [];
      if (all !== undefined) take(indent.length, not === undefined, title);
      else if (line.startsWith('Bail out!')) show(`  ${line}`);
    },
    /** `code` is the runner's exit code: trouble outside of any assertion shows only there. */
    end: (code: number): Outcome => {
      flush();
      if (outcome.failed > 0 || (code === 0 && outcome.passed > 0)) return outcome;
      show(`  not ok: the runner ended with code ${code} after ${outcome.passed} passed checks`);
      return add(outcome, one(false));
    },
  };
};
