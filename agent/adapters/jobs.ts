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
 * Keeps the last `kept` results: one in five JobRemoved is seen before the reply to StartUnit, and systemd gives the same
 * job to everybody who asks for the same thing meanwhile. Jobs of others end up there too, hence the bound.
 */
export const createJobs = (kept = 1024): Jobs => {
  const waiting = new Map<string, Waiter[]>();
  const results = new Map<string, string>();
  return {
    result: (path) => {
      const known = results.get(path);
      if (known !== undefined) return Promise.resolve(known);
      return new Promise((resolve, reject) => {
        waiting.set(path, [...(waiting.get(path) ?? []), { resolve, reject }]);
      });
    },
    ended: (path, result) => {
      for (const waiter of waiting.get(path) ?? []) waiter.resolve(result);
      waiting.delete(path);
      results.set(path, result);
      const [oldest] = results.keys();
      if (results.size > kept && oldest !== undefined) results.delete(oldest);
    },
    abandon: (reason) => {
      const waiters = [...waiting.values()].flat();
      waiting.clear();
      results.clear();
      for (const waiter of waiters) waiter.reject(reason);
    },
  };
};
