/** Carries out a plan. A step that fails stops its owner's later steps, not the pass. */
import { describeStep, type Step } from '../core/step.ts';
import { messageOf } from '../errors.ts';

export interface StepResult {
  step: Step;
  /** `waiting`: it goes on after the pass, or comes after a step that does. */
  outcome: 'done' | 'failed' | 'skipped' | 'waiting';
  /** What went wrong, what it waits for, or which of these made this step pointless. */
  reason?: string;
  seconds: number;
}

/** One function per kind of step; the compiler insists on all of them. */
export type Executors = {
  readonly [K in Step['kind']]: (step: Extract<Step, { kind: K }>) => Promise<StepFailures | Waiting | void>;
};

/** For steps about many owners: those that failed, with the reason. The others are done. */
export type StepFailures = ReadonlyMap<string, string>;

/** The step goes on after the pass; its owners' later steps are for the pass that comes then. */
export interface Waiting {
  for: string;
}

export interface ApplyOptions {
  /** How many steps of one kind may run side by side. */
  width: number;
  /** Called before and after each step; the test of crashes dies in here. */
  onStep?: (step: Step, index: number) => void;
  onResult?: (result: StepResult) => void;
  /** Seconds on a steady clock. */
  clock: () => number;
}

/** Kinds whose neighbours do not depend on each other: they run side by side, which is what makes 1,000 sites fast. */
const independent = new Set<Step['kind']>([
  'write-file',
  'write-link',
  'open',
  'start-unit',
  'mark-open',
  'restart-unit',
  'stop-unit',
  'remove-container',
  'remove-file',
  'remove-run',
  'remove-folder',
]);

const ownersOf = (step: Step): readonly string[] =>
  'owners' in step ? step.owners : step.owner === null ? [] : [step.owner];

/** Steps in groups that may run at once: neighbours of one independent kind. */
const groups = (steps: readonly Step[]): Step[][] => {
  const result: Step[][] = [];
  for (const step of steps) {
    const last = result.at(-1);
    if (last !== undefined && last[0]?.kind === step.kind && independent.has(step.kind)) last.push(step);
    else result.push([step]);
  }
  return result;
};

const execute = async (executors: Executors, step: Step): Promise<StepFailures | Waiting | void> => {
  const run = executors[step.kind] as (step: Step) => Promise<StepFailures | Waiting | void>;
  return run(step);
};

/** Runs every step that can be run, in order, and says what became of each. Never throws for a step. */
export const applyPlan = async (
  steps: readonly Step[],
  executors: Executors,
  options: ApplyOptions,
): Promise<StepResult[]> => {
  const failed = new Map<string, string>();
  const waiting = new Map<string, string>();
  const results: StepResult[] = [];
  let index = 0;

  const one = async (step: Step): Promise<void> => {
    options.onStep?.(step, index++);
    const owners = ownersOf(step);
    const all = (some: ReadonlyMap<string, string>): boolean =>
      owners.length > 0 && owners.every((owner) => some.has(owner));
    const began = options.clock();
    const finish = (outcome: StepResult['outcome'], reason?: string): void => {
      const result: StepResult = { step, outcome, seconds: options.clock() - began };
      if (reason !== undefined) result.reason = reason;
      results.push(result);
      options.onResult?.(result);
    };
    if (all(failed)) return finish('skipped', failed.get(owners[0] ?? '') ?? '');
    if (all(waiting)) return finish('waiting', waiting.get(owners[0] ?? '') ?? '');
    try {
      const failures = await execute(executors, step);
      if (failures && 'for' in failures) {
        for (const owner of owners) waiting.set(owner, failures.for);
        return finish('waiting', failures.for);
      }
      for (const [owner, reason] of failures ?? []) failed.set(owner, reason);
      const first = failures ? [...failures][0] : undefined;
      if (first === undefined) finish('done');
      else finish('failed', [...(failures ?? [])].map(([owner, reason]) => `${owner}: ${reason}`).join('\n'));
    } catch (error) {
      const reason = messageOf(error);
      for (const owner of owners) if (!failed.has(owner)) failed.set(owner, `${describeStep(step)}: ${reason}`);
      finish('failed', reason);
    }
  };

  for (const group of groups(steps)) {
    const queue = [...group];
    const worker = async (): Promise<void> => {
      for (let step = queue.shift(); step !== undefined; step = queue.shift()) await one(step);
    };
    await Promise.all(Array.from({ length: Math.min(options.width, group.length) }, worker));
  }
  return results;
};
