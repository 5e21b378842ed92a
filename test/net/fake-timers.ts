import type { Timers } from '../../agent/net/timers.ts';

export interface FakeTimers extends Timers {
  /** Lets so much time pass at once, calling back what is due on the way, in order. */
  pass(milliseconds: number): void;
  /** How many alarms are set. */
  armed(): number;
}

/** A clock that stands still until a test moves it. */
export const createFakeTimers = (): FakeTimers => {
  let now = 0;
  const alarms = new Set<{ at: number; callback: () => void }>();
  return {
    now: () => now,
    after: (milliseconds, callback) => {
      const alarm = { at: now + milliseconds, callback };
      alarms.add(alarm);
      return () => alarms.delete(alarm);
    },
    pass: (milliseconds) => {
      const until = now + milliseconds;
      for (;;) {
        const [due] = [...alarms].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
        if (!due) break;
        alarms.delete(due);
        now = due.at;
        due.callback();
      }
      now = until;
    },
    armed: () => alarms.size,
  };
};

/** Lets everything run that waits for nothing but its turn. */
export const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};
