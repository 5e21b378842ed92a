/**
 * Pulls of images that go on beside the passes: a slow registry holds up the sites that wait for its image, and nobody else.
 *
 * INVARIANTS
 * - One pull per image at a time.
 * - A pull that failed is not tried again before its back-off has passed (registries count requests), or somebody asks for it.
 */
import { messageOf } from '../errors.ts';
import type { ContainerEngine } from '../ports.ts';

export interface Pulls {
  /** Begins to pull unless that is under way. Throws why the last pull failed, until it is time for another. */
  begin(image: string): void;
  /** Allows pulls that failed at once. */
  forgive(): void;
  /** Resolves when those under way have ended, well or not. */
  settled(): Promise<void>;
  /** Shows progress to one more listener; returns what ends that. */
  listen(onProgress: (line: string) => void): () => void;
}

const firstRetrySeconds = 30;
const longestRetrySeconds = 900;

/** `ended` is called after each pull; `clock` gives seconds that nobody sets. */
export const createPulls = (
  engine: Pick<ContainerEngine, 'pull'>,
  clock: () => number,
  ended: (image: string) => void,
): Pulls => {
  const running = new Map<string, Promise<void>>();
  const failures = new Map<string, { error: unknown; again: number; delay: number }>();
  const listeners = new Set<(line: string) => void>();

  const pull = async (image: string): Promise<void> => {
    try {
      await engine.pull(image, (line) => {
        for (const listener of listeners) listener(line);
      });
      failures.delete(image);
    } catch (error) {
      const delay = Math.min(longestRetrySeconds, (failures.get(image)?.delay ?? firstRetrySeconds / 2) * 2);
      failures.set(image, { error, delay, again: clock() + delay });
    } finally {
      running.delete(image);
      ended(image);
    }
  };

  return {
    begin: (image) => {
      if (running.has(image)) return;
      const failure = failures.get(image);
      if (failure !== undefined && clock() < failure.again)
        throw new Error(messageOf(failure.error), { cause: failure.error });
      running.set(image, pull(image));
    },
    forgive: () => {
      for (const failure of failures.values()) failure.again = -Infinity;
    },
    settled: async () => {
      await Promise.all(running.values());
    },
    listen: (onProgress) => {
      listeners.add(onProgress);
      return () => listeners.delete(onProgress);
    },
  };
};
