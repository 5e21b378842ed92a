import { parseFailure, type Wake } from '../switchboard/state.ts';

export interface StandingFailure {
  count: number;
  reason: string;
  /** Seconds since boot. */
  at: number;
}

/** How long units/launch waits after so many failures in a row. */
const delayAfter = (count: number): number => Math.min(1.5, 0.1 * 2 ** Math.min(count, 4));

/** Both files round to hundredths of a second. */
const rounding = 0.02;

/** The failure in the file `failed`, unless the container was started with success after it: then the file only remembers. */
export const standingFailure = (text: string | null, wakes: readonly Wake[]): StandingFailure | null => {
  const failure = parseFailure(text);
  if (failure === null) return null;
  const again = Number(/^\d+ ([\d.]+)/.exec(text ?? '')?.[1]);
  const at = again - delayAfter(failure.count);
  const last = wakes.at(-1);
  return last !== undefined && last.at + last.seconds > at + rounding ? null : { ...failure, at };
};
