import type { Timers } from './timers.ts';

export interface Debounce {
  /** Something happened: run soon. */
  trigger(): void;
  /** Forgets what was triggered and has not run yet. */
  cancel(): void;
}

/**
 * Runs once `minimum` ms after the last trigger of a burst, and at the latest `maximum` ms after its first, so that
 * a burst costs one run and endless triggers cannot put it off for ever.
 */
export const createDebounce = (
  options: { minimum: number; maximum: number; timers: Timers },
  run: () => void,
): Debounce => {
  const { minimum, maximum, timers } = options;
  let first: number | null = null;
  let callOff = (): void => undefined;

  const cancel = (): void => {
    callOff();
    first = null;
  };
  const fire = (): void => {
    first = null;
    run();
  };
  return {
    trigger: () => {
      const now = timers.now();
      first ??= now;
      callOff();
      callOff = timers.after(Math.max(0, Math.min(minimum, first + maximum - now)), fire);
    },
    cancel,
  };
};
