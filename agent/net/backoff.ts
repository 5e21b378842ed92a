/** How long to wait before the next attempt. */
export interface Backoff {
  /** Milliseconds until the next attempt; each is twice the last, up to the cap. */
  next(): number;
  /** An attempt succeeded: begin again with the first delay. */
  reset(): void;
}

/** Doubling delays from `first` to `cap` milliseconds. No jitter: one agent per daemon, no herd to spread. */
export const createBackoff = (first: number, cap: number): Backoff => {
  let delay = first;
  return {
    next: () => {
      const now = delay;
      delay = Math.min(cap, delay * 2);
      return now;
    },
    reset: () => {
      delay = first;
    },
  };
};
