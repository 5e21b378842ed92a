import { AppFleetError } from '../errors.ts';

/** What systemd's job results mean (JobRemoved in org.freedesktop.systemd1(5)). */
const resultWords: Record<string, string> = {
  failed: 'it failed',
  dependency: 'a unit that it needs could not be started',
  timeout: 'it took too long and was given up',
  canceled: 'another job took its place',
  skipped: 'it does not apply to the state the unit is in',
  assert: 'something that it asserts does not hold',
  invalid: 'the unit cannot do that',
  unsupported: 'this host cannot run units of that type',
  collected: 'the unit was removed meanwhile',
  once: 'the unit runs only once per boot and has run',
};

/** Manager's methods that make jobs, with the verb that people use. */
export const verbs = { StartUnit: 'start', StopUnit: 'stop', TryRestartUnit: 'restart' } as const;
export type JobCall = keyof typeof verbs;

/** AF_UNIT_JOB in words; its cause holds the unit and the result as systemd gave it. */
export const jobFailure = (call: JobCall, unit: string, result: string, cause?: unknown): AppFleetError =>
  new AppFleetError('AF_UNIT_JOB', `cannot ${verbs[call]} ${unit}: ${resultWords[result] ?? result} (${result})`, {
    cause: cause ?? { unit, result },
    hint: `systemctl status ${unit}`,
  });
