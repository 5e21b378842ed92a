/** Runs work with at most `max` at a time, the rest waiting in the order of arrival. */
export type Limit = <T>(work: () => Promise<T>) => Promise<T>;

/** A concurrency limiter; a failure of the work is the caller's and frees the place. */
export const createLimit = (max: number): Limit => {
  if (!(max >= 1)) throw new RangeError(`a limit must be at least 1, not ${max}`);
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    // A place that becomes free goes straight to the first in the queue; who comes meanwhile cannot overtake.
    if (running < max) running += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
};

/**
 * Does all of it within a limit. After a failure nothing more begins, and what had begun is waited for: nothing goes on behind
 * the caller's back. Throws the first failure.
 */
export const doAll = async (limit: Limit, works: readonly (() => Promise<void>)[]): Promise<void> => {
  const failures: unknown[] = [];
  await Promise.all(
    works.map((work) =>
      limit(async () => {
        if (failures.length > 0) return;
        await work().catch((error: unknown) => void failures.push(error));
      }),
    ),
  );
  if (failures.length > 0) throw failures[0];
};
