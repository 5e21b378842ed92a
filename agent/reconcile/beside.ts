/** What a pass does not wait for, and what it leaves alone meanwhile. */
import type { Step } from '../core/step.ts';
import type { Executors } from './apply.ts';
import type { Pulls } from './pulls.ts';
import type { LongStep, Works } from './works.ts';

/** Where the steps go on that a pass only begins. */
export interface Beside {
  pulls: Pulls;
  works: Works;
}

/**
 * The executors of a pass that only begins what takes long. Of an owner who is busy nothing changes but files and vhost: what else
 * is to be done depends on how the work ends.
 */
export const besideThePass = (executors: Executors, works: Works): Executors => {
  /** Does not begin anything for one who is busy, or who needs such a one. */
  const begin =
    <S extends LongStep>(execute: (step: S) => ReturnType<Executors[S['kind']]>) =>
    (step: S) =>
      Promise.resolve(
        works.of([step.owner, ...('needs' in step ? step.needs : [])], step.kind) ??
          works.begin(step, async () => void (await execute(step))),
      );
  const unlessBusy =
    <S extends Step & { owner: string }, R>(execute: (step: S) => Promise<R>) =>
    async (step: S) =>
      works.of([step.owner], step.kind) ?? execute(step);
  return {
    ...executors,
    open: (step) => (step.slow ? begin(executors.open)(step) : unlessBusy(executors.open)(step)),
    'start-unit': begin(executors['start-unit']),
    'restart-unit': begin(executors['restart-unit']),
    'stop-unit': begin(executors['stop-unit']),
    'mark-open': unlessBusy(executors['mark-open']),
    'turn-switch': unlessBusy(executors['turn-switch']),
    'remove-container': unlessBusy(executors['remove-container']),
    'remove-run': unlessBusy(executors['remove-run']),
    'remove-folder': unlessBusy(executors['remove-folder']),
  };
};
