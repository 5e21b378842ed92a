/** The clock and its alarms as a parameter, so that whatever waits can be tested without waiting. */
export interface Timers {
  /** Milliseconds that never jump, from any starting point. */
  now(): number;
  /** Calls back once after so many milliseconds; the returned function calls it off. */
  after(milliseconds: number, callback: () => void): () => void;
}

/** The machine's own timers, by the monotonic clock: setting the wall clock neither hastens nor delays anything. */
export const systemTimers: Timers = {
  now: () => performance.now(),
  after: (milliseconds, callback) => {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Resolves after so many milliseconds. */
export const sleep = (timers: Timers, milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    timers.after(milliseconds, resolve);
  });

/** Rejects with what `reason` makes when the work has not settled in time; the work itself goes on. */
export const withDeadline = <T>(
  timers: Timers,
  milliseconds: number,
  work: Promise<T>,
  reason: () => Error,
): Promise<T> =>
  new Promise((resolve, reject) => {
    const callOff = timers.after(milliseconds, () => reject(reason()));
    work.then(resolve, reject).finally(callOff);
  });
