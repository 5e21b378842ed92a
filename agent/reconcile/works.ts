/**
 * Steps that go on beside the passes: a container that takes long to start or to stop holds up its own site, and nobody else.
 *
 * INVARIANTS
 * - One work per owner at a time; who needs a shared container waits for the work on it.
 * - Nothing is remembered of a work that has ended, or was cut off with the agent: the next pass sees on the host what is left.
 */
import { describeStep, type Step } from '../core/step.ts';
import { messageOf } from '../errors.ts';
import { createLimit } from '../net/limit.ts';
import type { StepResult, Waiting } from './apply.ts';

/** A step that may take as long as a container does. */
export type LongStep = Extract<Step, { kind: 'open' | 'start-unit' | 'restart-unit' | 'stop-unit' }>;

export interface Works {
  /** What these owners are busy with, which a step of this kind waits for; null: nothing. */
  of(owners: readonly string[], kind: Step['kind']): Waiting | null;
  /** Begins a work for the step's owner, who must not be busy. Nothing is waited for when it needs not be done again; throws why it cannot. */
  begin(step: LongStep, work: () => Promise<void>): Waiting | void;
  /** Whether any is under way. */
  any(): boolean;
  /** Resolves when those under way have ended, well or not. */
  settled(): Promise<void>;
  /** Shows what became of each to one more listener; returns what ends that. */
  listen(onResult: (result: StepResult) => void): () => void;
}

/** Half of the jobs that the bus to systemd bears: the passes need theirs meanwhile. */
const most = 32;

/**
 * `ended` is called after each work that leaves something for another pass: after those that went well, and after a failure that
 * somebody waited for. It need not be `soon` while there are others that end as well, and after a failure, which may come again.
 * `clock` gives seconds that nobody sets.
 */
export const createWorks = (clock: () => number, ended: (result: StepResult, soon: boolean) => void): Works => {
  const limit = createLimit(most);
  const running = new Map<string, { step: LongStep; awaited: boolean; end: Promise<void> }>();
  const listeners = new Set<(result: StepResult) => void>();

  const carryOut = async (step: LongStep, work: () => Promise<void>): Promise<void> => {
    const began = clock();
    const failure = await limit(work).then(
      () => null,
      (error: unknown) => ({ reason: messageOf(error) }),
    );
    const awaited = running.get(step.owner)?.awaited === true;
    running.delete(step.owner);
    const result: StepResult = {
      step,
      outcome: failure === null ? 'done' : 'failed',
      seconds: clock() - began,
      ...failure,
    };
    for (const listener of [...listeners]) listener(result);
    if (failure === null || awaited) ended(result, failure === null && (awaited || running.size === 0));
  };

  return {
    of: (owners, kind) => {
      for (const owner of owners) {
        const work = running.get(owner);
        if (work === undefined) continue;
        // Those who go have several units to stop, and nobody waits for that.
        work.awaited ||= kind !== 'stop-unit' || work.step.kind !== 'stop-unit';
        return { for: describeStep(work.step) };
      }
      return null;
    },
    begin: (step, work) => {
      const entry = { step, awaited: false, end: Promise.resolve() };
      running.set(step.owner, entry);
      entry.end = carryOut(step, work);
      return { for: 'its container' };
    },
    any: () => running.size > 0,
    settled: async () => {
      await Promise.all([...running.values()].map(({ end }) => end));
    },
    listen: (onResult) => {
      listeners.add(onResult);
      return () => listeners.delete(onResult);
    },
  };
};
