import type { Timers } from '../net/timers.ts';

/**
 * When passes run.
 *
 * INVARIANTS
 * - One pass at a time. A trigger during a pass means exactly one more pass after it.
 * - A burst of triggers is one pass: it starts when none came for `quiet` seconds, or `longest` seconds after the first.
 * - Without any trigger a pass runs every `interval` seconds: events are hints, this is the guarantee.
 * - A pass that throws is logged by `onError` and tried again after a back-off that doubles up to `interval`.
 */
export interface LoopOptions {
  pass: (reasons: readonly string[]) => Promise<void>;
  onError: (error: unknown, retrySeconds: number) => void;
  quietSeconds: number;
  longestSeconds: number;
  /** Asked anew before each wait: the admin may change it. */
  intervalSeconds: () => number;
  timers: Timers;
}

export interface Loop {
  trigger(reason: string): void;
  /** Resolves when the pass under way, if any, has ended; no other starts. */
  stop(): Promise<void>;
}

export const createLoop = (options: LoopOptions): Loop => {
  const { timers } = options;
  const reasons = new Set<string>();
  let first = 0;
  let running: Promise<void> | null = null;
  let cancel: (() => void) | null = null;
  let failures = 0;
  let stopped = false;

  const schedule = (seconds: number): void => {
    cancel?.();
    cancel = stopped ? null : timers.after(Math.max(0, seconds) * 1000, start);
  };

  const next = (): void => {
    if (reasons.size === 0) return schedule(options.intervalSeconds());
    const now = timers.now() / 1000;
    schedule(Math.min(options.quietSeconds, first + options.longestSeconds - now));
  };

  const start = (): void => {
    if (running !== null || stopped) return;
    const why = reasons.size > 0 ? [...reasons] : ['interval'];
    reasons.clear();
    running = options
      .pass(why)
      .then(() => {
        failures = 0;
        return null;
      })
      .catch((error: unknown) => {
        const retry = Math.min(options.intervalSeconds(), 0.5 * 2 ** failures++);
        options.onError(error, retry);
        return retry;
      })
      .then((retry) => {
        running = null;
        if (retry === null) next();
        else schedule(retry);
      });
  };

  return {
    trigger: (reason) => {
      if (stopped) return;
      if (reasons.size === 0) first = timers.now() / 1000;
      reasons.add(reason);
      if (running === null) next();
    },
    stop: async () => {
      stopped = true;
      cancel?.();
      await running;
    },
  };
};
