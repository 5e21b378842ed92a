/** Results of systemd's jobs, whichever comes first: the reply that names the job or the signal that ends it. */
export interface Jobs {
  /** Resolves with systemd's result (`done`, `failed`, ...) when the job of that object path has ended. */
  result(path: string): Promise<string>;
  /** JobRemoved was received. */
  ended(path: string, result: string): void;
  /** Nobody will tell us any more: rejects all that wait and forgets the rest. */
  abandon(reason: Error): void;
}

interface Waiter {
  resolve(result: string): void;
  reject(reason: Error): void;
}

/**
 * Keeps the last `kept` results that nobody has asked for yet: one in five JobRemoved is seen before the reply to
 * StartUnit. Jobs of others end up there too, hence the bound.
 */
export const createJobs = (kept = 512): Jobs => {
  const waiting = new Map<string, Waiter>();
  const early = new Map<string, string>();
  return {
    result: (path) => {
      const known = early.get(path);
      if (known === undefined) return new Promise((resolve, reject) => waiting.set(path, { resolve, reject }));
      early.delete(path);
      return Promise.resolve(known);
    },
    ended: (path, result) => {
      const waiter = waiting.get(path);
      if (waiter) {
        waiting.delete(path);
        waiter.resolve(result);
        return;
      }
      early.set(path, result);
      const [oldest] = early.keys();
      if (early.size > kept && oldest !== undefined) early.delete(oldest);
    },
    abandon: (reason) => {
      const waiters = [...waiting.values()];
      waiting.clear();
      early.clear();
      for (const waiter of waiters) waiter.reject(reason);
    },
  };
};
