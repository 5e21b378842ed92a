/** Passes that nobody waits for stay away while certificates are ordered: a run ends with a pass of its own, which loads them all at once. */

/** What makes the agent look again although nothing is known to have changed. */
export const secondLook = 'second look';
const nobodyWaits: ReadonlySet<string> = new Set([secondLook, 'interval']);
/** A CA may take hours; the guarantee that passes are must not. */
const mostTimes = 20;

/** Tells whether a pass for these reasons should come a little later. `isOrdering`: a run over certificates is under way. */
export const createPatience = (
  isOrdering: () => Promise<boolean>,
): ((reasons: readonly string[]) => Promise<boolean>) => {
  let times = 0;
  return async (reasons) => {
    const later = times < mostTimes && reasons.every((reason) => nobodyWaits.has(reason)) && (await isOrdering());
    times = later ? times + 1 : 0;
    return later;
  };
};
