/** The states of a site or a shared container, in the order in which metrics list them. */
export const memberStates = [
  'stopped',
  'asleep',
  'waking',
  'awake',
  'sleeping',
  'failed',
  'served',
  'not applied',
  'refused',
] as const;

/**
 * `served`: a static site that is open. `not applied` and `refused`: it was never opened, because no pass got that far yet, or
 * because its file has a mistake.
 */
export type MemberState = (typeof memberStates)[number];
